//! Accounts that are connected in a browser: by the element that the host serves, and by
//! the published React client. The tests themselves are in `tests/browser`, a file of
//! each kind; here the host is staged.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

use rollout_test_apps::codes_by_mail;
use rollout_test_apps::follow_up_boss::{AccountConfig, Config, Dataset, Kind, PASSWORD};
use serde_json::{Value, json};

use crate::fixtures::{API_KEY, HostUnderTest, Shared, Stage, app_of, built, key_of};
use crate::login_stage;
use crate::oauth_stage::{configure, setup};

/// An app that mails codes to people who sign in.
static CODES: LazyLock<codes_by_mail::Simulator> =
    LazyLock::new(|| codes_by_mail::Simulator::start(Duration::from_secs(3600)).unwrap());

/// Connectors of every kind that a person can meet.
fn connectors() -> PathBuf {
    let folder = tempfile::tempdir().unwrap().keep();
    let conformance = rollout_tasks::build_conformance().expect("the connectors are built");
    for (from, key) in [
        (&built().connectors, "follow-up-boss"),
        (&built().connectors, "hubspot"),
        (&conformance, "marked-up"),
        (&conformance, login_stage::KEY),
    ] {
        let file = format!("{key}.wasm");
        std::fs::copy(from.join(&file), folder.join(&file)).unwrap();
    }
    folder
}

async fn stage() -> &'static Stage {
    static STAGE: Shared = Shared::new();
    STAGE
        .get(|| async {
            let second = AccountConfig::new(Dataset::demo()).id(2);
            let config = Config::new(Dataset::demo()).account(second.key(key_of(2), 1));
            let app = app_of(config);
            let codes = format!("dev.upstreams.\"{}\"", login_stage::ORIGIN);
            let setup = setup(&app)
                .set(&codes, CODES.url())
                .connectors(connectors());
            let host = HostUnderTest::start(setup).await;
            configure(&app, &host).await;
            Stage { app, host }
        })
        .await
}

/// What the browser's side has to know.
fn told(stage: &Stage) -> Value {
    let users = stage.app.all(Kind::Users);
    let owner = users.iter().find(|user| user["isOwner"] == true);
    json!({
        "host": stage.host.url(),
        "clientId": stage.host.keys().client_id,
        "clientSecret": stage.host.keys().client_secret,
        "apiKey": API_KEY,
        "secondKey": key_of(2),
        "owner": owner.expect("an owner")["email"],
        "password": PASSWORD,
        "codes": {
            "url": CODES.url(),
            "email": codes_by_mail::OTTO,
            "password": codes_by_mail::PASSWORD,
        },
    })
}

/// Runs a file of `tests/browser`; what it says is shown as it comes.
async fn run(file: &'static str) {
    let stage = told(stage().await);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../browser");
    let mut node = Command::new("node");
    node.args(["--test", "--test-reporter=spec"])
        .arg(folder.join(file))
        .env("ROLLOUT_BROWSER_STAGE", stage.to_string())
        .stdin(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || node.status());
    let ended = ended
        .await
        .unwrap()
        .expect("node runs, and tests/browser/run has set ROLLOUT_BROWSER");
    assert!(ended.success(), "{file}: {ended}");
}

#[tokio::test]
async fn the_element_connects_accounts() {
    run("link.test.mjs").await;
}

#[tokio::test]
async fn the_published_client_connects_accounts() {
    run("published.test.mjs").await;
}

#[tokio::test]
async fn a_code_is_asked_for() {
    run("codes.test.mjs").await;
}

#[tokio::test]
async fn what_goes_wrong_is_said_and_mended() {
    run("trouble.test.mjs").await;
}

#[tokio::test]
async fn no_text_of_a_connector_is_run() {
    run("injection.test.mjs").await;
}

#[tokio::test]
async fn it_looks_right_and_is_there_soon() {
    run("looks.test.mjs").await;
}
