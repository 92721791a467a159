//! A host with the connector that misbehaves beside the good one.

use std::path::PathBuf;
use std::sync::OnceLock;

use rollout_test_apps::follow_up_boss::{AccountConfig, Config, Dataset, Simulator};
use serde_json::{Value, json};

use crate::fixtures::{Answer, Client, HostUnderTest, Setup, Shared, Stage, app_of, until};
use crate::misbehaving_app;

/// An API key that no other text contains by accident.
pub const PLANTED: &str = "fka_0planted/Key+with=odd-chars~7hW2mQ9xZ4tLcV8r";

/// A second key of the same account, of another user.
pub const SECOND: &str = "fka_1second-planted_Bq3nY6uKs0dFj5pE9aXo";

static STAGE: Shared = Shared::new();

/// The host that these tests share. A connector that failed is tried again only
/// after a minute, so that each mode happens once or twice.
pub async fn stage() -> &'static Stage {
    STAGE
        .get(|| async {
            let app = simulator();
            let bad = misbehaving_app::serve();
            let setup = impatient(Setup::against(&app)).set(
                "dev.upstreams.\"https://app.followupboss.com\"",
                format!("http://127.0.0.1:{bad}"),
            );
            let host = HostUnderTest::start(setup).await;
            Stage { app, host }
        })
        .await
}

/// An app that knows the planted keys.
pub fn simulator() -> Simulator {
    let account = AccountConfig::new(Dataset::demo())
        .key(PLANTED, 1)
        .key(SECOND, 2);
    app_of(Config::of(account))
}

/// Loads the connector that misbehaves, and has little patience with it.
pub fn impatient(setup: Setup) -> Setup {
    setup
        .set("connectors.dirs", vec![folder().display().to_string()])
        .set("sandbox.cpu", "500ms")
        .set("sandbox.wall", "3s")
        .set("sandbox.wall_page", "3s")
        .set("egress.call_requests", 100)
        .set("sync.retry_first", "60s")
        .set("log.level", "debug")
}

fn folder() -> &'static PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| rollout_tasks::build_misbehaving().expect("the connector is built"))
}

/// Tries to connect the connector in this mode.
pub async fn try_connect(client: &Client, mode: &str, arguments: &[&str]) -> Answer {
    let body = json!({
        "appKey": "misbehaving",
        "userInputs": {"apiKey": PLANTED, "mode": mode, "arguments": arguments},
    });
    client.post("/api/credentials", body).await
}

/// Connects it.
pub async fn connect(client: &Client, mode: &str, arguments: &[&str]) -> Client {
    let connected = try_connect(client, mode, arguments).await.ok();
    client.of(connected["id"].as_str().unwrap())
}

/// What became of its people: how the sync of them is shown once it ended, well or
/// not.
pub async fn outcome(account: &Client) -> Value {
    let path = format!("/api/credentials/{}", account.credential());
    until("the sync of people ended", async || {
        let shown = account.get(&path).await.ok();
        let people = shown["sync"]["entities"]["people"].clone();
        let ended = people["error"].is_string() || people["status"] == "done";
        ended.then_some(people)
    })
    .await
}

/// Runs a mode that makes one record per attempt; answers what came of each, by
/// its name.
pub async fn attempts(mode: &str, arguments: &[&str]) -> Vec<(String, String)> {
    let client = stage().await.host.client(mode);
    let account = connect(&client, mode, arguments).await;
    let ended = outcome(&account).await;
    assert_eq!(ended["status"], "done", "{mode}: {ended}");
    let tried = account.all("people", "").await;
    tried
        .iter()
        .map(|person| {
            let name = person["originalIds"]["people"].as_str().unwrap();
            (
                name.to_owned(),
                person["lastName"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

/// What came of the attempt of this name.
#[track_caller]
pub fn of<'a>(attempts: &'a [(String, String)], name: &str) -> &'a str {
    match attempts.iter().find(|(known, _)| known == name) {
        Some((_, came)) => came,
        None => panic!("there was no attempt {name}: {attempts:?}"),
    }
}
