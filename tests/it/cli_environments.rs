//! `rollout env …` beside a host that serves: environments that go, secrets that
//! change, backups and what becomes of them.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rollout_test_apps::follow_up_boss::{Config, Dataset, Simulator};
use serde_json::{Value, json};
use sqlx::{ConnectOptions, Connection, Executor};

use crate::cli_commands::refusal;
use crate::fixtures::{
    API_KEY, Client, HostUnderTest, Keys, Setup, Sql, app, app_of, built, rollout, until, within,
};

/// What serving hosts may take to notice.
const SOON: Duration = Duration::from_secs(2);

fn setup(app: &Simulator) -> Setup {
    Setup::against(app).set("sync.poll_interval", "100ms")
}

async fn answers(client: &Client, status: u16) {
    let what = format!("the environment answers {status}");
    let asked = until(&what, async || {
        (client.get("/api/credentials").await.status == status).then_some(())
    });
    within(SOON, &what, asked).await;
}

/// Everything that a consumer sees of an account.
pub(crate) async fn everything(account: &Client) -> Value {
    let mut shown = serde_json::Map::new();
    for entity in ["people", "users", "notes", "tasks"] {
        let all = account.all(entity, "limit=37").await;
        for record in all.iter().take(3) {
            let path = format!("/crm/api/{entity}/{}", record["id"].as_str().unwrap());
            shown.insert(path.clone(), account.get(&path).await.ok());
        }
        shown.insert(entity.to_owned(), all.into());
    }
    let first = shown["people"][0].clone();
    let (email, tag) = (&first["emails"][0]["value"], &first["tags"][0]);
    for (filter, value) in [("email", email), ("tags", tag)] {
        if let Some(value) = value.as_str() {
            let query = format!("{filter}={}", value.replace('+', "%2B").replace(' ', "%20"));
            let found = account.all("people", &query).await;
            assert!(!found.is_empty(), "{query}");
            shown.insert(query, found.into());
        }
    }
    let path = format!("/api/credentials/{}", account.credential());
    let mut credential = account.get(&path).await.ok();
    without_times(&mut credential["sync"]);
    shown.insert(path, credential);
    Value::Object(shown)
}

/// Every poll moves them.
fn without_times(sync: &mut Value) {
    match sync {
        Value::Object(members) => {
            members.shift_remove("syncedAt");
            members.values_mut().for_each(without_times);
        }
        Value::Array(items) => items.iter_mut().for_each(without_times),
        _ => {}
    }
}

fn backup(host: &HostUnderTest, file: &Path) -> String {
    host.rollout_ok(&["env", "backup", "dev", file.to_str().unwrap()])
}

#[tokio::test]
async fn a_deleted_environment_is_gone_and_stays_gone() {
    let app = app(Dataset::demo());
    let host = HostUnderTest::start(setup(&app)).await;
    let shop = host.create_environment("shop");
    let client = host.client_with_token(&shop.token("customer-1"));
    answers(&client, 200).await;
    client.connect_synced(API_KEY).await;

    let line = refusal(&host.rollout(&["env", "delete", "shop"]));
    assert!(line.contains("--yes"), "{line}");
    let line = refusal(&host.rollout(&["env", "delete", "shoes", "--yes"]));
    assert!(line.contains("shoes") && line.contains("shop"), "{line}");

    // It goes in the middle of its work.
    let told = host.rollout_ok(&["env", "delete", "shop", "--yes"]);
    assert!(told.contains("shop.sqlite"), "{told}");
    client
        .get("/api/credentials")
        .await
        .refused(401, "unauthorized");
    let polls = app.requests().len();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(app.requests().len(), polls, "nobody works in it");
    let left: Vec<_> = std::fs::read_dir(host.data().join("env"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("shop"))
        .collect();
    assert_eq!(left, [""; 0]);
    assert!(!host.rollout_ok(&["env", "list"]).contains("shop"));
    host.admin().get("/api/credentials").await.ok();

    // The name is free, and what was there does not come back.
    let again = host.create_environment("shop");
    let client = host.client_with_token(&again.token("customer-1"));
    answers(&client, 200).await;
    assert_eq!(client.get("/api/credentials").await.ok(), json!([]));
}

#[tokio::test]
async fn a_rotated_secret_leaves_time_to_change_it() {
    let host = HostUnderTest::start(Setup::plain()).await;
    let old = host.create_environment("shop");
    let with = |keys: &Keys| host.client_with_token(&keys.token("customer-1"));
    answers(&with(&old), 200).await;

    let rotate = |more: &[&str]| {
        let mut arguments = vec!["env", "rotate-secret", "shop", "--json"];
        arguments.extend(more);
        host.rollout(&arguments)
    };
    let printed = String::from_utf8(rotate(&[]).stdout).unwrap();
    let shown: Value = serde_json::from_str(&printed).unwrap();
    let names: Vec<&String> = shown.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["name", "clientId", "clientSecret", "oldSecretUntil"]
    );
    let new = Keys::of_json(&printed);
    assert_eq!(new.client_id, old.client_id);
    assert_ne!(new.client_secret, old.client_secret);
    answers(&with(&new), 200).await;
    answers(&with(&old), 200).await;
    let told = host.rollout_ok(&["token", "verify", &old.token("customer-1")]);
    assert!(told.contains("valid in environment `shop`"), "{told}");
    let token = host.rollout_ok(&["token", "--env", "shop", "--sub", "customer-1"]);
    answers(&host.client_with_token(token.trim()), 200).await;

    let line = refusal(&rotate(&[]));
    assert!(line.contains("--finish"), "{line}");
    let line = refusal(&rotate(&["--client-secret", "short"]));
    assert!(line.contains("32"), "{line}");
    host.rollout_ok(&["env", "rotate-secret", "shop", "--finish"]);
    answers(&with(&old), 401).await;
    answers(&with(&new), 200).await;
    let line = refusal(&rotate(&["--finish"]));
    assert!(line.contains("not being rotated"), "{line}");

    // An overlap ends by itself.
    let own = "a-secret-of-our-own-with-more-than-32-bytes";
    let rotated = rotate(&["--overlap", "1s", "--client-secret", own]);
    assert!(rotated.status.success());
    let own = Keys {
        client_secret: own.to_owned(),
        ..new.clone()
    };
    answers(&with(&own), 200).await;
    answers(&with(&new), 401).await;
    assert!(!host.log().contains(&new.client_secret));
}

/// Writes people, one after the other, until told to stop.
async fn write(account: Client, stop: Arc<AtomicBool>) -> usize {
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        let person = json!({"firstName": "Load", "lastName": format!("{count}")});
        account.post("/crm/api/people", person).await.with(201);
        count += 1;
    }
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_made_under_load_is_of_one_moment() {
    let app = app(Dataset::messy(7, 400));
    let host = HostUnderTest::start(setup(&app)).await;
    let account = host.client("customer-1").connect_synced(API_KEY).await;
    let folder = tempfile::tempdir().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn(write(account.clone(), stop.clone()));
    until("some are written", async || {
        let mut sql = host.sql().await;
        let written = "SELECT count(*) FROM rollout_people WHERE \"firstName\" = 'Load'";
        (sql.value::<i64>(written).await > 5).then_some(())
    })
    .await;
    let files: Vec<_> = (0..3)
        .map(|n| folder.path().join(format!("{n}.backup")))
        .collect();
    for file in &files {
        tokio::task::block_in_place(|| backup(&host, file));
    }
    stop.store(true, Ordering::Relaxed);
    let written = writing.await.unwrap();
    for file in &files {
        let mode = std::fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut sql = Sql::open(file).await;
        assert_eq!(sql.value::<String>("PRAGMA integrity_check").await, "ok");
        let lost: Vec<i64> = sql.column("SELECT 1 FROM pragma_foreign_key_check").await;
        assert!(lost.is_empty());
        // One after the other: those that are there are the first ones.
        let numbers: Vec<i64> = sql
            .column(
                "SELECT CAST(\"lastName\" AS INTEGER) FROM rollout_people \
                 WHERE \"firstName\" = 'Load' ORDER BY 1",
            )
            .await;
        let expected: Vec<i64> = (0..i64::try_from(numbers.len()).unwrap()).collect();
        assert_eq!(numbers, expected);
        assert!(numbers.len() > 5 && numbers.len() <= written);
        let leased = "SELECT count(*) FROM host_jobs WHERE lease_until IS NOT NULL";
        assert_eq!(sql.value::<i64>(leased).await, 0);
    }
    // Nothing lies beside them.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
    let line = refusal(&host.rollout(&["env", "backup", "dev", files[0].to_str().unwrap()]));
    assert!(line.contains("is there already"), "{line}");
}

#[tokio::test]
async fn a_restored_environment_answers_as_before_and_waits() {
    let system_key = "sys_key_restored_5c1e";
    let app = app_of(Config::new(Dataset::messy(11, 300)).system("Test-System", system_key));
    let mut host = HostUnderTest::start(setup(&app)).await;
    let (system, key) = ("system=Test-System", format!("systemKey={system_key}"));
    let configure = [
        "connector",
        "configure",
        "follow-up-boss",
        "--env",
        "dev",
        system,
        &key,
    ];
    let folder = ["--connectors", built().connector.to_str().unwrap()];
    host.rollout_ok(&[&configure[..], &folder[..]].concat());
    let account = host.client("customer-1").connect_synced(API_KEY).await;
    let person = json!({"firstName": "Ada", "lastName": "Lovelace", "tags": ["Buyer"]});
    account.post("/crm/api/people", person).await.with(201);
    let before = everything(&account).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dev.backup");
    let told = backup(&host, &file);
    assert!(told.contains("rows"), "{told}");
    let path = file.to_str().unwrap();
    let line = refusal(&host.rollout(&["env", "restore", path, "--name", "copy"]));
    assert!(line.contains("client id") && line.contains("dev"), "{line}");
    host.stop();
    app.clear_requests();

    // Under its own name and under another one: all that is sealed must follow.
    for name in ["dev", "copy"] {
        let restore = ["env", "restore", path, "--name", name];
        let other = host.beside_after(setup(&app), |other| {
            other.rollout_ok(&restore);
            let line = refusal(&other.rollout(&restore));
            assert!(line.contains("already"), "{line}");
        });
        let other = other.await;
        let listed: Value =
            serde_json::from_str(&other.rollout_ok(&["env", "list", "--json"])).unwrap();
        assert_eq!(listed[0]["name"], name);
        assert_eq!(listed[0]["held"], true);
        let account = other.client("customer-1").of(account.credential());
        assert_eq!(everything(&account).await, before);

        // Nothing goes out, whatever is due.
        tokio::time::sleep(Duration::from_millis(600)).await;
        let person = json!({"firstName": "Too", "lastName": "Early"});
        let refused = account.post("/crm/api/people", person.clone()).await;
        refused.refused(409, "environment_held");
        let connect = json!({"appKey": "follow-up-boss", "userInputs": {"apiKey": API_KEY}});
        let refused = account.post("/api/credentials", connect).await;
        refused.refused(409, "environment_held");
        let delete = format!("/api/credentials?credentialId={}", account.credential());
        account
            .delete(&delete)
            .await
            .refused(409, "environment_held");
        assert_eq!(app.requests().len(), 0);

        other.rollout_ok(&["env", "resume", name]);
        let line = refusal(&other.rollout(&["env", "resume", name]));
        assert!(line.contains("not held"), "{line}");
        let works = until("writes are taken", async || {
            let wrote = account.post("/crm/api/people", person.clone()).await;
            (wrote.status == 201).then_some(())
        });
        within(SOON, "the environment resumes", works).await;
        until("it is synced", async || {
            let polled = app.requests();
            let polled = polled.iter().filter(|one| one.method == "GET");
            (polled.count() > 2).then_some(())
        })
        .await;
        // With the app's key and the system's.
        for request in app.requests() {
            assert_eq!(
                request.system.as_deref(),
                Some("Test-System"),
                "{request:?}"
            );
            assert!(request.status < 300, "{request:?}");
        }
        drop(other);
        app.clear_requests();
    }
}

#[tokio::test]
async fn a_backup_needs_the_key_that_it_was_sealed_with() {
    let app = app(Dataset::demo());
    let host = HostUnderTest::start(setup(&app)).await;
    host.client("customer-1").connect_synced(API_KEY).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dev.backup");
    backup(&host, &file);
    let path = file.to_str().unwrap();

    let stranger = HostUnderTest::start(Setup::plain()).await;
    let line = refusal(&stranger.rollout(&["env", "restore", path, "--name", "other"]));
    assert!(line.contains("another key"), "{line}");
    // Nothing is made that would be in the way of the right key.
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let place = ["--data-dir", empty.to_str().unwrap()];
    let restore = ["env", "restore", path, "--resume"];
    let line = refusal(&rollout([&place[..], &restore[..]].concat()));
    assert!(line.contains("master.key is missing"), "{line}");
    assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0);
    std::fs::copy(host.data().join("master.key"), empty.join("master.key")).unwrap();
    let done = rollout([&place[..], &restore[..]].concat());
    assert!(done.status.success(), "{done:?}");

    // What is no backup, and what a newer version made.
    let none = host.data().join("env/dev.sqlite");
    for (file, word) in [
        (none.to_str().unwrap(), "no backup"),
        (
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
            "no backup",
        ),
        ("/nowhere/dev.backup", "/nowhere/dev.backup"),
    ] {
        let line = refusal(&stranger.rollout(&["env", "restore", file, "--name", "other"]));
        assert!(line.contains(word), "{line}");
    }
    change(
        &file,
        "UPDATE host_meta SET value = '999' WHERE key = 'schema_version'; \
         UPDATE host_meta SET value = '9.8.7' WHERE key = 'program'",
    )
    .await;
    let line = refusal(&stranger.rollout(&["env", "restore", path, "--name", "other"]));
    assert!(line.contains("9.8.7") && line.contains("999"), "{line}");
    let left = std::fs::read_dir(stranger.data().join("env")).unwrap();
    assert!(left.count() <= 3, "only dev's files");
}

/// A file that is given by its address would stay when its environment is deleted.
#[test]
fn a_file_is_no_database_url() {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (data, file, theirs) = (place("data"), place("shop.backup"), place("theirs.sqlite"));
    let run = |command: &[&str]| rollout([&["--data-dir", &data], command].concat());
    assert!(run(&["env", "create", "shop"]).status.success());
    assert!(run(&["env", "backup", "shop", &file]).status.success());
    assert!(run(&["env", "delete", "shop", "--yes"]).status.success());
    let url = format!("sqlite://{theirs}");
    for command in [["env", "create", "shop"], ["env", "restore", &file]] {
        let line = refusal(&run(&[&command[..], &["--database-url", &url]].concat()));
        assert!(
            line.contains("--database-url names a Postgres database"),
            "{line}"
        );
        assert!(!Path::new(&theirs).exists());
        let env = std::fs::read_dir(Path::new(&data).join("env")).unwrap();
        assert_eq!(env.count(), 0);
        assert!(run(&["env", "list"]).stdout.is_empty());
    }
    // Without it the records are in the data directory, and go with the environment.
    assert!(run(&["env", "restore", &file]).status.success());
}

/// Changes a database that nobody else has open.
async fn change(file: &Path, sql: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut connection = options.connect().await.unwrap();
    connection.execute(sql).await.unwrap();
    connection.close().await.unwrap();
}

/// What an older version made lacks columns; they are there once it is restored.
#[tokio::test]
async fn an_older_backup_is_brought_up() {
    let app = app(Dataset::demo());
    let mut host = HostUnderTest::start(setup(&app)).await;
    let account = host.client("customer-1").connect_synced(API_KEY).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dev.backup");
    backup(&host, &file);
    host.stop();
    let people = Sql::open(&file).await.count("rollout_people").await;
    change(
        &file,
        "ALTER TABLE rollout_people DROP COLUMN \"jobTitle\"; \
         DELETE FROM host_columns WHERE column_name = 'jobTitle'",
    )
    .await;
    let restore = ["env", "restore", file.to_str().unwrap(), "--resume"];
    let other = host.beside_after(setup(&app), |other| {
        other.rollout_ok(&restore);
    });
    let other = other.await;
    let there = other.client("customer-1").of(account.credential());
    let shown = there.all("people", "").await;
    assert_eq!(i64::try_from(shown.len()).unwrap(), people);
    assert!(shown.iter().all(|person| person["jobTitle"].is_string()));
}
