//! A Postgres that can't be used, is gone for a while, or is of another version:
//! said in a line at the start, and lived through while serving.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rollout_test_apps::follow_up_boss::{Dataset, Simulator};
use rollout_test_postgres::{Options, Server};
use serde_json::json;

use crate::api_writes::{ada, path};
use crate::cli_commands::refusal;
use crate::fixtures::{
    API_KEY, Answer, Client, HostUnderTest, Setup, app, database, until, within,
};

const PEOPLE: &str = "/crm/api/people";
/// In which time a host that can't reach its database says so: a call waits 15 s for
/// a connection. The rest is for machines that have much else to do.
const BOUND: Duration = Duration::from_secs(20);
/// In which time all goes on once the database is back.
const AGAIN: Duration = Duration::from_secs(10);

fn setup(app: &Simulator) -> Setup {
    Setup::against(app)
        .set("sync.poll_interval", "200ms")
        .set("sync.retry_first", "100ms")
        .set("sync.retry_longest", "1s")
}

/// Runs `serve` with this control database and expects it to refuse in a line.
fn refused(url: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    refusal(&Setup::plain().on(url).serve_to_its_end(folder.path()))
}

#[track_caller]
fn unavailable(answer: &Answer) {
    answer.refused(503, "store_unavailable");
    let wait: u64 = answer
        .header("retry-after")
        .expect("Retry-After")
        .parse()
        .unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    assert!(!answer.text.contains("postgres"), "{}", answer.text);
}

#[test]
fn what_can_not_be_used_is_refused_in_a_line_that_says_what_and_where() {
    let server = Server::shared();
    let port = server.port();
    server
        .role_with_password("limited", "s3cret-right", &[])
        .unwrap();
    let empty = database();
    let name = empty.rsplit('/').next().unwrap();
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let silent = silent.local_addr().unwrap().port();
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let closed_port = closed.local_addr().unwrap().port();
    drop(closed);
    let here = format!("127.0.0.1:{port}/{name}");
    let cases = [
        (
            "nonsense".to_owned(),
            vec!["control.database_url".to_owned(), "postgres://".into()],
        ),
        (
            "mysql://ann:s3cret@db.example/crm".into(),
            vec!["control.database_url".into(), "postgres://".into()],
        ),
        (
            "postgres://ann:s3cret@db.example:port/crm".into(),
            vec!["control.database_url".into()],
        ),
        (
            "postgres://ann:s3cret@no-such-host.invalid/crm".into(),
            vec!["ann@no-such-host.invalid/crm".into()],
        ),
        (
            server.url_of("limited", "s3cret-wrong", name),
            vec![format!("limited@{here}"), "password".into()],
        ),
        (
            server.url_of("nobody", "s3cret", name),
            vec![format!("nobody@{here}"), "password".into()],
        ),
        (
            server.url_of("limited", "s3cret-right", name),
            vec![format!("limited@{here}"), "permission denied".into()],
        ),
        (
            server.url("no_such_database"),
            vec![
                format!("127.0.0.1:{port}/no_such_database"),
                "does not exist".into(),
            ],
        ),
        (
            format!("postgres://ann:s3cret@127.0.0.1:{closed_port}/crm"),
            vec![format!("ann@127.0.0.1:{closed_port}/crm"), "refused".into()],
        ),
        (
            format!("postgres://ann:s3cret@127.0.0.1:{silent}/crm"),
            vec![
                format!("ann@127.0.0.1:{silent}/crm"),
                "did not answer".into(),
            ],
        ),
    ];
    // At once: the silent one takes its time.
    std::thread::scope(|scope| {
        let all: Vec<_> = cases
            .iter()
            .map(|(url, words)| scope.spawn(move || (url, words, refused(url))))
            .collect();
        for one in all {
            let (url, words, line) = one.join().unwrap();
            assert!(!line.contains("s3cret"), "{line}");
            for word in words {
                assert!(line.contains(word), "{url}: {word}: {line}");
            }
        }
    });
    // Nothing was left in the database that the role may not use.
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'host%'";
    assert_eq!(server.psql(&empty, schemas).unwrap(), "0");
}

#[tokio::test]
async fn a_database_that_is_gone_for_a_while_is_lived_through() {
    let server = Server::start(Options::default()).unwrap();
    let app = app(Dataset::demo());
    let host = HostUnderTest::start(setup(&app).on(&server.database().unwrap())).await;
    let account = host.client("outage").connect_synced(API_KEY).await;
    let people = account.all("people", "").await;
    let here = path("people", &people[0]);
    let other = path("people", &people[1]);
    let credential = format!("/api/credentials/{}", account.credential());
    let stranger = host.stranger();
    for way in ["killed", "stopped"] {
        match way {
            "killed" => server.kill().unwrap(),
            _ => server.stop_fast().unwrap(),
        }
        let asked = Instant::now();
        let health = within(Duration::from_secs(2), "health", stranger.get("/healthz")).await;
        health.ok();
        let reads = [
            PEOPLE,
            &here,
            &credential,
            "/crm/api/events-feed",
            "/readyz",
        ]
        .map(|path| account.get(path));
        let writes = async {
            let body = json!({"firstName": "x"});
            let (made, changed, gone) = tokio::join!(
                account.post(PEOPLE, ada()),
                account.put(&here, body),
                account.delete(&other)
            );
            [made, changed, gone]
        };
        let (reads, writes) = within(BOUND, "an answer", async {
            tokio::join!(join_all(reads), writes)
        })
        .await;
        for answer in reads.iter().chain(&writes) {
            unavailable(answer);
        }
        println!("{way}: answered after {:?}", asked.elapsed());
        // A client that has never been here is told the same, not that he is nobody.
        let new = host.client("somebody-new");
        unavailable(&within(BOUND, "an answer", new.get("/api/credentials")).await);

        let made =
            app.insert_person(json!({"firstName": way, "lastName": "Outage", "stage": "Lead"}));
        server.restart().unwrap();
        let back = Instant::now();
        until("reads are answered", async || {
            (account.get(&here).await.status == 200).then_some(())
        })
        .await;
        let read = back.elapsed();
        account.put(&here, json!({"lastName": way})).await.ok();
        stranger.get("/readyz").await.ok();
        until("the sync goes on", async || {
            let all = account.all("people", "").await;
            let there = all.iter().any(|one| one["originalIds"]["people"] == made);
            there.then_some(())
        })
        .await;
        println!(
            "{way}: read after {read:?}, synced after {:?}",
            back.elapsed()
        );
        assert!(back.elapsed() < AGAIN, "{way}: {:?}", back.elapsed());
        let told = account.events_until(&["peopleCreated", "peopleUpdated"], 2);
        within(AGAIN, "the events", told).await;
    }
    // Nothing of what was refused has happened.
    assert!(app.people().iter().all(|one| one["firstName"] != "Ada"));
    assert_eq!(account.all("people", "").await.len(), people.len() + 2);
    assert!(!host.log().contains("panicked"), "{}", host.log());
}

#[tokio::test]
async fn a_database_that_stands_still_is_said_to_be_unavailable() {
    let server = Server::start(Options::default()).unwrap();
    let app = app(Dataset::demo());
    let host = HostUnderTest::start(setup(&app).on(&server.database().unwrap())).await;
    let account = host.client("still").connect_synced(API_KEY).await;
    server.pause().unwrap();
    host.stranger().get("/healthz").await.ok();
    let answers = [PEOPLE, "/readyz"].map(|path| account.get(path));
    // A statement that was sent is waited for 40 s.
    for answer in within(
        BOUND + Duration::from_secs(30),
        "an answer",
        join_all(answers),
    )
    .await
    {
        unavailable(&answer);
    }
    server.resume().unwrap();
    let back = Instant::now();
    let made = app.insert_person(json!({"firstName": "Still", "stage": "Lead"}));
    until("all goes on", async || {
        let page = account.get(&format!("{PEOPLE}?limit=1")).await;
        let there = page.status == 200 && page.json()["people"][0]["originalIds"]["people"] == made;
        there.then_some(())
    })
    .await;
    println!("went on after {:?}", back.elapsed());
    assert!(back.elapsed() < AGAIN + AGAIN, "{:?}", back.elapsed());
}

#[tokio::test]
async fn one_environment_does_not_suffer_from_anothers_database() {
    let own = Server::start(Options::default()).unwrap();
    let app = app(Dataset::demo());
    let database = database();
    let host = HostUnderTest::start(setup(&app).on(&database)).await;
    let keys = host.create_environment_on("unlucky", &own.database().unwrap());
    let unlucky = host.client_with_token(&keys.token("u"));
    unlucky.served().await;
    let unlucky = unlucky.connect_synced(API_KEY).await;
    let lucky = host.client("l").connect_synced(API_KEY).await;
    own.kill().unwrap();
    let bad = tokio::spawn({
        let unlucky = unlucky.clone();
        async move { join_all((0..40).map(|_| unlucky.get(PEOPLE))).await }
    });
    let killed = Instant::now();
    let mut slowest = Duration::ZERO;
    // For as long as a call to the dead one takes.
    while killed.elapsed() < Duration::from_secs(16) {
        let asked = Instant::now();
        lucky.get(PEOPLE).await.ok();
        let person = lucky.post(PEOPLE, ada()).await.with(201);
        lucky.delete(&path("people", &person)).await.ok();
        slowest = slowest.max(asked.elapsed());
    }
    println!("requests within {slowest:?}");
    assert!(slowest < Duration::from_secs(5), "requests: {slowest:?}");
    for answer in bad.await.unwrap() {
        unavailable(&answer);
    }
    own.restart().unwrap();
    let back = Instant::now();
    until("the unlucky one is served again", async || {
        (unlucky.get(PEOPLE).await.status == 200).then_some(())
    })
    .await;
    assert!(back.elapsed() < AGAIN, "{:?}", back.elapsed());
}

#[tokio::test]
async fn one_environment_is_synced_though_anothers_database_is_down() {
    let own = Server::start(Options::default()).unwrap();
    let app = app(Dataset::demo());
    let host = HostUnderTest::start(setup(&app).on(&database())).await;
    let keys = host.create_environment_on("unlucky", &own.database().unwrap());
    let unlucky = host.client_with_token(&keys.token("u"));
    unlucky.served().await;
    unlucky.connect_synced(API_KEY).await;
    let lucky = host.client("l").connect_synced(API_KEY).await;
    own.kill().unwrap();
    let killed = Instant::now();
    let mut slowest = Duration::ZERO;
    // For as long as a call to the dead one takes, and a lease runs after that.
    while killed.elapsed() < Duration::from_secs(32) {
        let asked = Instant::now();
        let made = app.insert_person(json!({"firstName": "Lucky", "stage": "Lead"}));
        until("it is synced", async || {
            let newest = lucky.get(&format!("{PEOPLE}?limit=1")).await.ok();
            (newest["people"][0]["originalIds"]["people"] == made).then_some(())
        })
        .await;
        slowest = slowest.max(asked.elapsed());
    }
    println!("synced within {slowest:?}");
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
}

#[tokio::test]
async fn what_others_change_is_followed_though_a_database_is_down() {
    let own = Server::start(Options::default()).unwrap();
    let app = app(Dataset::demo());
    let database = database();
    let one = HostUnderTest::start(setup(&app).on(&database)).await;
    let keys = one.create_environment_on("unlucky", &own.database().unwrap());
    let other = one.beside(setup(&app).on(&database)).await;
    let dead = other.client_with_token(&keys.token("u"));
    dead.get("/api/credentials").await.ok();
    let here = one.client("l").connect_synced(API_KEY).await;
    let there = other.client("l").of(here.credential());
    until("the other host knows it", async || {
        (there.get(PEOPLE).await.status == 200).then_some(())
    })
    .await;
    own.kill().unwrap();
    unavailable(&within(BOUND, "an answer", dead.get("/api/credentials")).await);
    let gone = format!("/api/credentials?credentialId={}", here.credential());
    assert_eq!(here.delete(&gone).await.status, 204);
    let asked = Instant::now();
    until("the other host refuses it", async || {
        (there.get(PEOPLE).await.status == 403).then_some(())
    })
    .await;
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "{:?}",
        asked.elapsed()
    );
    let keys = one.create_environment_on("late", &crate::fixtures::database());
    let asked = Instant::now();
    let late: Client = other.client_with_token(&keys.token("x"));
    late.served().await;
    assert!(
        asked.elapsed() < Duration::from_secs(4),
        "{:?}",
        asked.elapsed()
    );
}

#[tokio::test]
async fn migrations_run_only_where_they_may() {
    let server = Server::shared();
    let database = database();
    let folder = tempfile::tempdir().unwrap();
    let check = Setup::plain().on(&database).argument("--migrate=check");
    let line = refusal(&check.serve_to_its_end(folder.path()));
    for word in [
        "schema version 0",
        "--migrate=run",
        database.rsplit('@').next().unwrap(),
    ] {
        assert!(line.contains(word), "{word}: {line}");
    }
    let schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'host%'";
    assert_eq!(
        server.psql(&database, schemas).unwrap(),
        "0",
        "it only looked"
    );

    let mut host = HostUnderTest::start(Setup::plain().on(&database)).await;
    host.stop();
    host.set_up(|setup| setup.argument("--migrate=check"));
    host.restart().await;
    host.client("checked").get("/api/credentials").await.ok();
    host.stop();

    // One that a newer version has upgraded.
    for (schema, place) in [("host_control", "control"), ("host", "`dev`")] {
        let floor = |floor: &str| {
            let sql = format!(
                "INSERT INTO {schema}.host_meta (key, value) VALUES ('compat_floor', '{floor}') \
                 ON CONFLICT (key) DO UPDATE SET value = excluded.value; \
                 UPDATE {schema}.host_meta SET value = '9.9.9' WHERE key = 'program'"
            );
            server.psql(&database, &sql).unwrap();
        };
        floor("99");
        let output = Setup::plain().on(&database).serve_to_its_end(host.folder());
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        let line = said.lines().last().unwrap();
        for word in ["rollout: ", place, "rollout 9.9.9", "99", "newer version"] {
            assert!(line.contains(word), "{word}: {line}");
        }
        floor("0");
    }
    host.restart().await;
    host.client("checked").get("/api/credentials").await.ok();
}
