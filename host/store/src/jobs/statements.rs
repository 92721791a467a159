//! The statements on jobs that run all the time, made once for each kind of
//! database.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::{Lease, NewJob, Queue};
use crate::Result;
use crate::database::{Row, Tx, Value, query};
use crate::dialect::{Dialect, Insert, Type};

/// When a lane has something for a claim: of those that wait the first, if the
/// lane may have one more at work, or when a lease ends.
pub(super) const LANE_DUE: &str = "
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

/// A lane that is due sooner stays so.
const SOONER: &str = "ON CONFLICT (queue, lane) DO UPDATE SET due_at = \
     {least}(coalesce(host_lanes.due_at, excluded.due_at), excluded.due_at)";

/// What [`Lease::read`] reads.
const LEASE: &str = "id, token, lane, name, due_at, attempts";

static SQLITE: LazyLock<Jobs> = LazyLock::new(|| Jobs::new(Dialect::Sqlite));
static POSTGRES: LazyLock<Jobs> = LazyLock::new(|| Jobs::new(Dialect::Postgres));

/// The statements.
#[derive(Debug)]
pub(crate) struct Jobs {
    enter: Insert,
    enter_lanes: Insert,
    begin_lane: String,
    begin: String,
    /// Whether a lease still runs; keeps its job.
    pub(super) check: String,
    pub(super) once_more: String,
    pub(super) hold: String,
    /// Locks lanes.
    pub(super) hold_lanes: String,
    /// Finds out when they are due.
    pub(super) refresh: String,
    pub(super) remove_idle: String,
    pub(super) claim_lanes: String,
    /// Of several lanes on Postgres, of one on SQLite.
    pub(super) pick: String,
    pub(super) take: String,
    /// Lanes that were served go behind those that wait.
    pub(super) served: String,
}

impl Jobs {
    pub(crate) fn of(dialect: Dialect) -> &'static Self {
        match dialect {
            Dialect::Sqlite => &SQLITE,
            Dialect::Postgres => &POSTGRES,
        }
    }

    fn new(dialect: Dialect) -> Self {
        let queue = ("queue", Type::Text);
        let lane = ("lane", Type::Text);
        let due_at = ("due_at", Type::Integer);
        let in_1 = dialect.in_list("$1");
        let in_2 = dialect.in_list("$2");
        let in_3 = dialect.in_list("$3");
        let text = |text: &str| dialect.text(text);
        let sooner = text(SOONER);
        Self {
            enter: Insert::new(
                dialect,
                "host_jobs",
                &[queue, lane, ("name", Type::Text), due_at],
                &text(
                    "ON CONFLICT (queue, name) DO UPDATE SET \
                     due_at = CASE WHEN host_jobs.lease_until IS NULL \
                     THEN {least}(host_jobs.due_at, excluded.due_at) ELSE host_jobs.due_at END, \
                     again_at = CASE WHEN host_jobs.lease_until IS NULL THEN host_jobs.again_at \
                     ELSE {least}(coalesce(host_jobs.again_at, excluded.due_at), excluded.due_at) END",
                ),
            ),
            enter_lanes: Insert::new(dialect, "host_lanes", &[queue, lane, due_at], &sooner),
            begin_lane: text(&format!(
                "INSERT INTO host_lanes (queue, lane, due_at) VALUES ($1, $2, {{now}} + $3) {SOONER}"
            )),
            begin: text(&format!(
                "INSERT INTO host_jobs \
                 (queue, lane, name, due_at, worker, token, attempts, lease_until) \
                 SELECT $1, $2, $3, {{now}}, $4, 1, 1, {{now}} + $5 \
                 WHERE (SELECT COUNT(*) FROM host_jobs \
                 WHERE queue = $1 AND lane = $2 AND lease_until > {{now}}) < $6 RETURNING {LEASE}"
            )),
            check: text(
                "SELECT id FROM host_jobs \
                 WHERE id = $1 AND token = $2 AND lease_until > {now} {held}",
            ),
            once_more: text(
                "UPDATE host_jobs SET worker = NULL, lease_until = NULL, again_at = NULL, \
                 attempts = 0, \
                 due_at = {least}(coalesce($3, again_at, due_at), coalesce(again_at, $3, due_at)) \
                 WHERE id = $1 AND token = $2 AND lease_until IS NOT NULL",
            ),
            hold: text(
                "SELECT id FROM host_jobs WHERE queue = $1 AND lane = $2 \
                 AND name = coalesce($3, name) ORDER BY id {held}",
            ),
            hold_lanes: text(&format!(
                "SELECT lane FROM host_lanes WHERE queue = $1 AND lane {in_2} ORDER BY lane {{held}}"
            )),
            refresh: text(&format!(
                "UPDATE host_lanes SET due_at = CASE WHEN {LANE_DUE} < {{now}} \
                 THEN {{least}}(coalesce(due_at, {{now}}), {{now}}) ELSE {LANE_DUE} END \
                 WHERE queue = $1 AND lane {in_3} RETURNING lane, due_at"
            )),
            remove_idle: format!(
                "DELETE FROM host_lanes WHERE queue = $1 AND due_at IS NULL AND lane {in_2}"
            ),
            claim_lanes: text(&format!(
                "SELECT lane FROM host_lanes WHERE queue = $1 AND due_at <= {{now}} \
                 ORDER BY due_at LIMIT {} {{locked}}",
                dialect.limit("$2")
            )),
            pick: text(match dialect {
                Dialect::Postgres => {
                    "SELECT picked.id FROM unnest($2) AS lanes (lane) CROSS JOIN LATERAL ( \
                     SELECT id FROM host_jobs WHERE queue = $1 AND lane = lanes.lane \
                     AND due_at <= {now} AND (lease_until IS NULL OR lease_until <= {now}) \
                     ORDER BY due_at, id LIMIT greatest(0, $3 - (SELECT COUNT(*) FROM host_jobs \
                     WHERE queue = $1 AND lane = lanes.lane AND lease_until > {now})) {locked} \
                     ) AS picked LIMIT $4"
                }
                Dialect::Sqlite => {
                    "SELECT id FROM host_jobs WHERE queue = $1 AND lane = $2 \
                     AND due_at <= {now} AND (lease_until IS NULL OR lease_until <= {now}) \
                     ORDER BY due_at, id LIMIT min($4, max(0, $3 - (SELECT COUNT(*) FROM host_jobs \
                     WHERE queue = $1 AND lane = $2 AND lease_until > {now})))"
                }
            }),
            take: text(&format!(
                "UPDATE host_jobs SET worker = $2, token = token + 1, attempts = attempts + 1, \
                 again_at = CASE WHEN again_at > {{now}} THEN again_at END, \
                 lease_until = {{now}} + $3 WHERE id {in_1} RETURNING {LEASE}"
            )),
            served: text(&format!(
                "UPDATE host_lanes SET due_at = CASE WHEN {LANE_DUE} < {{now}} THEN {{now}} \
                 ELSE {LANE_DUE} END WHERE queue = $1 AND lane {in_3}"
            )),
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

    /// Enters a job of a new name that its worker begins at once, for `lease`
    /// milliseconds. None: the lane has as many at work as it may, and nothing of
    /// the transaction is to stay.
    pub(crate) async fn begin(
        &'static self,
        tx: &mut Tx,
        queue: Queue,
        lane: &str,
        name: &str,
        worker: &str,
        lease: i64,
    ) -> Result<Option<Lease>> {
        let held = query(&self.begin_lane).bind(queue.name).bind(lane);
        held.bind(lease).execute(&mut *tx).await?;
        // The lane's row is this transaction's now: what the next statement counts
        // is sure to be all.
        let begin = query(&self.begin)
            .bind(queue.name)
            .bind(lane)
            .bind(name)
            .bind(worker)
            .bind(lease)
            .bind(queue.per_lane);
        let mut begun = None;
        let read = |row: Row<'_>| {
            begun = Some(Lease::read(queue, &row)?);
            Ok(())
        };
        begin.each(tx, read).await?;
        Ok(begun)
    }
}
