//! Landing: a page of records becomes rows, together with the cursor behind it.
//!
//! One transaction takes the whole page. What is stored under the page's ids
//! is looked up first; a record whose two hashes are the row's costs no more
//! than that. The others go into one `INSERT … ON CONFLICT DO UPDATE` per chunk
//! of fixed size, so that the statement stays prepared.
//!
//! Numbers of the write sequence order what came in at different times: a page
//! was asked for under its stamp, and neither a row nor a tombstone with a
//! later one is touched. The caller is told which records that were.

mod backlog;
mod one;
mod rest;
mod rows;

pub(crate) use backlog::{Backlogs, Gathered};
pub use one::OneRecord;

use std::borrow::Cow;
use std::collections::HashMap;

use rollout_catalog::Cell;
use rollout_catalog::json::storable;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128_with_seed};

use crate::database::{Tx, query, statement};
use crate::full_passes::FullPage;
use crate::ids::{RecordIds, Reference};
use crate::jobs::Lease;
use crate::keys::Keys;
use crate::outbox::Happened;
use crate::sync_state::{Quarantined, Readable, Schedule, SyncPhase, rescheduled};
use crate::table::EntityTable;
use crate::{Credential, EnvStore, Result, StoreError};
use backlog::Backlog;

/// A record as a connector sent it and the catalogue read it.
#[derive(Clone, Debug)]
pub struct Record {
    /// The app's id.
    pub upstream_id: String,
    /// Parallel to [`rollout_catalog::Entity::columns`].
    pub cells: Vec<Cell>,
    /// JSON object: the app's ids by resource name.
    pub original_ids: String,
    /// JSON object: what the app sent, by resource name.
    pub original: String,
}

/// What a page does with the connector's cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cursor {
    /// It stays.
    #[default]
    Keep,
    /// This is where the connector goes on.
    At(String),
    /// The next pass starts over.
    Start,
}

impl Cursor {
    /// Whether it moves, and where to.
    pub(crate) fn columns(&self) -> (bool, Option<&str>) {
        match self {
            Self::Keep => (false, None),
            Self::At(cursor) => (true, Some(cursor)),
            Self::Start => (true, None),
        }
    }
}

/// Everything that becomes true together.
#[derive(Debug)]
pub struct Page<'a> {
    /// Whose records they are.
    pub credential: &'a Credential,
    /// The entity's name, `people`.
    pub entity: &'a str,
    /// The number that was drawn before the connector was asked.
    pub stamp: i64,
    /// The present time, in milliseconds since 1970.
    pub now: i64,
    /// The records; of two with one id the last counts.
    pub records: Vec<Record>,
    /// The app's ids of records that are gone. Counts after `records`.
    pub deleted: Vec<String>,
    /// The ids given out for references in the records.
    pub references: Vec<Reference>,
    /// Records that could not be read.
    pub quarantined: Vec<Quarantined>,
    /// Fields that were replaced by a default.
    pub lenient: i64,
    /// Where the connector goes on.
    pub cursor: Cursor,
    /// How many records the app says it has.
    pub total: Option<i64>,
    /// What becomes of the sync with this page.
    pub schedule: Option<Schedule>,
    /// The sync's lease; none: the page is not a sync's.
    pub lease: Option<&'a Lease>,
    /// It is a page of a full pass: what is on it is noted as met.
    pub full: Option<FullPage>,
    /// With a schedule: how many of those who asked for the sync at once had asked
    /// when it began.
    pub answered: i64,
}

impl<'a> Page<'a> {
    /// A page with nothing on it.
    pub fn new(credential: &'a Credential, entity: &'a str, stamp: i64, now: i64) -> Self {
        Self {
            credential,
            entity,
            stamp,
            now,
            records: Vec::new(),
            deleted: Vec::new(),
            references: Vec::new(),
            quarantined: Vec::new(),
            lenient: 0,
            cursor: Cursor::Keep,
            total: None,
            schedule: None,
            lease: None,
            full: None,
            answered: 0,
        }
    }
}

/// What landing a page changed, each by this host's ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// New rows, those that came back after a deletion among them.
    pub created: Vec<String>,
    /// Rows whose fields changed.
    pub updated: Vec<String>,
    /// Rows that are gone.
    pub deleted: Vec<String>,
    /// Rows whose fields did not change, only what nobody is told of:
    /// `original`, or columns that a newer catalogue brought.
    pub silent: usize,
    /// Records that are stored as they are.
    pub unchanged: usize,
    /// The app's ids of records that differ from what a later call (or a newer
    /// program) stored: ask the app again.
    pub stale: Vec<String>,
    /// Rows of the entity after the page.
    pub records: i64,
    /// The credential's syncs are to stop here.
    pub paused: bool,
}

/// A record on its way into a row.
struct Candidate {
    id: String,
    record: Record,
    hash: u128,
    original_hash: u128,
    keys: Vec<i64>,
}

impl EnvStore {
    /// Lands a page. [`StoreError::NotFound`] if the credential is gone or the
    /// entity is not synced for it (any more), [`StoreError::LeaseLost`] if
    /// another process has the sync.
    pub async fn land(&self, page: Page<'_>) -> Result<Outcome> {
        let ready = self.ready(page)?;
        let Page {
            credential, entity, ..
        } = &ready.page;
        let mut gathered = self.gathered(&credential.id, entity).await;
        let mut tx = self.db.write().await?;
        let (outcome, kept) = self.land_in(&mut tx, &mut gathered, ready).await?;
        self.db.commit(tx).await?;
        gathered.keep(kept);
        if outcome.tells() {
            self.signal();
        }
        Ok(outcome)
    }

    /// What can be done before the transaction.
    pub(crate) fn ready<'p>(&self, mut page: Page<'p>) -> Result<Ready<'p>> {
        let table = self.table(page.entity)?;
        let records = std::mem::take(&mut page.records);
        let candidates = candidates(table, page.credential, page.entity, records);
        Ok(Ready { page, candidates })
    }

    /// Lands a page in a transaction. Once that is committed, what it answers is to
    /// be kept.
    pub(crate) async fn land_in(
        &self,
        tx: &mut Tx,
        gathered: &mut Gathered<'_>,
        ready: Ready<'_>,
    ) -> Result<(Outcome, Option<Backlog>)> {
        let Ready { page, candidates } = ready;
        let table = self.table(page.entity)?;
        if let Some(lease) = page.lease {
            if lease.sync() != Some((page.credential.id.as_str(), page.entity)) {
                return Err(StoreError::LeaseLost);
            }
            lease.check(tx).await?;
        }
        let fence = Fence::check(tx, &page).await?;
        let mut outcome = Outcome::default();
        let alone = fence.first_pass && page.lease.is_none();
        let ends = page.schedule.as_ref();
        let ends = ends.is_some_and(|schedule| schedule.phase != SyncPhase::First);
        let mut landing = Landing {
            table,
            page: &page,
            outcome: &mut outcome,
            gathers: fence.first_pass && page.lease.is_some() && !ends,
            backlog: match alone {
                true => None,
                false => gathered.take(tx, table, &page, &fence).await?,
            },
            room: gathered.room(),
            met: Vec::new(),
            tx: &mut *tx,
        };
        let upstream_ids = match fence.quarantined {
            0 => Vec::new(),
            _ => candidates
                .iter()
                .map(|landed| landed.record.upstream_id.clone())
                .collect(),
        };
        landing.rows(candidates).await?;
        landing.deletions().await?;
        landing.references(self).await?;
        let quarantined = landing.quarantine(fence.quarantined, upstream_ids).await?;
        landing.met().await?;
        let backlog = landing.backlog.take();
        let created = i64::try_from(outcome.created.len()).unwrap_or_default();
        let deleted = i64::try_from(outcome.deleted.len()).unwrap_or_default();
        let after = Fence {
            records: fence.records + created - deleted,
            quarantined,
            keys_behind: match alone {
                true => fence.keys_behind,
                false => backlog.as_ref().map(Backlog::behind),
            },
            ..fence
        };
        after.settle(self, tx, &page).await?;
        outcome.records = after.records;
        outcome.paused = fence.paused;
        let initial = fence.first_pass && page.lease.is_some();
        let told: [(Happened, &[String]); 3] = [
            (Happened::Created, &outcome.created),
            (Happened::Updated, &outcome.updated),
            (Happened::Deleted, &outcome.deleted),
        ];
        self.outbox
            .records(tx, page.credential, page.entity, initial, &told)
            .await?;
        Ok((outcome, backlog))
    }
}

/// A page on its way into its transaction.
pub(crate) struct Ready<'p> {
    page: Page<'p>,
    candidates: Vec<Candidate>,
}

impl Ready<'_> {
    pub(crate) fn credential_id(&self) -> &str {
        &self.page.credential.id
    }
}

impl Outcome {
    /// Whether anybody is told of it.
    pub(crate) fn tells(&self) -> bool {
        !(self.created.is_empty() && self.updated.is_empty() && self.deleted.is_empty())
    }
}

/// Counts, phase and what makes it readable.
type SyncColumns = (i64, i64, Option<i64>, String, String, Option<i64>, i64);

/// What the sync's row says; without one nothing may land.
struct Fence {
    records: i64,
    quarantined: i64,
    keys_behind: Option<i64>,
    first_pass: bool,
    readable: Readable,
    paused: bool,
}

impl Fence {
    async fn check(tx: &mut Tx, page: &Page<'_>) -> Result<Self> {
        // Held, so that pages of one entity land one after the other.
        let row = tx.dialect().text(
            "SELECT records, quarantined, keys_behind, phase, status, first_done_at, \
             coalesce((SELECT t.paused FROM host_sync_settings t WHERE t.credential_id = $1), 0) \
             FROM host_sync WHERE credential_id = $1 AND entity = $2 {held}",
        );
        let row: Option<SyncColumns> = statement(row)
            .bind(&page.credential.id)
            .bind(page.entity)
            .optional(&mut *tx)
            .await?;
        let (records, quarantined, keys_behind, phase, status, first_done_at, paused) =
            row.ok_or(StoreError::NotFound("sync"))?;
        let first_pass = phase == SyncPhase::First.as_str();
        Ok(Self {
            records,
            quarantined,
            keys_behind,
            first_pass,
            readable: Readable::of(&status, first_done_at),
            paused: paused != 0,
        })
    }

    /// Stores the counts, and the page's cursor and schedule.
    async fn settle(&self, store: &EnvStore, tx: &mut Tx, page: &Page<'_>) -> Result<()> {
        let (moved, cursor) = page.cursor.columns();
        let schedule = page.schedule.as_ref();
        query(
            "UPDATE host_sync SET records = $3, quarantined = $4, keys_behind = $5, \
             lenient = lenient + $6, total = coalesce($7, total), \
             cursor = CASE WHEN $8 THEN $9 ELSE cursor END, \
             status = coalesce($10, status), phase = coalesce($11, phase), \
             attempts = coalesce($12, attempts), \
             error = CASE WHEN $10 IS NULL THEN error ELSE $13 END, \
             first_done_at = CASE WHEN $10 IS NULL THEN first_done_at ELSE $14 END, \
             synced_at = CASE WHEN $10 = 'done' THEN $15 ELSE synced_at END, \
             asked = CASE WHEN $10 = 'done' THEN asked - $16 ELSE asked END \
             WHERE credential_id = $1 AND entity = $2",
        )
        .bind(&page.credential.id)
        .bind(page.entity)
        .bind(self.records)
        .bind(self.quarantined)
        .bind(self.keys_behind)
        .bind(page.lenient)
        // What a later pass reads is no measure of all there is.
        .bind(page.total.filter(|_| self.first_pass))
        .bind(moved)
        .bind(cursor)
        .bind(schedule.map(|schedule| schedule.status.as_str()))
        .bind(schedule.map(|schedule| schedule.phase.as_str()))
        .bind(schedule.map(|schedule| schedule.attempts))
        .bind(schedule.and_then(|schedule| schedule.error.as_deref()))
        .bind(schedule.and_then(|schedule| schedule.first_done_at))
        .bind(page.now)
        .bind(page.answered)
        .execute(&mut *tx)
        .await?;
        if let Some(full) = &page.full {
            full.settle(tx, &page.credential.id, page.entity).await?;
        }
        if let Some(schedule) = schedule {
            let sync = (page.credential.id.as_str(), page.entity);
            rescheduled(store, tx, sync, self.readable, schedule, page.lease).await?;
        }
        Ok(())
    }
}

/// Gives the records their ids, hashes and keys; duplicates collapse, the last
/// one stays where it stands.
fn candidates(
    table: &EntityTable,
    credential: &Credential,
    entity: &str,
    records: Vec<Record>,
) -> Vec<Candidate> {
    let last: HashMap<String, usize> = records
        .iter()
        .enumerate()
        .map(|(at, record)| (record.upstream_id.clone(), at))
        .collect();
    let distinct = last.len() == records.len();
    let ids = RecordIds::new(&credential.id, credential.created_at, entity);
    let keys_of = Keys::new(&credential.id);
    let mut scratch = Vec::with_capacity(2048);
    let mut candidates = Vec::with_capacity(last.len());
    for (at, mut record) in records.into_iter().enumerate() {
        if !distinct && last.get(&record.upstream_id) != Some(&at) {
            continue;
        }
        let mut keys = Vec::new();
        for column in &table.keyed {
            if let Some(cell) = record.cells.get(column.column) {
                keys_of.collect(column, cell, &mut keys);
            }
        }
        for json in [&mut record.original, &mut record.original_ids] {
            if let Cow::Owned(storable) = storable(json) {
                *json = storable;
            }
        }
        let hash = table.hash(&record.cells, &mut scratch);
        candidates.push(Candidate {
            id: ids.id(&record.upstream_id),
            hash,
            original_hash: xxh3_128_with_seed(
                record.original.as_bytes(),
                xxh3_64(record.original_ids.as_bytes()),
            ),
            keys,
            record,
        });
    }
    candidates
}

/// One page's way through its transaction.
struct Landing<'l, 'p> {
    tx: &'l mut Tx,
    table: &'l EntityTable,
    page: &'l Page<'p>,
    outcome: &'l mut Outcome,
    /// New rows' keys are gathered, not entered.
    gathers: bool,
    /// Keys that are gathered, before and after the page.
    backlog: Option<Backlog>,
    /// How many may be.
    room: usize,
    /// Rows that the page met, for a full pass.
    met: Vec<i64>,
}
