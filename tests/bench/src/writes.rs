//! P4: a record that is made through the API, durably: the host, with its check
//! of token, tenant and body, its account of writes under way and its sandbox,
//! against a native server that only maps, sends and stores.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::child::Child;
use crate::load::{Load, Outcome};
use crate::measure::{Process, Round, Side, Summary};
use crate::native::Setup;
use crate::programs::Programs;
use crate::report::{Goal, Report, Row, number};
use crate::stage::{API_KEY, App, Stage};
use crate::wire::Client;

const PEOPLE: u64 = 1_000;
const WINDOW: Duration = Duration::from_millis(1000);
/// How many at once, and the goal then.
const CLIENTS: [(usize, f64); 2] = [(1, 0.8), (32, 0.75)];
const ENTITIES: [&str; 2] = ["people", "notes"];

/// A server that is asked to make records.
struct Server {
    name: &'static str,
    process: Process,
    /// The simulated app behind it.
    app: Process,
    address: SocketAddr,
    path: String,
    headers: PathBuf,
    body: PathBuf,
}

pub(crate) async fn measure(programs: &Programs, rounds: usize) -> Result<Report> {
    // An app each: what one side made would be part of the other's lists.
    let (app, other) = (
        App::start(programs, PEOPLE).await?,
        App::start(programs, PEOPLE).await?,
    );
    let mut stage = Stage::start(programs, &app).await?;
    let synced = stage.connect().await?;
    stage.sync(&synced.credential, "notes").await?;
    let headers = stage.headers(&synced.credential)?;
    stage.page(&headers, "/crm/api/notes?limit=1").await?;

    let setup = stage.file("native.json");
    let told = Setup {
        database: stage.file("native.sqlite"),
        app: other.address,
        api_key: API_KEY.to_owned(),
        entities: ENTITIES.map(str::to_owned).to_vec(),
    };
    std::fs::write(&setup, serde_json::to_vec(&told)?)?;
    let mut command = Command::new(&programs.own);
    command.arg("native").arg(&setup);
    let (native, line) = Child::start_and_read("the native server", &mut command)?;
    let native_address: SocketAddr = line.parse()?;

    let mut report = Report {
        id: "P4",
        title: "POST /crm/api/people and /crm/api/notes, through the app's simulator, durably".into(),
        settings: vec![
            format!("{rounds} rounds of {} ms per server and number of clients, interleaved", WINDOW.as_millis()),
            "both: SQLite, WAL, each commit on disk before its answer, the same disk; an app of its own for each side".into(),
            "every server, simulator and the load generator (one thread) are processes of their own; CPU is the server's".into(),
        ],
        ..Report::default()
    };
    for entity in ENTITIES {
        let ours = stage.first_person(&headers).await?;
        let server = |name, child: &Child, app: &App, address, path: String, person: Value| {
            let body = stage.file(&format!("{name} {entity}.json"));
            std::fs::write(&body, record(entity, &person).to_string())?;
            anyhow::Ok(Server {
                name,
                process: child.process(),
                app: app.child.process(),
                address,
                path,
                headers: headers.clone(),
                body,
            })
        };
        let path = format!("/crm/api/{entity}");
        let servers = [
            server("host", &stage.host, &app, stage.address, path, ours)?,
            server(
                "native",
                &native,
                &other,
                native_address,
                format!("/{entity}"),
                json!("1"),
            )?,
        ];
        same(&servers, entity).await?;
        for (clients, goal) in CLIENTS {
            compare(
                programs,
                &servers,
                (entity, clients, goal),
                rounds,
                &mut report,
            )?;
        }
    }
    Ok(report)
}

/// What is made. `person` is whom it belongs to, in the server's terms.
fn record(entity: &str, person: &Value) -> Value {
    match entity {
        "people" => json!({
            "firstName": "Ada",
            "lastName": "Example",
            "stage": "Lead",
            "source": "Website",
            "averagePrice": 450_000,
            "tags": ["Buyer", "Newsletter"],
            "emails": [{"value": "ada@example.com", "type": "home", "isPrimary": true}],
            "phones": [{"value": "2065550100", "type": "mobile", "isPrimary": true}],
            "addresses": [{"type": "home", "street": "1 Main Street", "city": "Boise", "state": "ID", "code": "83702"}],
        }),
        _ => json!({
            "personId": person,
            "subject": "A call",
            "body": "Looks for a house with a garden, three bedrooms and a quiet street.",
        }),
    }
}

/// Both make a record that holds what was sent: the native side must not win by
/// doing something else.
async fn same(servers: &[Server; 2], entity: &str) -> Result<()> {
    for server in servers {
        let headers = std::fs::read_to_string(&server.headers)?;
        let headers: Vec<(&str, &str)> = headers
            .lines()
            .filter_map(|line| line.split_once(": "))
            .collect();
        let sent = std::fs::read_to_string(&server.body)?;
        let mut client = Client::connect(server.address).await?;
        let request = client.request("POST", &server.path, &headers, &sent);
        let answer = client.answer(&request).await?;
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(
            answer.status == 201,
            "{} answered {}: {said}",
            server.name,
            answer.status
        );
        let made: Value = serde_json::from_str(&said)?;
        let made = made.get(entity).unwrap_or(&made);
        let sent: Value = serde_json::from_str(&sent)?;
        let text = match entity {
            "people" => "lastName",
            _ => "body",
        };
        ensure!(
            made.get(text) == sent.get(text) && made.get("id").is_some_and(Value::is_string),
            "{} made something else: {said}",
            server.name
        );
    }
    Ok(())
}

fn compare(
    programs: &Programs,
    servers: &[Server; 2],
    (entity, clients, goal): (&str, usize, f64),
    rounds: usize,
    report: &mut Report,
) -> Result<()> {
    let mut sides = servers
        .each_ref()
        .map(|server| Side::new(format!("{entity}: {}, {clients} clients", server.name)));
    let mut apps = sides
        .each_ref()
        .map(|side| Side::new(format!("{}: its app", side.name)));
    let mut outcomes: [Vec<Outcome>; 2] = Default::default();
    // The first round warms all up.
    for round in 0..=rounds {
        for (at, server) in servers.iter().enumerate() {
            let load = Load {
                address: server.address,
                path: server.path.clone(),
                headers: server.headers.clone(),
                body: Some(server.body.clone()),
                clients,
                millis: u64::try_from(WINDOW.as_millis())?,
            };
            let before = (server.process.cpu()?, server.app.cpu()?);
            let outcome = load.apart(&programs.own)?;
            let after = (server.process.cpu()?, server.app.cpu()?);
            if round == 0 {
                continue;
            }
            let done = Round {
                operations: outcome.requests as f64,
                wall: Duration::from_secs_f64(outcome.seconds),
                cpu: after.0.saturating_sub(before.0),
            };
            let cpu = after.1.saturating_sub(before.1);
            if let (Some(side), Some(app), Some(outcomes)) =
                (sides.get_mut(at), apps.get_mut(at), outcomes.get_mut(at))
            {
                side.add(done, server.process.peak_rss()?);
                app.add(Round { cpu, ..done }, server.app.peak_rss()?);
                outcomes.push(outcome);
            }
        }
    }
    for ((side, app), outcomes) in sides.iter().zip(&apps).zip(&outcomes) {
        report.rows.push(Row::from(side));
        let median = |of: fn(&Outcome) -> f64| number(Summary::of(outcomes.iter().map(of)).median);
        report.notes.push(format!(
            "{}: p50 {} µs, p99 {} µs; its app took {} CPU-ms per 1,000",
            side.name,
            median(|outcome| outcome.p50 as f64),
            median(|outcome| outcome.p99 as f64),
            number(app.cpu().median),
        ));
    }
    let [host, native] = &sides;
    report.goals.push(Goal::at_least(
        format!("{entity}/s against native, {clients} clients"),
        native.times(host),
        goal,
        "x",
    ));
    report.notes.push(format!(
        "{entity}, {clients} clients: the host takes {}x the CPU of the native server",
        number(host.cpu_times(native).median),
    ));
    Ok(())
}

impl Stage {
    /// A person's id in the host.
    async fn first_person(&self, headers: &std::path::Path) -> Result<Value> {
        let page = self.page(headers, "/crm/api/people?limit=1").await?;
        let id = page.pointer("/people/0/id");
        id.cloned().context("the host shows no person")
    }
}
