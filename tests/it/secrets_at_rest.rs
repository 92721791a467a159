//! Where a key is kept: sealed, and nowhere else.

use std::path::{Path, PathBuf};

use rollout_test_apps::follow_up_boss::{AccountConfig, Config, Dataset, Simulator};
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};

use crate::fixtures::{HostUnderTest, Setup, app_of, rollout, until};
use crate::misbehaving_stage::{PLANTED, SECOND, impatient, simulator};
use crate::secrets_guests::forms;

#[tokio::test]
async fn a_planted_key_is_in_no_log_file_or_answer() {
    let app = simulator();
    let setup = impatient(Setup::against(&app))
        .set("log.level", "trace")
        .set("sync.poll_interval", "200ms");
    let mut host = HostUnderTest::start(setup).await;
    let client = host.client("planted");
    let account = client.connect_synced(PLANTED).await;
    let mut answers = String::new();
    for mode in ["echo", "echo-error", "look-around"] {
        let body =
            json!({"appKey": "misbehaving", "userInputs": {"apiKey": PLANTED, "mode": mode}});
        answers += &client.post("/api/credentials", body).await.text;
    }
    let wrong =
        json!({"appKey": "misbehaving", "userInputs": {"apiKey": PLANTED, "mode": ["no text"]}});
    answers += &client.post("/api/credentials", wrong).await.text;
    // Reads, writes, a refused write, changed inputs, and all that is shown of it.
    for path in ["people", "users", "notes", "tasks"] {
        answers += &account.get(&format!("/crm/api/{path}")).await.text;
    }
    let person = json!({"firstName": "Ada", "lastName": "Byron"});
    let created = account.post("/crm/api/people", person).await.with(201);
    let path = format!(
        "/crm/api/people/{}",
        created["id"].as_str().unwrap_or_default()
    );
    answers += &account.put(&path, json!({"lastName": 7})).await.text;
    let path = format!("/api/credentials/{}", account.credential());
    answers += &account
        .put(&path, json!({"userInputs": {"apiKey": PLANTED}}))
        .await
        .text;
    answers += &client
        .post(
            "/api/credentials",
            json!({"appKey": "nobody", "userInputs": {"apiKey": PLANTED}}),
        )
        .await
        .text;
    for path in [
        "/api/credentials?includeProfile=true",
        "/api/connectors",
        path.as_str(),
    ] {
        answers += &client.get(path).await.text;
    }
    until("the misbehaving connectors ran", async || {
        let credentials = client.get("/api/credentials").await.ok().to_string();
        credentials.contains("echo: the app says").then_some(())
    })
    .await;
    answers += &client.get("/api/credentials").await.text;

    absent("an answer", answers.as_bytes());
    // While it runs, the log of what SQLite writes ahead is there too.
    let running = files(&host.data());
    assert!(
        running
            .iter()
            .any(|file| file.to_string_lossy().ends_with("-wal")),
        "{running:?}"
    );
    let look = |files: &[PathBuf]| {
        for file in files {
            absent(&file.display().to_string(), &std::fs::read(file).unwrap());
        }
    };
    look(&running);
    host.stop();
    look(&files(&host.data()));
    let log = host.log();
    assert!(log.contains("TRACE"), "the log is not at level trace");
    absent("the log", log.as_bytes());
}

/// Of a host that has called nobody. What it sent to an app stays in freed buffers of
/// the HTTP client until they are used again.
#[tokio::test]
async fn a_host_that_calls_nobody_has_no_secret_in_memory() {
    let app = simulator();
    let setup = setup(&app)
        .set("sync.poll_interval", "1h")
        .set("server.core_dumps", true);
    let mut host = HostUnderTest::start(setup).await;
    let account = host.client("dumped").connect_synced(PLANTED).await;
    host.restart().await;
    let account = host.client("dumped").of(account.credential());
    assert!(!account.all("people", "").await.is_empty());
    let dump = host.dump();
    assert!(dump.len() > 1_000_000, "{} bytes", dump.len());
    absent("memory", &dump);
}

#[tokio::test]
async fn sealed_keys_are_of_no_use_elsewhere() {
    let app = simulator();
    let mut host = HostUnderTest::start(setup(&app).set("sync.poll_interval", "200ms")).await;
    let client = host.client("swapped");
    let first = client.connect_synced(PLANTED).await;
    let second = client.connect_synced(SECOND).await;
    let people = first.all("people", "").await;
    host.stop();

    let (one, other) = (first.credential(), second.credential());
    // Each sealed text goes to the other's row.
    let swap = format!(
        "CREATE TEMP TABLE before AS SELECT * FROM host_secrets; \
         UPDATE host_secrets SET sealed = (SELECT sealed FROM before \
         WHERE before.credential_id <> host_secrets.credential_id) \
         WHERE credential_id IN ('{one}', '{other}')"
    );
    assert_eq!(write(&host.data().join("env/dev.sqlite"), &swap).await, 2);
    app.clear_requests();
    host.restart().await;
    let client = host.client("swapped");
    let (first, second) = (client.of(one), client.of(other));
    for account in [&first, &second] {
        let path = format!("/api/credentials/{}", account.credential());
        let shown = until("the failure is shown", async || {
            let shown = account.get(&path).await.ok();
            shown["sync"]["entities"]["people"]["error"]
                .is_string()
                .then_some(shown)
        })
        .await;
        let error = shown["sync"]["entities"]["people"]["error"]
            .as_str()
            .unwrap();
        assert!(!error.contains('\n') && !error.contains("rv1."), "{shown}");
        let refused = account
            .post(
                "/crm/api/people",
                json!({"firstName": "A", "lastName": "B"}),
            )
            .await;
        assert!(refused.status >= 500, "{} {}", refused.status, refused.text);
        refused.json();
    }
    // What was read before still is, and nothing left with a key of the other's.
    assert_eq!(first.all("people", "").await, people);
    assert_eq!(app.requests(), []);

    // Entered again, it works again.
    let path = format!("/api/credentials/{one}");
    first
        .put(&path, json!({"userInputs": {"apiKey": PLANTED}}))
        .await
        .ok();
    let body = json!({"firstName": "Works", "lastName": "Again"});
    first.post("/crm/api/people", body).await.with(201);
    host.stop();
}

#[tokio::test]
async fn without_its_master_key_a_host_refuses_to_start() {
    let app = app_of(Config::of(
        AccountConfig::new(Dataset::demo()).key(PLANTED, 1),
    ));
    let mut host = HostUnderTest::start(setup(&app)).await;
    host.client("keyless").connect(PLANTED).await;
    host.stop();
    let key = host.data().join("master.key");
    let good = std::fs::read_to_string(&key).unwrap();
    let other = tempfile::tempdir().unwrap();
    let before = files(&host.data());

    let spoiled = [
        ("missing", None),
        ("empty", Some(String::new())),
        ("short", Some(good[..20].to_owned())),
        ("no base64", Some(format!("!{}", &good[1..]))),
        ("another's", Some(foreign_key(other.path()))),
    ];
    for (what, text) in spoiled {
        std::fs::remove_file(&key).unwrap();
        if let Some(text) = &text {
            private(&key, text);
        }
        let output = serve(&host.data());
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{what}: {said}");
        let lines: Vec<&str> = said
            .lines()
            .filter(|line| line.starts_with("rollout: "))
            .collect();
        assert_eq!(lines.len(), 1, "{what}: {said}");
        assert!(
            lines[0].contains("master.key") || lines[0].contains("master key"),
            "{what}: {said}"
        );
        // It makes no new key in the place of the one that is gone.
        assert_eq!(std::fs::read_to_string(&key).ok(), text, "{what}");
        private(&key, &good);
    }

    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = serve(&host.data());
    assert_eq!(output.status.code(), Some(2), "readable by others");
    private(&key, &good);
    assert_eq!(files(&host.data()), before);

    host.restart().await;
    host.client("keyless").connect_synced(PLANTED).await;
}

fn setup(app: &Simulator) -> Setup {
    Setup::against(app)
}

/// No form of the key is in these bytes.
#[track_caller]
fn absent(place: &str, bytes: &[u8]) {
    for form in forms(PLANTED) {
        // A copy of a host's memory is large, and this is not optimised.
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| *byte == form.as_bytes()[0]) {
            rest = &rest[at..];
            assert!(!rest.starts_with(form.as_bytes()), "{place} holds {form}");
            rest = &rest[1..];
        }
    }
}

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Changes a database behind a stopped host's back; answers how many rows.
async fn write(file: &Path, sql: &str) -> u64 {
    let options = SqliteConnectOptions::new().filename(file);
    let mut database = options.connect().await.unwrap();
    let done = database
        .execute(AssertSqlSafe(sql.to_owned()))
        .await
        .unwrap();
    database.close().await.unwrap();
    done.rows_affected()
}

/// Starts a host that must not start.
fn serve(data: &Path) -> std::process::Output {
    let data = data.display().to_string();
    rollout([
        "--data-dir",
        data.as_str(),
        "serve",
        "--listen",
        "127.0.0.1:0",
    ])
}

/// A good key of another data directory.
fn foreign_key(folder: &Path) -> String {
    let data = folder.join("data").display().to_string();
    let made = rollout(["--data-dir", data.as_str(), "env", "create", "other"]);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    std::fs::read_to_string(folder.join("data/master.key")).unwrap()
}

/// Writes a file that only its owner can read.
fn private(file: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(file, text).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}
