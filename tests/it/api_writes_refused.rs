//! Writes that the app refuses, delays or answers badly.

use std::time::{Duration, Instant};

use rollout_test_apps::follow_up_boss::{Dataset, Fault, Simulator};
use serde_json::json;

use crate::api_writes::{ada, original, path};
use crate::fixtures::{API_KEY, Client, HostUnderTest, PATIENCE, Setup, app, until, within};

/// A host of one's own, for what happens to the app as a whole.
async fn own(change: impl FnOnce(Setup) -> Setup) -> (Simulator, HostUnderTest, Client) {
    let app = app(Dataset::demo());
    let setup = Setup::against(&app).set("sync.poll_interval", "1h");
    let host = HostUnderTest::start(change(setup)).await;
    let account = host.client("own").connect_synced(API_KEY).await;
    (app, host, account)
}

#[tokio::test]
async fn what_the_app_answers_badly_is_told_apart() {
    let (app, _host, account) = own(|setup| setup).await;
    let person = account.all("people", "").await[0].clone();
    let here = path("people", &person);
    let count = app.people_count();

    app.fail_next_at("/v1/people", 20, Fault::RateLimited { retry_after: 7 });
    let refused = account.post("/crm/api/people", ada()).await;
    refused.refused(429, "rate_limited");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=7).contains(&wait), "{wait}");
    app.clear_faults();

    app.fail_next_at("/v1/people", 20, Fault::Status(500));
    let refused = account.put(&here, json!({"firstName": "X"})).await;
    assert_eq!(refused.status, 502, "{}", refused.text);
    let code = refused.json()["errors"][0]["code"].clone();
    assert!(
        code == "upstream_failed" || code == "maybe_applied",
        "{code}"
    );
    app.clear_faults();

    app.fail_next_at("/v1/people", 20, Fault::Status(403));
    account
        .put(&here, json!({"firstName": "X"}))
        .await
        .refused(403, "upstream_forbidden");
    app.clear_faults();

    // Half an answer: it was done, and nobody can say so.
    app.fail_next_at("/v1/people", 20, Fault::Truncated);
    let refused = account.post("/crm/api/people", ada()).await;
    let body = refused.refused(502, "maybe_applied");
    assert_eq!(body["maybe_applied"], true, "{body}");
    app.clear_faults();
    assert_eq!(app.people_count(), count + 1);

    // None of this is remembered against the account.
    assert_eq!(account.get(&here).await.ok(), person);
    assert_eq!(
        account.put(&here, json!({"firstName": "Y"})).await.ok()["firstName"],
        "Y"
    );

    // A key that the app no longer accepts is.
    app.fail_next_at("/v1/people", 20, Fault::Status(401));
    account
        .put(&here, json!({"firstName": "X"}))
        .await
        .refused(403, "credential_broken");
    app.clear_faults();
    let credential = format!("/api/credentials/{}", account.credential());
    assert_eq!(account.get(&credential).await.ok()["status"], "broken");
}

#[tokio::test]
async fn a_broken_credential_still_reads_and_says_what_to_do() {
    let (app, host, account) = own(|setup| setup.set("sync.poll_interval", "200ms")).await;
    let people = account.all("people", "").await;
    let here = path("people", &people[0]);
    app.fail_next(1_000_000, Fault::Status(401));
    let shown = until("the sync has noticed", async || {
        let shown = account
            .get(&format!("/api/credentials/{}", account.credential()))
            .await
            .ok();
        (shown["status"] == "broken").then_some(shown)
    })
    .await;
    assert!(shown["statusReason"].is_string(), "{shown}");

    let note = json!({"personId": people[0]["id"], "body": "x"});
    for refused in [
        account.post("/crm/api/people", ada()).await,
        account.post("/crm/api/notes", note).await,
        account.put(&here, json!({"firstName": "X"})).await,
        account.delete(&here).await,
        account
            .post(&format!("{here}/tags/apply"), json!({"tags": ["x"]}))
            .await,
    ] {
        let body = refused.refused(403, "credential_broken");
        assert!(
            body["errorMessage"]
                .as_str()
                .unwrap()
                .contains("Connect the account again"),
            "{body}"
        );
    }
    let read = account.get("/crm/api/people").await;
    assert_eq!(read.ok()["people"], json!(people));
    assert_eq!(read.header("x-rollout-credential-status"), Some("broken"));
    let read = account.get(&here).await;
    assert_eq!(read.header("x-rollout-credential-status"), Some("broken"));

    // Connecting again mends it.
    app.clear_faults();
    let again = host.client("own").connect(API_KEY).await;
    assert_eq!(again.credential(), account.credential());
    let read = account.get(&here).await;
    assert!(read.header("x-rollout-credential-status").is_none());
    account
        .put(&here, json!({"firstName": "Mended"}))
        .await
        .ok();
}

#[tokio::test]
async fn a_note_right_after_its_person_waits_until_the_app_knows_it() {
    let (app, _host, account) = own(|setup| setup).await;
    app.set_settling(Duration::from_millis(900));
    let person = account.post("/crm/api/people", ada()).await.with(201);
    let began = Instant::now();
    let note = json!({"personId": person["id"], "body": "at once"});
    let note = within(PATIENCE, "the note", account.post("/crm/api/notes", note))
        .await
        .with(201);
    assert!(
        began.elapsed() > Duration::from_millis(500),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(note["personId"], person["id"]);
    assert_eq!(
        app.note(original(&note, "notes")).unwrap()["personId"],
        original(&person, "people")
    );
    let notes = app
        .notes()
        .into_iter()
        .filter(|note| note["body"] == "at once");
    assert_eq!(notes.count(), 1);
}
