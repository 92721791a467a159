//! P3: pages of records from the store, over HTTP: the host, with its check of
//! token and tenant, against a bare handler that runs the same statement and
//! one that has the bytes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rollout_catalog::{Catalog, Category};
use rollout_store::{Databases, EnvStore, ListQuery, Location, Migrate, Narrow};
use serde_json::Value;

use crate::baseline::Plan;
use crate::child::Child;
use crate::load::{Load, Outcome};
use crate::measure::{Process, Round, Side, Summary};
use crate::programs::Programs;
use crate::report::{Goal, Report, Row, number};
use crate::stage::{App, Stage};
use crate::wire::Client;

const PEOPLE: u64 = 10_000;
const NOTES: u64 = 10_000;
const LIMIT: u32 = 100;
const WINDOW: Duration = Duration::from_millis(1000);
const CLIENTS: [usize; 2] = [1, 32];

/// A list that is read.
struct List {
    what: &'static str,
    entity: &'static str,
    /// The field that it is filtered by; the value is the first note's.
    filter: Option<&'static str>,
}

const LISTS: [List; 3] = [
    List {
        what: "people",
        entity: "people",
        filter: None,
    },
    List {
        what: "notes",
        entity: "notes",
        filter: None,
    },
    List {
        what: "notes of a person",
        entity: "notes",
        filter: Some("personId"),
    },
];

/// A server that is asked.
struct Server {
    name: &'static str,
    process: Process,
    address: SocketAddr,
    path: String,
    headers: PathBuf,
}

pub(crate) async fn measure(programs: &Programs, rounds: usize) -> Result<Report> {
    let app = App::start(programs, PEOPLE).await?;
    app.write_notes(NOTES).await?;
    let mut stage = Stage::start(programs, &app).await?;
    let synced = stage.connect().await?;
    stage.sync(&synced.credential, "notes").await?;
    let headers = stage.headers(&synced.credential)?;
    let notes = stage.page(&headers, "/crm/api/notes?limit=1").await?;
    let note = notes.pointer("/notes/0").context("there are no notes")?;
    drop(app);

    let mut report = Report {
        id: "P3",
        title: format!(
            "GET of {LIMIT} records as JSON from {} people and as many notes, over kept connections",
            number(PEOPLE as f64)
        ),
        settings: vec![
            format!("{rounds} rounds of {} ms per server and number of clients, interleaved", WINDOW.as_millis()),
            "every server and the load generator (one thread) are processes of their own; CPU is the server's".into(),
        ],
        ..Report::default()
    };
    for list in &LISTS {
        let value = list.filter.and_then(|field| note.get(field)?.as_str());
        let path = path(list, value);
        let page = text(&stage, &headers, &path).await?;
        let plan = plan(&stage, &synced.credential, list, value, page).await?;
        let file = stage.file("plan.json");
        std::fs::write(&file, serde_json::to_vec(&plan)?)?;
        let start = || {
            let mut command = Command::new(&programs.own);
            command.arg("baseline").arg(&file);
            let (child, line) = Child::start_and_read("the baseline", &mut command)?;
            Ok::<_, anyhow::Error>((child, line.parse::<SocketAddr>()?))
        };
        let (queried, query_address) = start()?;
        let (prebuilt, bytes_address) = start()?;
        same_records(query_address, &plan).await?;
        report.notes.push(format!(
            "{}: {} bytes a page",
            list.what,
            number(plan.bytes.len() as f64)
        ));

        let server = |name, child: &Child, address, path: &str| Server {
            name,
            process: child.process(),
            address,
            path: path.to_owned(),
            headers: headers.clone(),
        };
        let servers = [
            server("host", &stage.host, stage.address, &path),
            server(
                "bare handler, same statement",
                &queried,
                query_address,
                "/query",
            ),
            server("prebuilt bytes", &prebuilt, bytes_address, "/bytes"),
        ];
        for clients in CLIENTS {
            compare(
                programs,
                &servers,
                (list.what, clients),
                rounds,
                &mut report,
            )?;
        }
    }
    Ok(report)
}

fn path(list: &List, value: Option<&str>) -> String {
    let path = format!("/crm/api/{}?limit={LIMIT}", list.entity);
    match (list.filter, value) {
        (Some(field), Some(value)) => format!("{path}&{field}={value}"),
        _ => path,
    }
}

/// The host's answer, byte for byte.
async fn text(stage: &Stage, headers: &Path, path: &str) -> Result<String> {
    let headers = std::fs::read_to_string(headers)?;
    let headers: Vec<(&str, &str)> = headers
        .lines()
        .filter_map(|line| line.split_once(": "))
        .collect();
    let page = Client::connect(stage.address)
        .await?
        .get(path, &headers)
        .await?;
    ensure!(page.status == 200, "the host answered {}", page.status);
    Ok(String::from_utf8(page.body)?)
}

fn compare(
    programs: &Programs,
    servers: &[Server; 3],
    (what, clients): (&str, usize),
    rounds: usize,
    report: &mut Report,
) -> Result<()> {
    let mut sides = servers
        .each_ref()
        .map(|server| Side::new(format!("{what}: {}, {clients} clients", server.name)));
    let mut outcomes: [Vec<Outcome>; 3] = Default::default();
    // The first round warms all up.
    for round in 0..=rounds {
        for ((server, side), outcomes) in servers.iter().zip(&mut sides).zip(&mut outcomes) {
            let load = Load {
                address: server.address,
                path: server.path.clone(),
                headers: server.headers.clone(),
                body: None,
                clients,
                millis: u64::try_from(WINDOW.as_millis())?,
            };
            let before = server.process.cpu()?;
            let outcome = load.apart(&programs.own)?;
            let cpu = server.process.cpu()?.saturating_sub(before);
            if round > 0 {
                let done = Round {
                    operations: outcome.requests as f64,
                    wall: Duration::from_secs_f64(outcome.seconds),
                    cpu,
                };
                side.add(done, server.process.peak_rss()?);
                outcomes.push(outcome);
            }
        }
    }
    for (side, outcomes) in sides.iter().zip(&outcomes) {
        report.rows.push(Row::from(side));
        let median = |of: fn(&Outcome) -> f64| number(Summary::of(outcomes.iter().map(of)).median);
        report.notes.push(format!(
            "{}: p50 {} µs, p99 {} µs; the load generator took {} CPU-ms per 1,000",
            side.name,
            median(|outcome| outcome.p50 as f64),
            median(|outcome| outcome.p99 as f64),
            median(|outcome| outcome.cpu_seconds * 1e6 / outcome.requests as f64),
        ));
    }
    let [host, queried, prebuilt] = &sides;
    report.goals.push(Goal::at_least(
        format!("{what}: requests/s against the bare handler, {clients} clients"),
        queried.times(host),
        0.8,
        "x",
    ));
    report.notes.push(format!(
        "{what}, {clients} clients: the host takes {}x the CPU of the bare handler and {}x that of prebuilt bytes",
        number(host.cpu_times(queried).median),
        number(host.cpu_times(prebuilt).median),
    ));
    Ok(())
}

/// What the baselines serve: the host's own statement and the bytes around it.
async fn plan(
    stage: &Stage,
    credential: &str,
    list: &List,
    value: Option<&str>,
    bytes: String,
) -> Result<Plan> {
    let catalog = Catalog::embedded()?;
    let entity = catalog
        .entity(Category::Crm, list.entity)
        .context("the catalogue has the entity")?;
    let other = EnvStore::open(
        &Databases::default(),
        &Location::File(stage.file("statement.sqlite")),
        "bench",
        &catalog,
        Migrate::Run,
    )
    .await?;
    let mut query = ListQuery::new(credential, entity, LIMIT);
    let values: Vec<String> = value.map(str::to_owned).into_iter().collect();
    if let Some(field) = list.filter {
        query.filters.push(Narrow {
            field: field.to_owned(),
            values: values.clone(),
        });
    }
    let sql = other.list_sql(&query)?;
    other.close().await;
    let start = format!("\"{}\":[", entity.collection);
    let at = bytes.find(&start).context("the page has no records")? + start.len();
    let head = bytes.get(..at).unwrap_or_default().to_owned();
    Ok(Plan {
        database: stage.database(),
        sql,
        credential: credential.to_owned(),
        entity: entity.name.clone(),
        values,
        limit: LIMIT.into(),
        head,
        tail: "]}".into(),
        bytes,
    })
}

/// The bare handler must not win by answering something else.
async fn same_records(address: SocketAddr, plan: &Plan) -> Result<()> {
    let answer = Client::connect(address).await?.get("/query", &[]).await?;
    let theirs: Value = serde_json::from_slice(&answer.body)?;
    let ours: Value = serde_json::from_str(&plan.bytes)?;
    ensure!(
        theirs == ours,
        "the bare handler answers something else than the host"
    );
    Ok(())
}
