//! The first sync: everything that the app has, once, whatever comes in between.

use std::time::{Duration, Instant};

use rollout_test_apps::follow_up_boss::{Dataset, Fault, Simulator};
use serde_json::json;

use crate::fixtures::{API_KEY, HostUnderTest, Setup, app};
use crate::sync_oracle::Shown;

/// A host that tries again soon, and takes small pages so that there are many.
async fn eager(app: &Simulator) -> HostUnderTest {
    HostUnderTest::start(eager_setup(app)).await
}

fn eager_setup(app: &Simulator) -> Setup {
    Setup::against(app)
        .set("sync.page_records", 50)
        .set("sync.retry_first", "50ms")
        .set("sync.retry_longest", "200ms")
        .set("sync.failed_after", 100_000)
}

#[tokio::test]
async fn equals_the_app_record_by_record() {
    let app = app(Dataset::messy(7, 400));
    let host = HostUnderTest::start(Setup::against(&app)).await;
    let client = host.client("first");
    let account = client.connect_synced(API_KEY).await;
    let shown = Shown::read(&account).await;
    assert!(shown.people.len() > 350 && shown.notes.len() > 200 && shown.tasks.len() > 100);
    shown.assert_equals(&app).await;

    let credential = client
        .get(&format!("/api/credentials/{}", account.credential()))
        .await
        .ok();
    let entities = &credential["sync"]["entities"];
    for (entity, count) in [
        ("people", shown.people.len()),
        ("users", shown.users.len()),
        ("notes", shown.notes.len()),
        ("tasks", shown.tasks.len()),
    ] {
        assert_eq!(entities[entity]["records"], count, "{credential}");
        assert_eq!(entities[entity]["quarantined"], json!(null), "{credential}");
    }
}

#[tokio::test]
async fn faults_of_the_app_cost_time_and_no_records() {
    let app = app(Dataset::messy(8, 300));
    let host = eager(&app).await;
    let client = host.client("faults");
    let account = client.connect(API_KEY).await;
    // Some fault for two of three requests, as long as the sync runs.
    let faults = [
        Fault::Status(500),
        Fault::Truncated,
        Fault::Delay(Duration::ZERO),
        Fault::Status(503),
        Fault::Delay(Duration::from_millis(30)),
        Fault::Truncated,
        Fault::Status(502),
        Fault::Status(408),
        Fault::Delay(Duration::ZERO),
    ];
    for fault in faults.iter().cycle().take(60) {
        app.fail_next(1, fault.clone());
    }
    client.wait_synced(account.credential()).await;
    app.clear_faults();
    let bad = app
        .requests()
        .iter()
        .filter(|request| request.status >= 400)
        .count();
    assert!(bad >= 5, "only {bad} requests failed");
    Shown::read(&account).await.assert_equals(&app).await;
}

#[tokio::test]
async fn answers_that_come_too_late_are_asked_for_again() {
    let app = app(Dataset::messy(9, 120));
    let host = HostUnderTest::start(eager_setup(&app).set("egress.timeout", "300ms")).await;
    app.fail_next_at("/v1/people", 2, Fault::Delay(Duration::from_millis(900)));
    let account = host.client("slow").connect_synced(API_KEY).await;
    let log = host.log();
    assert!(log.contains("the app did not answer in time"), "{log}");
    Shown::read(&account).await.assert_equals(&app).await;
}

#[tokio::test]
async fn a_rate_limit_parks_it_for_as_long_as_the_app_says() {
    let app = app(Dataset::messy(10, 120));
    let host = eager(&app).await;
    app.fail_next_at("/v1/people", 2, Fault::RateLimited { retry_after: 1 });
    let began = Instant::now();
    let client = host.client("limited");
    let account = client.connect(API_KEY).await;
    let shown = client.wait_synced(account.credential()).await;
    assert!(
        began.elapsed() >= Duration::from_secs(2),
        "it did not wait: {:?}",
        began.elapsed()
    );
    // A limit is no failure, and nobody knocks while it lasts.
    assert_eq!(
        shown["sync"]["entities"]["people"]["error"],
        json!(null),
        "{shown}"
    );
    let refused = app
        .requests()
        .iter()
        .filter(|request| request.status == 429)
        .count();
    assert_eq!(refused, 2);
    Shown::read(&account).await.assert_equals(&app).await;
}

#[tokio::test]
async fn an_entity_that_the_account_may_not_read_holds_up_nothing() {
    let app = app(Dataset::messy(11, 60));
    app.fail_next_at("/v1/notes", 10_000, Fault::Status(403));
    let host = eager(&app).await;
    let client = host.client("forbidden");
    let account = client.connect(API_KEY).await;
    let shown = client.wait_synced(account.credential()).await;
    let notes = &shown["sync"]["entities"]["notes"];
    assert_eq!(notes["status"], "unavailable", "{shown}");
    assert!(
        notes["error"].as_str().unwrap().contains("Forbidden"),
        "{shown}"
    );
    assert_eq!(shown["status"], "ok", "{shown}");
    for entity in ["people", "users", "tasks"] {
        account.get(&format!("/crm/api/{entity}")).await.ok();
    }
    account
        .get("/crm/api/notes")
        .await
        .refused(403, "entity_unavailable");
}
