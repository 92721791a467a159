//! Deletions that the app does not tell: found by reading everything, and never
//! believed on that alone.

use std::collections::BTreeSet;
use std::time::Duration;

use rollout_test_apps::follow_up_boss::{Dataset, Fault, Hold, Kind, Simulator};
use serde_json::{Value, json};

use crate::fixtures::{
    API_KEY, Client, HostUnderTest, Setup, app, lists, polling, polls, resource_ids, until, within,
};
use crate::sync_entities::furnish;
use crate::sync_oracle::{Shown, people_ids};

/// Reads everything of these entities once, and waits until it is done.
pub async fn full_pass(account: &Client, entities: &[&str]) {
    let path = format!("/api/credentials/{}", account.credential());
    ask(account, json!({"entities": entities, "full": true})).await;
    until("everything was read", async || {
        let shown = account.get(&path).await.ok();
        let of = |name: &&str| shown["sync"]["entities"][*name]["fullPass"] == Value::Null;
        entities.iter().all(of).then_some(())
    })
    .await;
}

async fn ask(account: &Client, body: Value) -> Value {
    let path = format!("/api/credentials/{}/sync", account.credential());
    account.post(&path, body).await.with(202)
}

/// Our ids of the people with these ids of the app.
fn ours(shown: &Shown, ids: &[u64]) -> BTreeSet<String> {
    let ours = |id: &u64| shown.people[id]["id"].as_str().unwrap().to_owned();
    ids.iter().map(ours).collect()
}

/// The ids of all events of a name, once these are so many or more.
async fn told(account: &Client, name: &str, count: usize) -> Vec<String> {
    until(
        &format!("{count} records are told of as {name}"),
        async || {
            let events = account.events("/crm/api/events-feed", "").await;
            let named = events.iter().filter(|event| event["event"] == name);
            let ids = named.flat_map(|event| resource_ids(event).into_iter().map(str::to_owned));
            let ids: Vec<String> = ids.collect();
            (ids.len() >= count).then_some(ids)
        },
    )
    .await
}

async fn entity(account: &Client, name: &str) -> Value {
    let path = format!("/api/credentials/{}", account.credential());
    account.get(&path).await.ok()["sync"]["entities"][name].clone()
}

#[tokio::test]
async fn what_the_app_erased_is_deleted_and_told_once() {
    let app = app(Dataset::messy(41, 60));
    let host = polling(&app).await;
    let account = host.client("erased").connect_synced(API_KEY).await;
    let before = Shown::read(&account).await;
    let ids: Vec<u64> = before.people.keys().copied().collect();
    let (erased, kept) = ([ids[0], ids[17], ids[44]], ids[20]);
    for id in erased {
        assert!(app.remove(Kind::People, id));
    }
    let note = *before.notes.keys().next().unwrap();
    assert!(app.remove(Kind::Notes, note));
    polls(&app, 2).await;
    assert_eq!(
        people_ids(&account).await.len(),
        ids.len(),
        "polls tell nothing"
    );

    full_pass(&account, &["people", "notes"]).await;
    let after = Shown::read(&account).await;
    after.assert_equals(&app).await;
    assert_eq!(after.people[&kept], before.people[&kept]);
    let deleted = told(&account, "peopleDeleted", erased.len()).await;
    assert_eq!(deleted.len(), erased.len());
    assert_eq!(BTreeSet::from_iter(deleted), ours(&before, &erased));
    assert_eq!(told(&account, "notesDeleted", 1).await.len(), 1);
    assert!(told(&account, "peopleUpdated", 0).await.is_empty());

    // An id that is used again is the same record for us, and it is made once more.
    app.insert_person(
        json!({"id": erased[1], "firstName": "Back", "lastName": "Again", "stage": "Lead"}),
    );
    let back = until("it is back", async || {
        Shown::read(&account).await.people.remove(&erased[1])
    })
    .await;
    assert_eq!(back["id"], before.people[&erased[1]]["id"]);
    assert_eq!(
        told(&account, "peopleCreated", 1).await,
        [back["id"].as_str().unwrap()]
    );
    // Everything once more, and nothing happens.
    full_pass(&account, &["people", "notes"]).await;
    assert_eq!(
        told(&account, "peopleDeleted", erased.len()).await.len(),
        erased.len()
    );
    Shown::read(&account).await.assert_equals(&app).await;
}

#[tokio::test]
async fn a_merged_person_is_deleted_and_the_other_updated() {
    let app = app(Dataset::messy(42, 40));
    let host = polling(&app).await;
    let account = host.client("merged").connect_synced(API_KEY).await;
    let before = Shown::read(&account).await;
    let ids: Vec<u64> = before.people.keys().copied().collect();
    app.update_person(ids[3], json!({"tags": ["Only there"]}));
    assert!(app.merge_people(ids[3], ids[9]));
    full_pass(&account, &["people", "notes", "tasks"]).await;
    let after = Shown::read(&account).await;
    after.assert_equals(&app).await;
    assert!(!after.people.contains_key(&ids[3]));
    assert!(
        after.people[&ids[9]]["tags"]
            .as_array()
            .unwrap()
            .contains(&json!("Only there"))
    );
    let deleted = told(&account, "peopleDeleted", 1).await;
    assert_eq!(BTreeSet::from_iter(deleted), ours(&before, &[ids[3]]));
}

#[tokio::test]
async fn what_a_list_leaves_out_is_not_deleted() {
    let app = app(Dataset::messy(43, 150));
    let host = polling(&app).await;
    let account = host.client("hidden").connect_synced(API_KEY).await;
    let ids: Vec<u64> = people_ids(&account).await.into_iter().collect();
    // More than are asked for at once: each of them is asked for then.
    for id in &ids[10..38] {
        assert!(app.unlist(Kind::People, *id, true));
    }
    let erased = [ids[2], ids[50]];
    for id in erased {
        assert!(app.remove(Kind::People, id));
    }
    full_pass(&account, &["people"]).await;
    let shown = Shown::read(&account).await;
    shown.assert_equals(&app).await;
    assert_eq!(
        told(&account, "peopleDeleted", erased.len()).await.len(),
        erased.len()
    );

    // A few are all asked for.
    for id in &ids[13..38] {
        assert!(app.unlist(Kind::People, *id, false));
    }
    app.remove(Kind::People, ids[60]);
    full_pass(&account, &["people"]).await;
    Shown::read(&account).await.assert_equals(&app).await;
    assert_eq!(
        told(&account, "peopleDeleted", erased.len() + 1)
            .await
            .len(),
        erased.len() + 1
    );
}

#[tokio::test]
async fn most_of_an_account_goes_only_if_the_app_or_a_person_says_so() {
    let app = app(Dataset::messy(44, 60));
    let host = polling(&app).await;
    let account = host.client("most").connect_synced(API_KEY).await;
    let ids: Vec<u64> = people_ids(&account).await.into_iter().collect();
    let (hidden, rest) = ids.split_at(ids.len() * 2 / 3);
    for id in hidden {
        assert!(app.unlist(Kind::People, *id, true));
    }
    ask(&account, json!({"entities": ["people"], "full": true})).await;
    let doubted = until("somebody has to confirm it", async || {
        let people = entity(&account, "people").await;
        (people["status"] == "needs-confirmation").then_some(people)
    })
    .await;
    assert_eq!(doubted["missing"], hidden.len(), "{doubted}");
    let path = format!("/api/credentials/{}", account.credential());
    assert_eq!(
        account.get(&path).await.ok()["sync"]["status"],
        "needs-confirmation"
    );
    assert_eq!(people_ids(&account).await.len(), ids.len());
    // Meanwhile it is read and synced as ever.
    let made = app.insert_person(json!({"firstName": "New", "lastName": "One", "stage": "Lead"}));
    until("polls go on", async || {
        people_ids(&account).await.contains(&made).then_some(())
    })
    .await;
    ask(&account, json!({"confirmDeletes": true})).await;
    until("they are deleted", async || {
        let left = people_ids(&account).await;
        (left.len() == ids.len() - hidden.len() + 1).then_some(())
    })
    .await;
    account.wait_synced(account.credential()).await;
    assert_eq!(
        told(&account, "peopleDeleted", hidden.len()).await.len(),
        hidden.len()
    );

    // The app has none of these: nobody is asked.
    for id in rest {
        assert!(app.remove(Kind::People, *id));
    }
    full_pass(&account, &["people"]).await;
    assert_eq!(people_ids(&account).await, BTreeSet::from([made]));
}

#[tokio::test]
async fn a_record_made_through_the_api_meanwhile_is_not_found_missing() {
    let app = app(Dataset::messy(45, 30));
    let host = polling(&app).await;
    let account = host.client("meanwhile").connect_synced(API_KEY).await;
    let before = people_ids(&account).await;
    let hold = Hold::new();
    ask(&account, json!({"entities": ["notes"]})).await;
    polls(&app, 1).await;
    // Held are polls too: what is sure is that a page was asked for before the write.
    app.fail_next_at("/v1/people?", 0, Fault::Held(hold.clone()));
    app.fail_next_at("/v1/people", 3, Fault::Held(hold.clone()));
    ask(&account, json!({"entities": ["people"], "full": true})).await;
    within(Duration::from_secs(20), "a page is held", hold.reached()).await;
    app.clear_faults();
    let body = json!({"firstName": "Made", "lastName": "Meanwhile", "stage": "Lead"});
    let made = account.post("/crm/api/people", body).await.with(201);
    hold.release();
    full_pass(&account, &["people"]).await;
    let shown = Shown::read(&account).await;
    shown.assert_equals(&app).await;
    assert_eq!(shown.people.len(), before.len() + 1);
    assert!(told(&account, "peopleDeleted", 0).await.is_empty());
    let id = made["id"].as_str().unwrap();
    assert_eq!(told(&account, "peopleCreated", 1).await, [id]);
}

/// Pages of a full pass that were asked for: its lists are by rising id, from the
/// beginning.
fn swept(app: &Simulator) -> usize {
    let requests = app.requests();
    let swept = requests.iter().filter(|one| {
        one.path == "/v1/people"
            && one.query.contains("sort=id")
            && !one.query.contains("updatedAfter")
    });
    swept.count()
}

#[tokio::test]
async fn a_full_pass_goes_on_after_a_kill_while_polls_go_on() {
    const PEOPLE: u64 = 1500;
    const PAGE: usize = 50;
    let app = app(Dataset::bulk(PEOPLE));
    let setup = Setup::against(&app)
        .set("sync.page_records", PAGE as i64)
        .set("sync.poll_interval", "300ms")
        .set("sync.retry_first", "50ms");
    let mut host = HostUnderTest::start(setup).await;
    let credential = host.client("killed").connect_synced(API_KEY).await;
    let credential = credential.credential().to_owned();
    let account = host.client("killed").of(&credential);
    for id in [5, 700, 1400] {
        assert!(app.remove(Kind::People, id));
    }
    app.clear_requests();
    app.fail_next_at(
        "/v1/people",
        1_000_000,
        Fault::Delay(Duration::from_millis(30)),
    );
    ask(&account, json!({"entities": ["people"], "full": true})).await;
    let pages = PEOPLE as usize / PAGE;
    for part in 1..=3 {
        until("some pages were read", async || {
            (swept(&app) >= part * pages / 5).then_some(())
        })
        .await;
        host.kill();
        host.restart().await;
    }
    let polled = lists(&app) - swept(&app);
    assert!(polled > 0, "polls go on meanwhile");
    let account = host.client("killed").of(&credential);
    until("the erased are gone", async || {
        let shown = entity(&account, "people").await;
        (shown["records"] == PEOPLE - 3).then_some(())
    })
    .await;
    let asked = swept(&app);
    assert!(asked <= pages + 3 * 3, "{asked} pages of {pages}");
    assert_eq!(told(&account, "peopleDeleted", 3).await.len(), 3);
    assert!(told(&account, "peopleUpdated", 0).await.is_empty());
}

#[tokio::test]
async fn what_is_listed_per_parent_is_found_missing_too() {
    let app = app(Dataset::messy(46, 20));
    furnish(&app);
    let host = polling(&app).await;
    let client = host.client("parents");
    let account = client
        .connect_with(API_KEY, json!({"textMessages": true}))
        .await;
    account.wait_synced(account.credential()).await;
    let texts = account.all("textMessages", "limit=1000").await;
    let erased = app.all(Kind::TextMessages)[7]["id"].as_u64().unwrap();
    assert!(app.remove(Kind::TextMessages, erased));
    full_pass(&account, &["textMessages"]).await;
    let left = account.all("textMessages", "limit=1000").await;
    assert_eq!(left.len(), texts.len() - 1);
    let shown = |text: &Value| text["originalIds"]["textMessages"].as_u64().unwrap();
    assert!(!left.iter().any(|text| shown(text) == erased));
    assert_eq!(told(&account, "textMessagesDeleted", 1).await.len(), 1);
}
