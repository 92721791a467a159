//! Random histories of jobs against a model that keeps them in a list, and
//! random interleavings against what must hold at every moment.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rand::seq::IndexedRandom as _;
use rollout_store::{EnvStore, Lease, Queue, StoreError, now};

use super::fixture::{Fixture, LONG, open};
use super::jobs::{FEW, ONE, enter, job};
use crate::only::Place;

/// Far enough for every test.
const FUTURE: i64 = 600_000;

#[derive(Clone, Debug)]
enum Step {
    /// Lane, name, when: the past counts from 1970, the future from now.
    Enter(u8, u8, i64, bool),
    /// How many, and whether the leases last.
    Claim(i64, bool),
    Finish(usize),
    FinishAll(usize),
    Again(usize, i64, bool),
    Release(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3u8, 0..4u8, 1..50i64, prop::bool::weighted(0.8)).prop_map(|(lane, name, due, past)| Step::Enter(lane, name, due, past)),
        4 => (1..5i64, prop::bool::weighted(0.8)).prop_map(|(most, lasts)| Step::Claim(most, lasts)),
        2 => (0..40usize).prop_map(Step::Finish),
        1 => (1..4usize).prop_map(Step::FinishAll),
        2 => (0..40usize, 1..50i64, any::<bool>()).prop_map(|(at, due, past)| Step::Again(at, due, past)),
        1 => (0..40usize).prop_map(Step::Release),
    ]
}

/// A job as the model has it. It was entered when it lies in the list.
#[derive(Clone, Debug)]
struct Known {
    lane: String,
    name: String,
    due: i64,
    again: Option<i64>,
    /// Id and token of the last lease, until it is given back.
    lease: Option<(i64, i64)>,
    /// Somebody has it, for as long as the test lasts.
    held: bool,
}

#[derive(Debug, Default)]
struct Model(Vec<Known>);

impl Model {
    fn enter(&mut self, lane: &str, name: &str, due: i64) {
        let Some(known) = self.0.iter_mut().find(|known| known.name == name) else {
            return self.0.push(Known {
                lane: lane.to_owned(),
                name: name.to_owned(),
                due,
                again: None,
                lease: None,
                held: false,
            });
        };
        if known.lease.is_some() {
            known.again = Some(known.again.map_or(due, |again| again.min(due)));
        } else {
            known.due = known.due.min(due);
        }
    }

    /// What may be claimed of a lane now, in its order.
    fn claimable(&self, lane: &str, queue: Queue) -> Vec<&str> {
        let lane = || self.0.iter().filter(move |known| known.lane == lane);
        let held = lane().filter(|known| known.held).count();
        let mut due: Vec<_> = lane()
            .filter(|known| !known.held && known.due <= now())
            .collect();
        due.sort_by_key(|known| known.due);
        let free = usize::try_from(queue.per_lane).unwrap() - held;
        due.into_iter()
            .take(free)
            .map(|known| known.name.as_str())
            .collect()
    }

    /// How many jobs may be claimed now.
    fn room(&self, queue: Queue) -> i64 {
        let lanes = self.lanes();
        let room: usize = lanes
            .iter()
            .map(|lane| self.claimable(lane, queue).len())
            .sum();
        i64::try_from(room).unwrap()
    }

    fn lanes(&self) -> Vec<String> {
        let mut lanes: Vec<String> = self.0.iter().map(|known| known.lane.clone()).collect();
        lanes.sort();
        lanes.dedup();
        lanes
    }

    fn claimed(&mut self, queue: Queue, most: i64, lasts: bool, leases: &[Lease]) {
        for lane in self.lanes() {
            let may = self.claimable(&lane, queue);
            let were: Vec<&str> = leases
                .iter()
                .filter(|lease| lease.lane == lane)
                .map(|lease| lease.name.as_str())
                .collect();
            assert_eq!(were, may[..were.len()], "{lane}");
        }
        assert!(leases.len() <= usize::try_from(most).unwrap());
        for lease in leases {
            let known = self
                .0
                .iter_mut()
                .find(|known| known.name == lease.name)
                .unwrap();
            assert!(known.lease.is_none_or(|before| before < lease.renewal()));
            (known.lease, known.held) = (Some(lease.renewal()), lasts);
            known.again = known.again.filter(|again| *again > now());
        }
    }

    /// Whether the lease is the job's; the model forgets it.
    fn give_back(&mut self, lease: &Lease, due: Option<i64>) -> bool {
        let lease = Some(lease.renewal());
        let Some(at) = self.0.iter().position(|known| known.lease == lease) else {
            return false;
        };
        let known = &mut self.0[at];
        match due.into_iter().chain(known.again).min() {
            Some(due) => {
                known.due = due;
                (known.again, known.lease, known.held) = (None, None, false);
            }
            None => drop(self.0.remove(at)),
        }
        true
    }

    fn release(&mut self, lease: &Lease) {
        let lease = Some(lease.renewal());
        if let Some(known) = self.0.iter_mut().find(|known| known.lease == lease) {
            (known.lease, known.held) = (None, false);
        }
    }
}

fn at(due: i64, past: bool) -> i64 {
    if past { due } else { now() + FUTURE + due }
}

async fn run(store: &EnvStore, queue: Queue, history: usize, steps: &[Step]) {
    let mut model = Model::default();
    let mut leases: Vec<Lease> = Vec::new();
    let outcome = |result: rollout_store::Result<()>| match result {
        Ok(()) => true,
        Err(StoreError::LeaseLost) => false,
        Err(error) => panic!("{error}"),
    };
    for step in steps {
        match *step {
            Step::Enter(lane, name, due, past) => {
                let due = at(due, past);
                let (lane, name) = (
                    format!("{history}/{lane}"),
                    format!("{history}/{lane}/{name}"),
                );
                enter(store, queue, &[(&lane, &name, due)]).await;
                model.enter(&lane, &name, due);
            }
            Step::Claim(most, lasts) => {
                let lease = if lasts { LONG } else { 0 };
                // A lane that was announced while all it may have was at work takes
                // a place in a claim for nothing, once.
                let mut left = most.min(model.room(queue));
                for _ in 0..=model.lanes().len() {
                    let claimed = store
                        .claim_jobs(queue, "model", left.max(1), lease)
                        .await
                        .unwrap();
                    model.claimed(queue, left, lasts, &claimed);
                    left -= i64::try_from(claimed.len()).unwrap();
                    leases.extend(claimed);
                    if left == 0 {
                        break;
                    }
                }
                assert_eq!(left, 0, "{model:?}");
            }
            Step::Finish(n) if n < leases.len() => {
                let ours = outcome(store.finish_job(&leases[n]).await);
                assert_eq!(ours, model.give_back(&leases[n], None));
            }
            Step::FinishAll(count) => {
                let last = &leases[leases.len().saturating_sub(count)..];
                let held = |lease: &&Lease| {
                    let lease = Some(lease.renewal());
                    model
                        .0
                        .iter()
                        .any(|known| known.lease == lease && known.held)
                };
                let ours: Vec<Lease> = last.iter().filter(held).cloned().collect();
                let finished = store.finish_jobs(queue, last).await.unwrap();
                assert_eq!(finished, ours.len() as u64);
                assert!(ours.iter().all(|lease| model.give_back(lease, None)));
            }
            Step::Again(n, due, past) if n < leases.len() => {
                let due = at(due, past);
                let ours = outcome(store.job_again(&leases[n], due).await);
                assert_eq!(ours, model.give_back(&leases[n], Some(due)));
            }
            Step::Release(n) if n < leases.len() => {
                store.release_lease(&leases[n]).await.unwrap();
                model.release(&leases[n]);
            }
            _ => {}
        }
        let now = model.room(queue) > 0;
        match store.next_job_in(queue).await.unwrap() {
            None => assert!(model.0.is_empty(), "{model:?}"),
            Some(wait) => {
                assert!(!model.0.is_empty());
                assert!(!now || wait == 0, "{wait}: {model:?}");
            }
        }
    }
}

#[test]
fn jobs_follow_the_model() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let fixture = runtime.block_on(Fixture::new());
    let config = ProptestConfig {
        cases: 2 * Place::CASES,
        failure_persistence: None,
        ..Default::default()
    };
    let histories = Cell::new(0);
    TestRunner::new(config)
        .run(&(any::<bool>(), vec(step(), 1..40)), |(one, steps)| {
            histories.update(|count| count + 1);
            let queue = if one { ONE } else { FEW };
            runtime.block_on(async {
                fixture
                    .place
                    .run("DELETE FROM host_jobs; DELETE FROM host_lanes")
                    .await;
                run(&fixture.store, queue, histories.get(), &steps).await;
            });
            Ok(())
        })
        .unwrap();
}

/// Lanes that say nothing, or too late, about a job of theirs that could begin.
fn forgotten(queue: Queue) -> String {
    // Whoever asks is a little behind the database.
    let now = now() + FUTURE / 10;
    let Queue { name, per_lane } = queue;
    format!(
        "SELECT COUNT(*) FROM host_jobs j LEFT JOIN host_lanes l ON l.queue = j.queue AND l.lane = j.lane \
         WHERE j.queue = '{name}' AND (l.due_at IS NULL OR (l.due_at > {now} AND l.due_at > j.due_at \
         AND j.lease_until IS NULL AND (SELECT COUNT(*) FROM host_jobs k WHERE k.queue = j.queue \
         AND k.lane = j.lane AND k.lease_until > {now}) < {per_lane}))"
    )
}

/// Several workers in two programs do whatever they like with few lanes; at
/// every moment each job that could begin is announced.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_job_is_ever_forgotten() {
    const ROUNDS: usize = 60;
    let fixture = Fixture::new().await;
    let other = open(&fixture.place, &fixture.catalog).await.unwrap();
    for queue in [ONE, FEW] {
        let work = async |store: &EnvStore| {
            let mut leases: Vec<Lease> = Vec::new();
            for round in 0..ROUNDS {
                let pick = |most: usize| *Vec::from_iter(0..most).choose(&mut rand::rng()).unwrap();
                match pick(6) {
                    0 | 1 => {
                        let jobs = (0..3).map(|_| pick(12));
                        let mut jobs: Vec<_> = jobs
                            .map(|n| {
                                job(
                                    &format!("lane {}", n % 3),
                                    &format!("{n}"),
                                    at(1, pick(4) > 0),
                                )
                            })
                            .collect();
                        jobs.sort_by(|a, b| a.name.cmp(&b.name));
                        jobs.dedup_by(|a, b| a.name == b.name);
                        if round % 2 == 0 {
                            jobs.reverse();
                        }
                        store.enter_jobs(queue, jobs).await.unwrap();
                    }
                    2 | 3 => {
                        let lease = [0, LONG, LONG][pick(3)];
                        leases.extend(store.claim_jobs(queue, "w", 2, lease).await.unwrap());
                    }
                    action => {
                        let Some(lease) = leases.pop() else { continue };
                        let done = match (action, pick(3)) {
                            (4, _) => store.finish_job(&lease).await,
                            (_, 0) => store.job_again(&lease, at(1, true)).await,
                            (_, 1) => store.release_lease(&lease).await,
                            _ => store.finish_jobs(queue, &[lease]).await.map(drop),
                        };
                        assert!(
                            matches!(done, Ok(()) | Err(StoreError::LeaseLost)),
                            "{done:?}"
                        );
                    }
                }
            }
        };
        let watch = async {
            for _ in 0..ROUNDS {
                assert_eq!(fixture.place.number(&forgotten(queue)).await, 0);
            }
        };
        let (a, b) = (&fixture.store, &other);
        tokio::join!(work(a), work(b), work(a), work(b), watch);
        assert_eq!(fixture.place.number(&forgotten(queue)).await, 0);
    }
}
