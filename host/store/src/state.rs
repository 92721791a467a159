//! Small values that connectors keep per credential, changed only by whoever
//! has seen the last version.

use crate::database::{query, statement};
use crate::{EnvStore, Result, StoreError};

/// Bytes that one value may have.
pub const STATE_VALUE_MAX: usize = 64 * 1024;
/// Keys that one credential may have.
pub const STATE_KEYS_MAX: usize = 64;
/// Bytes that one key may have.
pub const STATE_KEY_MAX: usize = 256;

/// A stored value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateValue {
    /// The connector's bytes.
    pub value: Vec<u8>,
    /// 1 for a new key, one more with every change.
    pub version: i64,
}

/// What must be there for a change to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there.
    Any,
    /// Nothing.
    Absent,
    /// This version.
    Version(i64),
}

impl Expected {
    fn check(self, found: Option<i64>) -> Result<()> {
        let met = match self {
            Self::Any => true,
            Self::Absent => found.is_none(),
            Self::Version(version) => found == Some(version),
        };
        if met {
            Ok(())
        } else {
            Err(StoreError::Conflict("the value"))
        }
    }
}

impl EnvStore {
    /// The value under a key.
    pub async fn state(&self, credential_id: &str, key: &str) -> Result<Option<StateValue>> {
        let value: Option<(Vec<u8>, i64)> =
            query("SELECT value, version FROM host_state WHERE credential_id = $1 AND key = $2")
                .bind(credential_id)
                .bind(key)
                .brief()
                .optional(&self.db)
                .await?;
        Ok(value.map(|(value, version)| StateValue { value, version }))
    }

    /// Stores a value and answers its version. [`StoreError::Conflict`] if not
    /// `expected` is there, [`StoreError::Limit`] if it is too much,
    /// [`StoreError::NotFound`] without the credential.
    pub async fn set_state(
        &self,
        credential_id: &str,
        key: &str,
        value: &[u8],
        expected: Expected,
    ) -> Result<i64> {
        if value.len() > STATE_VALUE_MAX {
            return Err(StoreError::Limit("a state value has at most 64 KiB"));
        }
        if key.len() > STATE_KEY_MAX {
            return Err(StoreError::Limit("a state key has at most 256 bytes"));
        }
        let mut tx = self.db.write().await?;
        // Held, so that of two who change one value one comes second.
        let held = tx
            .dialect()
            .text("SELECT id FROM host_credentials WHERE id = $1 {held}");
        let held: Option<String> = statement(held)
            .bind(credential_id)
            .optional(&mut tx)
            .await?;
        held.ok_or(StoreError::NotFound("credential"))?;
        let found: Option<i64> =
            query("SELECT version FROM host_state WHERE credential_id = $1 AND key = $2")
                .bind(credential_id)
                .bind(key)
                .optional(&mut tx)
                .await?;
        expected.check(found)?;
        if found.is_none() {
            let keys: i64 = query("SELECT COUNT(*) FROM host_state WHERE credential_id = $1")
                .bind(credential_id)
                .one(&mut tx)
                .await?;
            if usize::try_from(keys).is_ok_and(|keys| keys >= STATE_KEYS_MAX) {
                return Err(StoreError::Limit("a credential has at most 64 state keys"));
            }
        }
        let version = query(
            "INSERT INTO host_state (credential_id, key, value, version) VALUES ($1, $2, $3, 1) \
             ON CONFLICT (credential_id, key) \
             DO UPDATE SET value = excluded.value, version = host_state.version + 1 \
             RETURNING version",
        )
        .bind(credential_id)
        .bind(key)
        .bind(value)
        .one(&mut tx)
        .await?;
        self.db.commit(tx).await?;
        Ok(version)
    }

    /// Removes a value; answers whether there was one.
    pub async fn delete_state(
        &self,
        credential_id: &str,
        key: &str,
        expected: Expected,
    ) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let found: Option<i64> =
            query("DELETE FROM host_state WHERE credential_id = $1 AND key = $2 RETURNING version")
                .bind(credential_id)
                .bind(key)
                .optional(&mut tx)
                .await?;
        expected.check(found)?;
        self.db.commit(tx).await?;
        Ok(found.is_some())
    }
}
