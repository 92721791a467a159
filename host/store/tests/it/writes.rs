//! Writes of the API: how they begin, and in which order.

use rollout_store::{Begun, Lease, NewJob, NewWrite, SETTLE, now};
use serde_json::json;

use super::fixture::{Fixture, LONG};

fn write<'a>(fixture: &'a Fixture, id: &'a str, record_id: Option<&'a str>) -> NewWrite<'a> {
    NewWrite {
        id,
        credential_id: &fixture.credential.id,
        entity: "people",
        operation: "update",
        record_id,
        upstream_id: record_id.map(|_| "1"),
        key: None,
        request: "hash",
        body: "{}",
    }
}

async fn begin(fixture: &Fixture, write: NewWrite<'_>, lease: i64) -> Option<Lease> {
    match fixture.store.begin_write(&write, "worker", lease).await {
        Ok(Begun::New(lease)) => Some(lease),
        Ok(Begun::Busy) => None,
        other => panic!("{other:?}"),
    }
}

async fn count(fixture: &Fixture, table: &str) -> i64 {
    let count = format!("SELECT COUNT(*) FROM {table}");
    fixture.place.number(&count).await
}

#[tokio::test]
async fn writes_to_one_record_take_turns() {
    let fixture = Fixture::new().await;
    let first = begin(&fixture, write(&fixture, "w1", Some("r1")), LONG).await;
    let first = first.unwrap();
    assert_eq!((first.lane.as_str(), first.name.as_str()), ("r1", "w1"));
    assert_eq!((first.queue, first.attempts), (SETTLE, 1));
    assert!((first.due_at - now()).abs() < LONG);

    // One that has to wait leaves nothing behind.
    let busy = begin(&fixture, write(&fixture, "w2", Some("r1")), LONG).await;
    assert_eq!(busy, None);
    assert_eq!(count(&fixture, "host_writes").await, 1);
    let settling = "host_jobs WHERE queue = 'settle'";
    assert_eq!(count(&fixture, settling).await, 1);
    // Others have no peers.
    for (id, record) in [("w3", Some("r2")), ("w4", None), ("w5", None)] {
        let other = begin(&fixture, write(&fixture, id, record), LONG).await;
        assert_eq!(other.unwrap().lane, record.unwrap_or(id));
    }

    // While it is under way there is nothing to claim of it, and it is what its
    // lane is due for.
    assert!(
        fixture
            .store
            .claim_jobs(SETTLE, "heir", 9, LONG)
            .await
            .unwrap()
            .is_empty()
    );
    let next = fixture.store.next_job_in(SETTLE).await.unwrap();
    assert!((LONG / 2..=LONG).contains(&next.unwrap()), "{next:?}");

    fixture.store.drop_write(&first).await.unwrap();
    let second = begin(&fixture, write(&fixture, "w2", Some("r1")), LONG).await;
    fixture.store.drop_write(&second.unwrap()).await.unwrap();
    assert_eq!(count(&fixture, "host_lanes WHERE lane = 'r1'").await, 0);
}

/// Whoever cut off a write keeps nobody from the next one; what became of it is
/// found out afterwards.
#[tokio::test]
async fn a_write_that_was_cut_off_is_settled_behind_the_next() {
    let fixture = Fixture::new().await;
    begin(&fixture, write(&fixture, "w1", Some("r1")), 0)
        .await
        .unwrap();
    let next = begin(&fixture, write(&fixture, "w2", Some("r1")), LONG).await;
    let next = next.unwrap();
    assert!(
        fixture
            .store
            .claim_jobs(SETTLE, "heir", 9, LONG)
            .await
            .unwrap()
            .is_empty()
    );
    fixture.store.drop_write(&next).await.unwrap();
    let left = fixture
        .store
        .claim_jobs(SETTLE, "heir", 9, LONG)
        .await
        .unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].name.as_str(), left[0].attempts), ("w1", 2));
}

/// A job of the lane that waits keeps its place.
#[tokio::test]
async fn a_lane_that_waits_is_due_when_it_was() {
    let fixture = Fixture::new().await;
    let waits = NewJob {
        lane: "r1".to_owned(),
        name: "w1".to_owned(),
        due_at: now() + LONG / 4,
    };
    fixture.store.enter_jobs(SETTLE, vec![waits]).await.unwrap();
    let began = begin(&fixture, write(&fixture, "w2", Some("r1")), LONG).await;
    fixture.store.drop_write(&began.unwrap()).await.unwrap();
    let next = fixture.store.next_job_in(SETTLE).await.unwrap();
    assert!((0..=LONG / 4).contains(&next.unwrap()), "{next:?}");
}

/// What a write came to is stored also if the record is there already.
#[tokio::test]
async fn a_write_is_settled_without_a_page() {
    let fixture = Fixture::new().await;
    let outcome = fixture
        .land(vec![fixture.person("1", json!({"name": "Ann"}))])
        .await;
    let id = outcome.created[0].as_str();
    let mut asked = write(&fixture, "w1", Some(id));
    asked.key = Some("key");
    let lease = begin(&fixture, asked.clone(), LONG).await.unwrap();
    let answer = |record: Option<&str>| format!("was {}", record.is_some());
    let (record, outcome) = fixture
        .store
        .settle_write(&lease, fixture.people(), id, None, answer)
        .await
        .unwrap();
    assert!(record.unwrap().contains("Ann"));
    assert_eq!(outcome, rollout_store::Outcome::default());
    let again = fixture.store.begin_write(&asked, "worker", LONG).await;
    assert_eq!(again.unwrap(), Begun::Settled("was true".to_owned()));
    assert_eq!(count(&fixture, "host_jobs WHERE queue = 'settle'").await, 0);
}

#[tokio::test]
async fn the_apps_id_is_known_of_rows_alone() {
    let fixture = Fixture::new().await;
    let outcome = fixture.land(vec![fixture.person("1", json!({}))]).await;
    let other = fixture.connect("account-2").await;
    let id = outcome.created[0].as_str();
    let known = async |credential: &str| {
        fixture
            .store
            .upstream_id(credential, "people", id)
            .await
            .unwrap()
    };
    assert_eq!(known(&fixture.credential.id).await.as_deref(), Some("1"));
    assert_eq!(known(&other.id).await, None);
    fixture.remove(&["1"]).await;
    assert_eq!(known(&fixture.credential.id).await, None);
}
