//! How far each entity of each credential is synced, and what was set aside.

use sqlx::Row as _;

use crate::dialect::Row;
use crate::{EnvStore, Result, StoreError};

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
}

impl SyncRow {
    fn read(row: &Row) -> Result<Self> {
        let status: &str = row.try_get("status")?;
        let phase: &str = row.try_get("phase")?;
        let unknown = |what: &str| StoreError::Corrupt(format!("host_sync says {what}"));
        Ok(Self {
            credential_id: row.try_get("credential_id")?,
            entity: row.try_get("entity")?,
            schedule: Schedule {
                status: SyncStatus::ALL
                    .into_iter()
                    .find(|known| known.as_str() == status)
                    .ok_or_else(|| unknown(status))?,
                phase: SyncPhase::ALL
                    .into_iter()
                    .find(|known| known.as_str() == phase)
                    .ok_or_else(|| unknown(phase))?,
                next_at: row.try_get("next_at")?,
                attempts: row.try_get("attempts")?,
                error: row.try_get("error")?,
                first_done_at: row.try_get("first_done_at")?,
            },
            cursor: row.try_get("cursor")?,
            records: row.try_get("records")?,
            total: row.try_get("total")?,
            quarantined: row.try_get("quarantined")?,
            lenient: row.try_get("lenient")?,
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
    /// Adds entities to what is synced for the credential, due at `now`; those
    /// that are there already stay as they are.
    pub async fn plan_sync(&self, credential_id: &str, entities: &[&str], now: i64) -> Result<()> {
        // Rows of an entity that was opted out must not meet those that come.
        self.purge_credential(credential_id).await?;
        let mut tx = self.db.write().await?;
        for entity in entities {
            sqlx::query(
                "INSERT INTO host_sync (credential_id, entity, status, phase, next_at) \
                 SELECT id, $2, 'pending', 'first', $3 FROM host_credentials WHERE id = $1 \
                 ON CONFLICT DO NOTHING",
            )
            .bind(credential_id)
            .bind(*entity)
            .bind(now)
            .execute(&mut *tx)
            .await?;
        }
        self.db.commit(tx).await
    }

    /// The entities of one credential, by name.
    pub async fn sync_rows(&self, credential_id: &str) -> Result<Vec<SyncRow>> {
        let rows = sqlx::query("SELECT * FROM host_sync WHERE credential_id = $1 ORDER BY entity");
        let rows = rows
            .bind(credential_id)
            .fetch_all(self.db.readers())
            .await?;
        rows.iter().map(SyncRow::read).collect()
    }

    /// One entity of one credential.
    pub async fn sync_row(&self, credential_id: &str, entity: &str) -> Result<Option<SyncRow>> {
        let row = sqlx::query("SELECT * FROM host_sync WHERE credential_id = $1 AND entity = $2");
        let row = row
            .bind(credential_id)
            .bind(entity)
            .fetch_optional(self.db.readers())
            .await?;
        row.as_ref().map(SyncRow::read).transpose()
    }

    /// What is due at `now`, longest overdue first.
    pub async fn due_syncs(&self, now: i64, limit: u32) -> Result<Vec<SyncRow>> {
        let rows = sqlx::query(
            "SELECT * FROM host_sync WHERE next_at IS NOT NULL AND next_at <= $1 \
             ORDER BY next_at LIMIT $2",
        );
        let rows = rows
            .bind(now)
            .bind(i64::from(limit))
            .fetch_all(self.db.readers())
            .await?;
        rows.iter().map(SyncRow::read).collect()
    }

    /// When the next sync is due, in milliseconds since 1970.
    pub async fn next_sync_at(&self) -> Result<Option<i64>> {
        let at = sqlx::query_scalar("SELECT MIN(next_at) FROM host_sync WHERE next_at IS NOT NULL");
        Ok(at.fetch_one(self.db.readers()).await?)
    }

    /// Stores what was decided about an entity's next run; cursor and counts
    /// stay. [`StoreError::NotFound`] if it is not synced (any more).
    pub async fn schedule_sync(
        &self,
        credential_id: &str,
        entity: &str,
        schedule: &Schedule,
    ) -> Result<()> {
        let mut tx = self.db.write().await?;
        let keys_behind = reschedule(&mut tx, credential_id, entity, schedule).await?;
        self.db.commit(tx).await?;
        if schedule.phase != SyncPhase::First && keys_behind.is_some() {
            self.enter_keys(credential_id, entity).await?;
        }
        Ok(())
    }

    /// Forgets where the connector was, so that the next pass starts over.
    pub async fn reset_cursor(&self, credential_id: &str, entity: &str) -> Result<()> {
        let mut tx = self.db.write().await?;
        sqlx::query("UPDATE host_sync SET cursor = NULL WHERE credential_id = $1 AND entity = $2")
            .bind(credential_id)
            .bind(entity)
            .execute(&mut *tx)
            .await?;
        self.db.commit(tx).await
    }

    /// Releases what was running when the process ended. For start-up, when
    /// nobody else uses the database; answers how many there were.
    pub async fn release_running(&self) -> Result<u64> {
        let mut tx = self.db.write().await?;
        let released =
            sqlx::query("UPDATE host_sync SET status = 'pending' WHERE status = 'running'")
                .execute(&mut *tx)
                .await?
                .rows_affected();
        self.db.commit(tx).await?;
        Ok(released)
    }

    /// The records of an entity that are set aside, by the app's id.
    pub async fn quarantine(
        &self,
        credential_id: &str,
        entity: &str,
        limit: u32,
    ) -> Result<Vec<Quarantined>> {
        let rows: Vec<(String, String)> = sqlx::query_as(
            "SELECT upstream_id, reason FROM host_quarantine \
             WHERE credential_id = $1 AND entity = $2 ORDER BY upstream_id LIMIT $3",
        )
        .bind(credential_id)
        .bind(entity)
        .bind(i64::from(limit))
        .fetch_all(self.db.readers())
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

/// Answers behind which row keys are missing.
pub(crate) async fn reschedule(
    tx: &mut crate::database::Tx,
    credential_id: &str,
    entity: &str,
    schedule: &Schedule,
) -> Result<Option<i64>> {
    let changed = sqlx::query_scalar(
        "UPDATE host_sync SET status = $3, phase = $4, next_at = $5, attempts = $6, error = $7, \
         first_done_at = $8 WHERE credential_id = $1 AND entity = $2 RETURNING keys_behind",
    )
    .bind(credential_id)
    .bind(entity)
    .bind(schedule.status.as_str())
    .bind(schedule.phase.as_str())
    .bind(schedule.next_at)
    .bind(schedule.attempts)
    .bind(&schedule.error)
    .bind(schedule.first_done_at)
    .fetch_optional(&mut **tx)
    .await?;
    changed.ok_or(StoreError::NotFound("sync"))
}
