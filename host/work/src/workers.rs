//! Claims what is due and hands it over.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use rollout_connectors::{Environment, Environments};
use rollout_store::{Lease, Queue, Signals, StoreError, after, millis};
use tokio::sync::watch;
use tokio::task::{Id, JoinSet};

use crate::Backoff;
use crate::leases::Leases;

/// How long one waits without a signal before looking anyway: signals between
/// processes can be lost.
const LOOK: Duration = Duration::from_secs(5);
/// How long one waits while there is no environment.
const NOBODY: Duration = Duration::from_millis(250);
/// How long one waits for due jobs that somebody else is at.
const TAKEN: Duration = Duration::from_millis(20);
/// How long an environment whose database fails is left alone.
const TROUBLED: Duration = Duration::from_secs(1);
/// How long a job whose handler failed waits for the next try.
const RETRY: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_secs(300),
};
/// How long a handler whose lease is gone may go on.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A queue and who works on its jobs.
pub struct Queued {
    /// Whose jobs.
    pub queue: Queue,
    /// How many of them this process works on at once.
    pub parallel: usize,
    /// Who knows what they mean.
    pub handler: Box<dyn Handler>,
}

/// Knows what the jobs of a queue mean.
#[async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Does a job and commits what came of it, with the job's end or its next
    /// time, under the lease. After an error the job is tried again, later and
    /// later. Dropped when the lease is lost. When `stop` turns true it comes to
    /// an end soon, and may leave the job as it is: it is then given back.
    async fn run(
        &self,
        environment: &Arc<Environment>,
        lease: &Lease,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), StoreError>;
}

/// The loop around the jobs.
pub struct Workers {
    environments: Arc<Environments>,
    signals: Arc<Signals>,
    leases: Arc<Leases>,
    queues: Vec<Arc<Slot>>,
    /// What is under way.
    jobs: Mutex<JoinSet<()>>,
}

/// A queue and how busy its handler is.
struct Slot {
    of: Queued,
    busy: AtomicUsize,
}

impl Workers {
    /// Workers for these queues.
    pub fn new(
        environments: Arc<Environments>,
        signals: Arc<Signals>,
        leases: Arc<Leases>,
        queues: Vec<Queued>,
    ) -> Self {
        let slot = |of| {
            Arc::new(Slot {
                of,
                busy: AtomicUsize::new(0),
            })
        };
        Self {
            environments,
            signals,
            leases,
            queues: queues.into_iter().map(slot).collect(),
            jobs: Mutex::default(),
        }
    }

    /// Works until `stop` turns true, and then until what is under way has come to
    /// an end.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let workers = Arc::new(self);
        // Each environment is looked at by itself: a database that doesn't answer
        // doesn't hold up the others.
        let mut looking = JoinSet::new();
        let mut looked_at: HashMap<Id, String> = HashMap::new();
        // When to look at an environment next, by its client id.
        let mut looks: HashMap<String, Instant> = HashMap::new();
        let mut first = 0_usize;
        while !*stop.borrow() {
            let environments = workers.environments.all();
            looks.retain(|id, _| environments.iter().any(|one| one.client_id == *id));
            // Another one is first each time, so that none has all the places.
            first = first.wrapping_add(1);
            let turns = environments.len();
            let mut next = Instant::now() + if turns == 0 { NOBODY } else { LOOK };
            for turn in 0..turns {
                let Some(environment) = environments.get((turn + first) % turns.max(1)) else {
                    continue;
                };
                let id = &environment.client_id;
                if environment.is_held() || looked_at.values().any(|one| one == id) {
                    continue;
                }
                match looks.get(id) {
                    Some(due) if *due > Instant::now() => next = next.min(*due),
                    _ => {
                        // A signal that comes from now on takes this away again.
                        looks.insert(id.clone(), Instant::now() + LOOK);
                        let environment = environment.clone();
                        let look = workers.clone().look(environment, turns, stop.clone());
                        looked_at.insert(looking.spawn(look).id(), id.clone());
                    }
                }
            }
            tokio::select! {
                () = tokio::time::sleep_until(next.into()) => {}
                Some(done) = looking.join_next_with_id() => {
                    let (look, wait) = done.unwrap_or_else(|error| (error.id(), TROUBLED));
                    if let Some(id) = looked_at.remove(&look)
                        && let Some(due) = looks.get_mut(&id)
                    {
                        *due = Instant::now() + wait;
                    }
                }
                raised = workers.signals.raised() => {
                    if raised.is_empty() {
                        looks.clear();
                    }
                    for id in raised {
                        looks.remove(&*id);
                    }
                }
                _ = stop.changed() => {}
            }
            while workers.jobs.lock().try_join_next().is_some() {}
        }
        // What they claim is given back.
        while looking.join_next().await.is_some() {}
        let mut jobs = std::mem::take(&mut *workers.jobs.lock());
        while jobs.join_next().await.is_some() {}
    }

    /// Starts what is due in an environment; says how long it is until something
    /// else is.
    async fn look(
        self: Arc<Self>,
        environment: Arc<Environment>,
        environments: usize,
        stop: watch::Receiver<bool>,
    ) -> Duration {
        let started = self.start_all(&environment, environments, &stop).await;
        started.unwrap_or_else(|error| {
            let environment = &environment.name;
            tracing::warn!(environment, %error, "there may be work that can't be seen");
            TROUBLED
        })
    }

    async fn start_all(
        &self,
        environment: &Arc<Environment>,
        environments: usize,
        stop: &watch::Receiver<bool>,
    ) -> Result<Duration, StoreError> {
        let queues: Vec<Queue> = self.queues.iter().map(|slot| slot.of.queue).collect();
        loop {
            let mut wait = LOOK;
            let mut started = false;
            let next = environment.store().next_jobs(&queues).await?;
            for (slot, due_in) in self.queues.iter().zip(next) {
                match due_in {
                    None => {}
                    Some(0) => match self.start(slot, environment, environments, stop).await? {
                        Started::Jobs => started = true,
                        // A job that ends says so.
                        Started::Full => {}
                        Started::Nothing => wait = wait.min(TAKEN),
                    },
                    Some(due_in) => wait = wait.min(Duration::from_millis(due_in.unsigned_abs())),
                }
            }
            if !started {
                return Ok(wait);
            }
        }
    }

    /// Starts what is due in a queue, as much as there is room for.
    async fn start(
        &self,
        slot: &Arc<Slot>,
        environment: &Arc<Environment>,
        environments: usize,
        stop: &watch::Receiver<bool>,
    ) -> Result<Started, StoreError> {
        let Queued {
            queue, parallel, ..
        } = slot.of;
        let free = parallel.saturating_sub(slot.busy.load(Ordering::Relaxed));
        if free == 0 {
            return Ok(Started::Full);
        }
        let share = free.div_ceil(environments).max(1);
        let most = i64::try_from(share).unwrap_or(i64::MAX);
        let (worker, lease) = (self.leases.worker(), millis(self.leases.settings().lease));
        let asked = Instant::now();
        let store = environment.store();
        let claimed = store.claim_jobs(queue, worker, most, lease).await?;
        if claimed.is_empty() {
            return Ok(Started::Nothing);
        }
        for lease in claimed {
            slot.busy.fetch_add(1, Ordering::Relaxed);
            let work = Work {
                slot: slot.clone(),
                environment: environment.clone(),
                leases: self.leases.clone(),
            };
            self.jobs.lock().spawn(work.run(lease, asked, stop.clone()));
        }
        Ok(Started::Jobs)
    }
}

/// What came of looking into a queue where something is due.
enum Started {
    /// Jobs were begun; there may be more.
    Jobs,
    /// Somebody else was quicker, or is about to commit.
    Nothing,
    /// There is no room for more.
    Full,
}

/// One job at work.
struct Work {
    slot: Arc<Slot>,
    environment: Arc<Environment>,
    leases: Arc<Leases>,
}

impl Drop for Work {
    /// Also if the handler panics.
    fn drop(&mut self) {
        self.slot.busy.fetch_sub(1, Ordering::Relaxed);
        self.environment.store().heard();
    }
}

impl Work {
    async fn run(self, lease: Lease, asked: Instant, stop: watch::Receiver<bool>) {
        let mut hold = self.leases.hold(&self.environment, lease, asked);
        let mut lease = hold.lease.clone();
        let began = Instant::now();
        let lost = async {
            hold.lost().await;
            // A job that has just ended looks like one that was lost: what is left to
            // do after its end is done. One that was lost can't commit anything.
            tokio::time::sleep(LAST_WORDS).await;
        };
        let result = tokio::select! {
            result = self.slot.of.handler.run(&self.environment, &lease, &stop) => result,
            () = lost => Err(StoreError::LeaseLost),
        };
        let store = self.environment.store();
        let (queue, name) = (lease.queue.name, lease.name.clone());
        let environment = &self.environment.name;
        let after = match result {
            Ok(()) if *stop.borrow() => store.release_lease(&lease).await,
            Ok(()) => Ok(()),
            Err(StoreError::LeaseLost) => {
                tracing::info!(
                    environment,
                    queue,
                    name,
                    "another process has this work now"
                );
                Ok(())
            }
            Err(error) => {
                tracing::warn!(environment, queue, name, %error, "work failed and is tried again");
                // What went well for so long has not failed all the times before.
                if began.elapsed() > RETRY.longest {
                    lease.attempts = 1;
                }
                let wait = RETRY.wait(lease.attempts);
                store.job_later(&lease, after(wait)).await
            }
        };
        if let Err(error) = after
            && !matches!(error, StoreError::LeaseLost)
        {
            // The lease runs out, and the work begins again.
            tracing::warn!(environment, queue, name, %error, "work can't be given back");
        }
    }
}
