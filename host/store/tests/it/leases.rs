//! Syncs under leases: what a process that stood still for too long can't do.

use rollout_store::{Cursor, Quarantined, SYNC, Schedule, StoreError, SyncPhase, SyncStatus};
use serde_json::json;

use super::fixture::{Fixture, LONG, WORKER, schedule};

/// Everything that a page could have left.
async fn traces(fixture: &Fixture) -> Vec<i64> {
    let mut counts = Vec::new();
    for table in [
        "rollout_people",
        "host_keys_rollout_people",
        "host_tombstones",
        "host_ids",
        "host_quarantine",
        "host_outbox",
        "host_sync WHERE cursor IS NOT NULL OR lenient > 0 OR status <> 'pending'",
    ] {
        let count = format!("SELECT COUNT(*) FROM {table}");
        counts.push(fixture.place.number(&count).await);
    }
    counts
}

#[tokio::test]
async fn a_lease_that_is_lost_lands_nothing() {
    let mut fixture = Fixture::new().await;
    let mine = fixture.lease.clone().unwrap();
    let before = traces(&fixture).await;
    for taken_over in [false, true] {
        fixture
            .place
            .run(
                "UPDATE host_jobs SET lease_until = 1 WHERE lease_until IS NOT NULL; \
                 UPDATE host_lanes SET due_at = 1",
            )
            .await;
        if taken_over {
            fixture.claim().await;
            assert_ne!(fixture.lease.as_ref().unwrap().renewal(), mine.renewal());
        }
        let mut page = fixture.page().await;
        page.lease = Some(&mine);
        page.records = vec![fixture.person("1", json!({"tags": ["a"]}))];
        page.deleted = vec!["2".to_owned()];
        page.quarantined = vec![Quarantined {
            upstream_id: "3".to_owned(),
            reason: "odd".to_owned(),
        }];
        page.cursor = Cursor::At("next".to_owned());
        page.lenient = 1;
        page.schedule = Some(schedule(SyncPhase::Incremental));
        let refused = fixture.store.land(page).await;
        assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");
        let (id, decided) = (&fixture.credential.id, schedule(SyncPhase::Incremental));
        let refused = fixture
            .store
            .schedule_sync(id, "people", &decided, Some(&mine))
            .await;
        assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");
        let refused = fixture.store.begin_sync(&mine).await;
        assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");
        assert_eq!(traces(&fixture).await, before);
    }
    // The successor lands.
    let outcome = fixture.land(vec![fixture.person("1", json!({}))]).await;
    assert_eq!(outcome.created.len(), 1);
}

/// What was gathered by a worker that lost its lease is not what is missing
/// then: its successor landed rows in between, in another process.
#[tokio::test]
async fn keys_are_found_when_a_sync_moves_to_another_process_and_back() {
    let mut fixture = Fixture::new().await;
    let other = super::fixture::open(&fixture.place, &fixture.catalog)
        .await
        .unwrap();
    let people = |range: std::ops::Range<usize>| {
        let person = |n: usize| fixture.person(&n.to_string(), json!({"tags": ["all"]}));
        range.map(person).collect::<Vec<_>>()
    };
    let pages = [
        people(0..10),
        people(10..20),
        people(20..30),
        people(30..40),
    ];
    for (round, records) in pages.into_iter().enumerate() {
        let store = if round % 2 == 0 {
            &fixture.store
        } else {
            &other
        };
        let mut page = fixture.page().await;
        page.records = records;
        store.land(page).await.unwrap();
        let expected = 10 * (round as i64 + 1);
        assert_eq!(fixture.narrowed(&[("tags", &["all"])]).await.1, expected);
        let lease = fixture.lease.take().unwrap();
        store.release_lease(&lease).await.unwrap();
        fixture.claim().await;
    }
    let mut page = fixture.page().await;
    page.schedule = Some(schedule(SyncPhase::Incremental));
    fixture.store.land(page).await.unwrap();
    assert_eq!(fixture.narrowed(&[("tags", &["all"])]).await.1, 40);
    let keys = "SELECT COUNT(*) FROM host_keys_rollout_people";
    assert_eq!(fixture.place.number(keys).await, 40);
}

/// The entities of a credential are read one after the other.
#[tokio::test]
async fn syncs_of_a_credential_take_turns() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let (id, lease) = (fixture.credential.id.as_str(), fixture.lease.as_ref());
    let lease = lease.unwrap();
    assert_eq!(lease.sync(), Some((id, "people")));
    assert!(
        store
            .claim_jobs(SYNC, WORKER, 9, LONG)
            .await
            .unwrap()
            .is_empty()
    );
    store.begin_sync(lease).await.unwrap();
    let mut decided = schedule(SyncPhase::First);
    decided.next_at = Some(rollout_store::now() + LONG);
    store
        .schedule_sync(id, "people", &decided, Some(lease))
        .await
        .unwrap();
    let next = store.claim_jobs(SYNC, WORKER, 9, LONG).await.unwrap();
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].sync(), Some((id, "users")));
    let row = fixture.sync_row().await;
    assert_eq!(row.schedule, decided);

    // A sync that is to run no more has no job.
    decided.next_at = None;
    store
        .schedule_sync(id, "people", &decided, None)
        .await
        .unwrap();
    store
        .schedule_sync(id, "users", &decided, Some(&next[0]))
        .await
        .unwrap();
    assert_eq!(store.next_job_in(SYNC).await.unwrap(), None);
    let missing = store.schedule_sync(id, "planets", &decided, None).await;
    assert!(
        matches!(missing, Err(StoreError::NotFound(_))),
        "{missing:?}"
    );
}

#[tokio::test]
async fn what_is_asked_for_at_once_keeps_what_a_run_has_reached() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let id = fixture.credential.id.as_str();
    let mut decided = schedule(SyncPhase::Incremental);
    decided.status = SyncStatus::Failed;
    decided.next_at = Some(rollout_store::now() + LONG);
    decided.attempts = 9;
    decided.error = Some("the key was refused".to_owned());
    store
        .schedule_sync(id, "people", &decided, fixture.lease.as_ref())
        .await
        .unwrap();
    let now = rollout_store::now();
    store.sync_at_once(id, "people", now).await.unwrap();
    let row = fixture.sync_row().await;
    let expected = Schedule {
        status: SyncStatus::Pending,
        next_at: Some(now),
        attempts: 0,
        error: None,
        ..decided
    };
    assert_eq!(row.schedule, expected);
    assert!(row.schedule.first_done_at.is_some());
    let missing = store.sync_at_once(id, "planets", now).await;
    assert!(
        matches!(missing, Err(StoreError::NotFound(_))),
        "{missing:?}"
    );
}
