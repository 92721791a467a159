//! Several hosts on one Postgres: what one does, the others know, and no work is
//! done twice or left behind.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use reqwest::Method;
use rollout_test_apps::follow_up_boss::{Config, Dataset, Fault, Hold, Simulator};
use serde_json::{Value, json};

use crate::api_writes::{ada, path};
use crate::cli_commands::refusal;
use crate::fixtures::{
    API_KEY, Client, HostUnderTest, PATIENCE, Setup, app, app_of, built, database, lists,
    on_postgres, resource_ids, rollout, until, within,
};
use crate::sync_oracle::Shown;

/// What hosts hear of each other takes half a second; the rest is for machines that
/// have much else to do.
const SOON: Duration = Duration::from_secs(3);
const PEOPLE: &str = "/crm/api/people";

fn setup(app: &Simulator) -> Setup {
    Setup::against(app).set("sync.poll_interval", "1h")
}

/// Two hosts with these set-ups on one new database.
async fn two(one: Setup, other: Setup) -> (HostUnderTest, HostUnderTest) {
    let database = database();
    let first = HostUnderTest::start(one.on(&database)).await;
    let second = first.beside(other.on(&database)).await;
    (first, second)
}

/// The same account at another host.
fn at(host: &HostUnderTest, consumer: &str, account: &Client) -> Client {
    host.client(consumer).of(account.credential())
}

/// What the app was asked, path by path.
fn asked(app: &Simulator) -> BTreeMap<(String, String), usize> {
    let mut asked = BTreeMap::new();
    for request in app.requests() {
        // Cursors and times differ from run to run.
        *asked.entry((request.method, request.path)).or_default() += 1;
    }
    asked
}

#[tokio::test]
async fn an_account_connected_at_one_is_synced_once_and_served_by_all() {
    let alone = app(Dataset::messy(41, 400));
    let config = |app: &Simulator| {
        // Addresses in events are the same, whoever is asked.
        let setup = setup(app).set("server.public_url", "https://api.example.com");
        setup.set("sync.page_records", 50)
    };
    let single = on_postgres(config(&alone)).await;
    single.client("once").connect_synced(API_KEY).await;

    let app = app(Dataset::messy(41, 400));
    let (one, other) = two(config(&app), config(&app)).await;
    let account = one.client("once").connect(API_KEY).await;
    // At once, not after the next look.
    let there = at(&other, "once", &account);
    let shown = format!("/api/credentials/{}", account.credential());
    assert_eq!(there.get(&shown).await.ok()["id"], account.credential());
    let ready = async |client: &Client| {
        until("it can be read", async || {
            let answer = client.get(PEOPLE).await;
            match answer.status {
                200 => Some(Instant::now()),
                _ => {
                    answer.refused(409, "data_not_ready");
                    None
                }
            }
        })
        .await
    };
    let (first, second) = tokio::join!(ready(&account), ready(&there));
    let apart = first.max(second) - first.min(second);
    assert!(apart < SOON, "the other host knew after {apart:?}");
    account.wait_synced(account.credential()).await;
    assert_eq!(asked(&app), asked(&alone), "two hosts, then one");
    for host in [&one, &other] {
        let account = at(host, "once", &account);
        account.wait_synced(account.credential()).await;
        Shown::read(&account).await.assert_equals(&app).await;
        let listed = account.get("/api/credentials").await.ok();
        assert_eq!(listed.as_array().unwrap().len(), 1);
    }
    // All events once, and in one order at both.
    let told = |host: &HostUnderTest| host.admin();
    let (here, there) = (told(&one), told(&other));
    let query = "includeInitialSync=true";
    let all = here.events("/api/events-feed", query).await;
    assert_eq!(there.events("/api/events-feed", query).await, all);
    let people: usize = all
        .iter()
        .filter(|event| event["event"] == "peopleCreated")
        .map(|event| resource_ids(event).len())
        .sum();
    assert_eq!(people, account.all("people", "limit=1000").await.len());
}

#[tokio::test]
async fn what_is_written_or_deleted_at_one_is_so_at_the_other() {
    let app = app(Dataset::demo());
    let (one, other) = two(setup(&app), setup(&app)).await;
    let here = one.client("both").connect_synced(API_KEY).await;
    let there = at(&other, "both", &here);
    until("the other host knows", async || {
        (there.get(PEOPLE).await.status == 200).then_some(())
    })
    .await;
    let person = here.post(PEOPLE, ada()).await.with(201);
    assert_eq!(there.get(&path("people", &person)).await.ok(), person);
    let changed = there
        .put(&path("people", &person), json!({"lastName": "King"}))
        .await
        .ok();
    assert_eq!(here.get(&path("people", &person)).await.ok(), changed);
    // Writes to one record wait for each other, at whichever host they come in.
    let writes = (0..12).map(|index| {
        let client = if index % 2 == 0 { &here } else { &there };
        let tags = format!("{}/tags/apply", path("people", &person));
        async move {
            client
                .post(&tags, json!({"tags": [format!("t{index}")]}))
                .await
                .ok()
        }
    });
    futures_util::future::join_all(writes).await;
    let tags = here.get(&path("people", &person)).await.ok()["tags"].clone();
    assert_eq!(tags.as_array().unwrap().len(), 12, "{tags}");
    // A key is known at both.
    let first = here.keyed(Method::POST, PEOPLE, "k", &ada()).await;
    first.with(201);
    let again = there.keyed(Method::POST, PEOPLE, "k", &ada()).await;
    assert_eq!(again.text, first.text);

    let gone = format!("/api/credentials?credentialId={}", here.credential());
    assert_eq!(here.delete(&gone).await.status, 204);
    let asked = Instant::now();
    until("the other host refuses it", async || {
        let answer = there.get(PEOPLE).await;
        (answer.status != 200).then(|| answer.refused(403, "invalid_credential"))
    })
    .await;
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    assert_eq!(there.get("/api/credentials").await.ok(), json!([]));
    there
        .get("/crm/api/events-feed")
        .await
        .refused(403, "invalid_credential");
}

#[tokio::test]
async fn settings_and_environments_of_one_reach_the_other() {
    let system = "sys_key_planted_7f3a";
    let app = app_of(Config::new(Dataset::demo()).system("Test-System", system));
    // Only the other one works, so what the app hears is his.
    let eager = setup(&app).set("sync.poll_interval", "100ms");
    let (one, other) = two(eager.clone().argument("--role=api"), eager).await;
    let account = one.client("settings").connect_synced(API_KEY).await;
    assert!(
        app.requests()
            .iter()
            .all(|request| request.system.is_none())
    );
    one.rollout_ok(&[
        "connector",
        "configure",
        "follow-up-boss",
        "--env",
        "dev",
        "--connectors",
        built().connectors.to_str().unwrap(),
        "system=Test-System",
        &format!("systemKey={system}"),
    ]);
    let asked = Instant::now();
    until("the other host has taken it up", async || {
        let requests = app.requests();
        let seen = requests
            .iter()
            .any(|one| one.system.as_deref() == Some("Test-System"));
        seen.then_some(())
    })
    .await;
    assert!(
        asked.elapsed() < SOON + Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );

    let keys = one.create_environment_on("shop", &database());
    let asked = Instant::now();
    let token = keys.token("shopper");
    for host in [&other, &one] {
        let client = host.client_with_token(&token);
        client.served().await;
    }
    assert!(
        asked.elapsed() < SOON + Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
    let shopper = other
        .client_with_token(&token)
        .connect_synced(API_KEY)
        .await;
    assert_ne!(shopper.credential(), account.credential());
    assert_eq!(shopper.all("people", "").await.len(), app.people_count());
    // Tenants stay apart, at both hosts.
    one.client_with_token(&token)
        .of(account.credential())
        .get(PEOPLE)
        .await
        .refused(403, "invalid_credential");
    let listed: Value =
        serde_json::from_str(&other.rollout_ok(&["env", "list", "--json"])).unwrap();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains(&keys.client_secret));
    // Without a database that all reach there is no environment.
    let line = refusal(&one.rollout(&["env", "create", "files"]));
    assert!(line.contains("--database-url"), "{line}");
}

#[tokio::test]
async fn one_answers_and_another_works() {
    let app = app(Dataset::demo());
    let database = database();
    let api = HostUnderTest::start(setup(&app).on(&database).argument("--role=api")).await;
    let client = api.client("roles");
    let account = client.connect(API_KEY).await;
    let path = format!("/api/credentials/{}", account.credential());
    // What is not done can't be awaited: longer than an idle worker takes to begin.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(client.get(&path).await.ok()["sync"]["status"], "pending");
    assert_eq!(lists(&app), 0);
    account.get(PEOPLE).await.refused(409, "data_not_ready");

    let worker = api
        .beside(setup(&app).on(&database).argument("--role=worker"))
        .await;
    account.wait_synced(account.credential()).await;
    until("it can be read", async || {
        (account.get(PEOPLE).await.status == 200).then_some(())
    })
    .await;
    assert!(lists(&app) > 0);
    let stranger = worker.stranger();
    stranger.get("/healthz").await.ok();
    stranger.get("/readyz").await.ok();
    let there = at(&worker, "roles", &account);
    for path in [
        PEOPLE,
        "/api/credentials",
        "/api/connectors",
        "/crm/api/openapi.json",
        "/api/events-feed",
    ] {
        there.get(path).await.refused(404, "unknown_route");
    }
    // Who only answers writes, too; events are numbered by the other.
    let person = account.post(PEOPLE, ada()).await.with(201);
    let events = account.events_until(&["peopleCreated"], 1).await;
    assert_eq!(resource_ids(&events[0]), [person["id"].as_str().unwrap()]);
}

#[tokio::test]
async fn a_host_that_is_stopped_hands_its_work_over() {
    let app = app(Dataset::bulk(2000));
    // Forty pages take longer than another host takes to start.
    app.fail_next(1_000_000, Fault::Delay(Duration::from_millis(150)));
    // So long a lease is not waited for.
    let config = setup(&app)
        .set("sync.page_records", 50)
        .set("work.lease", "10m")
        .set("work.renew", "1s");
    let database = database();
    let mut one = HostUnderTest::start(config.clone().on(&database)).await;
    let account = one.client("handed").connect(API_KEY).await;
    let path = format!("/api/credentials/{}", account.credential());
    let landed = async |client: &Client| {
        let shown = client.get(&path).await.ok();
        shown["sync"]["entities"]["people"]["records"]
            .as_i64()
            .unwrap_or(0)
    };
    until("some pages landed", async || {
        (landed(&account).await >= 200).then_some(())
    })
    .await;
    let other = one.beside(config.on(&database)).await;
    let there = at(&other, "handed", &account);
    one.stop();
    let stopped = Instant::now();
    let before = landed(&there).await;
    assert!(before < 2000, "it was done already");
    until("the other goes on", async || {
        (landed(&there).await > before).then_some(())
    })
    .await;
    assert!(
        stopped.elapsed() < SOON + SOON,
        "after {:?}",
        stopped.elapsed()
    );
    app.clear_faults();
    there.wait_synced(there.credential()).await;
    assert_eq!(there.all("people", "limit=1000").await.len(), 2000);
    // No page was lost or read by both: one more may have been under way.
    let lists = lists(&app);
    assert!(lists <= 2000 / 50 + 6, "{lists}");
    // The numbering of events, which never ends, was handed over as well.
    until("the events are numbered", async || {
        let all = other
            .admin()
            .events("/api/events-feed", "includeInitialSync=true")
            .await;
        let people = all.iter().filter(|event| event["event"] == "peopleCreated");
        let people: usize = people.map(|event| resource_ids(event).len()).sum();
        (people == 2000).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stopping_host_finishes_the_write_that_is_under_way() {
    let app = app(Dataset::demo());
    let (mut one, other) = two(setup(&app), setup(&app)).await;
    let account = one.client("draining").connect_synced(API_KEY).await;
    let hold = Hold::new();
    app.fail_next_at("/v1/people", 1, Fault::Held(hold.clone()));
    let writing = tokio::spawn({
        let account = account.clone();
        async move { account.post(PEOPLE, ada()).await }
    });
    within(PATIENCE, "the app's turn", hold.reached()).await;
    one.terminate();
    until("it drains", async || {
        one.log().contains("stopping").then_some(())
    })
    .await;
    let there = at(&other, "draining", &account);
    hold.release();
    let person = writing.await.unwrap().with(201);
    one.stop();
    assert_eq!(there.get(&path("people", &person)).await.ok(), person);
    let events = there.events_until(&["peopleCreated"], 1).await;
    assert_eq!(resource_ids(&events[0]), [person["id"].as_str().unwrap()]);
}

#[tokio::test]
async fn a_killed_hosts_work_goes_on_when_its_lease_is_over() {
    let app = app(Dataset::demo());
    let config = setup(&app)
        .set("work.lease", "2s")
        .set("work.renew", "500ms")
        .set("work.settle_patience", "1s");
    let (mut one, other) = two(config.clone(), config).await;
    let account = one.client("dead").connect_synced(API_KEY).await;
    let there = at(&other, "dead", &account);
    let hold = Hold::new();
    app.fail_next_at("/v1/people", 1, Fault::Held(hold.clone()));
    let cut_off = tokio::spawn({
        let request = account.keyed_request(Method::POST, PEOPLE, "k", &ada());
        async move { request.send().await.is_err() }
    });
    within(PATIENCE, "the app's turn", hold.reached()).await;
    one.kill();
    hold.release();
    assert!(cut_off.await.unwrap());
    let record = until("the other settles it", async || {
        let answer = there.keyed(Method::POST, PEOPLE, "k", &ada()).await;
        (answer.status != 409).then(|| answer.with(201))
    })
    .await;
    let events = there.events_until(&["peopleCreated"], 1).await;
    assert_eq!(resource_ids(&events[0]), [record["id"].as_str().unwrap()]);
    let made = app
        .people()
        .into_iter()
        .filter(|one| one["lastName"] == "Lovelace");
    assert_eq!(made.count(), 1);
}

#[tokio::test]
async fn a_host_with_another_key_or_none_is_refused() {
    let database = database();
    let one = HostUnderTest::start(Setup::plain().on(&database)).await;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let config = Setup::plain().on(&database);
    // None: no new one is made, and it is said where it is missing.
    let line = refusal(&config.serve_to_its_end(folder.path()));
    assert!(line.contains("master.key"), "{line}");
    assert!(!data.join("master.key").exists());
    // That of another installation.
    let foreign = tempfile::tempdir().unwrap();
    let place = foreign.path().join("data");
    assert!(
        rollout(["--data-dir", place.to_str().unwrap(), "env", "create", "x"])
            .status
            .success()
    );
    std::fs::copy(place.join("master.key"), data.join("master.key")).unwrap();
    let line = refusal(&config.serve_to_its_end(folder.path()));
    for word in ["master.key", "copy the file", "first host's data directory"] {
        assert!(line.contains(word), "{line}");
    }
    // Ours, but for everybody to read.
    std::fs::copy(one.data().join("master.key"), data.join("master.key")).unwrap();
    std::fs::set_permissions(data.join("master.key"), PermissionsExt::from_mode(0o644)).unwrap();
    let line = refusal(&config.serve_to_its_end(folder.path()));
    assert!(line.contains("master.key"), "{line}");
    assert_eq!(one.rollout_ok(&["env", "list"]).lines().count(), 1);
    one.stranger().get("/readyz").await.ok();
}

#[tokio::test]
async fn one_sqlite_control_database_is_for_one_host() {
    let one = HostUnderTest::start(Setup::plain()).await;
    let data = one.data();
    let file = format!("sqlite://{}", data.join("control.sqlite").display());
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::copy(
        data.join("master.key"),
        folder.path().join("data/master.key"),
    )
    .unwrap();
    // From the same data directory.
    let line = refusal(&rollout([
        "--data-dir",
        data.to_str().unwrap(),
        "serve",
        "--listen",
        "127.0.0.1:0",
    ]));
    assert!(line.contains("in use by another"), "{line}");
    // And from another one, by the file's name.
    let line = refusal(&Setup::plain().on(&file).serve_to_its_end(folder.path()));
    assert!(
        line.contains("control.database_url") && line.contains("postgres://"),
        "{line}"
    );
    one.stranger().get("/readyz").await.ok();
}
