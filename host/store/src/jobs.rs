//! Work as rows with leases.
//!
//! A job is something that is to be done at a time: it has a queue (what kind of
//! work), a lane (whose it is) and a name, unique within its queue. A worker
//! claims due jobs in batches and holds each under a lease of some seconds, which
//! it renews while it works. Each claim gives the job a new token; what the work
//! leads to is committed in a transaction that first checks that the token is
//! still the job's and the lease still runs ([`Lease`]), so a process that stood
//! still for too long can't overwrite what its successor did. Time is the
//! database's.
//!
//! Lanes are what fairness and order are about. A lane has at most as many jobs
//! running as its queue allows; with one, its jobs run in order. `host_lanes`
//! says when each lane has something for a claim; a lane that was served goes
//! behind those that were due before. Whoever changes a lane's jobs locks the
//! lane's row, so that no due time is lost between two of them.

mod statements;

use std::collections::{BTreeSet, HashSet};

use crate::database::{Row, Tx, query, statement};
use crate::dialect::Dialect;
use crate::webhooks::{DELIVER, FAN_OUT};
use crate::{EnvStore, Result, StoreError};
pub(crate) use statements::Jobs;
use statements::LANE_DUE;

/// A kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    /// Its name in the table.
    pub name: &'static str,
    /// How many jobs of one lane run at once.
    pub per_lane: i64,
}

/// One entity of one credential: a lane is a credential, a name `CREDENTIAL/ENTITY`.
pub const SYNC: Queue = Queue {
    name: "sync",
    per_lane: 1,
};
/// A write that is under way or whose outcome is not known: a lane is a record,
/// a name is a write.
pub const SETTLE: Queue = Queue {
    name: "settle",
    per_lane: 1,
};
/// What an environment needs done by one process: numbering its events, clearing
/// away what is old.
pub const HOUSE: Queue = Queue {
    name: "house",
    per_lane: 1,
};

/// A job to be entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewJob {
    /// Whose work it is.
    pub lane: String,
    /// Unique within the queue. A job that is there already keeps its place, and
    /// is due when it was or at `due_at`, whichever is earlier. One that is being
    /// worked on is due once more at `due_at`: it may have passed what it is
    /// wanted for.
    pub name: String,
    /// In milliseconds since 1970; the past means now.
    pub due_at: i64,
}

/// The right to work on a job, until it ends or is renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The job.
    pub(crate) id: i64,
    pub(crate) token: i64,
    /// Its queue.
    pub queue: Queue,
    /// Whose work it is.
    pub lane: String,
    /// Its name.
    pub name: String,
    /// When it was due, in milliseconds since 1970.
    pub due_at: i64,
    /// How often it was claimed, this time included.
    pub attempts: i64,
}

impl Lease {
    fn read(queue: Queue, row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            token: row.get("token")?,
            queue,
            lane: row.get("lane")?,
            name: row.get("name")?,
            due_at: row.get("due_at")?,
            attempts: row.get("attempts")?,
        })
    }

    /// Makes sure, at the beginning of a transaction, that the job is still this
    /// worker's, and keeps it so until the transaction ends.
    pub(crate) async fn check(&self, tx: &mut Tx) -> Result<()> {
        let check = query(&Jobs::of(tx.dialect()).check);
        let check = check.bind(self.id).bind(self.token);
        let held: Option<i64> = check.optional(tx).await?;
        held.map(drop).ok_or(StoreError::LeaseLost)
    }

    /// The job is done, unless somebody wanted it once more while it ran.
    pub(crate) async fn finish(&self, tx: &mut Tx) -> Result<()> {
        let done = query(
            "DELETE FROM host_jobs WHERE id = $1 AND token = $2 \
             AND lease_until IS NOT NULL AND again_at IS NULL",
        );
        let done = done.bind(self.id).bind(self.token).execute(&mut *tx);
        if done.await? == 0 && self.once_more(tx, None).await? == 0 {
            return Err(StoreError::LeaseLost);
        }
        refresh_lane(tx, self.queue, &self.lane).await
    }

    /// The job is to be done again at a time. If somebody wanted it sooner while
    /// it ran, then sooner.
    pub(crate) async fn again(&self, tx: &mut Tx, due_at: i64) -> Result<()> {
        if self.once_more(tx, Some(due_at)).await? == 0 {
            return Err(StoreError::LeaseLost);
        }
        refresh_lane(tx, self.queue, &self.lane).await
    }

    async fn once_more(&self, tx: &mut Tx, due_at: Option<i64>) -> Result<u64> {
        let again = query(&Jobs::of(tx.dialect()).once_more);
        let again = again.bind(self.id).bind(self.token).bind(due_at);
        again.execute(&mut *tx).await
    }
}

/// Holds a sync's or a write's jobs, or one of them: who locks a job and what
/// belongs to it locks the job first, as those do who work on it.
pub(crate) async fn hold(tx: &mut Tx, queue: Queue, lane: &str, name: Option<&str>) -> Result<()> {
    let held = query(&Jobs::of(tx.dialect()).hold);
    let held = held.bind(queue.name).bind(lane).bind(name);
    held.all::<i64>(tx).await.map(drop)
}

/// Takes a job off the list, whoever works on it.
pub(crate) async fn cancel(tx: &mut Tx, queue: Queue, lane: &str, name: &str) -> Result<()> {
    let cancel = query("DELETE FROM host_jobs WHERE queue = $1 AND name = $2");
    let cancel = cancel.bind(queue.name).bind(name);
    cancel.execute(&mut *tx).await?;
    refresh_lane(tx, queue, lane).await
}

/// Takes all jobs of a lane off the list.
pub(crate) async fn cancel_lane(tx: &mut Tx, queue: Queue, lane: &str) -> Result<()> {
    for table in ["host_jobs", "host_lanes"] {
        let cancel = statement(format!(
            "DELETE FROM {table} WHERE queue = $1 AND lane = $2"
        ));
        cancel.bind(queue.name).bind(lane).execute(&mut *tx).await?;
    }
    Ok(())
}

/// A lane that waits for a claim already keeps its place; one that has something
/// again goes behind those that wait, however long its jobs have been due.
async fn refresh_lane(tx: &mut Tx, queue: Queue, lane: &str) -> Result<()> {
    refresh_lanes(tx, queue, vec![lane.to_owned()]).await
}

/// Finds out when lanes have something for a claim; those without jobs go. The
/// lanes' rows are locked first, by a statement of its own: only what the next
/// one sees is sure to be all.
async fn refresh_lanes(tx: &mut Tx, queue: Queue, lanes: Vec<String>) -> Result<()> {
    let jobs = Jobs::of(tx.dialect());
    let held = query(&jobs.hold_lanes).bind(queue.name).bind(lanes);
    let held: Vec<String> = held.all(&mut *tx).await?;
    let refresh = query(&jobs.refresh)
        .bind(queue.name)
        .bind(queue.per_lane)
        .bind(held);
    let due: Vec<(String, Option<i64>)> = refresh.all(&mut *tx).await?;
    let idle = due.into_iter().filter(|(_, due_at)| due_at.is_none());
    let idle: Vec<String> = idle.map(|(lane, _)| lane).collect();
    if idle.is_empty() {
        return Ok(());
    }
    let remove = query(&jobs.remove_idle).bind(queue.name).bind(idle);
    remove.execute(&mut *tx).await.map(drop)
}

impl EnvStore {
    /// Enters jobs.
    pub async fn enter_jobs(&self, queue: Queue, jobs: Vec<NewJob>) -> Result<()> {
        let mut tx = self.db.write().await?;
        self.jobs.enter(&mut tx, queue, jobs).await?;
        self.db.commit(tx).await?;
        self.signal();
        Ok(())
    }

    /// Takes up to `most` due jobs of a queue for a worker, each for `lease`
    /// milliseconds: of the lanes that have waited longest first.
    pub async fn claim_jobs(
        &self,
        queue: Queue,
        worker: &str,
        most: i64,
        lease: i64,
    ) -> Result<Vec<Lease>> {
        let mut tx = self.db.write().await?;
        let lanes = query(&self.jobs.claim_lanes).bind(queue.name).bind(most);
        let lanes: Vec<String> = lanes.all(&mut tx).await?;
        if lanes.is_empty() {
            return Ok(Vec::new());
        }
        let picked: Vec<i64> = match tx.dialect() {
            Dialect::Postgres => {
                let pick = query(&self.jobs.pick)
                    .bind(queue.name)
                    .bind(lanes.clone())
                    .bind(queue.per_lane)
                    .bind(most);
                pick.all(&mut tx).await?
            }
            Dialect::Sqlite => {
                let mut picked: Vec<i64> = Vec::new();
                for lane in &lanes {
                    let left = most - i64::try_from(picked.len()).unwrap_or(most);
                    if left <= 0 {
                        break;
                    }
                    let pick = query(&self.jobs.pick)
                        .bind(queue.name)
                        .bind(lane)
                        .bind(queue.per_lane)
                        .bind(left);
                    picked.extend(pick.all::<i64>(&mut tx).await?);
                }
                picked
            }
        };
        let mut taken = Vec::with_capacity(picked.len());
        let take = query(&self.jobs.take).bind(picked).bind(worker).bind(lease);
        let read = |row: Row<'_>| {
            taken.push(Lease::read(queue, &row)?);
            Ok(())
        };
        take.each(&mut tx, read).await?;
        // A lane that has more to do goes behind those that wait; so does one whose
        // jobs somebody else holds. Those that there was no room for stay.
        let full = i64::try_from(taken.len()).is_ok_and(|taken| taken >= most);
        let lanes = if full {
            taken.iter().map(|lease| lease.lane.clone()).collect()
        } else {
            lanes
        };
        let served = query(&self.jobs.served)
            .bind(queue.name)
            .bind(queue.per_lane)
            .bind(lanes);
        served.execute(&mut tx).await?;
        self.db.commit_soon(tx).await?;
        taken.sort_by_key(|lease| (lease.due_at, lease.id));
        Ok(taken)
    }

    /// Prolongs leases by `lease` milliseconds from now. Answers those that are
    /// still held: all others are lost.
    pub async fn renew_leases(&self, leases: &[(i64, i64)], lease: i64) -> Result<Vec<i64>> {
        let mut tx = self.db.write().await?;
        let dialect = tx.dialect();
        let known = dialect.text(&format!(
            "SELECT id, token FROM host_jobs WHERE id {} AND lease_until > {{now}}",
            dialect.in_list("$1")
        ));
        let ids: Vec<i64> = leases.iter().map(|(id, _)| *id).collect();
        let known: Vec<(i64, i64)> = statement(known).bind(ids).all(&mut tx).await?;
        let held = leases.iter().filter(|lease| known.contains(lease));
        let held: Vec<i64> = held.map(|(id, _)| *id).collect();
        // One that is about to commit is held by that, and renewed next time.
        let renew = dialect.text(&format!(
            "UPDATE host_jobs SET lease_until = {{now}} + $2 WHERE id IN \
             (SELECT id FROM host_jobs WHERE id {} AND lease_until > {{now}} {{locked}})",
            dialect.in_list("$1")
        ));
        statement(renew)
            .bind(held.clone())
            .bind(lease)
            .execute(&mut tx)
            .await?;
        self.db.commit_soon(tx).await?;
        Ok(held)
    }

    /// Gives a job back as it was: the worker stops before it is done.
    pub async fn release_lease(&self, lease: &Lease) -> Result<()> {
        let mut tx = self.db.write().await?;
        let back = query(
            "UPDATE host_jobs SET worker = NULL, lease_until = NULL, attempts = attempts - 1 \
             WHERE id = $1 AND token = $2 AND lease_until IS NOT NULL",
        );
        let back = back.bind(lease.id).bind(lease.token);
        if back.execute(&mut tx).await? > 0 {
            refresh_lane(&mut tx, lease.queue, &lease.lane).await?;
        }
        self.db.commit(tx).await?;
        self.signal();
        Ok(())
    }

    /// The job is done, and nothing else comes of it.
    pub async fn finish_job(&self, lease: &Lease) -> Result<()> {
        let mut tx = self.db.write().await?;
        lease.finish(&mut tx).await?;
        self.db.commit(tx).await
    }

    /// Jobs of one queue that are done, in one transaction. Answers how many of
    /// them were still this worker's.
    pub async fn finish_jobs(&self, queue: Queue, leases: &[Lease]) -> Result<u64> {
        let mut tx = self.db.write().await?;
        let dialect = tx.dialect();
        let held = dialect.text(&format!(
            "SELECT id, token FROM host_jobs WHERE id {} AND lease_until > {{now}} \
             ORDER BY id {{held}}",
            dialect.in_list("$1")
        ));
        let ids: Vec<i64> = leases.iter().map(|lease| lease.id).collect();
        let held: Vec<(i64, i64)> = statement(held).bind(ids).all(&mut tx).await?;
        let held: HashSet<(i64, i64)> = held.into_iter().collect();
        let ours: Vec<&Lease> = leases
            .iter()
            .filter(|lease| held.contains(&(lease.id, lease.token)))
            .collect();
        let ids: Vec<i64> = ours.iter().map(|lease| lease.id).collect();
        let count = u64::try_from(ids.len()).unwrap_or_default();
        // What somebody wanted once more is no longer worked on; the rest is gone.
        let ids_are = dialect.in_list("$1");
        for done in [
            format!("DELETE FROM host_jobs WHERE id {ids_are} AND again_at IS NULL"),
            format!(
                "UPDATE host_jobs SET worker = NULL, lease_until = NULL, attempts = 0, \
                 due_at = again_at, again_at = NULL WHERE id {ids_are}"
            ),
        ] {
            statement(done).bind(ids.clone()).execute(&mut tx).await?;
        }
        let lanes: BTreeSet<String> = ours.iter().map(|lease| lease.lane.clone()).collect();
        refresh_lanes(&mut tx, queue, lanes.into_iter().collect()).await?;
        self.db.commit(tx).await?;
        Ok(count)
    }

    /// The job is to be done again at `due_at`, in milliseconds since 1970.
    pub async fn job_again(&self, lease: &Lease, due_at: i64) -> Result<()> {
        let mut tx = self.db.write().await?;
        lease.again(&mut tx, due_at).await?;
        self.db.commit(tx).await?;
        self.signal();
        Ok(())
    }

    /// Lets nothing of a lane begin before a time, in milliseconds since 1970.
    pub async fn park_lane(&self, queue: Queue, lane: &str, until: i64) -> Result<()> {
        let mut tx = self.db.write().await?;
        query(
            "UPDATE host_jobs SET due_at = $3 WHERE queue = $1 AND lane = $2 \
             AND lease_until IS NULL AND due_at < $3",
        )
        .bind(queue.name)
        .bind(lane)
        .bind(until)
        .execute(&mut tx)
        .await?;
        refresh_lane(&mut tx, queue, lane).await?;
        self.db.commit(tx).await
    }

    /// The job failed and is to be tried again at `due_at`; it remembers how often
    /// it was tried.
    pub async fn job_later(&self, lease: &Lease, due_at: i64) -> Result<()> {
        let mut tx = self.db.write().await?;
        lease.again(&mut tx, due_at).await?;
        query("UPDATE host_jobs SET attempts = $2 WHERE id = $1")
            .bind(lease.id)
            .bind(lease.attempts)
            .execute(&mut tx)
            .await?;
        self.db.commit(tx).await?;
        self.signal();
        Ok(())
    }

    /// Ends all leases. For the start of a process that has the database to
    /// itself: whoever held them is gone. Answers how many there were.
    pub async fn release_all_leases(&self) -> Result<u64> {
        let mut tx = self.db.write().await?;
        let released = query(
            "UPDATE host_jobs SET worker = NULL, lease_until = NULL WHERE lease_until IS NOT NULL",
        );
        let released = released.execute(&mut tx).await?;
        for queue in [SYNC, SETTLE, HOUSE, DELIVER, FAN_OUT] {
            let due = tx.dialect().text(&format!(
                "UPDATE host_lanes SET due_at = {LANE_DUE} WHERE queue = $1"
            ));
            let due = statement(due).bind(queue.name).bind(queue.per_lane);
            due.execute(&mut tx).await?;
        }
        self.db.commit(tx).await?;
        Ok(released)
    }

    /// In how many milliseconds each of these queues has something to claim, in
    /// their order; none: nothing.
    pub async fn next_jobs(&self, queues: &[Queue]) -> Result<Vec<Option<i64>>> {
        if queues.is_empty() {
            return Ok(Vec::new());
        }
        let next = (1..=queues.len()).map(|at| {
            format!(
                "(SELECT MIN(due_at) FROM host_lanes WHERE queue = ${at} \
                 AND due_at IS NOT NULL) - {{now}}"
            )
        });
        let next = format!("SELECT {}", Vec::from_iter(next).join(", "));
        let next = statement(self.db.dialect().text(&next));
        let next = next.bind_all(queues.iter().map(|queue| queue.name.into()));
        let mut waits = Vec::with_capacity(queues.len());
        let read = |row: Row<'_>| {
            for at in 0..queues.len() {
                let wait: Option<i64> = row.get(at)?;
                waits.push(wait.map(|wait| wait.max(0)));
            }
            Ok(())
        };
        next.brief().each(&self.db, read).await?;
        Ok(waits)
    }

    /// The same of one queue.
    pub async fn next_job_in(&self, queue: Queue) -> Result<Option<i64>> {
        let next = self.next_jobs(&[queue]).await?;
        Ok(next.into_iter().next().flatten())
    }
}

impl Lease {
    /// What [`EnvStore::renew_leases`] wants.
    pub fn renewal(&self) -> (i64, i64) {
        (self.id, self.token)
    }
}
