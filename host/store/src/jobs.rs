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

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::database::{FromRow, Row, Tx, Value, query, statement};
use crate::dialect::{Dialect, Insert, Type};
use crate::{EnvStore, Result, StoreError};

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

struct Claimed(i64, i64, String, String, i64, i64);

impl FromRow for Claimed {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self(
            row.get("id")?,
            row.get("token")?,
            row.get("lane")?,
            row.get("name")?,
            row.get("due_at")?,
            row.get("attempts")?,
        ))
    }
}

impl Claimed {
    fn lease(self, queue: Queue) -> Lease {
        let Self(id, token, lane, name, due_at, attempts) = self;
        Lease {
            id,
            token,
            queue,
            lane,
            name,
            due_at,
            attempts,
        }
    }
}

/// The statements, made once for a database.
#[derive(Debug)]
pub(crate) struct Jobs {
    enter: Insert,
    enter_lanes: Insert,
}

impl Jobs {
    pub(crate) fn new(dialect: Dialect) -> Self {
        let jobs = [
            ("queue", Type::Text),
            ("lane", Type::Text),
            ("name", Type::Text),
            ("due_at", Type::Integer),
        ];
        let lanes = [
            ("queue", Type::Text),
            ("lane", Type::Text),
            ("due_at", Type::Integer),
        ];
        Self {
            enter: Insert::new(
                dialect,
                "host_jobs",
                &jobs,
                &dialect.text(
                    "ON CONFLICT (queue, name) DO UPDATE SET \
                     due_at = CASE WHEN host_jobs.lease_until IS NULL \
                     THEN {least}(host_jobs.due_at, excluded.due_at) ELSE host_jobs.due_at END, \
                     again_at = CASE WHEN host_jobs.lease_until IS NULL THEN host_jobs.again_at \
                     ELSE {least}(coalesce(host_jobs.again_at, excluded.due_at), excluded.due_at) END",
                ),
            ),
            enter_lanes: Insert::new(
                dialect,
                "host_lanes",
                &lanes,
                &dialect.text(
                    "ON CONFLICT (queue, lane) DO UPDATE SET due_at = \
                     {least}(coalesce(host_lanes.due_at, excluded.due_at), excluded.due_at)",
                ),
            ),
        }
    }

    /// Enters jobs in the transaction that makes them necessary. Two of them
    /// must not have one name.
    pub(crate) async fn enter(&self, tx: &mut Tx, queue: Queue, jobs: Vec<NewJob>) -> Result<()> {
        let text = |text: &str| Value::from(text);
        let mut lanes: BTreeMap<String, i64> = BTreeMap::new();
        let mut rows = Vec::with_capacity(jobs.len());
        for job in jobs {
            let due = lanes.entry(job.lane.clone()).or_insert(job.due_at);
            *due = (*due).min(job.due_at);
            let row = vec![
                text(queue.name),
                job.lane.into(),
                (&job.name).into(),
                job.due_at.into(),
            ];
            rows.push((job.name, row));
        }
        // In the order of their names, so that two who enter wait for each other
        // in one direction only.
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        let rows = rows.into_iter().map(|(_, row)| row).collect();
        self.enter.run(tx, rows).await?;
        let lanes = lanes
            .into_iter()
            .map(|(lane, due_at)| vec![text(queue.name), lane.into(), due_at.into()]);
        self.enter_lanes.run(tx, lanes.collect()).await
    }
}

impl Lease {
    /// Makes sure, at the beginning of a transaction, that the job is still this
    /// worker's, and keeps it so until the transaction ends.
    pub(crate) async fn check(&self, tx: &mut Tx) -> Result<()> {
        let held = tx.dialect().text(
            "SELECT id FROM host_jobs WHERE id = $1 AND token = $2 AND lease_until > {now} {held}",
        );
        let held: Option<i64> = statement(held)
            .bind(self.id)
            .bind(self.token)
            .optional(tx)
            .await?;
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
        let again = tx.dialect().text(
            "UPDATE host_jobs SET worker = NULL, lease_until = NULL, again_at = NULL, attempts = 0, \
             due_at = {least}(coalesce($3, again_at, due_at), coalesce(again_at, $3, due_at)) \
             WHERE id = $1 AND token = $2 AND lease_until IS NOT NULL",
        );
        let again = statement(again).bind(self.id).bind(self.token).bind(due_at);
        again.execute(&mut *tx).await
    }
}

/// Holds a sync's or a write's jobs, or one of them: who locks a job and what
/// belongs to it locks the job first, as those do who work on it.
pub(crate) async fn hold(tx: &mut Tx, queue: Queue, lane: &str, name: Option<&str>) -> Result<()> {
    let held = tx.dialect().text(
        "SELECT id FROM host_jobs WHERE queue = $1 AND lane = $2 \
         AND name = coalesce($3, name) ORDER BY id {held}",
    );
    let held = statement(held).bind(queue.name).bind(lane).bind(name);
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

/// When a lane has something for a claim: of those that wait the first, if the
/// lane may have one more at work, or when a lease ends.
const LANE_DUE: &str = "
    CASE WHEN (SELECT COUNT(*) FROM host_jobs WHERE queue = $1 AND lane = host_lanes.lane
               AND lease_until > {now}) >= $2
    THEN (SELECT MIN(lease_until) FROM host_jobs WHERE queue = $1 AND lane = host_lanes.lane
          AND lease_until IS NOT NULL)
    ELSE (SELECT MIN(due) FROM (
            SELECT * FROM (SELECT due_at AS due FROM host_jobs WHERE queue = $1
                AND lane = host_lanes.lane AND lease_until IS NULL ORDER BY due_at LIMIT 1) AS waits
            UNION ALL
            SELECT MIN(lease_until) FROM host_jobs WHERE queue = $1
                AND lane = host_lanes.lane AND lease_until IS NOT NULL) AS dues)
    END";

/// A lane that waits for a claim already keeps its place; one that has something
/// again goes behind those that wait, however long its jobs have been due.
async fn refresh_lane(tx: &mut Tx, queue: Queue, lane: &str) -> Result<()> {
    refresh_lanes(tx, queue, vec![lane.to_owned()]).await
}

/// Finds out when lanes have something for a claim; those without jobs go. The
/// lanes' rows are locked first, by a statement of its own: only what the next
/// one sees is sure to be all.
async fn refresh_lanes(tx: &mut Tx, queue: Queue, lanes: Vec<String>) -> Result<()> {
    let dialect = tx.dialect();
    let held = dialect.text(&format!(
        "SELECT lane FROM host_lanes WHERE queue = $1 AND lane {} ORDER BY lane {{held}}",
        dialect.in_list("$2")
    ));
    let held: Vec<String> = statement(held)
        .bind(queue.name)
        .bind(lanes)
        .all(&mut *tx)
        .await?;
    let due = dialect.text(&format!(
        "UPDATE host_lanes SET due_at = CASE WHEN {LANE_DUE} < {{now}} \
         THEN {{least}}(coalesce(due_at, {{now}}), {{now}}) ELSE {LANE_DUE} END \
         WHERE queue = $1 AND lane {}",
        dialect.in_list("$3")
    ));
    statement(due)
        .bind(queue.name)
        .bind(queue.per_lane)
        .bind(held.clone())
        .execute(&mut *tx)
        .await?;
    let gone = format!(
        "DELETE FROM host_lanes WHERE queue = $1 AND due_at IS NULL AND lane {}",
        dialect.in_list("$2")
    );
    statement(gone)
        .bind(queue.name)
        .bind(held)
        .execute(&mut *tx)
        .await
        .map(drop)
}

impl EnvStore {
    /// Takes a job that was just entered, in the same transaction.
    pub(crate) async fn take_job(
        &self,
        tx: &mut Tx,
        queue: Queue,
        name: &str,
        worker: &str,
        lease: i64,
    ) -> Result<Lease> {
        let take = tx.dialect().text(
            "UPDATE host_jobs SET worker = $3, token = token + 1, attempts = attempts + 1, \
             lease_until = {now} + $4 WHERE queue = $1 AND name = $2 \
             RETURNING id, token, lane, name, due_at, attempts",
        );
        let taken: Claimed = statement(take)
            .bind(queue.name)
            .bind(name)
            .bind(worker)
            .bind(lease)
            .one(&mut *tx)
            .await?;
        let lease = taken.lease(queue);
        refresh_lane(tx, queue, &lease.lane).await?;
        Ok(lease)
    }

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
        let dialect = tx.dialect();
        let lanes = dialect.text(
            "SELECT lane FROM host_lanes WHERE queue = $1 AND due_at <= {now} \
             ORDER BY due_at LIMIT $2 {locked}",
        );
        let lanes: Vec<String> = statement(lanes)
            .bind(queue.name)
            .bind(most)
            .all(&mut tx)
            .await?;
        if lanes.is_empty() {
            return Ok(Vec::new());
        }
        let picked: Vec<i64> = match dialect {
            Dialect::Postgres => {
                let pick = dialect.text(
                    "SELECT picked.id FROM unnest($2) AS lanes (lane) CROSS JOIN LATERAL ( \
                     SELECT id FROM host_jobs WHERE queue = $1 AND lane = lanes.lane \
                     AND due_at <= {now} AND (lease_until IS NULL OR lease_until <= {now}) \
                     ORDER BY due_at, id LIMIT greatest(0, $3 - (SELECT COUNT(*) FROM host_jobs \
                     WHERE queue = $1 AND lane = lanes.lane AND lease_until > {now})) {locked} \
                     ) AS picked LIMIT $4",
                );
                let pick = statement(pick)
                    .bind(queue.name)
                    .bind(lanes.clone())
                    .bind(queue.per_lane)
                    .bind(most);
                pick.all(&mut tx).await?
            }
            Dialect::Sqlite => {
                let pick = dialect.text(
                    "SELECT id FROM host_jobs WHERE queue = $1 AND lane = $2 \
                     AND due_at <= {now} AND (lease_until IS NULL OR lease_until <= {now}) \
                     ORDER BY due_at, id LIMIT min($4, max(0, $3 - (SELECT COUNT(*) FROM host_jobs \
                     WHERE queue = $1 AND lane = $2 AND lease_until > {now})))",
                );
                let mut picked: Vec<i64> = Vec::new();
                for lane in &lanes {
                    let left = most - i64::try_from(picked.len()).unwrap_or(most);
                    if left <= 0 {
                        break;
                    }
                    let pick = statement(pick.clone())
                        .bind(queue.name)
                        .bind(lane)
                        .bind(queue.per_lane)
                        .bind(left);
                    picked.extend(pick.all::<i64>(&mut tx).await?);
                }
                picked
            }
        };
        let take = dialect.text(&format!(
            "UPDATE host_jobs SET worker = $2, token = token + 1, attempts = attempts + 1, \
             again_at = CASE WHEN again_at > {{now}} THEN again_at END, \
             lease_until = {{now}} + $3 WHERE id {} \
             RETURNING id, token, lane, name, due_at, attempts",
            dialect.in_list("$1")
        ));
        let mut taken: Vec<Claimed> = statement(take)
            .bind(picked)
            .bind(worker)
            .bind(lease)
            .all(&mut tx)
            .await?;
        // A lane that has more to do goes behind those that wait; so does one whose
        // jobs somebody else holds. Those that there was no room for stay.
        let full = i64::try_from(taken.len()).is_ok_and(|taken| taken >= most);
        let lanes = if full {
            taken.iter().map(|claimed| claimed.2.clone()).collect()
        } else {
            lanes
        };
        let served = dialect.text(&format!(
            "UPDATE host_lanes SET due_at = CASE WHEN {LANE_DUE} < {{now}} THEN {{now}} \
             ELSE {LANE_DUE} END WHERE queue = $1 AND lane {}",
            dialect.in_list("$3")
        ));
        statement(served)
            .bind(queue.name)
            .bind(queue.per_lane)
            .bind(lanes)
            .execute(&mut tx)
            .await?;
        self.db.commit(tx).await?;
        taken.sort_by_key(|claimed| (claimed.4, claimed.0));
        Ok(taken
            .into_iter()
            .map(|claimed| claimed.lease(queue))
            .collect())
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
        self.db.commit(tx).await?;
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
        for queue in [SYNC, SETTLE, HOUSE] {
            let due = tx.dialect().text(&format!(
                "UPDATE host_lanes SET due_at = {LANE_DUE} WHERE queue = $1"
            ));
            let due = statement(due).bind(queue.name).bind(queue.per_lane);
            due.execute(&mut tx).await?;
        }
        self.db.commit(tx).await?;
        Ok(released)
    }

    /// In how many milliseconds a queue has something to claim; none: nothing.
    pub async fn next_job_in(&self, queue: Queue) -> Result<Option<i64>> {
        let next = self.db.dialect().text(
            "SELECT MIN(due_at) - {now} FROM host_lanes WHERE queue = $1 AND due_at IS NOT NULL",
        );
        let next = statement(next).bind(queue.name);
        let next: Option<i64> = next.one(&self.db).await?;
        Ok(next.map(|wait| wait.max(0)))
    }
}

impl Lease {
    /// What [`EnvStore::renew_leases`] wants.
    pub fn renewal(&self) -> (i64, i64) {
        (self.id, self.token)
    }
}
