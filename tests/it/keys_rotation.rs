//! New keys while hosts serve: nobody notices, whatever happens to the rotation.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use reqwest::Method;
use rollout_test_apps::follow_up_boss::{AccountConfig, Config, Dataset, Simulator};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::cli_commands::refusal;
use crate::fixtures::{
    Client, HostUnderTest, Keys, Setup, app_of, built, command, database, until,
};

/// Accounts of the environment `dev`; the second environment has one.
const ACCOUNTS: usize = 4;
const KEY: &str = "fka_0a1B2c3D4e5F6g7H8i9JkLmN";
const OTHER_KEY: &str = "fka_9z8Y7x6W5v4U3t2S1r0QpOnM";
const SYSTEM_KEY: &str = "sys_key_0f1e2d3c4b5a69788796";

fn simulator() -> Simulator {
    let account = AccountConfig::new(Dataset::demo())
        .key(KEY, 1)
        .key(OTHER_KEY, 1);
    app_of(Config::of(account))
}

/// A host with accounts in two environments, and with every kind of sealed text.
struct Stage {
    host: HostUnderTest,
    accounts: Vec<(Keys, String, Client)>,
    _app: Simulator,
}

impl Stage {
    async fn new(on_postgres: bool) -> Self {
        let app = simulator();
        let setup = Setup::against(&app).set("sync.poll_interval", "200ms");
        let host = if on_postgres {
            HostUnderTest::start(setup.on(&database())).await
        } else {
            HostUnderTest::start(setup).await
        };
        let other = if on_postgres {
            host.create_environment_on("other", &database())
        } else {
            host.create_environment("other")
        };
        host.rollout_ok(&["env", "rotate-secret", "other", "--overlap", "1h"]);
        for environment in ["dev", "other"] {
            host.rollout_ok(&[
                "connector",
                "configure",
                "follow-up-boss",
                "--env",
                environment,
                "--connectors",
                built().connector.to_str().unwrap(),
                "system=Test-System",
                &format!("systemKey={SYSTEM_KEY}"),
            ]);
        }
        let mut accounts = Vec::new();
        for n in 0..=ACCOUNTS {
            let keys = if n == 0 { &other } else { host.keys() };
            let consumer = format!("customer-{n}");
            let client = host.client_with_token(&keys.token(&consumer));
            client.served().await;
            let account = client.connect_synced(KEY).await;
            accounts.push((keys.clone(), consumer, account));
        }
        Self {
            host,
            accounts,
            _app: app,
        }
    }

    /// The same accounts after the host was started again.
    fn accounts_now(&self) -> impl Iterator<Item = Client> {
        self.accounts.iter().map(|(keys, consumer, account)| {
            let client = self.host.client_with_token(&keys.token(consumer));
            client.of(account.credential())
        })
    }

    fn listed(&self) -> Listed {
        Listed(serde_json::from_str(&self.host.rollout_ok(&["key", "list", "--json"])).unwrap())
    }

    /// Writes with the key of each account, which takes its secrets out of the database.
    async fn all_work(&self) {
        for account in self.accounts_now() {
            let body = json!({"firstName": "Still", "lastName": "Here"});
            account.post("/crm/api/people", body).await.with(201);
        }
    }
}

/// What `rollout key list --json` says.
struct Listed(Value);

impl Listed {
    fn masters(&self) -> Vec<(String, bool)> {
        let masters = self.0["masterKeys"].as_array().unwrap().iter();
        masters
            .map(|one| {
                let id = one["id"].as_str().unwrap().to_owned();
                (id, one["needed"].as_bool().unwrap())
            })
            .collect()
    }

    fn data_keys(&self) -> &Vec<Value> {
        self.0["dataKeys"].as_array().unwrap()
    }

    /// How many secrets are sealed with keys in force, and with others.
    fn secrets(&self) -> (u64, u64) {
        let count = |seals: bool| {
            let keys = self.data_keys().iter();
            let keys = keys.filter(|key| key["seals"] == seals);
            keys.map(|key| key["secrets"].as_u64().unwrap()).sum()
        };
        (count(true), count(false))
    }

    /// Every data key is wrapped with the current master key.
    fn assert_wrapped_with_current(&self) {
        let current = &self.masters()[0].0;
        for key in self.data_keys() {
            assert_eq!(key["masterKey"].as_str(), Some(current.as_str()), "{key}");
        }
    }
}

/// Requests that go on until they are told to stop; each has to succeed.
struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

impl Load {
    fn on(stage: &Stage) -> Self {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let mut tasks = JoinSet::new();
        for account in stage.accounts_now() {
            let (stop, done) = (stop.clone(), done.clone());
            tasks.spawn(async move {
                let credential = format!("/api/credentials/{}", account.credential());
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    account.get("/crm/api/people?limit=5").await.ok();
                    let body = json!({"firstName": "N", "lastName": n.to_string()});
                    account.post("/crm/api/people", body).await.with(201);
                    // The secret is entered anew, and sealed with what is in force.
                    let key = if n % 2 == 0 { OTHER_KEY } else { KEY };
                    let inputs = json!({"userInputs": {"apiKey": key}});
                    account.put(&credential, inputs).await.ok();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { stop, done, tasks }
    }

    async fn more(&self) {
        let before = self.done.load(Ordering::Relaxed);
        until("requests go on", async || {
            (self.done.load(Ordering::Relaxed) > before + ACCOUNTS).then_some(())
        })
        .await;
    }

    async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.join_all().await;
    }
}

/// `rollout key rotate` as a child process.
fn rotation(host: &HostUnderTest) -> Child {
    let mut command = command();
    command
        .arg("--config")
        .arg(host.folder().join("rollout.toml"))
        .arg("--data-dir")
        .arg(host.data())
        .args(["key", "rotate"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command.spawn().unwrap()
}

/// Kills a rotation as soon as it says a line that begins like this; answers the line.
fn killed_after(mut rotation: Child, begins: &str) -> String {
    let mut said = BufReader::new(rotation.stdout.take().unwrap()).lines();
    let line = said.find(|line| line.as_ref().is_ok_and(|line| line.starts_with(begins)));
    rotation.kill().unwrap();
    rotation.wait().unwrap();
    line.unwrap().unwrap()
}

/// A master key of the host alone is made at once; on Postgres it is prepared first.
fn prepare(host: &HostUnderTest, on_postgres: bool) {
    if on_postgres {
        let line = refusal(&host.rollout(&["key", "rotate"]));
        assert!(
            line.contains("--prepare") && line.contains("master.key"),
            "{line}"
        );
        host.rollout_ok(&["key", "rotate", "--prepare"]);
        let line = refusal(&host.rollout(&["key", "rotate", "--prepare"]));
        assert!(line.contains("prepared already"), "{line}");
    }
}

async fn rotates_under_load(on_postgres: bool) {
    let mut stage = Stage::new(on_postgres).await;
    let before = stage.listed();
    let [(first, true)] = &before.masters()[..] else {
        panic!("one master key: {:?}", before.0)
    };
    let (sealed, old) = before.secrets();
    // Each account's, two client secrets and the one before, two slots in two environments,
    // and on Postgres where the two databases are.
    let expected = ACCOUNTS + 1 + 3 + 4 + if on_postgres { 2 } else { 0 };
    assert_eq!((sealed, old), (expected as u64, 0));

    let load = Load::on(&stage);
    load.more().await;
    prepare(&stage.host, on_postgres);
    let said = stage.host.rollout_ok(&["key", "rotate"]);
    assert!(
        said.contains("environment `dev`: ") && said.contains(first),
        "{said}"
    );
    load.more().await;
    load.end().await;

    let after = stage.listed();
    let masters = after.masters();
    assert_eq!(masters.len(), 2);
    assert_ne!(masters[0].0, *first);
    assert_eq!(masters[1], (first.clone(), false));
    after.assert_wrapped_with_current();
    assert_eq!(after.secrets(), (expected as u64, 0), "{:?}", after.0);
    assert_eq!(after.data_keys().len(), 2 * before.data_keys().len());
    assert!(!stage.host.log().contains("ERROR"), "{}", stage.host.log());

    // The old one goes, and only the old one.
    let line = refusal(&stage.host.rollout(&["key", "drop", &masters[0].0]));
    assert!(line.contains("current"), "{line}");
    stage.host.rollout_ok(&["key", "drop", first]);
    let line = refusal(&stage.host.rollout(&["key", "drop", first]));
    assert!(line.contains("no master key"), "{line}");
    assert_eq!(stage.listed().masters(), [(masters[0].0.clone(), true)]);
    stage.all_work().await;
    stage.host.restart().await;
    stage.all_work().await;
    stage.host.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_under_load() {
    rotates_under_load(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_under_load_on_postgres() {
    rotates_under_load(true).await;
}

async fn goes_on_after_kills(on_postgres: bool) {
    let mut stage = Stage::new(on_postgres).await;
    let first = stage.listed().masters()[0].0.clone();
    let data_keys = stage.listed().data_keys().len();
    let load = Load::on(&stage);
    prepare(&stage.host, on_postgres);

    // It has entered new keys, and waits for the hosts to take them up.
    let killed = killed_after(rotation(&stage.host), "new data keys are entered");
    assert!(killed.contains("take them up"), "{killed}");
    assert_eq!(stage.listed().data_keys().len(), 2 * data_keys);
    load.more().await;
    // Nothing is forgotten, so the old key can't go.
    let second = stage.listed().masters()[0].0.clone();
    assert_ne!(second, first);
    let line = refusal(&stage.host.rollout(&["key", "drop", &first]));
    assert!(line.contains("cut off"), "{line}");
    let line = refusal(&stage.host.rollout(&["key", "rotate", "--prepare"]));
    assert!(line.contains("cut off"), "{line}");

    // It is through with one environment, but not with the other.
    let line = killed_after(rotation(&stage.host), "environment");
    assert!(line.contains("`dev`"), "{line}");
    load.more().await;
    load.end().await;
    stage.host.restart().await;

    // Two at once exclude each other, and one of them ends it.
    let load = Load::on(&stage);
    let mut last = rotation(&stage.host);
    let mut said = BufReader::new(last.stdout.take().unwrap()).lines();
    assert!(said.next().unwrap().unwrap().contains("goes on"));
    let line = refusal(&stage.host.rollout(&["key", "rotate"]));
    assert!(line.contains("another `rollout key`"), "{line}");
    assert!(last.wait().unwrap().success());
    load.more().await;
    load.end().await;

    let after = stage.listed();
    assert_eq!(after.masters(), [(second, true), (first.clone(), false)]);
    after.assert_wrapped_with_current();
    assert_eq!(after.secrets().1, 0, "{:?}", after.0);
    stage.host.rollout_ok(&["key", "drop", &first]);
    stage.host.restart().await;
    stage.all_work().await;
    stage.host.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_was_killed_goes_on() {
    goes_on_after_kills(false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_was_killed_goes_on_on_postgres() {
    goes_on_after_kills(true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_hosts_get_the_new_key_before_it_is_used() {
    let app = simulator();
    let setup = Setup::against(&app).set("sync.poll_interval", "200ms");
    let database = database();
    let one = HostUnderTest::start(setup.clone().on(&database)).await;
    let mut other = one.beside(setup.on(&database)).await;
    let account = one.client("both").connect_synced(KEY).await;
    one.rollout_ok(&["key", "rotate", "--prepare"]);
    let file = other.data().join("master.key");
    std::fs::copy(one.data().join("master.key"), &file).unwrap();
    one.rollout_ok(&["key", "rotate"]);

    // What one seals now, the other opens without a new start.
    let path = format!("/api/credentials/{}", account.credential());
    account
        .put(&path, json!({"userInputs": {"apiKey": OTHER_KEY}}))
        .await
        .ok();
    let there = other.client("both").of(account.credential());
    let body = json!({"firstName": "From", "lastName": "There"});
    there.post("/crm/api/people", body.clone()).await.with(201);
    let new = other.client("there").connect_synced(KEY).await;
    let here = one.client("there").of(new.credential());
    let made = here
        .keyed(Method::POST, "/crm/api/people", "k", &body)
        .await;
    made.with(201);
    // One that starts without the key is told which it lacks.
    other.stop();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{}\n", text.lines().nth(1).unwrap())).unwrap();
    let line = refusal(&other.rollout(&["env", "list"]));
    assert!(line.contains("copy the file from the first host"), "{line}");
    std::fs::write(&file, text).unwrap();
    other.restart().await;
    let there = other.client("both").of(account.credential());
    there.post("/crm/api/people", body).await.with(201);
}
