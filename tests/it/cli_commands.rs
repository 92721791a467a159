//! The commands beside `serve`, while a host serves from the same directory.

use std::os::unix::fs::PermissionsExt;
use std::process::Output;

use rollout_test_apps::follow_up_boss::{Config, Dataset};
use serde_json::{Value, json};

use crate::fixtures::{
    API_KEY, HostUnderTest, Keys, Setup, Shared, Stage, app, app_of, built, now, rollout, until,
};

static STAGE: Shared = Shared::new();

async fn stage() -> &'static Stage {
    STAGE.get(|| Stage::set(app(Dataset::demo()))).await
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A command that was refused: exit 2 and one line, which is answered.
#[track_caller]
pub(crate) fn refusal(output: &Output) -> String {
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{line}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
    let trimmed = line.trim_end();
    assert!(trimmed.starts_with("rollout: "), "{line}");
    assert!(!trimmed.contains('\n'), "{line}");
    trimmed.to_owned()
}

#[tokio::test]
async fn environments_are_made_and_listed() {
    let stage = stage().await;
    let made: Value = serde_json::from_str(
        &stage
            .host
            .rollout_ok(&["env", "create", "shop-2", "--json"]),
    )
    .unwrap();
    let names: Vec<&str> = made
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(names, ["name", "clientId", "clientSecret", "databaseUrl"]);
    assert_eq!(made["name"], "shop-2");
    let secret = made["clientSecret"].as_str().unwrap();
    assert!(secret.len() >= 86, "64 random bytes: {}", secret.len());
    let url = made["databaseUrl"].as_str().unwrap();
    assert!(
        url.starts_with("sqlite:///") && url.ends_with("env/shop-2.sqlite"),
        "{url}"
    );

    let own = "a-secret-of-our-own-with-more-than-32-bytes";
    let shown = stage.host.rollout_ok(&[
        "env",
        "create",
        "own",
        "--client-id",
        "ci_own",
        "--client-secret",
        own,
    ]);
    assert!(shown.contains("ci_own") && shown.contains(own), "{shown}");

    let listed = stage.host.rollout_ok(&["env", "list", "--json"]);
    assert!(
        !listed.contains(secret) && !listed.contains(own),
        "{listed}"
    );
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let listed = listed.as_array().unwrap();
    let shop = listed.iter().find(|one| one["name"] == "shop-2").unwrap();
    assert_eq!(shop["clientId"], made["clientId"]);
    assert_eq!(shop["databaseUrl"], made["databaseUrl"]);
    assert!(listed.iter().any(|one| one["name"] == "dev"));
    let plain = stage.host.rollout_ok(&["env", "list"]);
    assert!(plain.lines().any(|line| line == "own\tci_own"), "{plain}");

    for (arguments, word) in [
        (vec!["env", "create", "dev"], "dev"),
        (vec!["env", "create", "Shop"], "lower-case"),
        (vec!["env", "create", "../x"], "lower-case"),
        (
            vec!["env", "create", "other", "--client-id", "ci_own"],
            "ci_own",
        ),
        (
            vec!["env", "create", "short", "--client-secret", "too-short"],
            "32",
        ),
    ] {
        let line = refusal(&stage.host.rollout(&arguments));
        assert!(line.contains(word), "{arguments:?}: {line}");
    }
    let after: Value =
        serde_json::from_str(&stage.host.rollout_ok(&["env", "list", "--json"])).unwrap();
    assert_eq!(after.as_array().unwrap(), listed);
}

#[tokio::test]
async fn tokens_are_printed_and_explained() {
    let stage = stage().await;
    let host = &stage.host;
    let token = host.rollout_ok(&["token", "--env", "dev", "--sub", "cli-consumer"]);
    let token = token.trim();
    host.client_with_token(token)
        .get("/api/credentials")
        .await
        .ok();
    let told = host.rollout_ok(&["token", "verify", token]);
    assert!(
        told.contains("valid in environment `dev`") && told.contains("cli-consumer"),
        "{told}"
    );
    let admin = host.rollout_ok(&["token", "--env", "dev", "--admin"]);
    host.client_with_token(admin.trim())
        .get("/api/credentials")
        .await
        .ok();
    let told = host.rollout_ok(&["token", "verify", admin.trim()]);
    assert!(told.contains("whole environment"), "{told}");

    let keys = host.keys();
    let mut proxy = keys.claims("cli-consumer");
    proxy["scope"] = json!("proxy");
    let proxy = keys.sign(&proxy);
    let client = host.client_with_token(&proxy);
    client
        .get("/api/credentials")
        .await
        .refused(403, "forbidden");
    let told = host.rollout_ok(&["token", "verify", &proxy]);
    assert!(
        told.contains("proxy only") && told.contains("403"),
        "{told}"
    );

    let mut expired = keys.claims("x");
    expired["exp"] = json!(now() - 1000);
    let mut foreign = keys.clone();
    foreign.client_id = "ci_foreign".to_owned();
    let mut forged = keys.clone();
    forged.client_secret = "another-secret-than-that-of-the-environment".to_owned();
    for (token, word) in [
        (keys.sign(&expired), "expired"),
        (foreign.token("x"), "ci_foreign"),
        (forged.token("x"), "signature"),
        ("nonsense".to_owned(), "three parts"),
    ] {
        let line = refusal(&host.rollout(&["token", "verify", &token]));
        assert!(line.contains(word), "{line}");
    }
    for (arguments, word) in [
        (vec!["token", "--env", "nowhere", "--sub", "x"], "nowhere"),
        (vec!["token", "--env", "dev"], "--sub"),
        (vec!["token", "--env", "dev", "--sub", ""], "sub"),
    ] {
        let line = refusal(&host.rollout(&arguments));
        assert!(line.contains(word), "{line}");
    }
}

/// `rollout token verify` says of a token without `iss` what the host does with it.
#[tokio::test]
async fn the_default_environment_is_the_one_that_is_named() {
    let setup = Setup::plain().set("auth.default_environment", "shop");
    let host = HostUnderTest::start(setup).await;
    let nobodys = |keys: &Keys| {
        let mut claims = keys.claims("cli-consumer");
        claims.as_object_mut().unwrap().remove("iss");
        keys.sign(&claims)
    };
    let ask = async |token: &str| {
        let client = host.client_with_token(token);
        client.get("/api/credentials").await
    };
    // The only environment is not the one that is named.
    let of_dev = nobodys(host.keys());
    ask(&of_dev).await.refused(401, "unauthorized");
    let line = refusal(&host.rollout(&["token", "verify", &of_dev]));
    assert!(
        line.contains("auth.default_environment") && line.contains("`shop`"),
        "{line}"
    );
    let of_shop = nobodys(&host.create_environment("shop"));
    host.client_with_token(&of_shop).served().await;
    let told = host.rollout_ok(&["token", "verify", &of_shop]);
    assert!(told.contains("valid in environment `shop`"), "{told}");
    ask(&of_dev).await.refused(401, "unauthorized");
    let line = refusal(&host.rollout(&["token", "verify", &of_dev]));
    assert!(line.contains("signature"), "{line}");
}

#[tokio::test]
async fn the_first_environments_secret_is_its_owners_alone() {
    let data = stage().await.host.data();
    for file in ["dev.credentials.json", "master.key"] {
        let mode = std::fs::metadata(data.join(file))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let mode = std::fs::metadata(&data).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let shown: Value =
        serde_json::from_str(&std::fs::read_to_string(data.join("dev.credentials.json")).unwrap())
            .unwrap();
    assert_eq!(shown["name"], "dev");
}

#[test]
fn a_connector_file_is_looked_into() {
    let file = built().connectors.join("follow-up-boss.wasm");
    let file = file.to_str().unwrap();
    let output = rollout(["connector", "inspect", file]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let told = text(&output.stdout);
    for word in [
        "Follow Up Boss (follow-up-boss)",
        "api.followupboss.com",
        "apiKey",
        "people",
        "tags/apply",
        "api-key",
    ] {
        assert!(told.contains(word), "{word}: {told}");
    }
    let output = rollout(["connector", "inspect", file, "--json"]);
    let manifest: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(manifest["key"], "follow-up-boss");
}

#[test]
fn files_that_are_no_connectors_are_refused_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let good = std::fs::read(built().connectors.join("follow-up-boss.wasm")).unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0xff;
    flipped[middle + 1] ^= 0xff;
    let files: [(&str, Vec<u8>); 7] = [
        ("empty.wasm", Vec::new()),
        ("text.wasm", b"this is a text".to_vec()),
        ("core.wasm", b"\0asm\x01\0\0\0".to_vec()),
        ("component.wasm", b"\0asm\x0d\0\x01\0".to_vec()),
        ("cut.wasm", good[..good.len() / 2].to_vec()),
        (
            "elf.wasm",
            std::fs::read(&built().host).unwrap()[..100_000].to_vec(),
        ),
        ("header.wasm", good[..8].to_vec()),
    ];
    for (name, bytes) in files {
        let file = folder.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        let line = refusal(&rollout(["connector", "inspect", file.to_str().unwrap()]));
        assert!(line.contains(name) && line.contains("refused"), "{line}");
        assert!(line.len() < 600, "{line}");
    }
    let line = refusal(&rollout(["connector", "inspect", "/nowhere/x.wasm"]));
    assert!(line.contains("/nowhere/x.wasm"), "{line}");
    // A flipped bit is refused, or is in what nobody runs; it never crashes.
    let file = folder.path().join("flipped.wasm");
    std::fs::write(&file, flipped).unwrap();
    let output = rollout(["connector", "inspect", file.to_str().unwrap()]);
    assert!(
        matches!(output.status.code(), Some(0 | 2)),
        "{:?}",
        output.status
    );
}

#[tokio::test]
async fn bad_files_in_the_connectors_folder_do_not_keep_the_good_ones_away() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(
        built().connectors.join("follow-up-boss.wasm"),
        folder.path().join("follow-up-boss.wasm"),
    )
    .unwrap();
    std::fs::write(folder.path().join("bad.wasm"), "no component").unwrap();
    std::fs::write(folder.path().join("notes.txt"), "not looked at").unwrap();
    let host = HostUnderTest::start(Setup::plain().connectors(folder.path())).await;
    let ready = host.stranger().get("/readyz").await.ok();
    assert_eq!(ready["connectors"], json!(["follow-up-boss"]));
    let log = host.log();
    let line = log.lines().find(|line| line.contains("bad.wasm"));
    assert!(line.is_some(), "{log}");
}

#[tokio::test]
async fn what_is_configured_for_a_connector_reaches_the_app() {
    let system_key = "sys_key_planted_7f3a";
    let app = app_of(Config::new(Dataset::demo()).system("Test-System", system_key));
    let host = HostUnderTest::start(Setup::against(&app).set("sync.poll_interval", "100ms")).await;
    host.client("configured").connect_synced(API_KEY).await;
    assert!(
        app.requests()
            .iter()
            .all(|request| request.system.is_none())
    );

    let connectors = built().connectors.to_str().unwrap();
    let configure = |settings: &[&str]| {
        let mut arguments = vec![
            "connector",
            "configure",
            "followupboss",
            "--env",
            "dev",
            "--connectors",
            connectors,
        ];
        arguments.extend(settings);
        host.rollout(&arguments)
    };
    let line = refusal(&configure(&["sytem=x"]));
    assert!(
        line.contains("sytem") && line.contains("systemKey"),
        "{line}"
    );
    let line = refusal(&configure(&["apiKey=x"]));
    assert!(line.contains("no setting `apiKey`"), "{line}");
    let line = refusal(&configure(&["system"]));
    assert!(line.contains("NAME=VALUE"), "{line}");
    let line = refusal(&host.rollout(&[
        "connector",
        "configure",
        "nothing",
        "--env",
        "dev",
        "a=b",
        "--connectors",
        connectors,
    ]));
    assert!(line.contains("nothing"), "{line}");
    let line = refusal(&host.rollout(&[
        "connector",
        "configure",
        "follow-up-boss",
        "--env",
        "prod",
        "a=b",
    ]));
    assert!(line.contains("prod"), "{line}");

    let output = configure(&["system=Test-System", &format!("systemKey={system_key}")]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(!text(&output.stdout).contains(system_key));
    until("the host has taken it up", async || {
        let seen = app
            .requests()
            .iter()
            .any(|request| request.system.as_deref() == Some("Test-System"));
        seen.then_some(())
    })
    .await;
    for file in ["control.sqlite", "control.sqlite-wal"] {
        let bytes = std::fs::read(host.data().join(file)).unwrap_or_default();
        let found = bytes
            .windows(system_key.len())
            .any(|part| part == system_key.as_bytes());
        assert!(!found, "the key stands in {file}");
    }
    // An empty value takes it away again.
    let output = configure(&["system=", "systemKey="]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    until("the host has dropped it", async || {
        let last = app
            .requests()
            .last()
            .and_then(|request| request.system.clone());
        last.is_none().then_some(())
    })
    .await;
}
