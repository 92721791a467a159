//! What a rotation of keys needs of the control database.

use super::Control;
use crate::database::{Tx, query};
use crate::dialect::Dialect;
use crate::{Result, StoreError};

/// The rotation under way, in `host_meta`.
const ROTATION: &str = "key_rotation";
/// How often keys were changed, in `host_meta`.
const VERSION: &str = "key_version";

/// A text in the control database that the caller sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealedIn<'a> {
    /// An environment's client secret.
    ClientSecret,
    /// The one before.
    OldSecret,
    /// The URL of its database.
    DatabaseUrl,
    /// A slot that is set for a connector: its key and the slot's name.
    Setting(&'a str, &'a str),
}

/// Held by the one process that changes keys.
pub struct KeysHeld(#[expect(dead_code, reason = "the lock goes with the transaction")] Option<Tx>);

impl Control {
    /// Takes the installation's keys for this process alone; none: another one has them.
    /// On SQLite nobody is excluded: there the data directory is what processes share.
    pub async fn hold_keys(&self) -> Result<Option<KeysHeld>> {
        if self.db.dialect() == Dialect::Sqlite {
            return Ok(Some(KeysHeld(None)));
        }
        let mut tx = self.db.write().await?;
        query("SET LOCAL idle_in_transaction_session_timeout = 0")
            .execute(&mut tx)
            .await?;
        let held = query("SELECT pg_try_advisory_xact_lock(7302, 0)");
        let held: bool = held.one(&mut tx).await?;
        Ok(held.then_some(KeysHeld(Some(tx))))
    }

    /// The name of the rotation that began and has not ended.
    pub async fn key_rotation(&self) -> Result<Option<String>> {
        let found = query("SELECT value FROM host_meta WHERE key = $1").bind(ROTATION);
        found.optional(&self.db).await
    }

    /// Notes that a rotation begins.
    pub async fn begin_key_rotation(&self, name: &str) -> Result<()> {
        let mut tx = self.db.write().await?;
        query("INSERT INTO host_meta (key, value) VALUES ($1, $2)")
            .bind(ROTATION)
            .bind(name)
            .execute(&mut tx)
            .await?;
        self.db.commit(tx).await
    }

    /// Notes that it has ended.
    pub async fn end_key_rotation(&self) -> Result<()> {
        let mut tx = self.db.write().await?;
        let ended = query("DELETE FROM host_meta WHERE key = $1").bind(ROTATION);
        ended.execute(&mut tx).await?;
        self.db.commit(tx).await
    }

    /// Moves whenever somebody replaced keys that hosts may have in memory.
    pub async fn key_version(&self) -> Result<i64> {
        let found = query("SELECT value FROM host_meta WHERE key = $1").bind(VERSION);
        let found: Option<String> = found.optional(&self.db).await?;
        Ok(found.and_then(|text| text.parse().ok()).unwrap_or_default())
    }

    /// Tells hosts to read their keys again.
    pub async fn announce_keys(&self) -> Result<()> {
        let mut tx = self.db.write().await?;
        query(
            "INSERT INTO host_meta (key, value) VALUES ($1, '1') ON CONFLICT (key) \
             DO UPDATE SET value = CAST(CAST(host_meta.value AS BIGINT) + 1 AS TEXT)",
        )
        .bind(VERSION)
        .execute(&mut tx)
        .await?;
        self.db.commit(tx).await
    }

    /// Puts a text that was sealed anew into the place of the one that it was made of.
    /// Answers false if that is no longer there.
    pub async fn replace_sealed(
        &self,
        environment: &str,
        place: SealedIn<'_>,
        before: &str,
        sealed: &str,
    ) -> Result<bool> {
        let update = match place {
            SealedIn::ClientSecret => query(
                "UPDATE host_environments SET client_secret_sealed = $3 \
                 WHERE name = $1 AND client_secret_sealed = $2",
            ),
            SealedIn::OldSecret => query(
                "UPDATE host_environments SET old_secret_sealed = $3 \
                 WHERE name = $1 AND old_secret_sealed = $2",
            ),
            SealedIn::DatabaseUrl => query(
                "UPDATE host_environments SET database_url_sealed = $3 \
                 WHERE name = $1 AND database_url_sealed = $2",
            ),
            SealedIn::Setting(..) => query(
                "UPDATE host_app_settings SET value = $3 WHERE environment = $1 AND value = $2 \
                 AND kind = 'slot' AND connector = $4 AND name = $5",
            ),
        };
        let mut update = update.bind(environment).bind(before).bind(sealed);
        if let SealedIn::Setting(connector, name) = place {
            update = update.bind(connector).bind(name);
        }
        let mut tx = self.db.write().await?;
        let replaced = update.execute(&mut tx).await?;
        self.db.commit(tx).await?;
        match replaced {
            0 => Ok(false),
            1 => Ok(true),
            more => Err(StoreError::Internal(format!("{more} rows of one secret"))),
        }
    }
}
