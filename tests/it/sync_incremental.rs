//! After the first sync: what changed, soon and only that.

use std::time::{Duration, Instant};

use rollout_test_apps::follow_up_boss::{Dataset, Fault};
use serde_json::json;

use crate::fixtures::{API_KEY, app, polling, polls, until};
use crate::sync_oracle::{Shown, people_ids};

#[tokio::test]
async fn what_changed_is_there_after_the_next_poll() {
    let app = app(Dataset::messy(21, 150));
    let host = polling(&app).await;
    let account = host.client("changes").connect_synced(API_KEY).await;
    let before = Shown::read(&account).await;

    let ids: Vec<u64> = before.people.keys().copied().collect();
    let (changed, trashed) = (ids[3], ids[40]);
    let made =
        app.insert_person(json!({"firstName": "New", "lastName": "Person", "stage": "Lead"}));
    assert!(app.update_person(
        changed,
        json!({"firstName": "Changed", "tags": ["Changed"]})
    ));
    assert!(app.trash_person(trashed));
    let note = app.add_note(changed, "A new note");
    let began = Instant::now();
    let after = until("the changes are there", async || {
        let shown = Shown::read(&account).await;
        let there = shown.people.contains_key(&made)
            && !shown.people.contains_key(&trashed)
            && shown.people[&changed]["firstName"] == "Changed"
            && shown.notes.contains_key(&note);
        there.then_some(shown)
    })
    .await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "it took {:?}",
        began.elapsed()
    );
    after.assert_equals(&app).await;

    // The same ids as before, and only what changed has changed.
    for (id, person) in &after.people {
        match before.people.get(id) {
            Some(known) if *id != changed => assert_eq!(person, known),
            Some(known) => assert_eq!(person["id"], known["id"]),
            None => assert_eq!(*id, made),
        }
    }
    // It comes back under its old id.
    assert!(app.update_person(trashed, json!({"stage": "Lead", "stageId": 2})));
    let back = until("the person is back", async || {
        Shown::read(&account).await.people.remove(&trashed)
    })
    .await;
    assert_eq!(back["id"], before.people[&trashed]["id"]);
}

#[tokio::test]
async fn polls_that_bring_nothing_new_change_nothing() {
    let app = app(Dataset::messy(22, 80));
    // Changed a moment ago: the connector looks at it again and again.
    app.insert_person(json!({"firstName": "Just", "lastName": "Now", "stage": "Lead"}));
    let host = polling(&app).await;
    let account = host.client("idle").connect_synced(API_KEY).await;
    polls(&app, 1).await;
    let lists = async || {
        let mut all = Vec::new();
        for entity in ["people", "users", "notes", "tasks"] {
            all.push(account.all(entity, "limit=1000").await);
        }
        all
    };
    let before = lists().await;
    // `rolloutUpdated` has whole seconds: let one pass.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    polls(&app, 3).await;
    assert_eq!(lists().await, before);
}

#[tokio::test]
async fn records_that_share_a_second_are_all_read() {
    let app = app(Dataset::messy(23, 30));
    let host = polling(&app).await;
    let account = host.client("burst").connect_synced(API_KEY).await;
    let moment = "2031-05-06T07:08:09Z";
    let burst = |count: usize, name: &str| {
        let person = json!({
            "firstName": name, "lastName": "Burst", "stage": "Lead", "created": moment, "updated": moment,
        });
        (0..count)
            .map(|_| app.insert_person(person.clone()))
            .collect::<Vec<u64>>()
    };
    let mut made = burst(350, "First");
    until("the first burst is there", async || {
        let ids = people_ids(&account).await;
        made.iter().all(|id| ids.contains(id)).then_some(())
    })
    .await;
    // More of the same second, after it was read.
    polls(&app, 2).await;
    made.extend(burst(120, "Second"));
    until("the second burst is there", async || {
        let ids = people_ids(&account).await;
        made.iter().all(|id| ids.contains(id)).then_some(())
    })
    .await;
    Shown::read(&account).await.assert_equals(&app).await;
}

#[tokio::test]
async fn a_revoked_key_breaks_the_credential_until_it_is_connected_again() {
    let app = app(Dataset::messy(24, 40));
    let host = polling(&app).await;
    let client = host.client("revoked");
    let account = client.connect_synced(API_KEY).await;
    let people = people_ids(&account).await;
    app.fail_next(10_000, Fault::Status(401));
    let path = format!("/api/credentials/{}", account.credential());
    let shown = until("the credential is broken", async || {
        let shown = client.get(&path).await.ok();
        (shown["status"] == "broken").then_some(shown)
    })
    .await;
    assert!(
        shown["statusReason"]
            .as_str()
            .unwrap()
            .contains("Unauthorized"),
        "{shown}"
    );

    let read = account.get("/crm/api/people?limit=1").await;
    assert_eq!(read.header("X-Rollout-Credential-Status"), Some("broken"));
    read.ok();
    assert_eq!(people_ids(&account).await, people);
    let body = json!({"firstName": "A", "lastName": "B"});
    account
        .post("/crm/api/people", body)
        .await
        .refused(403, "credential_broken");

    // The person enters a good key: the same credential works on.
    app.clear_faults();
    let again = client.connect(API_KEY).await;
    assert_eq!(again.credential(), account.credential());
    let made = app.insert_person(json!({"firstName": "After", "lastName": "All", "stage": "Lead"}));
    until("the sync goes on", async || {
        people_ids(&account).await.contains(&made).then_some(())
    })
    .await;
    let read = account.get("/crm/api/people?limit=1").await;
    assert_eq!(
        read.header("X-Rollout-Credential-Status"),
        None,
        "{}",
        read.text
    );
    let shown = client.get(&path).await.ok();
    assert_eq!(
        (&shown["status"], &shown["statusReason"]),
        (&json!("ok"), &json!(null)),
        "{shown}"
    );
}
