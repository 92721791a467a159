//! P3: a page of people from the store, over HTTP: the host, with its check of
//! token and tenant, against a bare handler that runs the same statement and
//! one that has the bytes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rollout_catalog::{Catalog, Category};
use rollout_store::{Databases, EnvStore, ListQuery, Location, Migrate};
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
const LIMIT: u32 = 100;
const PATH: &str = "/crm/api/people?limit=100";
const WINDOW: Duration = Duration::from_millis(1000);
const CLIENTS: [usize; 2] = [1, 32];

/// A server that is asked.
struct Server {
    name: &'static str,
    process: Process,
    address: SocketAddr,
    path: &'static str,
    headers: PathBuf,
}

pub(crate) async fn measure(programs: &Programs, rounds: usize) -> Result<Report> {
    let app = App::start(programs, PEOPLE).await?;
    let mut stage = Stage::start(programs, &app).await?;
    let synced = stage.connect().await?;
    drop(app);

    let headers = stage.file("headers");
    let credential = synced.credential.as_str();
    let bearer = format!("Bearer {}", stage.token);
    std::fs::write(
        &headers,
        format!("authorization: {bearer}\nx-rollout-credential-id: {credential}\n"),
    )?;
    let mut client = Client::connect(stage.address).await?;
    let shown = [
        ("authorization", bearer.as_str()),
        ("x-rollout-credential-id", credential),
    ];
    let mut page = client.get(PATH, &shown).await?;
    // Users, or the last step of the sync, may come a moment later.
    for _ in 0..100 {
        if page.status != 409 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        page = client.get(PATH, &shown).await?;
    }
    ensure!(page.status == 200, "the host answered {}", page.status);
    let plan = plan(&stage, credential, String::from_utf8(page.body)?).await?;
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

    let server = |name, child: &Child, address, path| Server {
        name,
        process: child.process(),
        address,
        path,
        headers: headers.clone(),
    };
    let servers = [
        server("host", &stage.host, stage.address, PATH),
        server(
            "bare handler, same statement",
            &queried,
            query_address,
            "/query",
        ),
        server("prebuilt bytes", &prebuilt, bytes_address, "/bytes"),
    ];
    let mut report = Report {
        id: "P3",
        title: format!(
            "GET {PATH} from {} rows: {} bytes over kept connections",
            number(PEOPLE as f64),
            plan.bytes.len()
        ),
        settings: vec![
            format!("{rounds} rounds of {} ms per server and number of clients, interleaved", WINDOW.as_millis()),
            "every server and the load generator (one thread) are processes of their own; CPU is the server's".into(),
        ],
        ..Report::default()
    };
    for clients in CLIENTS {
        compare(programs, &servers, clients, rounds, &mut report)?;
    }
    Ok(report)
}

fn compare(
    programs: &Programs,
    servers: &[Server; 3],
    clients: usize,
    rounds: usize,
    report: &mut Report,
) -> Result<()> {
    let mut sides = servers
        .each_ref()
        .map(|server| Side::new(format!("{}, {clients} clients", server.name)));
    let mut outcomes: [Vec<Outcome>; 3] = Default::default();
    // The first round warms all up.
    for round in 0..=rounds {
        for ((server, side), outcomes) in servers.iter().zip(&mut sides).zip(&mut outcomes) {
            let load = Load {
                address: server.address,
                path: server.path.to_owned(),
                headers: server.headers.clone(),
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
    let faster = |other: &Side| {
        let ratio = other.times(host);
        Summary { ..ratio }
    };
    report.goals.push(Goal::at_least(
        format!("requests/s against the bare handler, {clients} clients"),
        faster(queried),
        0.8,
        "x",
    ));
    report.notes.push(format!(
        "{clients} clients: the host takes {}x the CPU of the bare handler and {}x that of prebuilt bytes",
        number(host.cpu_times(queried).median),
        number(host.cpu_times(prebuilt).median),
    ));
    Ok(())
}

/// What the baselines serve: the host's own statement and the bytes around it.
async fn plan(stage: &Stage, credential: &str, bytes: String) -> Result<Plan> {
    let catalog = Catalog::embedded()?;
    let people = catalog
        .entity(Category::Crm, "people")
        .context("the catalogue has people")?;
    let other = EnvStore::open(
        &Databases::default(),
        &Location::File(stage.file("statement.sqlite")),
        "bench",
        &catalog,
        Migrate::Run,
    )
    .await?;
    let sql = other.list_sql(&ListQuery::new(credential, people, LIMIT))?;
    other.close().await;
    let start = format!("\"{}\":[", people.collection);
    let at = bytes.find(&start).context("the page has no records")? + start.len();
    let head = bytes.get(..at).unwrap_or_default().to_owned();
    Ok(Plan {
        database: stage.database(),
        sql,
        credential: credential.to_owned(),
        entity: people.name.clone(),
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
