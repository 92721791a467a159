//! Calls that lock the same rows, at the same time and again and again: none is
//! sacrificed to the other.

use rollout_store::{EnvStore, Quarantined, Records, SYNC, StoreError, SyncPhase};
use serde_json::json;

use crate::it::fixture::{Fixture, LONG, WORKER, open, schedule};
use crate::it::jobs::{FEW, job};

const ROUNDS: usize = 12;

fn landed<T: std::fmt::Debug>(result: rollout_store::Result<T>) -> bool {
    match result {
        Ok(_) => true,
        Err(StoreError::LeaseLost | StoreError::NotFound(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_credential_is_deleted_while_its_sync_lands() {
    let mut fixture = Fixture::new().await;
    let other = open(&fixture.place, &fixture.catalog).await.unwrap();
    for round in 0..ROUNDS {
        fixture.start_over(&format!("round {round}")).await;
        let landing = async {
            for n in 0..500 {
                let mut page = fixture.page().await;
                page.records = vec![fixture.person(&n.to_string(), json!({}))];
                page.quarantined = vec![Quarantined {
                    upstream_id: format!("q{n}"),
                    reason: "odd".to_owned(),
                }];
                if !landed(fixture.store.land(page).await) {
                    break;
                }
            }
        };
        let deleting = async {
            other.next_stamp().await.unwrap();
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            other
                .revoke_credential(&fixture.credential.id, Records::Erase)
                .await
        };
        let ((), deleted) = tokio::join!(landing, deleting);
        deleted.unwrap();
        let left = "SELECT COUNT(*) FROM host_jobs j WHERE NOT EXISTS \
                    (SELECT 1 FROM host_credentials c WHERE c.id = j.lane)";
        assert_eq!(fixture.place.number(left).await, 0);
    }
}

/// Somebody wants a sync at once, or no more, while it lands page by page.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_is_scheduled_while_it_lands() {
    let fixture = Fixture::new().await;
    let other = open(&fixture.place, &fixture.catalog).await.unwrap();
    let id = fixture.credential.id.as_str();
    let landing = async {
        let mut lease = fixture.lease.clone();
        for n in 0..4 * ROUNDS {
            let mut page = fixture.page().await;
            page.lease = lease.as_ref();
            page.records = vec![fixture.person(&n.to_string(), json!({}))];
            page.schedule = Some(schedule(SyncPhase::First));
            landed(fixture.store.land(page).await);
            let leases = fixture
                .store
                .claim_jobs(SYNC, WORKER, 9, LONG)
                .await
                .unwrap();
            lease = leases.into_iter().next().or(lease);
        }
    };
    let scheduling = async {
        for _ in 0..4 * ROUNDS {
            let wanted = schedule(SyncPhase::First);
            other
                .schedule_sync(id, "people", &wanted, None)
                .await
                .unwrap();
        }
    };
    tokio::join!(landing, scheduling);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_entered_in_any_order() {
    let fixture = Fixture::new().await;
    let other = open(&fixture.place, &fixture.catalog).await.unwrap();
    let entering = async |store: &EnvStore, backwards: bool| {
        for _ in 0..ROUNDS {
            let mut jobs: Vec<_> = (0..200)
                .map(|n| job(&format!("{}", n % 7), &format!("{n}"), n))
                .collect();
            if backwards {
                jobs.reverse();
            }
            store.enter_jobs(FEW, jobs).await.unwrap();
        }
    };
    let (a, b) = (&fixture.store, &other);
    tokio::join!(
        entering(a, true),
        entering(b, false),
        entering(a, false),
        entering(b, true)
    );
}
