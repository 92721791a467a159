//! `rollout connector new`: what it writes is a connector, with nothing else at hand.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::cli_commands::refusal;
use crate::fixtures::{HostUnderTest, Setup, rollout};

const KEY: &str = "acme_key_5be1";

/// A folder of its own for a test, the same in every run, so that cargo finds its work
/// of the run before; empty.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Cargo in a folder, as a stranger calls it; what it builds outlives the run.
fn cargo(folder: &Path) -> Command {
    let mut command = rollout_tasks::cargo(folder);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("new-connector-target");
    command.env("CARGO_TARGET_DIR", target);
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}\n{told}\n{complaint}");
    told
}

fn new(arguments: &[&str]) -> std::process::Output {
    rollout([&["connector", "new"], arguments].concat())
}

/// The template's app over HTTP: it answers what the fixtures say it answers.
fn app(fixtures: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let _ = answer(connection.unwrap(), &fixtures);
        }
    });
    url
}

fn answer(connection: TcpStream, fixtures: &Path) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head)? > 0 {}
    let head = head.to_lowercase();
    let length = head
        .split_once("content-length: ")
        .and_then(|(_, rest)| rest.lines().next()?.parse().ok());
    reader.read_exact(&mut vec![0; length.unwrap_or(0)])?;

    let (request, _) = head.split_once(" http/1.1").unwrap_or_default();
    let known = head.contains(&format!("authorization: bearer {KEY}\r\n"));
    let (path, query) = request.split_once('?').unwrap_or((request, ""));
    let fixture = match path {
        _ if !known => None,
        "get /v2/me" => Some("me"),
        "get /v2/staff" => Some("staff"),
        "get /v2/contacts" if query.contains("cursor=") => Some("contacts-2"),
        "get /v2/contacts" => Some("contacts-1"),
        "post /v2/contacts" => Some("contact"),
        _ => None,
    };
    let (status, body) = match fixture {
        Some(name) => (
            200,
            fs::read_to_string(fixtures.join(format!("{name}.json")))?,
        ),
        None if known => (404, r#"{"message": "there is no such thing"}"#.to_owned()),
        None => (401, r#"{"message": "unknown key"}"#.to_owned()),
    };
    let length = body.len();
    write!(
        reader.into_inner(),
        "HTTP/1.1 {status} -\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n{body}"
    )
}

#[tokio::test]
async fn a_new_connector_builds_passes_its_tests_and_serves_its_app() {
    let folder = folder("new-connector").join("acme-crm");
    let made = new(&["acme-crm", "--dir", folder.to_str().unwrap()]);
    assert!(made.status.success(), "{made:?}");
    let told = String::from_utf8(made.stdout).unwrap();
    for step in [
        "cargo test",
        "wasm32-wasip2",
        "acme_crm.wasm",
        "--connectors",
    ] {
        assert!(told.contains(step), "{step}: {told}");
    }
    // Nothing of the template's own name is left, and nothing beside the folder.
    for file in ["Cargo.toml", "manifest.json", "README.md", "src/lib.rs"] {
        let text = fs::read_to_string(folder.join(file))
            .unwrap()
            .to_lowercase();
        for name in ["tiny-crm", "tiny_crm", "tinycrm", "tiny crm"] {
            assert!(!text.contains(name), "{file} has {name}");
        }
    }
    assert_eq!(fs::read_dir(folder.parent().unwrap()).unwrap().count(), 1);

    let tested = run(cargo(&folder).arg("test"));
    assert!(
        tested.contains("the_manifest_is_right ... ok") && tested.contains(" 0 failed"),
        "{tested}"
    );
    // What the program carries needs no more than what is in the folder.
    run(cargo(&folder).args(["build", "--release", "--target", "wasm32-wasip2"]));
    let built = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("new-connector-target")
        .join("wasm32-wasip2/release");
    let file = built.join("acme_crm.wasm");
    let inspected = rollout(["connector", "inspect", file.to_str().unwrap()]);
    let inspected = String::from_utf8(inspected.stdout).unwrap();
    assert!(
        inspected.contains("Acme CRM (acme-crm) 0.1.0"),
        "{inspected}"
    );

    let app = app(folder.join("fixtures"));
    let setup = Setup::plain()
        .connectors(built)
        .set("dev.enabled", true)
        .set("dev.upstreams.\"https://api.acmecrm.example\"", app);
    let host = HostUnderTest::start(setup).await;
    let consumer = host.client("customer-1");
    let credential = |key: &str| json!({"appKey": "acme-crm", "userInputs": {"apiKey": key}});
    let wrong = consumer.post("/api/credentials", credential("wrong")).await;
    assert!((400..500).contains(&wrong.status), "{}", wrong.status);
    let connected = consumer
        .post("/api/credentials", credential(KEY))
        .await
        .ok();
    let account = consumer.of(connected["id"].as_str().unwrap());
    account.wait_synced(account.credential()).await;

    let mut names: Vec<String> = account
        .all("people", "limit=1")
        .await
        .iter()
        .map(|person| person["firstName"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, ["Ada", "Charles", "Zoë"]);
    let grace = json!({"firstName": "Grace", "lastName": "Hopper", "assignedUserId": null});
    let grace = account.post("/crm/api/people", grace).await.with(201);
    assert_eq!(grace["emails"][0]["value"], "grace@example.com", "{grace}");
    let users = account.all("users", "limit=100").await;
    assert!(
        users
            .iter()
            .any(|user| user["id"] == grace["assignedUserId"]),
        "{users:?}"
    );
}

#[test]
fn a_checkouts_sdk_is_used_where_it_is() {
    let folder = folder("new-connector-sdk").join("box");
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../guest-sdk/rust");
    let (dir, sdk) = (folder.to_str().unwrap(), sdk.to_str().unwrap());
    let made = new(&["box", "--dir", dir, "--sdk", sdk]);
    assert!(made.status.success(), "{made:?}");
    assert!(!folder.join("sdk").exists());
    let known = run(cargo(&folder).args(["metadata", "--format-version", "1"]));
    assert!(known.contains("guest-sdk/rust/Cargo.toml"), "{known}");
}

#[test]
fn what_cannot_be_made_is_refused_and_leaves_nothing() {
    let folder = folder("new-connector-refused");
    let taken = folder.join("taken");
    fs::create_dir(&taken).unwrap();
    fs::write(taken.join("mine.txt"), "mine").unwrap();
    let (free, taken) = (folder.join("free"), taken.to_str().unwrap());
    let free = free.to_str().unwrap();
    let below_a_file = format!("{taken}/mine.txt/new");
    for (arguments, word) in [
        (vec!["Acme", "--dir", free], "no app key"),
        (vec!["acme_crm", "--dir", free], "joined by hyphens"),
        (vec!["../acme", "--dir", free], "no app key"),
        (vec!["acme", "--dir", taken], "not empty"),
        (vec!["acme", "--dir", &below_a_file], "mine.txt"),
        (vec!["acme", "--dir", ".."], "give it a name"),
        (
            vec!["acme", "--dir", free, "--sdk", taken],
            "is not the SDK",
        ),
    ] {
        let line = refusal(&new(&arguments));
        assert!(line.contains(word), "{arguments:?}: {line}");
    }
    let there: Vec<_> = fs::read_dir(&folder).unwrap().collect();
    assert_eq!(there.len(), 1, "{there:?}");
    assert_eq!(
        fs::read_to_string(Path::new(taken).join("mine.txt")).unwrap(),
        "mine"
    );
    // An empty folder is as good as none.
    fs::create_dir(free).unwrap();
    assert!(new(&["acme", "--dir", free]).status.success());
    assert!(Path::new(free).join("manifest.json").exists());
}
