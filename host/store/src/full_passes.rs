//! Full passes: finding out what the app no longer has.
//!
//! A full pass reads everything there is and notes which rows it met. It has a row
//! with a cursor of its own, so that it goes on where it was after a kill, and polls
//! for changes go on in between. Its number is one of the write sequence, drawn before
//! the first page was asked for: what was written under a later one is there, met or
//! not.
//!
//! What was met is noted as ranges of row numbers. Records land in the order in which
//! they are read, so a page of a thousand unchanged records is one or a few ranges, and
//! no wide row is touched. Ranges may overlap; no range holds a row that was not met.

use std::collections::VecDeque;

use crate::database::{FromRow, Row, Tx, Value, query, statement};
use crate::dialect::{Insert, Type};
use crate::jobs::Lease;
use crate::landing::Cursor;
use crate::{EnvStore, Result, StoreError};

/// Where full passes are, what they met, and what is set for single credentials.
pub(crate) const TABLES: &str = "
ALTER TABLE host_sync ADD COLUMN synced_at BIGINT;
ALTER TABLE host_sync ADD COLUMN asked BIGINT NOT NULL DEFAULT 0;
ALTER TABLE host_sync ADD COLUMN full_at BIGINT;
ALTER TABLE host_sync ADD COLUMN full_done_at BIGINT;
ALTER TABLE host_sync ADD COLUMN missing BIGINT;
ALTER TABLE host_sync ADD COLUMN confirmed BIGINT;
ALTER TABLE host_credentials ADD COLUMN first_synced_at BIGINT;
UPDATE host_credentials SET first_synced_at = updated_at
    WHERE id IN (SELECT credential_id FROM host_sync)
    AND id NOT IN (SELECT credential_id FROM host_sync
        WHERE first_done_at IS NULL AND status <> 'unavailable');
CREATE TABLE host_sync_settings (
    credential_id {key} PRIMARY KEY REFERENCES host_credentials (id) ON DELETE CASCADE,
    paused BIGINT NOT NULL DEFAULT 0,
    poll_seconds BIGINT
);
CREATE TABLE host_full_passes (
    credential_id {key} NOT NULL REFERENCES host_credentials (id) ON DELETE CASCADE,
    entity TEXT NOT NULL,
    pass BIGINT NOT NULL UNIQUE,
    began_at BIGINT NOT NULL,
    cursor TEXT,
    seen BIGINT NOT NULL DEFAULT 0,
    complete BIGINT NOT NULL DEFAULT 0,
    careful BIGINT NOT NULL DEFAULT 0,
    attempts BIGINT NOT NULL DEFAULT 0,
    next_at BIGINT,
    error TEXT,
    PRIMARY KEY (credential_id, entity)
) {clustered};
CREATE TABLE host_met (
    pass BIGINT NOT NULL,
    low BIGINT NOT NULL,
    high BIGINT NOT NULL,
    PRIMARY KEY (pass, low, high)
) {clustered};
";

/// Rows, or ranges, that are looked at in one statement.
const CHUNK: i64 = 5000;

/// A full pass under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullPass {
    /// Its number of the write sequence.
    pub pass: i64,
    /// When it began, in milliseconds since 1970.
    pub began_at: i64,
    /// Where the connector goes on.
    pub cursor: Option<String>,
    /// Records that its pages had, duplicates included.
    pub seen: i64,
    /// Everything was read: what was not met is missing.
    pub complete: bool,
    /// Each missing record is to be asked for before it is taken for deleted.
    pub careful: bool,
    /// Failures in a row.
    pub attempts: i64,
    /// When it goes on after a failure, in milliseconds since 1970.
    pub next_at: Option<i64>,
    /// Why it failed last.
    pub error: Option<String>,
}

impl FullPass {
    /// The columns of a sync's row that say where its full pass is.
    pub(crate) const COLUMNS: &str = "f.pass AS full_pass, f.began_at AS full_began_at, \
        f.cursor AS full_cursor, f.seen AS full_seen, f.complete AS full_complete, \
        f.careful AS full_careful, f.attempts AS full_attempts, f.next_at AS full_next_at, \
        f.error AS full_error";

    /// Reads them; none: no full pass is under way.
    pub(crate) fn of(row: &Row<'_>) -> Result<Option<Self>> {
        let Some(pass) = row.get::<Option<i64>>("full_pass")? else {
            return Ok(None);
        };
        Ok(Some(Self {
            pass,
            began_at: row.get("full_began_at")?,
            cursor: row.get("full_cursor")?,
            seen: row.get("full_seen")?,
            complete: row.get::<i64>("full_complete")? != 0,
            careful: row.get::<i64>("full_careful")? != 0,
            attempts: row.get("full_attempts")?,
            next_at: row.get("full_next_at")?,
            error: row.get("full_error")?,
        }))
    }
}

/// What makes a page one of a full pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullPage {
    /// The pass.
    pub pass: i64,
    /// Where the connector goes on in it.
    pub cursor: Cursor,
    /// It is the last one.
    pub complete: bool,
    /// It had records that can't be told from others, so that what is missing is to
    /// be asked for.
    pub careful: bool,
    /// How many records it had.
    pub seen: i64,
}

impl FullPage {
    /// A page of records that were asked for one by one: they are met, and the pass
    /// stays where it is.
    pub fn met(pass: i64) -> Self {
        Self {
            pass,
            cursor: Cursor::Keep,
            complete: false,
            careful: false,
            seen: 0,
        }
    }

    /// Stores where the pass is after the page. [`StoreError::NotFound`] if it was
    /// given up meanwhile.
    pub(crate) async fn settle(
        &self,
        tx: &mut Tx,
        credential_id: &str,
        entity: &str,
    ) -> Result<()> {
        let (moved, cursor) = self.cursor.columns();
        let moved = query(
            "UPDATE host_full_passes SET cursor = CASE WHEN $4 THEN $5 ELSE cursor END, \
             seen = seen + $6, complete = CASE WHEN $7 THEN 1 ELSE complete END, \
             careful = CASE WHEN $8 THEN 1 ELSE careful END, \
             attempts = 0, next_at = NULL, error = NULL \
             WHERE credential_id = $1 AND entity = $2 AND pass = $3",
        )
        .bind(credential_id)
        .bind(entity)
        .bind(self.pass)
        .bind(moved)
        .bind(cursor)
        .bind(self.seen)
        .bind(self.complete)
        .bind(self.careful)
        .execute(tx)
        .await?;
        match moved {
            0 => Err(StoreError::NotFound("full pass")),
            _ => Ok(()),
        }
    }
}

/// Notes rows as met by a pass.
pub(crate) async fn meet(tx: &mut Tx, pass: i64, seqs: Vec<i64>) -> Result<()> {
    let columns = [
        ("pass", Type::Integer),
        ("low", Type::Integer),
        ("high", Type::Integer),
    ];
    let insert = Insert::new(tx.dialect(), "host_met", &columns, "ON CONFLICT DO NOTHING");
    let rows = ranges(seqs)
        .into_iter()
        .map(|(low, high)| vec![Value::from(pass), Value::from(low), Value::from(high)]);
    insert.run(tx, rows.collect()).await
}

/// The numbers as ranges without gaps.
fn ranges(mut seqs: Vec<i64>) -> Vec<(i64, i64)> {
    seqs.sort_unstable();
    let mut ranges: Vec<(i64, i64)> = Vec::new();
    for seq in seqs {
        match ranges.last_mut() {
            Some((_, high)) if seq <= high.saturating_add(1) => *high = seq,
            _ => ranges.push((seq, seq)),
        }
    }
    ranges
}

/// How a full pass ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FullEnd {
    /// What it missed is deleted.
    Applied,
    /// So many records are missing that somebody has to say that they are deleted.
    Doubted(i64),
    /// It can't be made.
    GivenUp,
}

/// What was set for a credential's syncs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SyncSettings {
    /// Nothing is read until somebody says so.
    pub paused: bool,
    /// How often the account is asked for changes, in seconds; none: as configured.
    pub poll_seconds: Option<i64>,
}

impl FromRow for SyncSettings {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            paused: row.get::<Option<i64>>("paused")?.unwrap_or_default() != 0,
            poll_seconds: row.get("poll_seconds")?,
        })
    }
}

/// A walk over the rows that a pass did not meet, oldest first.
#[derive(Debug)]
pub struct Missing {
    credential_id: String,
    entity: String,
    pass: i64,
    /// Rows up to this one were looked at.
    after: i64,
    /// Ranges that were read and not passed yet.
    ranges: VecDeque<(i64, i64)>,
    /// The last range that was read; none: all were.
    read_to: Option<(i64, i64)>,
    /// Rows up to this one, from the last range on that was passed, are met.
    covered: i64,
}

impl Missing {
    /// At the first row.
    pub fn new(credential_id: &str, entity: &str, pass: i64) -> Self {
        Self {
            credential_id: credential_id.to_owned(),
            entity: entity.to_owned(),
            pass,
            after: 0,
            ranges: VecDeque::new(),
            read_to: Some((i64::MIN, i64::MIN)),
            covered: i64::MIN,
        }
    }

    /// The app's ids of the missing ones among the next rows, perhaps none; `None`:
    /// there are no more rows.
    pub async fn next(&mut self, store: &EnvStore) -> Result<Option<Vec<String>>> {
        let table = store.table(&self.entity)?;
        let limit = store.db.dialect().limit("$3");
        let rows = format!(
            "SELECT host_seq FROM {} WHERE \"credentialId\" = $1 AND host_seq > $2 \
             ORDER BY host_seq LIMIT {limit}",
            table.sql_name
        );
        let rows = statement(rows)
            .bind(&self.credential_id)
            .bind(self.after)
            .bind(CHUNK);
        let rows: Vec<i64> = rows.all(&store.db).await?;
        let Some(last) = rows.last() else {
            return Ok(None);
        };
        self.after = *last;
        let mut unmet = Vec::new();
        for seq in rows {
            while let Some((low, high)) = self.range(store).await?
                && low <= seq
            {
                self.covered = self.covered.max(high);
                self.ranges.pop_front();
            }
            if self.covered < seq {
                unmet.push(seq);
            }
        }
        if unmet.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let older = format!(
            "SELECT host_upstream_id FROM {} WHERE host_seq {} AND host_stamp < $2 \
             ORDER BY host_seq",
            table.sql_name,
            store.db.dialect().in_list("$1"),
        );
        let older = statement(older).bind(unmet).bind(self.pass);
        older.all(&store.db).await.map(Some)
    }

    /// The next range that was not passed yet.
    async fn range(&mut self, store: &EnvStore) -> Result<Option<(i64, i64)>> {
        if self.ranges.is_empty()
            && let Some((low, high)) = self.read_to
        {
            let limit = store.db.dialect().limit("$4");
            let more = statement(format!(
                "SELECT low, high FROM host_met WHERE pass = $1 AND (low, high) > ($2, $3) \
                 ORDER BY low, high LIMIT {limit}"
            ));
            let more = more.bind(self.pass).bind(low).bind(high).bind(CHUNK);
            let more: Vec<(i64, i64)> = more.all(&store.db).await?;
            self.read_to = more.last().copied();
            self.ranges.extend(more);
        }
        Ok(self.ranges.front().copied())
    }
}

impl EnvStore {
    /// Begins a full pass of the lease's sync, or goes on with the one that is under
    /// way.
    pub async fn begin_full(&self, lease: &Lease, now: i64) -> Result<()> {
        let (credential_id, entity) = lease.sync().ok_or(StoreError::NotFound("sync"))?;
        let pass = self.next_stamp().await?;
        let mut tx = self.db.write().await?;
        lease.check(&mut tx).await?;
        query(
            "INSERT INTO host_full_passes (credential_id, entity, pass, began_at) \
             VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        )
        .bind(credential_id)
        .bind(entity)
        .bind(pass)
        .bind(now)
        .execute(&mut tx)
        .await?;
        self.db.commit(tx).await
    }

    /// Leaves a full pass until the sync's job runs again at `job_at`. A failure says
    /// why, how often in a row, and when the pass goes on; times are in milliseconds
    /// since 1970.
    pub async fn leave_full(
        &self,
        lease: &Lease,
        failure: Option<(String, i64, i64)>,
        job_at: i64,
    ) -> Result<()> {
        let (credential_id, entity) = lease.sync().ok_or(StoreError::NotFound("sync"))?;
        let mut tx = self.db.write().await?;
        lease.check(&mut tx).await?;
        if let Some((error, attempts, next_at)) = failure {
            query(
                "UPDATE host_full_passes SET error = $3, attempts = $4, next_at = $5 \
                 WHERE credential_id = $1 AND entity = $2",
            )
            .bind(credential_id)
            .bind(entity)
            .bind(error)
            .bind(attempts)
            .bind(next_at)
            .execute(&mut tx)
            .await?;
        }
        lease.again(&mut tx, job_at).await?;
        self.db.commit(tx).await?;
        self.signal();
        Ok(())
    }

    /// Has every missing record of a full pass be asked for.
    pub async fn doubt_full(&self, lease: &Lease) -> Result<()> {
        let (credential_id, entity) = lease.sync().ok_or(StoreError::NotFound("sync"))?;
        let mut tx = self.db.write().await?;
        lease.check(&mut tx).await?;
        query("UPDATE host_full_passes SET careful = 1 WHERE credential_id = $1 AND entity = $2")
            .bind(credential_id)
            .bind(entity)
            .execute(&mut tx)
            .await?;
        self.db.commit(tx).await
    }

    /// Ends a full pass. The next one is due at `full_at` if not after the interval, the
    /// sync's job runs again at `job_at`; all in milliseconds since 1970.
    pub async fn end_full(
        &self,
        lease: &Lease,
        end: FullEnd,
        (now, full_at, job_at): (i64, Option<i64>, i64),
    ) -> Result<()> {
        let (credential_id, entity) = lease.sync().ok_or(StoreError::NotFound("sync"))?;
        let mut tx = self.db.write().await?;
        lease.check(&mut tx).await?;
        let began = query(
            "DELETE FROM host_full_passes WHERE credential_id = $1 AND entity = $2 \
             RETURNING began_at",
        );
        let began = began.bind(credential_id).bind(entity);
        let began: Option<i64> = began.optional(&mut tx).await?;
        // Who asked for one since this one began gets another one.
        let full_at: Option<i64> = query(
            "UPDATE host_sync SET full_at = CASE WHEN full_at > $8 THEN full_at ELSE $3 END, \
             confirmed = CASE WHEN $4 THEN confirmed END, missing = CASE WHEN $4 THEN missing ELSE $5 END, \
             full_done_at = CASE WHEN $6 THEN $7 ELSE full_done_at END \
             WHERE credential_id = $1 AND entity = $2 RETURNING full_at",
        )
        .bind(credential_id)
        .bind(entity)
        .bind(full_at)
        .bind(end == FullEnd::GivenUp)
        .bind(match end {
            FullEnd::Doubted(missing) => Some(missing),
            FullEnd::Applied | FullEnd::GivenUp => None,
        })
        .bind(end == FullEnd::Applied)
        .bind(now)
        .bind(began.unwrap_or(now))
        .one(&mut tx)
        .await?;
        let job_at = full_at.map_or(job_at, |full_at| job_at.min(full_at));
        lease.again(&mut tx, job_at).await?;
        self.db.commit(tx).await?;
        self.signal();
        self.forget_met().await
    }

    /// Clears away what passes met that are over.
    pub async fn forget_met(&self) -> Result<()> {
        let gone = format!(
            "DELETE FROM host_met WHERE (pass, low, high) IN (SELECT pass, low, high FROM host_met \
             WHERE pass NOT IN (SELECT pass FROM host_full_passes) LIMIT {CHUNK})"
        );
        loop {
            let mut tx = self.db.write().await?;
            let gone = statement(gone.clone()).execute(&mut tx).await?;
            self.db.commit(tx).await?;
            if gone == 0 {
                return Ok(());
            }
        }
    }

    /// Changes what is set for a credential's syncs. [`StoreError::NotFound`] if there
    /// is no such credential.
    pub async fn set_sync_settings(
        &self,
        credential_id: &str,
        change: impl FnOnce(&mut SyncSettings),
    ) -> Result<SyncSettings> {
        let mut tx = self.db.write().await?;
        query(
            "INSERT INTO host_sync_settings (credential_id) SELECT id FROM host_credentials \
             WHERE id = $1 ON CONFLICT DO NOTHING",
        )
        .bind(credential_id)
        .execute(&mut tx)
        .await?;
        let held = tx.dialect().text(
            "SELECT paused, poll_seconds FROM host_sync_settings WHERE credential_id = $1 {held}",
        );
        let held = statement(held)
            .bind(credential_id)
            .optional(&mut tx)
            .await?;
        let mut settings: SyncSettings = held.ok_or(StoreError::NotFound("credential"))?;
        change(&mut settings);
        query(
            "UPDATE host_sync_settings SET paused = $2, poll_seconds = $3 WHERE credential_id = $1",
        )
        .bind(credential_id)
        .bind(i64::from(settings.paused))
        .bind(settings.poll_seconds)
        .execute(&mut tx)
        .await?;
        self.db.commit(tx).await?;
        Ok(settings)
    }

    /// What is set for a credential's syncs.
    pub async fn sync_settings(&self, credential_id: &str) -> Result<SyncSettings> {
        let set =
            query("SELECT paused, poll_seconds FROM host_sync_settings WHERE credential_id = $1");
        let set = set.bind(credential_id).optional(&self.db).await?;
        Ok(set.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_make_a_range() {
        assert_eq!(ranges(vec![7, 3, 4, 5, 5, 9]), [(3, 5), (7, 7), (9, 9)]);
        assert_eq!(ranges(Vec::new()), []);
    }
}
