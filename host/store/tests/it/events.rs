//! What is told: rows in the transaction that changes something, and the feed.

use std::collections::BTreeSet;

use rollout_store::{
    CREDENTIAL, Credential, CredentialChange, CredentialStatus, EVENT_IDS_MAX, EnvStore, Event,
    EventQuery, Events, HOUSE, Happened, Lease, NewJob, now, record_id,
};
use serde_json::{Value, json};

use super::fixture::{Fixture, LONG, delete_one, land_one, open};

/// Becomes the sequencer.
async fn sequencer(store: &EnvStore) -> Lease {
    let job = NewJob {
        lane: "events".to_owned(),
        name: "events".to_owned(),
        due_at: 0,
    };
    store.enter_jobs(HOUSE, vec![job]).await.unwrap();
    let leases = store.claim_jobs(HOUSE, "sequencer", 1, LONG).await.unwrap();
    leases.into_iter().next().expect("nobody else is")
}

async fn number_all(store: &EnvStore, lease: &Lease) -> u64 {
    let mut all = 0;
    loop {
        match store.number_events(lease).await.unwrap() {
            0 => return all,
            some => all += some,
        }
    }
}

fn all() -> EventQuery<'static> {
    EventQuery {
        after: 0,
        limit: 1000,
        credential_id: None,
        initial: true,
    }
}

async fn feed(store: &EnvStore, query: &EventQuery<'_>) -> Events {
    store.events(query).await.unwrap()
}

/// Numbers what there is and answers what came behind a number.
async fn behind(fixture: &Fixture, lease: &Lease, after: i64) -> Vec<Event> {
    number_all(&fixture.store, lease).await;
    feed(&fixture.store, &EventQuery { after, ..all() })
        .await
        .events
}

fn numbers(events: &Events) -> Vec<i64> {
    events.events.iter().map(|event| event.number).collect()
}

#[tokio::test]
async fn changes_are_told_and_nothing_else() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let lease = sequencer(store).await;
    assert_eq!(number_all(store, &lease).await, 1);
    let events = feed(store, &all()).await;
    let connected = &events.events[0];
    assert_eq!(
        (connected.number, connected.name()),
        (1, "credentialCreated".to_owned())
    );
    assert_eq!(
        (connected.kind.as_str(), connected.initial),
        (CREDENTIAL, false)
    );
    let data: Value = serde_json::from_str(connected.data.as_deref().unwrap()).unwrap();
    assert_eq!(data["consumerKeys"], json!(["alice"]));
    assert_eq!((events.next, events.more, events.first), (1, false, 1));

    let person = |id: &str, name: &str| fixture.person(id, json!({"name": name}));
    let id = |upstream: &str| record_id(&fixture.credential, "people", upstream);
    fixture.land(vec![person("1", "a"), person("2", "b")]).await;
    let told = behind(&fixture, &lease, 1).await;
    assert_eq!(told.len(), 1);
    assert!(told[0].initial, "a first pass");
    assert_eq!(
        (told[0].name().as_str(), told[0].ids.len()),
        ("peopleCreated", 2)
    );
    assert_eq!(told[0].credential_id, fixture.credential.id);

    fixture.finish_first_pass().await;
    fixture.land(vec![person("1", "a"), person("2", "b")]).await;
    let silent = r#"{"people":{"seen":2}}"#;
    let silent = fixture.person_with_original("1", json!({"name": "a"}), silent);
    assert_eq!(fixture.land(vec![silent]).await.silent, 1);
    fixture.remove(&["never was"]).await;
    assert_eq!(behind(&fixture, &lease, 2).await, []);

    let mut page = fixture.page().await;
    page.records = vec![person("1", "A"), person("3", "c")];
    page.deleted = vec!["2".to_owned()];
    store.land(page).await.unwrap();
    let told = behind(&fixture, &lease, 2).await;
    let told: BTreeSet<(String, Vec<String>, bool)> = told
        .into_iter()
        .map(|event| (event.name(), event.ids, event.initial))
        .collect();
    let expected = [("Created", "3"), ("Updated", "1"), ("Deleted", "2")];
    let expected = expected
        .map(|(happened, upstream)| (format!("people{happened}"), vec![id(upstream)], false));
    assert_eq!(told, BTreeSet::from(expected));
}

#[tokio::test]
async fn an_event_names_a_hundred_records_at_most() {
    let fixture = Fixture::new().await;
    let lease = sequencer(&fixture.store).await;
    let people = (0..250).map(|n| fixture.person(&n.to_string(), json!({})));
    let landed = fixture.land(people.collect()).await.created;
    let told = behind(&fixture, &lease, 1).await;
    let sizes: Vec<usize> = told.iter().map(|event| event.ids.len()).collect();
    assert_eq!(sizes, [EVENT_IDS_MAX, EVENT_IDS_MAX, 50]);
    let named: Vec<String> = told.iter().flat_map(|event| event.ids.clone()).collect();
    assert_eq!(named, landed);
    let ids: BTreeSet<&str> = told.iter().map(|event| event.id.as_str()).collect();
    assert_eq!(ids.len(), 3);
}

/// Also while the first pass runs, and to whoever asks for no first passes.
#[tokio::test]
async fn a_write_through_the_api_is_told_once() {
    let fixture = Fixture::new().await;
    let lease = sequencer(&fixture.store).await;
    let write = async |name: &str| {
        let person = fixture.person("1", json!({"name": name}));
        land_one(&fixture.store, &fixture.credential, person).await;
    };
    write("a").await;
    write("b").await;
    write("b").await;
    for _ in 0..2 {
        delete_one(&fixture.store, &fixture.credential, "1").await;
    }
    number_all(&fixture.store, &lease).await;
    let query = EventQuery {
        after: 1,
        initial: false,
        ..all()
    };
    let told = feed(&fixture.store, &query).await.events;
    let told: Vec<Happened> = told.iter().map(|event| event.happened).collect();
    assert_eq!(
        told,
        [Happened::Created, Happened::Updated, Happened::Deleted]
    );
}

#[tokio::test]
async fn what_becomes_of_a_credential_is_told() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let lease = sequencer(store).await;
    let set = async |status| {
        let change = CredentialChange {
            status: Some(status),
            ..Default::default()
        };
        store
            .update_credential(&fixture.credential.id, &change)
            .await
            .unwrap();
    };
    set(CredentialStatus::Ok).await;
    set(CredentialStatus::Broken("revoked".to_owned())).await;
    set(CredentialStatus::Broken("still revoked".to_owned())).await;
    set(CredentialStatus::Ok).await;
    store
        .delete_credential(&fixture.credential.id)
        .await
        .unwrap();
    let told = behind(&fixture, &lease, 1).await;
    let names: Vec<String> = told.iter().map(Event::name).collect();
    assert_eq!(
        names,
        [
            "credentialBroken",
            "credentialRestored",
            "credentialDeleted"
        ]
    );
    let data =
        |event: &Event| -> Value { serde_json::from_str(event.data.as_deref().unwrap()).unwrap() };
    assert_eq!(data(&told[0])["reason"], "revoked");
    assert_eq!(data(&told[2])["consumerKeys"], json!(["alice"]));
}

#[tokio::test]
async fn the_feed_is_read_on_from_next() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let lease = sequencer(store).await;
    let other = fixture.connect("account-2").await;
    let first = fixture.land(vec![fixture.person("0", json!({}))]).await;
    assert_eq!(first.created.len(), 1);
    fixture.finish_first_pass().await;
    for n in 1..=20 {
        let mut page = fixture.page().await;
        if n % 4 == 0 {
            page.credential = &other;
            page.lease = None;
        }
        page.records = vec![fixture.person(&n.to_string(), json!({}))];
        store.land(page).await.unwrap();
    }
    assert_eq!(number_all(store, &lease).await, 2 + 1 + 20);
    assert_eq!(numbers(&feed(store, &all()).await), Vec::from_iter(1..=23));

    let other = Some(other.id.as_str());
    for (credential_id, initial, expected) in
        [(None, true, 23), (None, false, 22), (other, true, 6)]
    {
        let mut seen = Vec::new();
        let mut query = EventQuery {
            credential_id,
            initial,
            limit: 4,
            ..all()
        };
        loop {
            let part = feed(store, &query).await;
            assert!(part.events.len() <= 4);
            assert_eq!(part.first, 1);
            seen.extend(numbers(&part));
            assert!(part.next >= query.after);
            query.after = part.next;
            if !part.more {
                break;
            }
        }
        // Behind all that was looked at, told or not.
        assert_eq!((seen.len(), query.after), (expected, 23));
        assert!(seen.is_sorted());
    }
    let nothing = feed(store, &EventQuery { limit: 0, ..all() }).await;
    assert_eq!(
        (nothing.events.len(), nothing.next, nothing.more),
        (0, 0, true)
    );
    let ahead = feed(store, &EventQuery { after: 99, ..all() }).await;
    assert_eq!((ahead.next, ahead.more), (23, false));
}

#[tokio::test]
async fn old_events_are_cleared_away_from_the_front() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let lease = sequencer(store).await;
    for n in 0..9 {
        fixture
            .land(vec![fixture.person(&n.to_string(), json!({}))])
            .await;
    }
    assert_eq!(number_all(store, &lease).await, 10);
    assert_eq!(store.forget_events(now() - 60_000).await.unwrap(), 0);
    // The sixth was begun long before it was committed.
    let ages = "UPDATE host_events SET at = CASE WHEN number IN (1, 2, 3, 6) THEN 5 ELSE 50 END";
    fixture.place.run(ages).await;
    assert_eq!(store.forget_events(10).await.unwrap(), 3);
    let left = feed(store, &all()).await;
    assert_eq!((numbers(&left), left.first), (Vec::from_iter(4..=10), 4));
    assert_eq!(store.forget_events(now()).await.unwrap(), 7);
    let left = feed(store, &EventQuery { after: 2, ..all() }).await;
    assert_eq!((left.events.len(), left.first, left.next), (0, 11, 10));
    fixture.land(vec![fixture.person("new", json!({}))]).await;
    assert_eq!(behind(&fixture, &lease, 10).await[0].number, 11);
}

/// Many commit at once, some after a transaction that drew its numbers before
/// them and came to nothing: whoever follows the feed meets each event once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_have_no_gap_while_many_write() {
    let fixture = Fixture::new().await;
    let other = open(&fixture.place, &fixture.catalog).await.unwrap();
    let second = fixture.connect("account-2").await;
    let lease = sequencer(&fixture.store).await;
    let undone = "BEGIN; INSERT INTO host_outbox \
                  (event_id, at, kind, change, credential_id, app_key, initial, ids) \
                  VALUES ('undone', 1, 'people', 'Created', 'c', 'acme', 0, '[]'); ROLLBACK";
    let write = async |store: &EnvStore, credential: &Credential, worker: usize| {
        for n in 0..25 {
            let person = fixture.person(&format!("{worker}-{n}"), json!({}));
            land_one(store, credential, person).await;
            // One that draws its place and is rolled back.
            fixture.place.run(undone).await;
        }
    };
    let follow = async {
        let (mut seen, mut after) = (Vec::new(), 0);
        while seen.len() < 102 {
            fixture.store.number_events(&lease).await.unwrap();
            let part = feed(&fixture.store, &EventQuery { after, ..all() }).await;
            after = part.next;
            seen.extend(part.events);
            tokio::task::yield_now().await;
        }
        seen
    };
    let (a, b) = (&fixture.store, &other);
    let (one, two) = (&fixture.credential, &second);
    let writers = async {
        tokio::join!(
            write(a, one, 0),
            write(b, one, 1),
            write(a, two, 2),
            write(b, two, 3)
        )
    };
    let (_, seen) = tokio::join!(writers, follow);
    let numbers: Vec<i64> = seen.iter().map(|event| event.number).collect();
    assert_eq!(numbers, Vec::from_iter(1..=102));
    let records: BTreeSet<&String> = seen.iter().flat_map(|event| &event.ids).collect();
    assert_eq!(records.len(), 100);
}
