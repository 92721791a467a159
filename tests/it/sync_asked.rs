//! What people ask of a sync: at once, paused, at another pace; and the event that
//! says that the first one is complete.

use rollout_test_apps::follow_up_boss::Dataset;
use serde_json::json;

use crate::fixtures::{API_KEY, HostUnderTest, Setup, app, lists, polling, polls, until};
use crate::sync_oracle::people_ids;

#[tokio::test]
async fn a_sync_is_made_at_once_when_somebody_asks() {
    let app = app(Dataset::messy(51, 20));
    let host = HostUnderTest::start(Setup::against(&app).set("sync.poll_interval", "1h")).await;
    let account = host.client("asks").connect_synced(API_KEY).await;
    let made = app.insert_person(json!({"firstName": "New", "lastName": "One", "stage": "Lead"}));
    let path = format!("/api/credentials/{}/sync", account.credential());
    let shown = account.post(&path, json!({"entities": ["people"]})).await;
    assert_eq!(shown.with(202)["status"], "done");
    until("it is there", async || {
        people_ids(&account).await.contains(&made).then_some(())
    })
    .await;
    // Without a body: everything that is synced.
    let note = app.add_note(made, "A note");
    account
        .request(reqwest::Method::POST, &path)
        .send()
        .await
        .unwrap();
    until("the note is there", async || {
        let notes = account.all("notes", "limit=1000").await;
        notes
            .iter()
            .any(|one| one["originalIds"]["notes"] == note)
            .then_some(())
    })
    .await;

    let refused = account.post(&path, json!({"entities": ["peple"]})).await;
    assert!(
        refused
            .refused_at("invalid_body", "/entities/0")
            .contains("people")
    );
    for (body, pointer) in [
        (json!({"full": 1}), "/full"),
        (json!({"entities": "people"}), "/entities"),
        (json!({"now": true}), "/now"),
    ] {
        account
            .post(&path, body)
            .await
            .refused_at("invalid_body", pointer);
    }
    let foreign = host.client("somebody else").post(&path, json!({})).await;
    foreign.refused(404, "not_found");
}

#[tokio::test]
async fn a_paused_account_is_left_alone_until_it_goes_on() {
    let app = app(Dataset::messy(52, 20));
    let mut host = polling(&app).await;
    let client = host.client("paused");
    let account = client.connect_synced(API_KEY).await;
    let credential = account.credential().to_owned();
    let path = format!("/api/credentials/{credential}/sync");
    let shown = account.post(&path, json!({"paused": true})).await.with(202);
    assert_eq!(shown["paused"], true);
    account
        .post(&path, json!({}))
        .await
        .refused(409, "conflict");
    let made = app.insert_person(json!({"firstName": "New", "lastName": "One", "stage": "Lead"}));
    // What was under way ends; then nothing begins, not even after a start.
    host.stop();
    host.restart().await;
    let before = lists(&app);
    let other = host.client("other").connect_synced(API_KEY).await;
    let ours = lists(&app) - before;
    let account = host.client("paused").of(&credential);
    assert!(!people_ids(&account).await.contains(&made));
    assert!(people_ids(&other).await.contains(&made));
    assert!(ours > 0);
    polls(&app, 3).await;
    assert!(!people_ids(&account).await.contains(&made));

    account
        .post(&path, json!({"paused": false}))
        .await
        .with(202);
    until("it goes on", async || {
        people_ids(&account).await.contains(&made).then_some(())
    })
    .await;
    let shown = account
        .get(&format!("/api/credentials/{credential}"))
        .await
        .ok();
    assert_eq!(shown["sync"]["paused"], json!(null), "{shown}");
}

#[tokio::test]
async fn an_account_can_have_a_pace_of_its_own() {
    let app = app(Dataset::messy(53, 20));
    let host = polling(&app).await;
    let account = host.client("slow").connect_synced(API_KEY).await;
    let path = format!("/api/credentials/{}/sync", account.credential());
    account
        .post(&path, json!({"pollSeconds": 60}))
        .await
        .refused(403, "forbidden");
    let admin = host.admin();
    admin
        .post(&path, json!({"pollSeconds": 1}))
        .await
        .refused_at("invalid_body", "/pollSeconds");
    let shown = admin
        .post(&path, json!({"pollSeconds": 600}))
        .await
        .with(202);
    assert_eq!(shown["pollSeconds"], 600);
    until("the next poll is far away", async || {
        let mut sql = host.sql().await;
        let due: i64 = sql
            .value("SELECT min(due_at) - CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM host_jobs WHERE queue = 'sync'")
            .await;
        (due > 500_000).then_some(())
    })
    .await;
    admin
        .post(&path, json!({"pollSeconds": null}))
        .await
        .with(202);
    polls(&app, 3).await;
}

#[tokio::test]
async fn the_end_of_a_first_sync_is_told_once() {
    let app = app(Dataset::messy(54, 30));
    let mut host = polling(&app).await;
    let account = host.client("told").connect_synced(API_KEY).await;
    let credential = account.credential().to_owned();
    let completed = async |host: &HostUnderTest| {
        let events = host.admin().events("/api/events-feed", "").await;
        let mut completed = events;
        completed.retain(|event| event["event"] == "credentialSyncCompleted");
        completed
    };
    let told = until("it is told", async || {
        let told = completed(&host).await;
        (!told.is_empty()).then_some(told)
    })
    .await;
    let event = &told[0];
    assert_eq!(event["resourceIds"], json!([credential]));
    assert_eq!(event["credentialId"], json!(credential));
    assert_eq!(
        event["data"]["credential"],
        json!({"id": credential, "appKey": "follow-up-boss"})
    );
    let consumers = event["data"]["consumers"].as_array().unwrap();
    assert_eq!(consumers.len(), 1);
    assert_eq!(consumers[0]["consumerKey"], "told");
    assert!(consumers[0]["id"].as_str().unwrap().starts_with("cons_"));

    // Neither what is opted in later nor a start says it again.
    let path = format!("/api/credentials/{credential}");
    account
        .put(
            &path,
            json!({"entitiesToSync": {"notes": true, "tasks": true, "calls": true}}),
        )
        .await
        .ok();
    account.wait_synced(&credential).await;
    host.kill();
    host.restart().await;
    polls(&app, 2).await;
    assert_eq!(completed(&host).await.len(), 1);
}

#[tokio::test]
async fn what_the_apps_limits_leave_is_shown() {
    let app = app(Dataset::messy(55, 20));
    let setup = Setup::against(&app).set("dev.rate_limits", true);
    let host = HostUnderTest::start(setup).await;
    let account = host.client("budget").connect_synced(API_KEY).await;
    let path = format!("/api/credentials/{}", account.credential());
    let budget = account.get(&path).await.ok()["sync"]["budget"].clone();
    let (limit, remaining) = (budget["limit"].as_i64(), budget["remaining"].as_i64());
    let (limit, remaining) = (limit.unwrap(), remaining.unwrap());
    assert!(limit > 0 && (0..limit).contains(&remaining), "{budget}");
    assert!(budget["resetAt"].is_string(), "{budget}");
}
