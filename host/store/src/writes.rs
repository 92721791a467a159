//! Writes through the API, from before the app is asked until their outcome is
//! known.
//!
//! A row is committed before the connector is called, together with a job under
//! a lease of the process that calls. The outcome, the record and the row's
//! answer are stored in one transaction under that lease. A process that is
//! killed, or stands still, loses the lease; whoever claims the job then finds
//! out what became of the write. So nothing that the app did is forgotten, and
//! nobody is told "failed" about something that may have happened.

use crate::database::{FromRow, On, Row, query, statement};
use crate::jobs::{Lease, SETTLE};
use crate::landing::Page;
use crate::{EnvStore, Outcome, Result, StoreError, now};

/// A write as it begins.
#[derive(Debug, Clone)]
pub struct NewWrite<'a> {
    /// UUIDv7; the app's own idempotency key where it has one.
    pub id: &'a str,
    /// Whose.
    pub credential_id: &'a str,
    /// The entity's name.
    pub entity: &'a str,
    /// `create`, `update`, `delete`, or an operation of the catalogue.
    pub operation: &'a str,
    /// This host's id of the record; none for one that is to be made.
    pub record_id: Option<&'a str>,
    /// The app's id of it.
    pub upstream_id: Option<&'a str>,
    /// The client's `Idempotency-Key`.
    pub key: Option<&'a str>,
    /// A hash of everything that was asked for.
    pub request: &'a str,
    /// What was asked for, as JSON.
    pub body: &'a str,
}

/// What becomes of a write that wants to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// It has begun.
    New(Lease),
    /// One with this key was done before; this is what it came to.
    Settled(String),
    /// One with this key is under way, or its outcome is not known yet.
    Open,
    /// One with this key asked for something else.
    Other,
    /// Another write to this record is under way: try again in a moment.
    Busy,
}

/// A write whose outcome is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenWrite {
    /// Its id.
    pub id: String,
    /// Whose.
    pub credential_id: String,
    /// The entity's name.
    pub entity: String,
    /// As in [`NewWrite::operation`].
    pub operation: String,
    /// This host's id of the record.
    pub record_id: Option<String>,
    /// The app's id of it.
    pub upstream_id: Option<String>,
    /// What was asked for, as JSON.
    pub body: String,
    /// The number of the write sequence that was drawn before the app was asked.
    pub stamp: i64,
    /// The last row of the entity at that time.
    pub seq: i64,
    /// When it began, or whoever carried it out gave up, in milliseconds since 1970.
    pub opened_at: i64,
}

impl FromRow for OpenWrite {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            credential_id: row.get("credential_id")?,
            entity: row.get("entity")?,
            operation: row.get("operation")?,
            record_id: row.get("record_id")?,
            upstream_id: row.get("upstream_id")?,
            body: row.get("body")?,
            stamp: row.get("stamp")?,
            seq: row.get("seq")?,
            opened_at: row.get("opened_at")?,
        })
    }
}

/// A record that a write may have made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// This host's id.
    pub id: String,
    /// The record as JSON.
    pub json: String,
}

async fn earlier<'a>(
    on: impl Into<On<'a>>,
    credential_id: &str,
    key: &str,
    request: &str,
) -> Result<Option<Begun>> {
    let earlier: Option<(String, Option<String>)> =
        query("SELECT request, answer FROM host_writes WHERE credential_id = $1 AND key = $2")
            .bind(credential_id)
            .bind(key)
            .brief()
            .optional(on)
            .await?;
    Ok(earlier.map(|earlier| match earlier {
        (asked, _) if asked != request => Begun::Other,
        (_, Some(answer)) => Begun::Settled(answer),
        (_, None) => Begun::Open,
    }))
}

impl EnvStore {
    /// Begins a write, under a lease of `lease` milliseconds for a worker.
    pub async fn begin_write(
        &self,
        write: &NewWrite<'_>,
        worker: &str,
        lease: i64,
    ) -> Result<Begun> {
        let stamp = self.next_stamp().await?;
        let table = self.table(write.entity)?;
        let mut tx = self.db.write().await?;
        let opened = statement(format!(
            "INSERT INTO host_writes (id, credential_id, entity, operation, record_id, upstream_id, \
             key, request, body, stamp, opened_at, seq) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, \
             (SELECT coalesce(MAX(host_seq), 0) FROM {})) ON CONFLICT DO NOTHING",
            table.sql_name
        ))
        .bind(write.id)
        .bind(write.credential_id)
        .bind(write.entity)
        .bind(write.operation)
        .bind(write.record_id)
        .bind(write.upstream_id)
        .bind(write.key)
        .bind(write.request)
        .bind(write.body)
        .bind(stamp)
        .bind(now())
        .execute(&mut tx)
        .await?;
        if opened == 0 {
            let key = write.key.unwrap_or_default();
            let earlier = earlier(&mut tx, write.credential_id, key, write.request).await?;
            // Gone again meanwhile: whoever asks a second time begins anew.
            return Ok(earlier.unwrap_or(Begun::Open));
        }
        // Writes to one record come one after the other; new ones have no peers.
        let lane = write.record_id.unwrap_or(write.id);
        let begun = self
            .jobs
            .begin(&mut tx, SETTLE, lane, write.id, worker, lease)
            .await?;
        let Some(begun) = begun else {
            return Ok(Begun::Busy);
        };
        self.db.commit(tx).await?;
        Ok(Begun::New(begun))
    }

    /// What became of a write with a key; none: there was none.
    pub async fn earlier_write(
        &self,
        credential_id: &str,
        key: &str,
        request: &str,
    ) -> Result<Option<Begun>> {
        earlier(&self.db, credential_id, key, request).await
    }

    /// Stores what a write came to: the page with its record or its deletion, and
    /// the answer, made from the record's JSON and its id here. Ends the lease.
    pub async fn settle_write<'p>(
        &self,
        lease: &Lease,
        entity: &rollout_catalog::Entity,
        record_id: &str,
        page: Option<Page<'p>>,
        answer: impl FnOnce(Option<&str>) -> String + Send,
    ) -> Result<(Option<String>, Outcome)> {
        let ready = match page {
            Some(page) => {
                let ready = self.ready(page)?;
                let gathered = self.gathered(ready.credential_id(), &entity.name).await;
                Some((ready, gathered))
            }
            None => None,
        };
        let mut tx = self.db.write().await?;
        lease.check(&mut tx).await?;
        let landed = match ready {
            Some((ready, mut gathered)) => {
                let (outcome, kept) = self.land_in(&mut tx, &mut gathered, ready).await?;
                Some((outcome, gathered, kept))
            }
            None => None,
        };
        let table = self.table(&entity.name)?;
        let record = format!(
            "SELECT {} FROM {} WHERE \"id\" = $1",
            table.record(entity)?,
            table.sql_name
        );
        let record: Option<String> = statement(record).bind(record_id).optional(&mut tx).await?;
        let settled = query(
            "UPDATE host_writes SET settled_at = $2, record_id = $3, answer = $4, body = '' \
             WHERE id = $1 AND settled_at IS NULL",
        )
        .bind(&lease.name)
        .bind(now())
        .bind(record_id)
        .bind(answer(record.as_deref()))
        .execute(&mut tx)
        .await?;
        if settled == 0 {
            return Err(StoreError::NotFound("write"));
        }
        lease.finish(&mut tx).await?;
        self.db.commit(tx).await?;
        let mut outcome = Outcome::default();
        if let Some((landed, mut gathered, kept)) = landed {
            gathered.keep(kept);
            outcome = landed;
        }
        if outcome.tells() {
            self.signal();
        }
        Ok((record, outcome))
    }

    /// Notes that the app will carry a write out later.
    pub async fn accept_write(&self, lease: &Lease, answer: String) -> Result<()> {
        let mut tx = self.db.write().await?;
        lease.check(&mut tx).await?;
        query("UPDATE host_writes SET settled_at = $2, answer = $3, body = '' WHERE id = $1")
            .bind(&lease.name)
            .bind(now())
            .bind(answer)
            .execute(&mut tx)
            .await?;
        lease.finish(&mut tx).await?;
        self.db.commit(tx).await
    }

    /// Leaves a write whose outcome is not known to whoever settles it, from
    /// `due_at` on, in milliseconds since 1970. The app may be at it still.
    pub async fn leave_write(&self, lease: &Lease, due_at: i64) -> Result<()> {
        let mut tx = self.db.write().await?;
        lease.check(&mut tx).await?;
        query("UPDATE host_writes SET opened_at = $2 WHERE id = $1")
            .bind(&lease.name)
            .bind(now())
            .execute(&mut tx)
            .await?;
        lease.again(&mut tx, due_at).await?;
        self.db.commit(tx).await?;
        self.signal();
        Ok(())
    }

    /// Forgets a write that did not happen: its key can be used again.
    pub async fn drop_write(&self, lease: &Lease) -> Result<()> {
        let mut tx = self.db.write().await?;
        lease.check(&mut tx).await?;
        query("DELETE FROM host_writes WHERE id = $1")
            .bind(&lease.name)
            .execute(&mut tx)
            .await?;
        lease.finish(&mut tx).await?;
        self.db.commit(tx).await
    }

    /// The write of a job of [`SETTLE`]; none: it is settled, or its credential is
    /// gone.
    pub async fn open_write(&self, lease: &Lease) -> Result<Option<OpenWrite>> {
        query("SELECT * FROM host_writes WHERE id = $1 AND settled_at IS NULL")
            .bind(&lease.name)
            .optional(&self.db)
            .await
    }

    /// Records that came or changed since a write began and that no other write
    /// made, oldest first. New ones are told by their rows: the page that brought
    /// them may have been asked for, and drawn its stamp, before the write began.
    pub async fn write_candidates(
        &self,
        write: &OpenWrite,
        entity: &rollout_catalog::Entity,
        limit: u32,
    ) -> Result<Vec<Candidate>> {
        let table = self.table(&entity.name)?;
        let candidates = format!(
            "SELECT \"id\", {} FROM {} WHERE {} = $1 AND (host_seq > $4 OR host_stamp > $2) AND NOT EXISTS \
             (SELECT 1 FROM host_writes w WHERE w.credential_id = $1 AND w.record_id = \"id\" \
             AND w.operation = 'create') ORDER BY host_seq LIMIT {}",
            table.record(entity)?,
            table.sql_name,
            crate::dialect::quote("credentialId"),
            self.db.dialect().limit("$3"),
        );
        let candidates = statement(candidates)
            .bind(&write.credential_id)
            .bind(write.stamp)
            .bind(i64::from(limit))
            .bind(write.seq);
        let candidates: Vec<(String, String)> = candidates.all(&self.db).await?;
        Ok(candidates
            .into_iter()
            .map(|(id, json)| Candidate { id, json })
            .collect())
    }

    /// Clears away writes that were settled before a time, in milliseconds since
    /// 1970: those with a key, and those without.
    pub async fn forget_writes(&self, keyed: i64, keyless: i64) -> Result<u64> {
        let mut tx = self.db.write().await?;
        let gone = query(
            "DELETE FROM host_writes WHERE settled_at < $1 OR (settled_at < $2 AND key IS NULL)",
        );
        let gone = gone
            .bind(keyed)
            .bind(keyless)
            .long()
            .execute(&mut tx)
            .await?;
        self.db.commit(tx).await?;
        Ok(gone)
    }
}
