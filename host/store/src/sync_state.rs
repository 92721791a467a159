//! How far each entity of each credential is synced, and what was set aside.

use std::sync::LazyLock;

use crate::database::{FromRow, Query, Row, Tx, query, statement};
use crate::full_passes::{FullPass, SyncSettings};
use crate::jobs::{self, Lease, NewJob, SYNC};
use crate::{EnvStore, Result, StoreError, changes, sync_completed};

/// Where the sync of an entity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncStatus {
    /// Waits for its turn.
    Pending,
    /// Is running, or was when the process ended.
    Running,
    /// Is up to date as of the last pass.
    Done,
    /// Gave up; the row's `error` says why.
    Failed,
    /// The account may not read it; the row's `error` says why.
    Unavailable,
}

impl SyncStatus {
    const ALL: [Self; 5] = [
        Self::Pending,
        Self::Running,
        Self::Done,
        Self::Failed,
        Self::Unavailable,
    ];

    /// The name in the API and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Whether everything is being read, or what changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPhase {
    /// The first pass over everything.
    First,
    /// Changes since then.
    Incremental,
}

impl SyncPhase {
    const ALL: [Self; 2] = [Self::First, Self::Incremental];

    /// The name in the API and in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Incremental => "incremental",
        }
    }
}

/// What the sync engine decides about an entity's next run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Where it stands.
    pub status: SyncStatus,
    /// What is being read.
    pub phase: SyncPhase,
    /// When it is due, in milliseconds since 1970; none: never.
    pub next_at: Option<i64>,
    /// Failures in a row.
    pub attempts: i64,
    /// Why it failed, or is unavailable.
    pub error: Option<String>,
    /// When the first pass was complete, in milliseconds since 1970.
    pub first_done_at: Option<i64>,
}

/// What is asked for with a sync at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Everything is to be read.
    pub full: bool,
    /// What the last full pass missed is deleted.
    pub confirm_deletes: bool,
}

/// The sync of one entity of one credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncRow {
    /// The credential.
    pub credential_id: String,
    /// The entity's name, `people`.
    pub entity: String,
    /// When and how it runs next.
    pub schedule: Schedule,
    /// Where the connector goes on.
    pub cursor: Option<String>,
    /// Rows that are stored, exact.
    pub records: i64,
    /// Records that the app says it has.
    pub total: Option<i64>,
    /// Records that are set aside, exact.
    pub quarantined: i64,
    /// Fields replaced by a default since the beginning.
    pub lenient: i64,
    /// When the last pass that reads changes was complete, in milliseconds since 1970.
    pub synced_at: Option<i64>,
    /// How many asked for it at once, and wait.
    pub asked: i64,
    /// What is set for the credential's syncs.
    pub settings: SyncSettings,
    /// The full pass under way.
    pub full: Option<FullPass>,
    /// When the next full pass is due, in milliseconds since 1970; none: as configured,
    /// after the first pass.
    pub full_at: Option<i64>,
    /// When the last full pass was complete, in milliseconds since 1970.
    pub full_done_at: Option<i64>,
    /// Records that the last full pass missed, too many to be believed: somebody has to
    /// say that they are deleted.
    pub missing: Option<i64>,
    /// How many were missing when somebody said so.
    pub confirmed: Option<i64>,
}

/// A sync's row with when its job is due, its full pass and its settings.
pub(crate) static ROWS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "SELECT s.*, (SELECT j.due_at FROM host_jobs j WHERE j.queue = 'sync' \
         AND j.name = s.credential_id || '/' || s.entity) AS next_at, \
         t.paused, t.poll_seconds, {} FROM host_sync s \
         LEFT JOIN host_sync_settings t ON t.credential_id = s.credential_id \
         LEFT JOIN host_full_passes f ON f.credential_id = s.credential_id AND f.entity = s.entity",
        FullPass::COLUMNS
    )
});

/// The name of a sync's job.
pub(crate) fn sync_name(credential_id: &str, entity: &str) -> String {
    format!("{credential_id}/{entity}")
}

impl Lease {
    /// The job's number.
    pub fn job(&self) -> i64 {
        self.id
    }

    /// The credential and the entity of a sync's job.
    pub fn sync(&self) -> Option<(&str, &str)> {
        self.name.split_once('/')
    }
}

impl FromRow for SyncRow {
    fn read(row: &Row<'_>) -> Result<Self> {
        let status = row.text("status")?;
        let phase = row.text("phase")?;
        let unknown = |what: &str| StoreError::Corrupt(format!("host_sync says {what}"));
        Ok(Self {
            credential_id: row.get("credential_id")?,
            entity: row.get("entity")?,
            schedule: Schedule {
                status: SyncStatus::ALL
                    .into_iter()
                    .find(|known| known.as_str() == status)
                    .ok_or_else(|| unknown(status))?,
                phase: SyncPhase::ALL
                    .into_iter()
                    .find(|known| known.as_str() == phase)
                    .ok_or_else(|| unknown(phase))?,
                next_at: row.get("next_at")?,
                attempts: row.get("attempts")?,
                error: row.get("error")?,
                first_done_at: row.get("first_done_at")?,
            },
            cursor: row.get("cursor")?,
            records: row.get("records")?,
            total: row.get("total")?,
            quarantined: row.get("quarantined")?,
            lenient: row.get("lenient")?,
            synced_at: row.get("synced_at")?,
            asked: row.get("asked")?,
            settings: SyncSettings::read(row)?,
            full: FullPass::of(row)?,
            full_at: row.get("full_at")?,
            full_done_at: row.get("full_done_at")?,
            missing: row.get("missing")?,
            confirmed: row.get("confirmed")?,
        })
    }
}

/// A record that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// The app's id; empty if the record had none.
    pub upstream_id: String,
    /// What is wrong with it.
    pub reason: String,
}

impl EnvStore {
    /// Adds entities to what is synced for the credential, due from `now` on, one
    /// after the other; those that are there already stay as they are.
    pub async fn plan_sync(&self, credential_id: &str, entities: &[&str], now: i64) -> Result<()> {
        // Rows of an entity that was opted out must not meet those that come.
        self.purge_credential(credential_id).await?;
        let mut tx = self.db.write().await?;
        let mut new = Vec::new();
        for (due_at, entity) in (now..).zip(entities) {
            let planned = query(
                "INSERT INTO host_sync (credential_id, entity, status, phase) \
                 SELECT id, $2, 'pending', 'first' FROM host_credentials WHERE id = $1 \
                 ON CONFLICT DO NOTHING",
            )
            .bind(credential_id)
            .bind(*entity)
            .execute(&mut tx)
            .await?;
            if planned > 0 {
                new.push(NewJob {
                    lane: credential_id.to_owned(),
                    name: sync_name(credential_id, entity),
                    due_at,
                });
            }
        }
        if !new.is_empty() {
            changes::note(&mut tx, credential_id).await?;
        }
        self.jobs.enter(&mut tx, SYNC, new).await?;
        self.db.commit(tx).await?;
        self.signal();
        Ok(())
    }

    /// The entities of one credential, by name.
    pub async fn sync_rows(&self, credential_id: &str) -> Result<Vec<SyncRow>> {
        let rows = &*ROWS;
        statement(format!(
            "{rows} WHERE s.credential_id = $1 ORDER BY s.entity"
        ))
        .bind(credential_id)
        .all(&self.db)
        .await
    }

    /// One entity of one credential.
    pub async fn sync_row(&self, credential_id: &str, entity: &str) -> Result<Option<SyncRow>> {
        row_of(credential_id, entity).optional(&self.db).await
    }

    /// Stores what was decided about an entity's next run; cursor and counts
    /// stay. Whoever ran it gives its lease, and with it the job back.
    /// [`StoreError::NotFound`] if it is not synced (any more).
    pub async fn schedule_sync(
        &self,
        credential_id: &str,
        entity: &str,
        schedule: &Schedule,
        lease: Option<&Lease>,
    ) -> Result<()> {
        let decided = |_| schedule.clone();
        self.decide_sync(credential_id, entity, decided, Ok(lease))
            .await
    }

    /// Makes an entity's sync due at `now`; what failed gets another chance.
    /// [`StoreError::NotFound`] if it is not synced (any more).
    pub async fn sync_at_once(&self, credential_id: &str, entity: &str, now: i64) -> Result<()> {
        self.ask_sync(credential_id, entity, now, Ask::default())
            .await
    }

    /// The same with what else is asked for.
    pub async fn ask_sync(
        &self,
        credential_id: &str,
        entity: &str,
        now: i64,
        ask: Ask,
    ) -> Result<()> {
        let decide = |before: Schedule| Schedule {
            status: match before.status {
                SyncStatus::Failed | SyncStatus::Unavailable => SyncStatus::Pending,
                status => status,
            },
            next_at: Some(now),
            attempts: 0,
            error: None,
            ..before
        };
        self.decide_sync(credential_id, entity, decide, Err(ask))
            .await
    }

    /// Stores what follows from how an entity's sync stands; without a lease nobody
    /// can end a run meanwhile. `by` is who runs it, or what somebody asks for.
    async fn decide_sync(
        &self,
        credential_id: &str,
        entity: &str,
        decide: impl FnOnce(Schedule) -> Schedule,
        by: std::result::Result<Option<&Lease>, Ask>,
    ) -> Result<()> {
        let lease = by.as_ref().ok().copied().flatten();
        let mut tx = self.db.write().await?;
        match lease {
            Some(lease) => lease.check(&mut tx).await?,
            None => {
                let name = sync_name(credential_id, entity);
                jobs::hold(&mut tx, SYNC, credential_id, Some(&name)).await?;
            }
        }
        let row: Option<SyncRow> = row_of(credential_id, entity).optional(&mut tx).await?;
        let before = row.ok_or(StoreError::NotFound("sync"))?.schedule;
        let readable = Readable::of(before.status.as_str(), before.first_done_at);
        let schedule = decide(before);
        let keys_behind: Option<i64> = query(
            "UPDATE host_sync SET status = $3, phase = $4, attempts = $5, error = $6, \
             first_done_at = $7 WHERE credential_id = $1 AND entity = $2 RETURNING keys_behind",
        )
        .bind(credential_id)
        .bind(entity)
        .bind(schedule.status.as_str())
        .bind(schedule.phase.as_str())
        .bind(schedule.attempts)
        .bind(&schedule.error)
        .bind(schedule.first_done_at)
        .one(&mut tx)
        .await?;
        if let (Err(ask), Some(now)) = (&by, schedule.next_at) {
            query(
                "UPDATE host_sync SET asked = asked + 1, \
                 confirmed = CASE WHEN $3 THEN missing ELSE confirmed END, \
                 full_at = CASE WHEN $4 OR ($3 AND missing IS NOT NULL) THEN $5 ELSE full_at END \
                 WHERE credential_id = $1 AND entity = $2",
            )
            .bind(credential_id)
            .bind(entity)
            .bind(ask.confirm_deletes)
            .bind(ask.full)
            .bind(now)
            .execute(&mut tx)
            .await?;
        }
        let sync = (credential_id, entity);
        rescheduled(self, &mut tx, sync, readable, &schedule, lease).await?;
        self.db.commit(tx).await?;
        self.signal();
        if schedule.phase != SyncPhase::First && keys_behind.is_some() {
            self.enter_keys(credential_id, entity).await?;
        }
        Ok(())
    }

    /// Notes that a first sync has begun.
    pub async fn begin_sync(&self, lease: &Lease) -> Result<()> {
        let (credential_id, entity) = lease.sync().ok_or(StoreError::NotFound("sync"))?;
        let mut tx = self.db.write().await?;
        lease.check(&mut tx).await?;
        query("UPDATE host_sync SET status = 'running' WHERE credential_id = $1 AND entity = $2")
            .bind(credential_id)
            .bind(entity)
            .execute(&mut tx)
            .await?;
        self.db.commit(tx).await
    }

    /// Forgets where the connector was, so that the next pass starts over.
    pub async fn reset_cursor(&self, credential_id: &str, entity: &str) -> Result<()> {
        let mut tx = self.db.write().await?;
        query("UPDATE host_sync SET cursor = NULL WHERE credential_id = $1 AND entity = $2")
            .bind(credential_id)
            .bind(entity)
            .execute(&mut tx)
            .await?;
        self.db.commit(tx).await
    }

    /// The records of an entity that are set aside, by the app's id.
    pub async fn quarantine(
        &self,
        credential_id: &str,
        entity: &str,
        limit: u32,
    ) -> Result<Vec<Quarantined>> {
        let rows: Vec<(String, String)> = query(
            "SELECT upstream_id, reason FROM host_quarantine \
             WHERE credential_id = $1 AND entity = $2 ORDER BY upstream_id LIMIT $3",
        )
        .bind(credential_id)
        .bind(entity)
        .bind(i64::from(limit))
        .all(&self.db)
        .await?;
        let rows = rows.into_iter();
        Ok(rows
            .map(|(upstream_id, reason)| Quarantined {
                upstream_id,
                reason,
            })
            .collect())
    }
}

fn row_of(credential_id: &str, entity: &str) -> Query {
    let rows = &*ROWS;
    let row = format!("{rows} WHERE s.credential_id = $1 AND s.entity = $2");
    statement(row).bind(credential_id).bind(entity)
}

/// What readers must know of a sync.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Readable {
    complete: bool,
    failed: bool,
    unavailable: bool,
}

impl Readable {
    pub(crate) fn of(status: &str, first_done_at: Option<i64>) -> Self {
        Self {
            complete: first_done_at.is_some(),
            failed: status == SyncStatus::Failed.as_str(),
            unavailable: status == SyncStatus::Unavailable.as_str(),
        }
    }
}

/// What follows when a sync's row got a new schedule: readers are told, and the job
/// gets its time.
pub(crate) async fn rescheduled(
    store: &EnvStore,
    tx: &mut Tx,
    (credential_id, entity): (&str, &str),
    before: Readable,
    schedule: &Schedule,
    lease: Option<&Lease>,
) -> Result<()> {
    if before != Readable::of(schedule.status.as_str(), schedule.first_done_at) {
        changes::note(tx, credential_id).await?;
        sync_completed::tell(store, tx, credential_id).await?;
    }
    match (schedule.next_at, lease) {
        (Some(next_at), Some(lease)) => lease.again(tx, next_at).await,
        (None, Some(lease)) => lease.finish(tx).await,
        (Some(due_at), None) => {
            let job = NewJob {
                lane: credential_id.to_owned(),
                name: sync_name(credential_id, entity),
                due_at,
            };
            store.jobs.enter(tx, SYNC, vec![job]).await
        }
        (None, None) => {
            let name = sync_name(credential_id, entity);
            jobs::cancel(tx, SYNC, credential_id, &name).await
        }
    }
}
