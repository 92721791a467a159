//! The feed of events: each change once, in order, without a gap, and for nobody
//! but whom it concerns.

use std::collections::BTreeSet;

use rollout_test_apps::follow_up_boss::{Dataset, Fault};
use serde_json::{Value, json};

use crate::api_writes::{ada, path};
use crate::fixtures::{
    API_KEY, Client, HostUnderTest, Setup, Shared, Stage, app, assert_gapless, polling, polls,
    resource_ids, until,
};

const FEED: &str = "/crm/api/events-feed";
const ALL: &str = "/api/events-feed";
/// What accounts of the demo have, and a first sync brings.
const ENTITIES: [&str; 4] = ["users", "people", "notes", "tasks"];

static STAGE: Shared = Shared::new();

async fn stage() -> &'static Stage {
    STAGE
        .get(|| Stage::with_accounts(Dataset::demo(), 5, |setup| setup))
        .await
}

async fn account(id: u64) -> Client {
    stage().await.account(id).await.0
}

fn names(events: &[Value]) -> Vec<&str> {
    let names = events.iter().map(|event| event["event"].as_str().unwrap());
    names.collect()
}

fn numbers(events: &[Value]) -> Vec<i64> {
    let numbers = events.iter().map(|event| event["number"].as_i64().unwrap());
    numbers.collect()
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

/// `2025-07-02T15:19:21.000+00:00`.
fn is_time(text: &str) -> bool {
    let shape: String = text
        .chars()
        .map(|one| if one.is_ascii_digit() { '0' } else { one })
        .collect();
    shape == "0000-00-00T00:00:00.000+00:00"
}

#[tokio::test]
async fn writes_are_told_in_order_and_in_the_documented_shape() {
    let account = account(2).await;
    let person = account.post("/crm/api/people", ada()).await.with(201);
    let here = path("people", &person);
    account.put(&here, json!({"lastName": "King"})).await.ok();
    let note = json!({"personId": person["id"], "body": "x"});
    let note = account.post("/crm/api/notes", note).await.with(201);
    account.delete(&path("notes", &note)).await.ok();
    account.delete(&here).await.ok();
    let wanted = [
        "peopleCreated",
        "peopleUpdated",
        "notesCreated",
        "notesDeleted",
        "peopleDeleted",
    ];
    let events = account.events_until(&wanted, 5).await;
    assert_eq!(names(&events), wanted);
    assert!(numbers(&events).is_sorted(), "{events:?}");
    let mut ids = BTreeSet::new();
    for (event, record) in events.iter().zip([&person, &person, &note, &note, &person]) {
        assert_eq!(
            keys(event),
            [
                "number",
                "eventId",
                "event",
                "eventCreated",
                "credentialId",
                "appKey",
                "resourceIds",
                "uri"
            ]
        );
        assert!(ids.insert(event["eventId"].as_str().unwrap()));
        assert!(is_time(event["eventCreated"].as_str().unwrap()), "{event}");
        assert_eq!(event["credentialId"], account.credential());
        assert_eq!(event["appKey"], "follow-up-boss");
        assert_eq!(event["resourceIds"], json!([record["id"]]));
    }

    // The address works as it stands.
    let shown = account.get(events[1]["uri"].as_str().unwrap()).await.ok();
    assert_eq!(shown["people"], json!([]), "it is deleted by now");
    let other = account.post("/crm/api/people", ada()).await.with(201);
    let events = account.events_until(&["peopleCreated"], 2).await;
    let shown = account.get(events[1]["uri"].as_str().unwrap()).await.ok();
    assert_eq!(shown["people"], json!([other]));
    account.delete(&path("people", &other)).await.ok();
    let events = account.events_until(&["peopleDeleted"], 2).await;
    for event in &events {
        let shown = account.get(event["uri"].as_str().unwrap()).await.ok();
        assert_eq!(shown["people"], json!([]));
        assert_eq!(shown["_metadata"]["total"], 0);
    }
}

#[tokio::test]
async fn pages_of_the_feed_are_the_feed() {
    let account = account(3).await;
    for index in 0..5 {
        let body = json!({"firstName": format!("Page {index}"), "lastName": "x"});
        account.post("/crm/api/people", body).await.with(201);
    }
    account.events_until(&["peopleCreated"], 5).await;
    let whole = account.events(FEED, "includeInitialSync=true").await;
    let page = account
        .get(&format!("{FEED}?includeInitialSync=true&limit=1000"))
        .await
        .ok();
    assert_eq!(keys(&page), ["_metadata", "events"]);
    let known = &page["_metadata"];
    assert_eq!(
        keys(known),
        ["collection", "after", "limit", "next", "hasMore", "first"]
    );
    assert_eq!(known["collection"], "events");
    assert_eq!(
        (&known["after"], &known["limit"]),
        (&json!(0), &json!(1000))
    );
    assert_eq!(
        (&known["hasMore"], &known["first"]),
        (&json!(false), &json!(1))
    );
    assert_eq!(page["events"], json!(whole));
    let more = account.get(&format!("{FEED}?limit=100000")).await.ok();
    assert_eq!(more["_metadata"]["limit"], 1000);

    for limit in [1, 2, 3] {
        let mut all = Vec::new();
        let mut after = json!(0);
        loop {
            let page = account
                .get(&format!(
                    "{FEED}?includeInitialSync=true&limit={limit}&after={after}"
                ))
                .await
                .ok();
            let (known, events) = (&page["_metadata"], page["events"].as_array().unwrap());
            assert_eq!(known["after"], after);
            assert!(events.len() <= limit, "{page}");
            assert!(known["next"].as_i64() >= after.as_i64(), "{page}");
            all.extend(events.iter().cloned());
            after = known["next"].clone();
            if known["hasMore"] == false {
                break;
            }
        }
        assert_eq!(all, whole, "{limit}");
        // From the end on there is nothing, and the place stays.
        let page = account.get(&format!("{FEED}?after={after}")).await.ok();
        assert_eq!(page["events"], json!([]));
        assert!(
            page["_metadata"]["next"].as_i64() >= after.as_i64(),
            "{page}"
        );
    }
    // Without those of the first sync unless they are wanted.
    let later = account.events(FEED, "").await;
    assert_eq!(names(&later), ["peopleCreated"; 5]);
    for event in &whole[..whole.len() - 5] {
        assert_eq!(event["initialSync"], true, "{event}");
    }
    assert!(later.iter().all(|event| event.get("initialSync").is_none()));
    let first: BTreeSet<&str> = names(&whole[..whole.len() - 5]).into_iter().collect();
    let entities: BTreeSet<String> = ENTITIES.map(|name| format!("{name}Created")).into();
    assert!(
        first.iter().all(|name| name.ends_with("Created")),
        "{first:?}"
    );
    let told = |name: &String| first.contains(name.as_str());
    assert!(entities.iter().all(told), "{first:?}");
    assert!(first.contains("smartListsCreated") && !first.contains("callsCreated"));

    // Beyond all there are, however far, is at the end.
    let far = format!("{FEED}?after=99999999999999999999");
    let far = account.get(&far).await.ok();
    assert_eq!(
        (&far["events"], &far["_metadata"]["after"]),
        (&json!([]), &json!(i64::MAX))
    );
    assert_eq!(far["_metadata"]["hasMore"], false);

    for query in [
        "after=-1",
        "after=x",
        "after=1.5",
        "after=",
        "limit=0",
        "limit=-1",
        "limit=x",
        "limit=",
        "includeInitialSync=1",
        "includeInitialSync=yes",
    ] {
        let refused = account.get(&format!("{FEED}?{query}")).await;
        let body = refused.refused(400, "invalid_query");
        let name = query.split('=').next().unwrap();
        assert!(
            body["errorMessage"].as_str().unwrap().contains(name),
            "{body}"
        );
    }
}

#[tokio::test]
async fn everyone_sees_what_is_his() {
    let (one, other) = (account(4).await, account(5).await);
    let host = &stage().await.host;
    let mine = one.post("/crm/api/people", ada()).await.with(201);
    let yours = other.post("/crm/api/people", ada()).await.with(201);
    let mine_told = one.events_until(&["peopleCreated"], 1).await;
    let yours_told = other.events_until(&["peopleCreated"], 1).await;
    assert_eq!(resource_ids(&mine_told[0]), [mine["id"].as_str().unwrap()]);
    assert_eq!(
        resource_ids(&yours_told[0]),
        [yours["id"].as_str().unwrap()]
    );
    for (account, told) in [(&one, &mine_told), (&other, &yours_told)] {
        let all = account.events(FEED, "includeInitialSync=true").await;
        assert!(
            all.iter()
                .all(|event| event["credentialId"] == account.credential())
        );
        // Of records, not of credentials.
        assert!(
            names(&all)
                .iter()
                .all(|name| !name.starts_with("credential")),
            "{all:?}"
        );
        assert_eq!(all.last(), told.last());
    }

    let admin = host.admin();
    let all = admin.events(ALL, "includeInitialSync=true").await;
    assert_gapless(&all);
    for told in mine_told.iter().chain(&yours_told) {
        assert!(all.contains(told), "{told}");
    }
    for account in [&one, &other] {
        let connected = all.iter().find(|event| {
            event["event"] == "credentialCreated" && event["credentialId"] == account.credential()
        });
        assert!(connected.is_some(), "{all:?}");
    }
    // With the environment's token an account's feed can be read, too.
    let by_admin = admin.of(one.credential()).events(FEED, "").await;
    assert_eq!(by_admin, one.events(FEED, "").await);

    let consumer = host.client("account-4");
    consumer.get(ALL).await.refused(403, "forbidden");
    one.get(ALL).await.refused(403, "forbidden");
    host.stranger().get(ALL).await.refused(401, "unauthorized");
    host.stranger().get(FEED).await.refused(401, "unauthorized");
    consumer
        .get(FEED)
        .await
        .refused(400, "credential_header_missing");
    let foreign = consumer.of(other.credential());
    foreign.get(FEED).await.refused(403, "invalid_credential");
    let feed = one.request(reqwest::Method::POST, FEED).json(&json!({}));
    assert_eq!(crate::fixtures::Answer::to(feed).await.status, 405);
}

#[tokio::test]
async fn what_comes_back_in_polls_is_told_once() {
    let app = app(Dataset::demo());
    let host = polling(&app).await;
    let account = host.client("polls").connect_synced(API_KEY).await;
    let person = account.post("/crm/api/people", ada()).await.with(201);
    account
        .put(&path("people", &person), json!({"lastName": "King"}))
        .await
        .ok();
    let made = app.insert_person(json!({"firstName": "At", "lastName": "App", "stage": "Lead"}));
    let mut events = account.events_until(&["peopleCreated"], 2).await;
    polls(&app, 4).await;
    let told = account.events(FEED, "").await;
    assert_eq!(
        names(&told),
        ["peopleCreated", "peopleUpdated", "peopleCreated"]
    );
    assert_eq!(resource_ids(&told[0]), [person["id"].as_str().unwrap()]);
    let theirs = account.get(told[2]["uri"].as_str().unwrap()).await.ok();
    assert_eq!(theirs["people"][0]["originalIds"]["people"], made);
    assert_eq!(told[2], events.pop().unwrap());

    // Changed and trashed at the app, several at once: one event of a kind may name
    // many, each record once.
    let ids: Vec<u64> = (0..150)
        .map(|index| app.insert_person(json!({"firstName": index.to_string(), "stage": "Lead"})))
        .collect();
    let told = until("all are told", async || {
        let mut told = account.events(FEED, "").await.split_off(3);
        told.retain(|event| event["event"] == "peopleCreated");
        let count: usize = told.iter().map(|event| resource_ids(event).len()).sum();
        (count >= ids.len()).then_some(told)
    })
    .await;
    let distinct: BTreeSet<&str> = told.iter().flat_map(resource_ids).collect();
    assert_eq!(distinct.len(), ids.len());
    for event in &told {
        assert!(resource_ids(event).len() <= 100, "{event}");
        let shown = account.get(event["uri"].as_str().unwrap()).await.ok();
        assert_eq!(shown["_metadata"]["total"], resource_ids(event).len());
    }
    assert!(app.update_person(ids[0], json!({"firstName": "Changed"})));
    assert!(app.trash_person(ids[1]));
    let told = account.events_until(&["peopleDeleted"], 1).await;
    assert_eq!(told.len(), 1);
    account.events_until(&["peopleUpdated"], 2).await;
    polls(&app, 3).await;
    assert_eq!(account.events_until(&["peopleUpdated"], 2).await.len(), 2);
    assert_eq!(account.events_until(&["peopleDeleted"], 1).await.len(), 1);
    // Nobody is told of what a first sync brought, and no number is left out.
    let all = host.admin().events(ALL, "includeInitialSync=true").await;
    assert_gapless(&all);
}

#[tokio::test]
async fn what_happens_to_credentials_is_told_with_whose_they_are() {
    let app = app(Dataset::demo());
    let host = polling(&app).await;
    let client = host.client("customer ä/1");
    let account = client.connect_synced(API_KEY).await;
    let admin = host.admin();
    let told = async |count: usize| {
        until("it is told", async || {
            let mut told = admin.events(ALL, "").await;
            told.retain(|event| event["event"].as_str().unwrap().starts_with("credential"));
            told.retain(|event| event["event"] != "credentialSyncCompleted");
            (told.len() >= count).then_some(told)
        })
        .await
    };
    // The same account again is no other credential.
    client.connect(API_KEY).await;
    let named = json!({"label": "Named"});
    let path = format!("/api/credentials/{}", account.credential());
    client.put(&path, named).await.ok();
    told(1).await;
    app.fail_next(10_000, Fault::Status(401));
    told(2).await;
    app.clear_faults();
    client.connect(API_KEY).await;
    told(3).await;
    let gone = format!("/api/credentials?credentialId={}", account.credential());
    assert_eq!(client.delete(&gone).await.status, 204);
    let all = told(4).await;
    assert_eq!(
        names(&all),
        [
            "credentialCreated",
            "credentialBroken",
            "credentialRestored",
            "credentialDeleted"
        ]
    );
    for event in &all {
        assert_eq!(
            keys(event),
            [
                "number",
                "eventId",
                "event",
                "eventCreated",
                "credentialId",
                "appKey",
                "resourceIds",
                "data"
            ]
        );
        assert_eq!(event["credentialId"], account.credential());
        assert_eq!(event["resourceIds"], json!([account.credential()]));
        assert_eq!(
            event["data"]["consumerKeys"],
            json!(["customer ä/1"]),
            "{event}"
        );
        assert!(is_time(event["eventCreated"].as_str().unwrap()));
    }
    let reason = all[1]["data"]["reason"].as_str().unwrap();
    assert!(reason.contains("Unauthorized"), "{reason}");
    assert!(!reason.contains(API_KEY));
    assert_eq!(all[2]["data"]["reason"], Value::Null);
    account.get(FEED).await.refused(403, "invalid_credential");
}

#[tokio::test]
async fn the_feed_survives_a_kill() {
    let app = app(Dataset::demo());
    let setup = Setup::against(&app).set("sync.poll_interval", "1h");
    let mut host = HostUnderTest::start(setup).await;
    let account = host.client("killed").connect_synced(API_KEY).await;
    let mut made = Vec::new();
    for round in 0..3 {
        let account = host.client("killed").of(account.credential());
        for _ in 0..5 {
            let person = account.post("/crm/api/people", ada()).await.with(201);
            made.push(person["id"].as_str().unwrap().to_owned());
        }
        // Before or after its events were numbered.
        host.kill();
        host.restart().await;
        let account = host.client("killed").of(account.credential());
        let events = account.events_until(&["peopleCreated"], made.len()).await;
        let told: Vec<&str> = events.iter().flat_map(resource_ids).collect();
        assert_eq!(told, made, "round {round}");
    }
    let all = host.admin().events(ALL, "includeInitialSync=true").await;
    assert_gapless(&all);
}
