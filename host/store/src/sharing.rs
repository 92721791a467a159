//! Who has a credential: the consumer who connected it, and those it is shared with.

use crate::credentials::missing;
use crate::database::{Tx, query};
use crate::{EnvStore, Result, StoreError, changes};

/// A column, so that a version that knows nothing of it goes on working beside this one;
/// and which deleted credentials' records were kept.
pub(crate) const TABLES: &str = "
ALTER TABLE host_credential_consumers ADD COLUMN shared BIGINT NOT NULL DEFAULT 0;
CREATE TABLE host_kept (
    credential_id {key} PRIMARY KEY,
    created_at BIGINT NOT NULL
);
";

/// A consumer that has a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The product's name for him.
    pub key: String,
    /// He has it from somebody else.
    pub shared: bool,
}

impl EnvStore {
    /// Who has a credential: first whose it is, then those it is shared with, by key.
    pub async fn holders(&self, credential_id: &str) -> Result<Vec<Holder>> {
        let rows: Vec<(String, i64)> = query(
            "SELECT u.key, s.shared FROM host_credential_consumers s \
             JOIN host_consumers u ON u.id = s.consumer_id \
             WHERE s.credential_id = $1 ORDER BY s.shared, u.key",
        )
        .bind(credential_id)
        .all(&self.db)
        .await?;
        let holders = rows.into_iter().map(|(key, shared)| Holder {
            key,
            shared: shared != 0,
        });
        Ok(holders.collect())
    }

    /// Shares a credential with a consumer. If he has it, nothing changes.
    pub async fn share_credential(&self, credential_id: &str, consumer_id: &str) -> Result<()> {
        let mut tx = self.db.write().await?;
        add_consumer(&mut tx, credential_id, consumer_id, true).await?;
        changes::note(&mut tx, credential_id).await?;
        self.db.commit(tx).await
    }

    /// Takes a credential from a consumer that it is shared with.
    /// [`StoreError::NotFound`] if it is not; whose it is keeps it.
    pub async fn unshare_credential(&self, credential_id: &str, consumer_id: &str) -> Result<()> {
        let mut tx = self.db.write().await?;
        let unshared = query(
            "DELETE FROM host_credential_consumers \
             WHERE credential_id = $1 AND consumer_id = $2 AND shared = 1",
        );
        let unshared = unshared.bind(credential_id).bind(consumer_id);
        if unshared.execute(&mut tx).await? == 0 {
            return Err(StoreError::NotFound("credential or consumer"));
        }
        changes::note(&mut tx, credential_id).await?;
        self.db.commit(tx).await
    }
}

pub(crate) async fn add_consumer(
    tx: &mut Tx,
    credential_id: &str,
    consumer_id: &str,
    shared: bool,
) -> Result<()> {
    let added = query(
        "INSERT INTO host_credential_consumers (credential_id, consumer_id, shared) \
         VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
    );
    let added = added
        .bind(credential_id)
        .bind(consumer_id)
        .bind(i64::from(shared))
        .execute(&mut *tx)
        .await;
    added.map_err(|error| missing(error, "credential or consumer"))?;
    Ok(())
}
