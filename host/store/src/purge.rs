//! Removing what belonged to a credential.
//!
//! A deleted credential is gone with the first, small transaction: nothing can
//! use it, nothing lands for it. Its records, perhaps a million, follow in
//! batches, each a transaction of its own that readers don't notice and that
//! other writers get their turn between. What remains to be done is a row, so
//! an interrupted purge is taken up again. Whoever deletes a credential may keep its
//! records for his SQL; then what remains is noted, and done when it is asked for.

use std::sync::Arc;

use crate::changes;
use crate::database::{Query, Tx, query, statement};
use crate::ids::id_range;
use crate::jobs::{self, SYNC};
use crate::keys::Keys;
use crate::outbox::Happened;
use crate::sync_state::sync_name;
use crate::table::EntityTable;
use crate::{Credential, EnvStore, Result, StoreError, sync_completed};

/// Rows per transaction: some milliseconds of work.
const BATCH: i64 = 500;

/// What a purge is for.
struct Purge {
    credential_id: String,
    /// One entity; empty for all and for the credential's ids.
    entity: String,
    created_at: i64,
}

/// What becomes of a deleted credential's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Records {
    /// They are erased.
    Erase,
    /// They stay in the entities' tables, for SQL. No call of the store but
    /// [`EnvStore::release_kept`] reaches them any more.
    Keep,
}

async fn begin_purge(tx: &mut Tx, id: &str, created_at: i64) -> Result<()> {
    query("INSERT INTO host_purges (credential_id, entity, created_at) VALUES ($1, '', $2)")
        .bind(id)
        .bind(created_at)
        .execute(tx)
        .await
        .map(drop)
}

impl EnvStore {
    /// Deletes a credential with everything that was stored for it.
    /// [`StoreError::NotFound`] if there is none.
    pub async fn delete_credential(&self, id: &str) -> Result<()> {
        self.revoke_credential(id, Records::Erase).await?;
        self.purge_credential(id).await
    }

    /// Deletes a credential and its secrets, and leaves its records to
    /// [`EnvStore::purge`], or where they are. [`StoreError::NotFound`] if there is none.
    pub async fn revoke_credential(&self, id: &str, records: Records) -> Result<()> {
        let mut tx = self.db.write().await?;
        // In the order of those who land: job, sync, and what that refers to.
        jobs::hold(&mut tx, SYNC, id, None).await?;
        let syncs = tx
            .dialect()
            .text("SELECT entity FROM host_sync WHERE credential_id = $1 ORDER BY entity {held}");
        statement(syncs).bind(id).all::<String>(&mut tx).await?;
        let credential: Option<Credential> = query("SELECT * FROM host_credentials WHERE id = $1")
            .bind(id)
            .optional(&mut tx)
            .await?;
        let credential = credential.ok_or(StoreError::NotFound("credential"))?;
        self.tell(&mut tx, &credential, Happened::Deleted).await?;
        let gone = query("DELETE FROM host_credentials WHERE id = $1").bind(id);
        if gone.execute(&mut tx).await? == 0 {
            return Err(StoreError::NotFound("credential"));
        }
        jobs::cancel_lane(&mut tx, SYNC, id).await?;
        changes::note_departure(&mut tx, id).await?;
        match records {
            Records::Erase => begin_purge(&mut tx, id, credential.created_at).await?,
            Records::Keep => {
                query("INSERT INTO host_kept (credential_id, created_at) VALUES ($1, $2)")
                    .bind(id)
                    .bind(credential.created_at)
                    .execute(&mut tx)
                    .await?;
            }
        }
        self.db.commit(tx).await?;
        self.signal();
        self.forget_gathered(id);
        Ok(())
    }

    /// Leaves the records that were kept of a deleted credential to [`EnvStore::purge`].
    /// [`StoreError::NotFound`] if there are none.
    pub async fn release_kept(&self, id: &str) -> Result<()> {
        let mut tx = self.db.write().await?;
        let kept = query("DELETE FROM host_kept WHERE credential_id = $1 RETURNING created_at");
        let created_at: Option<i64> = kept.bind(id).optional(&mut tx).await?;
        let created_at = created_at.ok_or(StoreError::NotFound("credential"))?;
        begin_purge(&mut tx, id, created_at).await?;
        self.db.commit(tx).await
    }

    /// Stops syncing an entity for a credential and deletes its records.
    pub async fn forget_sync(&self, credential_id: &str, entity: &str) -> Result<()> {
        self.table(entity)?;
        let mut tx = self.db.write().await?;
        let name = sync_name(credential_id, entity);
        // In the order of those who land.
        jobs::hold(&mut tx, SYNC, credential_id, Some(&name)).await?;
        let sync = tx
            .dialect()
            .text("SELECT entity FROM host_sync WHERE credential_id = $1 AND entity = $2 {held}");
        let sync = statement(sync).bind(credential_id).bind(entity);
        sync.all::<String>(&mut tx).await?;
        changes::note(&mut tx, credential_id).await?;
        jobs::cancel(&mut tx, SYNC, credential_id, &name).await?;
        for table in ["host_sync", "host_quarantine", "host_full_passes"] {
            let delete = format!("DELETE FROM {table} WHERE credential_id = $1 AND entity = $2");
            statement(delete)
                .bind(credential_id)
                .bind(entity)
                .execute(&mut tx)
                .await?;
        }
        // What was not read yet may have been the last.
        sync_completed::tell(self, &mut tx, credential_id).await?;
        query(
            "INSERT INTO host_purges (credential_id, entity, created_at) \
             SELECT id, $2, created_at FROM host_credentials WHERE id = $1 ON CONFLICT DO NOTHING",
        )
        .bind(credential_id)
        .bind(entity)
        .execute(&mut tx)
        .await?;
        self.db.commit(tx).await?;
        self.purge_credential(credential_id).await
    }

    /// Erases what deleted credentials left, and takes up purges that were
    /// interrupted.
    pub async fn purge(&self) -> Result<()> {
        let ids = query("SELECT DISTINCT credential_id FROM host_purges");
        let ids: Vec<String> = ids.all(&self.db).await?;
        for id in ids {
            self.purge_credential(&id).await?;
        }
        Ok(())
    }

    pub(crate) async fn purge_credential(&self, credential_id: &str) -> Result<()> {
        let rows: Vec<(String, i64)> =
            query("SELECT entity, created_at FROM host_purges WHERE credential_id = $1")
                .bind(credential_id)
                .all(&self.db)
                .await?;
        for (entity, created_at) in rows {
            let credential_id = credential_id.to_owned();
            self.run_purge(&Purge {
                credential_id,
                entity,
                created_at,
            })
            .await?;
        }
        Ok(())
    }

    async fn run_purge(&self, purge: &Purge) -> Result<()> {
        let all = purge.entity.is_empty();
        for table in self
            .tables()
            .filter(|table| all || table.entity.name == purge.entity)
        {
            self.purge_table(table, purge).await?;
        }
        if all {
            let (first, last) = id_range(purge.created_at);
            for table in ["host_ids", "host_tombstones"] {
                let delete = format!(
                    "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} \
                     WHERE id >= $1 AND id < $2 AND credential_id = $3 LIMIT {BATCH})"
                );
                self.in_batches(purge, &delete, |delete| {
                    delete
                        .bind(first.clone())
                        .bind(last.clone())
                        .bind(purge.credential_id.clone())
                })
                .await?;
            }
        }
        let mut tx = self.db.write().await?;
        query("DELETE FROM host_purges WHERE credential_id = $1 AND entity = $2")
            .bind(&purge.credential_id)
            .bind(&purge.entity)
            .execute(&mut tx)
            .await?;
        self.db.commit(tx).await
    }

    async fn purge_table(&self, table: &Arc<EntityTable>, purge: &Purge) -> Result<()> {
        let credential_id = &purge.credential_id;
        let rows = &table.sql_name;
        let delete = format!(
            "DELETE FROM {rows} WHERE host_seq IN \
             (SELECT host_seq FROM {rows} WHERE \"credentialId\" = $1 LIMIT {BATCH})"
        );
        self.in_batches(purge, &delete, |delete| delete.bind(credential_id))
            .await?;
        if table.keyed.is_empty() {
            return Ok(());
        }
        // Another credential's keys can lie in the range; they have their rows.
        let keys = &table.keys_name;
        let delete = format!(
            "DELETE FROM {keys} WHERE (key, seq) IN (SELECT key, seq FROM {keys} \
             WHERE key >= $1 AND key <= $2 \
             AND NOT EXISTS (SELECT 1 FROM {rows} WHERE host_seq = seq) LIMIT {BATCH})"
        );
        let (first, last) = Keys::new(credential_id).range();
        self.in_batches(purge, &delete, |delete| delete.bind(first).bind(last))
            .await
    }

    /// Repeats a statement that deletes a batch until it finds nothing more. Two
    /// processes take turns: one that found nothing while the other is at work
    /// would call the purge done.
    async fn in_batches(
        &self,
        purge: &Purge,
        delete: &str,
        bind: impl Fn(Query) -> Query,
    ) -> Result<()> {
        let held = self
            .db
            .dialect()
            .text("SELECT entity FROM host_purges WHERE credential_id = $1 AND entity = $2 {held}");
        loop {
            let mut tx = self.db.write().await?;
            let held = statement(held.clone())
                .bind(&purge.credential_id)
                .bind(&purge.entity);
            if held.optional::<String>(&mut tx).await?.is_none() {
                return Ok(());
            }
            let delete = bind(statement(delete.to_owned()));
            let deleted = delete.execute(&mut tx).await?;
            self.db.commit(tx).await?;
            if deleted == 0 {
                return Ok(());
            }
        }
    }
}
