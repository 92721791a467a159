//! `rollout status`: what an operator sees while the host works.

use rollout_test_apps::follow_up_boss::{Dataset, Fault, Kind, Simulator};
use serde_json::{Value, json};

use crate::fixtures::{API_KEY, HostUnderTest, Setup, app, polling, until};

fn status(host: &HostUnderTest) -> Value {
    let shown = host.rollout_ok(&["status", "--json"]);
    serde_json::from_str(&shown).unwrap()
}

fn entity<'a>(credential: &'a Value, name: &str) -> &'a Value {
    let entities = credential["entities"].as_array().unwrap();
    let found = entities.iter().find(|entity| entity["name"] == name);
    found.unwrap_or_else(|| panic!("no {name}: {credential}"))
}

/// A host that waits for an app that asks for patience as long as it wants to.
async fn patient(app: &Simulator) -> HostUnderTest {
    let setup = Setup::against(app).set("sync.poll_interval", "200ms");
    HostUnderTest::start(setup).await
}

#[tokio::test]
async fn it_tells_how_every_account_is() {
    let app = app(Dataset::messy(61, 30));
    let host = polling(&app).await;
    let account = host.client("watched").connect_synced(API_KEY).await;
    host.create_environment("staging");
    let shown = status(&host);
    let names = shown.as_array().unwrap().iter().map(|one| &one["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["dev", "staging"]);
    assert_eq!(shown[1]["credentials"], json!([]));
    let credential = &shown[0]["credentials"][0];
    assert_eq!(credential["id"], account.credential());
    assert_eq!(credential["appKey"], "follow-up-boss");
    assert_eq!(
        (&credential["status"], &credential["paused"]),
        (&json!("ok"), &json!(false))
    );
    assert!(
        credential["lagSeconds"].as_i64().unwrap() < 30,
        "{credential}"
    );
    assert!(credential["lastSyncedAt"].is_string());
    let people = entity(credential, "people");
    let there = app.people().into_iter();
    let there = there.filter(|person| person["stage"] != "Trash").count();
    assert_eq!(people["records"], there);
    assert_eq!(
        (&people["status"], &people["error"]),
        (&json!("done"), &json!(null))
    );

    // One entity fails, and most of another one is missing.
    app.fail_next_at("/v1/notes", 100_000, Fault::Status(500));
    let ids: Vec<u64> = app
        .people()
        .iter()
        .filter_map(|one| one["id"].as_u64())
        .collect();
    for id in &ids[..ids.len() * 3 / 4] {
        app.unlist(Kind::People, *id, true);
    }
    let path = format!("/api/credentials/{}/sync", account.credential());
    account
        .post(&path, json!({"entities": ["people"], "full": true}))
        .await
        .with(202);
    until("both are told", async || {
        let shown = status(&host);
        let credential = &shown[0]["credentials"][0];
        let (notes, people) = (entity(credential, "notes"), entity(credential, "people"));
        let told = notes["error"].is_string() && people["status"] == "needs-confirmation";
        if told {
            assert!(notes["failures"].as_i64().unwrap() > 0, "{notes}");
            assert!(people["missing"].as_i64().unwrap() > 0, "{people}");
        }
        told.then_some(())
    })
    .await;
    let text = host.rollout_ok(&["status"]);
    for word in [
        "dev: 1 accounts",
        "staging: 0 accounts",
        "confirmDeletes",
        "notes: done: ",
    ] {
        assert!(text.contains(word), "{word} in:\n{text}");
    }
}

#[tokio::test]
async fn an_app_that_asks_for_patience_all_day_is_told_and_left_alone() {
    let app = app(Dataset::messy(62, 30));
    let host = patient(&app).await;
    let account = host.client("patient").connect_synced(API_KEY).await;
    app.fail_next(1_000_000, Fault::RateLimited { retry_after: 3600 });
    let people = until("the app's wish is told", async || {
        let shown = status(&host);
        let people = entity(&shown[0]["credentials"][0], "people").clone();
        let entities = shown[0]["credentials"][0]["entities"].as_array().unwrap();
        let waits = entities.iter().any(|one| {
            let error = one["error"].as_str().unwrap_or_default();
            error.contains("asks for patience")
        });
        waits.then_some(people)
    })
    .await;
    assert!(people["records"].as_i64().unwrap() > 0);
    // It is still served, and asked for nothing.
    let asked = app.requests().len();
    account.get("/crm/api/people?limit=1").await.ok();
    let path = format!("/api/credentials/{}/sync", account.credential());
    account.post(&path, json!({})).await.with(202);
    until("it waits again", async || {
        let mut sql = host.sql().await;
        let wait: i64 = sql
            .value(
                "SELECT min(due_at) - CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM host_jobs \
                 WHERE queue = 'sync'",
            )
            .await;
        (wait > 3_000_000).then_some(())
    })
    .await;
    let most = asked + 20;
    assert!(
        app.requests().len() <= most,
        "{} requests",
        app.requests().len()
    );
}
