//! Others in the way: a customer's query, a process that stands still.

use std::time::Duration;

use rollout_store::{EnvStore, ListQuery};
use serde_json::json;
use sqlx::Executor as _;
use tokio::time::timeout;

use super::Place;
use crate::it::fixture::{Fixture, PEOPLE, catalog_of, list, open};
use crate::it::jobs::{FEW, claim, enter};

/// Waits until a query answers a number.
async fn until(place: &Place, sql: &str, expected: i64) {
    while place.number(sql).await != expected {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A new column needs the table for itself. It waits in turns, so that others
/// who read are held up by two seconds at most.
#[tokio::test]
async fn a_migration_waits_for_a_customers_query_and_goes_on() {
    let fixture = Fixture::new().await;
    let place = &fixture.place;
    fixture
        .land(vec![fixture.person("1", json!({"name": "Ann"}))])
        .await;
    let mut customer = place.connection().await;
    customer.execute("BEGIN").await.unwrap();
    customer
        .execute("SELECT * FROM rollout_people")
        .await
        .unwrap();

    let nick = r#""nick": { "type": "string" }, "created":"#;
    let larger = catalog_of(&PEOPLE.replace(r#""created":"#, nick));
    let opening = open(place, &larger);
    let others = async {
        let waiting =
            "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'";
        until(place, waiting, 1).await;
        // Another customer, behind it.
        assert_eq!(place.number("SELECT COUNT(*) FROM rollout_people").await, 1);
        until(place, waiting, 0).await;
        customer.execute("COMMIT").await.unwrap();
    };
    let (opened, ()) = timeout(Duration::from_secs(20), async {
        tokio::join!(opening, others)
    })
    .await
    .unwrap();
    let store: EnvStore = opened.unwrap();
    let people = larger.by_name("people").unwrap();
    let (_, rows) = list(&store, &ListQuery::new(&fixture.credential.id, people, 10)).await;
    assert_eq!(
        (&rows[0]["name"], &rows[0]["nick"]),
        (&json!("Ann"), &json!(""))
    );
    store.close().await;
}

/// A transaction that somebody holds open on one job, or on one lane, is
/// nothing to the others.
#[tokio::test]
async fn a_process_that_stands_still_holds_up_nobody_else() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    for held in [
        "SELECT * FROM host_jobs WHERE name = 'b1' FOR UPDATE",
        "SELECT * FROM host_lanes WHERE lane = 'b' FOR UPDATE",
    ] {
        enter(
            store,
            FEW,
            &[
                ("a", "a1", 5),
                ("b", "b1", 1),
                ("b", "b2", 2),
                ("c", "c1", 6),
            ],
        )
        .await;
        let mut zombie = fixture.place.connection().await;
        zombie.execute("BEGIN").await.unwrap();
        zombie.execute(held).await.unwrap();
        let claiming = async {
            let mut had = Vec::new();
            while had.len() < 2 {
                had.extend(
                    claim(store, FEW, 2)
                        .await
                        .into_iter()
                        .filter(|lease| lease.lane != "b"),
                );
            }
            // What is not theirs comes and goes meanwhile.
            enter(store, FEW, &[("d", "d1", 1)]).await;
            store.finish_jobs(FEW, &had).await.unwrap();
            while claim(store, FEW, 1)
                .await
                .first()
                .is_none_or(|lease| lease.name != "d1")
            {}
            assert_eq!(store.next_job_in(FEW).await.unwrap(), Some(0));
        };
        timeout(Duration::from_secs(5), claiming).await.unwrap();
        // The server ends it; its jobs are there.
        zombie.execute("ROLLBACK").await.unwrap();
        store.release_all_leases().await.unwrap();
        fixture
            .place
            .run("UPDATE host_jobs SET lease_until = NULL; UPDATE host_lanes SET due_at = 1")
            .await;
        let all = claim(store, FEW, 9).await;
        assert!(all.iter().any(|lease| lease.name == "b1"));
        assert_eq!(
            store.finish_jobs(FEW, &all).await.unwrap(),
            all.len() as u64
        );
    }
}

/// Sessions end what stands still in them.
#[tokio::test]
async fn sessions_have_limits() {
    let fixture = Fixture::new().await;
    fixture.store.ping().await.unwrap();
    let ours = "SELECT COUNT(*) FROM pg_stat_activity \
                WHERE datname = current_database() AND application_name = 'rollout'";
    assert!((1..=5).contains(&fixture.place.number(ours).await));
}
