//! Where master keys come from, and what is said when one is not what it should be.

use std::path::Path;
use std::process::Output;

use rollout_test_apps::follow_up_boss::Dataset;
use serde_json::json;

use crate::cli_commands::refusal;
use crate::fixtures::{API_KEY, HostUnderTest, Setup, app, command};

const KEY: &str = "ERERERERERERERERERERERERERERERERERERERERERE=";
const NEXT: &str = "IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiI=";

/// Runs the program in a folder, with this configuration and these variables.
fn run(folder: &Path, config: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    std::fs::write(folder.join("rollout.toml"), config).unwrap();
    let mut command = command();
    command
        .current_dir(folder)
        .envs(variables.iter().copied())
        .args(arguments);
    command.output().unwrap()
}

fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Nobody is ever shown a key.
fn refused(output: &Output, words: &[&str]) {
    let line = refusal(output);
    for word in words {
        assert!(line.contains(word), "{word}: {line}");
    }
    for key in [KEY, NEXT] {
        assert!(!line.contains(key), "{line}");
    }
}

#[test]
fn a_variable_holds_the_master_key() {
    let folder = tempfile::tempdir().unwrap();
    let config = "[keys]\nvariable = \"MASTER\"";
    let run = |variables: &[(&str, &str)], arguments: &[&str]| {
        run(folder.path(), config, variables, arguments)
    };
    let create = ["env", "create", "dev"];
    refused(&run(&[], &create), &["`MASTER`", "not set", "base64"]);
    refused(&run(&[("MASTER", "short")], &create), &["`MASTER`"]);
    refused(&run(&[("MASTER", "c2hvcnQ=")], &create), &["5 bytes", "32"]);
    ok(&run(&[("MASTER", KEY)], &create));
    assert!(!folder.path().join("data/master.key").exists());
    ok(&run(&[("MASTER", KEY)], &["env", "list"]));
    // Missing, wrong or exposed by nobody: with it, or not at all.
    refused(&run(&[], &["env", "list"]), &["`MASTER`", "not set"]);
    refused(
        &run(&[("MASTER", NEXT)], &["env", "list"]),
        &["`MASTER`", "not the one"],
    );

    // A rotation needs a new one in front, and both until it is done.
    let rotate = ["key", "rotate"];
    refused(&run(&[("MASTER", KEY)], &rotate), &["in front", "`MASTER`"]);
    let both = format!("{NEXT}\n{KEY}");
    let token = ["token", "--env", "dev", "--sub", "x"];
    ok(&run(&[("MASTER", &both)], &token));
    let said = ok(&run(&[("MASTER", &both)], &rotate));
    let old = said.lines().last().unwrap();
    let old = old
        .split("drop ")
        .nth(1)
        .unwrap()
        .split('`')
        .next()
        .unwrap();
    let said = ok(&run(&[("MASTER", &both)], &["key", "drop", old]));
    assert!(
        said.contains("remove it from the variable `MASTER`"),
        "{said}"
    );
    ok(&run(&[("MASTER", NEXT)], &token));
    refused(&run(&[("MASTER", KEY)], &token), &["not the one"]);
}

#[test]
fn a_file_may_be_anywhere_but_must_be_private() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("elsewhere.key");
    let config = "[keys]\nfile = \"elsewhere.key\"";
    let run = |arguments: &[&str]| run(folder.path(), config, &[], arguments);
    ok(&run(&["env", "create", "dev"]));
    assert!(!folder.path().join("data/master.key").exists());
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    refused(&run(&["env", "list"]), &["elsewhere.key", "chmod 600"]);
    std::fs::remove_file(&file).unwrap();
    refused(
        &run(&["env", "list"]),
        &["elsewhere.key", "missing", "backup"],
    );
    std::fs::create_dir(&file).unwrap();
    refused(&run(&["env", "list"]), &["elsewhere.key"]);
    let config = "[keys]\nfile = \"nowhere/at/all.key\"";
    let output = self::run(folder.path(), config, &[], &["env", "list"]);
    refused(&output, &["nowhere/at/all.key"]);
    let config = "[keys]\nfile = \"elsewhere.key\"\nvariable = \"X\"";
    let output = self::run(folder.path(), config, &[], &["env", "list"]);
    refused(&output, &["one source"]);
}

#[tokio::test]
async fn a_command_prints_the_master_key_of_a_host() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("store");
    std::fs::write(&store, format!("{KEY}\n")).unwrap();
    let keys = vec!["cat".to_owned(), store.display().to_string()];
    let app = app(Dataset::demo());
    let setup = Setup::against(&app).set("keys.command", keys);
    let mut host = HostUnderTest::start(setup).await;
    let account = host.client("commanded").connect_synced(API_KEY).await;
    assert!(!host.data().join("master.key").exists());
    refused(
        &host.rollout(&["key", "rotate"]),
        &["in front", "the command `cat`"],
    );
    std::fs::write(&store, format!("{NEXT}\n{KEY}\n")).unwrap();
    host.rollout_ok(&["key", "rotate"]);
    std::fs::write(&store, format!("{NEXT}\n")).unwrap();
    let body = json!({"firstName": "Still", "lastName": "Here"});
    account
        .post("/crm/api/people", body.clone())
        .await
        .with(201);
    host.stop();
    for text in [KEY, "", "no key"] {
        std::fs::write(&store, text).unwrap();
        refused(&host.rollout(&["env", "list"]), &["the command `cat`"]);
    }
    std::fs::remove_file(&store).unwrap();
    refused(
        &host.rollout(&["env", "list"]),
        &["the command `cat`", "No such file"],
    );
    std::fs::write(&store, NEXT).unwrap();
    host.restart().await;
    let account = host.client("commanded").of(account.credential());
    account.post("/crm/api/people", body).await.with(201);
    assert!(!host.log().contains(NEXT) && !host.log().contains(KEY));
}
