//! How `serve` starts, what it refuses to start with, and how it stops.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use rollout_test_apps::follow_up_boss::{Dataset, Fault};
use serde_json::json;

use crate::cli_commands::refusal;
use crate::fixtures::{API_KEY, HostUnderTest, Setup, app, built, command, rollout};

/// Runs `serve` on a new folder with this configuration and expects it to refuse.
fn serve(folder: &Path, config: &str, variables: &[(&str, &str)], listen: &str) -> Output {
    let file = folder.join("rollout.toml");
    std::fs::write(&file, config).unwrap();
    let mut serve = command();
    serve
        .arg("--config")
        .arg(file)
        .arg("--data-dir")
        .arg(folder.join("data"))
        .args(["serve", "--listen", listen])
        .envs(variables.iter().copied());
    serve.output().unwrap()
}

#[test]
fn the_configuration_in_force_is_printed_as_toml() {
    let manual = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../host/rollout/rollout.default.toml");
    let manual: toml::Table = std::fs::read_to_string(manual).unwrap().parse().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rollout.toml");
    std::fs::write(&file, "[sync]\npage_records = 77\n").unwrap();
    let output = command()
        .arg("--config")
        .arg(&file)
        .args(["config", "print"])
        .env("ROLLOUT__SYNC__POLL_INTERVAL", "17s")
        .env("ROLLOUT__LOG__FORMAT", "json")
        .output()
        .unwrap();
    assert!(output.status.success());
    let printed: toml::Table = String::from_utf8(output.stdout).unwrap().parse().unwrap();
    for (section, keys) in &manual {
        for key in keys.as_table().unwrap().keys() {
            assert!(printed[section].get(key).is_some(), "{section}.{key}");
        }
    }
    assert_eq!(printed["sync"]["page_records"].as_integer(), Some(77));
    assert_eq!(printed["sync"]["poll_interval"].as_str(), Some("17s"));
    assert_eq!(printed["log"]["format"].as_str(), Some("json"));
    // What is printed can be used as it is.
    std::fs::write(&file, toml::to_string(&printed).unwrap()).unwrap();
    let again = rollout(["--config", file.to_str().unwrap(), "config", "print"]);
    let again: toml::Table = String::from_utf8(again.stdout).unwrap().parse().unwrap();
    assert_eq!(again, printed);
}

#[test]
fn a_bad_configuration_is_refused_in_a_line_and_changes_nothing() {
    for (config, variables, words) in [
        ("[sync\n", &[][..], vec!["rollout.toml", "line 1"]),
        (
            "[sync]\npoll_interval = \"soon\"",
            &[],
            vec!["sync.poll_interval", "60s"],
        ),
        ("[sync]\npage_records = 0", &[], vec!["sync.page_records"]),
        ("[sink]\npage_records = 1", &[], vec!["sink"]),
        (
            "[server]\npublic_url = \"example\"",
            &[],
            vec!["server.public_url", "https://"],
        ),
        ("[log]\nformat = \"xml\"", &[], vec!["log.format", "text"]),
        ("[log]\nlevel = \"loud=loud=loud\"", &[], vec!["log.level"]),
        (
            "",
            &[("ROLLOUT__SYNC__PARALLEL", "none")],
            vec!["sync.parallel"],
        ),
        ("", &[("ROLLOUT__SYNC__PARALEL", "2")], vec!["paralel"]),
        (
            "[dev.upstreams]\n\"https://a.example\" = \"http://127.0.0.1:1\"",
            &[],
            vec!["dev.enabled"],
        ),
        (
            "[dev]\nenabled = true\n\
             [dev.upstreams]\n\"https://a.example\" = \"http://192.0.2.1:1\"",
            &[],
            vec!["dev.upstreams", "https://a.example", "127.0.0.1"],
        ),
        (
            "[connectors]\ndirs = [\"/nowhere/at/all\"]",
            &[],
            vec!["/nowhere/at/all"],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let line = refusal(&serve(folder.path(), config, variables, "127.0.0.1:0"));
        for word in words {
            assert!(line.contains(word), "{config}: {line}");
        }
        assert!(!folder.path().join("data").exists(), "{config}");
    }
    let folder = tempfile::tempdir().unwrap();
    let line = refusal(&serve(folder.path(), "", &[], "everywhere"));
    assert!(line.contains("everywhere"), "{line}");
    let line = refusal(&rollout(["--config", "/nowhere/rollout.toml", "serve"]));
    assert!(line.contains("/nowhere/rollout.toml"), "{line}");
}

#[test]
fn a_taken_port_is_refused_before_anything_is_made() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let line = refusal(&serve(folder.path(), "", &[], &address));
    assert!(line.contains(&address) && line.contains("in use"), "{line}");
    assert!(!folder.path().join("data").exists());
}

#[test]
fn data_that_cannot_be_used_is_refused_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("data"), "a file").unwrap();
    let line = refusal(&serve(folder.path(), "", &[], "127.0.0.1:0"));
    assert!(line.contains("data"), "{line}");

    let nothing = tempfile::tempdir().unwrap();
    let data = nothing.path().join("data");
    let line = refusal(&rollout([
        "--data-dir",
        data.to_str().unwrap(),
        "env",
        "list",
    ]));
    assert!(line.contains("rollout serve"), "{line}");
    assert!(!data.exists());
}

#[tokio::test]
async fn a_directory_in_use_or_without_its_key_is_refused() {
    let mut host = HostUnderTest::start(Setup::plain()).await;
    let data = host.data();
    let second = || {
        let data = data.to_str().unwrap();
        rollout(["--data-dir", data, "serve", "--listen", "127.0.0.1:0"])
    };
    let listing = || {
        let mut names: Vec<_> = std::fs::read_dir(&data)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    let before = listing();
    let line = refusal(&second());
    assert!(line.contains("in use by another"), "{line}");
    assert_eq!(listing(), before);
    host.stranger().get("/readyz").await.ok();

    // Sealed secrets without their key: refused, and no new key is made.
    host.stop();
    let key = data.join("master.key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    let line = refusal(&second());
    assert!(line.contains("master.key"), "{line}");
    assert!(!key.exists());
    std::fs::write(&key, &kept).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&key, open).unwrap();
    let line = refusal(&second());
    assert!(line.contains("master.key"), "{line}");
    let closed = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&key, closed).unwrap();
    host.restart().await;
    let line = host.rollout_ok(&["env", "list"]);
    assert!(line.starts_with("dev\t"), "{line}");
}

#[tokio::test]
async fn sigterm_lets_requests_under_way_finish() {
    let app = app(Dataset::demo());
    let mut host = HostUnderTest::start(Setup::against(&app).set("sync.poll_interval", "1h")).await;
    let account = host.client("draining").connect_synced(API_KEY).await;
    let person = account.all("people", "limit=1").await[0].clone();
    let path = format!("/crm/api/people/{}", person["id"].as_str().unwrap());
    app.clear_requests();
    app.fail_next_at("/v1/people", 1, Fault::Delay(Duration::from_millis(600)));
    let writing =
        tokio::spawn(async move { account.put(&path, json!({"firstName": "Last"})).await });
    // The log is written when an answer is ready: the pause is how we know that
    // the request is on its way, and the app's fault is what holds it.
    tokio::time::sleep(Duration::from_millis(250)).await;
    host.stop();
    let answer = writing.await.unwrap().ok();
    assert_eq!(answer["firstName"], "Last");
    let stopped = host.log();
    assert!(
        stopped.contains("stopping") && stopped.contains("stopped"),
        "{stopped}"
    );
}

#[test]
fn without_arguments_it_explains_itself() {
    let output = command().output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let help = String::from_utf8(output.stderr).unwrap();
    for word in ["serve", "env", "token", "connector", "config"] {
        assert!(help.contains(word), "{help}");
    }
    let version = rollout(["--version"]);
    assert!(version.status.success());
    assert!(built().host.ends_with("rollout"));
}
