//! A process that stands still inside a transaction, and goes on when others have
//! its work.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rollout_catalog::Category;
use rollout_store::{
    Begun, Databases, EnvStore, EventQuery, Location, Migrate, NewWrite, Page, SETTLE, SyncPhase,
    record_id,
};
use serde_json::json;

use crate::it::fixture::{Fixture, LONG, NOW, OWNER, PEOPLE, catalog_of, person};

/// Where the database of [`stand_still`] is.
const CHILD: &str = "ROLLOUT_STORE_TEST_ZOMBIE";
const LEASE: i64 = 500;
/// How long the server keeps a session that stands still in a transaction.
const PATIENCE: Duration = Duration::from_secs(10);

fn signal(process: u32, signal: &str) {
    let sent = Command::new("kill")
        .args([signal, &process.to_string()])
        .status();
    assert!(sent.unwrap().success());
}

/// Run by the test below in a process of its own: stops itself between storing
/// what a write came to and its commit.
#[tokio::test]
async fn stand_still() {
    let Ok(url) = std::env::var(CHILD) else {
        return;
    };
    let (databases, location) = (Databases::default(), Location::parse(&url).unwrap());
    let catalog = catalog_of(PEOPLE);
    let store = EnvStore::open(&databases, &location, OWNER, &catalog, Migrate::Check).await;
    let store = store.unwrap();
    let credential = store.all_credentials().await.unwrap().remove(0);
    let write = NewWrite {
        id: "write-1",
        credential_id: &credential.id,
        entity: "people",
        operation: "create",
        record_id: None,
        upstream_id: None,
        key: Some("key"),
        request: "request",
        body: "{}",
    };
    let Begun::New(lease) = store.begin_write(&write, "zombie", LEASE).await.unwrap() else {
        unreachable!("nobody else writes");
    };
    let stamp = store.next_stamp().await.unwrap();
    let record = person(&catalog, &credential, "1", json!({"name": "Ann"}));
    let id = record_id(&credential, "people", "1");
    let mut page = Page::new(&credential, "people", stamp, NOW);
    page.records = vec![record];
    let people = catalog.entity(Category::Crm, "people").unwrap();
    let answer = |record: Option<&str>| {
        assert!(record.unwrap().contains("Ann"));
        println!("inside");
        signal(std::process::id(), "-STOP");
        "{}".to_owned()
    };
    let settled = store
        .settle_write(&lease, people, &id, Some(page), answer)
        .await;
    println!("settled {}", settled.is_ok());
}

#[tokio::test]
async fn who_stands_still_in_a_transaction_loses_it_and_its_work() {
    let fixture = Fixture::new().await;
    fixture.schedule(SyncPhase::Incremental).await;
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "only::zombies::stand_still", "--nocapture"])
        .env(CHILD, fixture.place.location().url())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut says = |what: &str| {
        let mut said = lines.by_ref().map_while(Result::ok);
        said.find(|line| line.contains(what)).unwrap()
    };
    says("inside");
    let stopped = Instant::now();
    let store = &fixture.store;
    let lease = loop {
        let mut claimed = store.claim_jobs(SETTLE, "heir", 1, LONG).await.unwrap();
        if let Some(lease) = claimed.pop() {
            break lease;
        }
        // Nobody waits for the zombie's locks: they are skipped.
        assert!(stopped.elapsed() < PATIENCE * 2);
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert!(store.open_write(&lease).await.unwrap().is_some());
    // Others find that the app has not done it; the key is free.
    store.drop_write(&lease).await.unwrap();

    signal(child.id(), "-CONT");
    assert!(says("settled").ends_with("settled false"));
    assert!(child.wait().unwrap().success());
    let (list, _) = fixture.list(&fixture.query()).await;
    assert_eq!(list.total, 0);
    let id = &fixture.credential.id;
    let earlier = store.earlier_write(id, "key", "request").await.unwrap();
    assert_eq!(earlier, None);
    let everything = EventQuery {
        after: 0,
        limit: 100,
        credential_id: None,
        initial: true,
    };
    let events = store.events(&everything).await.unwrap().events;
    assert!(events.iter().all(|event| event.kind != "people"));
}
