//! Work: in which order it is claimed, who has it, and that none is lost.

use std::collections::BTreeSet;

use rollout_store::{EnvStore, Lease, NewJob, Queue, StoreError, now};

use super::fixture::{Fixture, LONG, open};

/// One at a time per lane.
pub const ONE: Queue = Queue {
    name: "one",
    per_lane: 1,
};
/// Three at a time per lane.
pub const FEW: Queue = Queue {
    name: "few",
    per_lane: 3,
};
const HOUR: i64 = 3_600_000;

pub fn job(lane: &str, name: &str, due_at: i64) -> NewJob {
    NewJob {
        lane: lane.to_owned(),
        name: name.to_owned(),
        due_at,
    }
}

pub async fn enter(store: &EnvStore, queue: Queue, jobs: &[(&str, &str, i64)]) {
    let jobs = jobs.iter().map(|(lane, name, due)| job(lane, name, *due));
    store.enter_jobs(queue, jobs.collect()).await.unwrap();
}

pub async fn claim(store: &EnvStore, queue: Queue, most: i64) -> Vec<Lease> {
    store.claim_jobs(queue, "worker", most, LONG).await.unwrap()
}

/// Claims for no time at all: the lease is over when the call is.
pub async fn claim_in_vain(store: &EnvStore, queue: Queue) -> Lease {
    let mut leases = store.claim_jobs(queue, "worker", 1, 0).await.unwrap();
    leases.pop().expect("something is due")
}

fn names(leases: &[Lease]) -> Vec<&str> {
    leases.iter().map(|lease| lease.name.as_str()).collect()
}

fn lost<T: std::fmt::Debug>(result: rollout_store::Result<T>) {
    assert!(matches!(result, Err(StoreError::LeaseLost)), "{result:?}");
}

#[tokio::test]
async fn due_jobs_are_claimed_in_batches_those_that_waited_longest_first() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    assert_eq!(store.next_job_in(FEW).await.unwrap(), None);
    let jobs = [
        ("c", "c1", 30),
        ("a", "a1", 10),
        ("d", "d1", 40),
        ("b", "b1", 20),
    ];
    enter(store, FEW, &jobs).await;
    enter(store, ONE, &[("a", "another queue's", 1)]).await;
    assert_eq!(store.next_job_in(FEW).await.unwrap(), Some(0));

    let first = claim(store, FEW, 3).await;
    assert_eq!(names(&first), ["a1", "b1", "c1"]);
    assert_eq!((first[0].lane.as_str(), first[0].due_at), ("a", 10));
    assert_eq!((first[0].queue, first[0].attempts), (FEW, 1));
    assert_eq!(names(&claim(store, FEW, 3).await), ["d1"]);
    assert_eq!(names(&claim(store, FEW, 3).await), [""; 0]);
    assert!(store.next_job_in(FEW).await.unwrap().unwrap() > LONG / 2);
    for lease in &first {
        store.finish_job(lease).await.unwrap();
    }
    assert_eq!(names(&claim(store, ONE, 3).await), ["another queue's"]);
}

#[tokio::test]
async fn a_lane_works_in_order_and_on_so_many_at_once() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let jobs = [
        ("a", "3", 3),
        ("a", "1", 1),
        ("a", "5", 5),
        ("a", "2", 2),
        ("a", "4", 4),
    ];
    enter(store, ONE, &jobs).await;
    for name in ["1", "2", "3", "4", "5"] {
        let leases = claim(store, ONE, 9).await;
        assert_eq!(names(&leases), [name]);
        assert!(claim(store, ONE, 9).await.is_empty());
        store.finish_job(&leases[0]).await.unwrap();
    }
    assert_eq!(store.next_job_in(ONE).await.unwrap(), None);

    enter(store, FEW, &jobs).await;
    let leases = claim(store, FEW, 9).await;
    assert_eq!(names(&leases), ["1", "2", "3"]);
    assert!(claim(store, FEW, 9).await.is_empty());
    store.finish_job(&leases[1]).await.unwrap();
    assert_eq!(names(&claim(store, FEW, 9).await), ["4"]);
    // One that is not due leaves its place to others.
    store.job_again(&leases[0], now() + HOUR).await.unwrap();
    assert_eq!(names(&claim(store, FEW, 9).await), ["5"]);
}

/// However the workers are cut, a lane with much to do has its turns and no more.
#[tokio::test]
async fn a_lane_with_a_thousand_jobs_does_not_hold_up_ten_with_one_each() {
    for (queue, most) in [(ONE, 1), (FEW, 1), (FEW, 4), (FEW, 16)] {
        let fixture = Fixture::new().await;
        let store = &fixture.store;
        let mut jobs: Vec<_> = (0..1000)
            .map(|n| job("big", &format!("big {n}"), n))
            .collect();
        jobs.extend((0..10).map(|n| job(&format!("small {n}"), &format!("small {n}"), 5000)));
        store.enter_jobs(queue, jobs).await.unwrap();
        let mut served = BTreeSet::new();
        let mut claims = 0;
        while served.len() < 10 {
            claims += 1;
            assert!(claims <= 24, "{queue:?} by {most}: only {served:?}");
            let leases = claim(store, queue, most).await;
            assert!(!leases.is_empty());
            served.extend(
                leases
                    .iter()
                    .filter(|lease| lease.lane != "big")
                    .map(|lease| lease.name.clone()),
            );
            store.finish_jobs(queue, &leases).await.unwrap();
        }
    }
}

#[tokio::test]
async fn an_expired_lease_is_anothers_and_worth_nothing() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    enter(store, ONE, &[("a", "1", 1)]).await;
    let stale = claim_in_vain(store, ONE).await;
    assert_eq!(store.next_job_in(ONE).await.unwrap(), Some(0));
    let lease = claim(store, ONE, 1).await.remove(0);
    assert_eq!(lease.attempts, 2);
    assert_eq!(lease.renewal().0, stale.renewal().0);
    assert!(lease.renewal().1 > stale.renewal().1);

    lost(store.finish_job(&stale).await);
    lost(store.job_again(&stale, 1).await);
    lost(store.job_later(&stale, 1).await);
    lost(store.number_events(&stale).await);
    store.release_lease(&stale).await.unwrap();
    assert_eq!(
        store
            .finish_jobs(ONE, std::slice::from_ref(&stale))
            .await
            .unwrap(),
        0
    );
    let renewed = store
        .renew_leases(&[stale.renewal(), lease.renewal()], LONG)
        .await;
    assert_eq!(renewed.unwrap(), [lease.renewal().0]);
    // The successor noticed nothing of all that.
    assert!(claim(store, ONE, 1).await.is_empty());
    store.finish_job(&lease).await.unwrap();
    lost(store.finish_job(&lease).await);
    assert_eq!(store.next_job_in(ONE).await.unwrap(), None);
}

#[tokio::test]
async fn leases_last_until_they_are_renewed_no_more() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    enter(store, ONE, &[("a", "1", 1), ("b", "2", 2)]).await;
    let leases = store.claim_jobs(ONE, "worker", 2, HOUR).await.unwrap();
    let until = async || {
        let least = "SELECT MIN(lease_until) FROM host_jobs WHERE queue = 'one'";
        fixture.place.number(least).await
    };
    let before = until().await;
    let renewals: Vec<_> = leases.iter().map(Lease::renewal).collect();
    let held = store.renew_leases(&renewals, 2 * HOUR).await.unwrap();
    assert_eq!(BTreeSet::from_iter(held).len(), 2);
    assert!(until().await >= before + HOUR);
    assert_eq!(store.renew_leases(&[], HOUR).await.unwrap(), [0; 0]);
    // A lease of no time is over: renewing it is too late.
    enter(store, FEW, &[("a", "over", 1)]).await;
    let over = claim_in_vain(store, FEW).await.renewal();
    assert_eq!(store.renew_leases(&[over], HOUR).await.unwrap(), [0; 0]);

    // Given back, a job is due at once; so are all, for who has the database alone.
    store.release_lease(&leases[0]).await.unwrap();
    assert_eq!(store.next_job_in(ONE).await.unwrap(), Some(0));
    enter(store, ONE, &[("a", "3", 3)]).await;
    let all = "SELECT COUNT(*) FROM host_jobs WHERE lease_until IS NOT NULL";
    let running = fixture.place.number(all).await;
    assert_eq!(
        store.release_all_leases().await.unwrap(),
        running.unsigned_abs()
    );
    assert_eq!(fixture.place.number(all).await, 0);
}

#[tokio::test]
async fn a_job_is_due_at_its_time_or_sooner_if_somebody_wants_it() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let later = now() + HOUR;
    enter(store, ONE, &[("a", "1", later)]).await;
    let wait = store.next_job_in(ONE).await.unwrap().unwrap();
    assert!((HOUR - 60_000..=HOUR).contains(&wait), "{wait}");
    assert!(claim(store, ONE, 1).await.is_empty());
    // Later than it is due already changes nothing.
    enter(store, ONE, &[("a", "1", later + HOUR)]).await;
    assert!(store.next_job_in(ONE).await.unwrap().unwrap() <= HOUR);
    enter(store, ONE, &[("a", "1", later / 2)]).await;
    let leases = claim(store, ONE, 1).await;
    assert_eq!((names(&leases), leases[0].due_at), (vec!["1"], later / 2));
}

/// What is wanted while it runs may be wanted for something that it has passed
/// already: it runs once more, whenever it was due and whatever comes of it.
#[tokio::test]
async fn a_job_that_is_wanted_while_it_runs_runs_once_more() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    for wanted in [0, 7, now(), now() + HOUR] {
        enter(store, ONE, &[("a", "1", 7)]).await;
        for outcome in ["again", "later", "finish", "finish all"] {
            let lease = claim(store, ONE, 1).await.remove(0);
            enter(store, ONE, &[("a", "1", wanted)]).await;
            assert!(claim(store, ONE, 1).await.is_empty(), "it runs");
            match outcome {
                "again" => store.job_again(&lease, now() + 2 * HOUR).await.unwrap(),
                "later" => store.job_later(&lease, now() + 2 * HOUR).await.unwrap(),
                "finish" => store.finish_job(&lease).await.unwrap(),
                _ => assert_eq!(store.finish_jobs(ONE, &[lease]).await.unwrap(), 1),
            }
            let wait = store.next_job_in(ONE).await.unwrap().unwrap();
            assert!(
                wait <= (wanted - now()).max(0) + 1000,
                "{wanted} {outcome}: {wait}"
            );
            // For the next round.
            enter(store, ONE, &[("a", "1", 0)]).await;
        }
        let lease = claim(store, ONE, 1).await.remove(0);
        store.finish_job(&lease).await.unwrap();
        assert_eq!(store.next_job_in(ONE).await.unwrap(), None);
    }
    // The successor of a worker that died began after it was wanted.
    enter(store, ONE, &[("a", "1", 1)]).await;
    claim_in_vain(store, ONE).await;
    enter(store, ONE, &[("a", "1", now())]).await;
    let lease = claim(store, ONE, 1).await.remove(0);
    store.finish_job(&lease).await.unwrap();
    assert_eq!(store.next_job_in(ONE).await.unwrap(), None);
}

#[tokio::test]
async fn a_parked_lane_waits_with_all_its_jobs() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    enter(store, FEW, &[("a", "1", 1), ("a", "2", 2), ("b", "3", 3)]).await;
    store.park_lane(FEW, "a", now() + HOUR).await.unwrap();
    assert_eq!(names(&claim(store, FEW, 9).await), ["3"]);
    let wait = store.next_job_in(FEW).await.unwrap().unwrap();
    assert!(wait > LONG / 2, "{wait}");
}

/// Two programs, several workers each: every job is had by one of them, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_never_get_one_job_twice() {
    let fixture = Fixture::new().await;
    let other = open(&fixture.place, &fixture.catalog).await.unwrap();
    let jobs = (0..200).map(|n| job(&format!("lane {}", n % 23), &format!("{n}"), n));
    fixture.store.enter_jobs(FEW, jobs.collect()).await.unwrap();
    let work = async |store: &EnvStore| {
        let mut had = Vec::new();
        while store.next_job_in(FEW).await.unwrap().is_some() {
            let leases = claim(store, FEW, 7).await;
            had.extend(leases.iter().map(|lease| lease.name.clone()));
            if had.len() % 2 == 0 {
                let count = leases.len() as u64;
                assert_eq!(store.finish_jobs(FEW, &leases).await.unwrap(), count);
            } else {
                for lease in &leases {
                    store.finish_job(lease).await.unwrap();
                }
            }
        }
        had
    };
    let (a, b) = (&fixture.store, &other);
    let (a, b, c, d) = tokio::join!(work(a), work(b), work(a), work(b));
    let all: Vec<String> = [a, b, c, d].concat();
    assert_eq!(all.len(), 200);
    assert_eq!(BTreeSet::from_iter(&all).len(), 200);
}

#[tokio::test]
async fn several_queues_are_asked_for_at_once() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let nothing: [Option<i64>; 2] = [None, None];
    assert_eq!(store.next_jobs(&[ONE, FEW]).await.unwrap(), nothing);
    enter(store, FEW, &[("a", "due", 1), ("b", "later", now() + HOUR)]).await;
    assert_eq!(store.next_jobs(&[ONE, FEW]).await.unwrap(), [None, Some(0)]);
    assert_eq!(store.next_jobs(&[FEW, ONE]).await.unwrap(), [Some(0), None]);
    claim(store, FEW, 9).await;
    enter(store, ONE, &[("a", "due", 1)]).await;
    let next = store.next_jobs(&[ONE, FEW]).await.unwrap();
    assert_eq!(next[0], Some(0));
    assert!(
        next[1].is_some_and(|wait| (LONG / 2..=LONG).contains(&wait)),
        "{next:?}"
    );
    assert_eq!(store.next_jobs(&[]).await.unwrap(), []);
}
