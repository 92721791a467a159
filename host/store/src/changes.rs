//! Which credentials changed, for processes that keep them in memory.
//!
//! Whatever such a process would have to know (a credential, its secrets, who
//! has it, what of it can be read) moves a counter in the transaction that
//! changes it. The counter's row is held until the commit, so that the numbers
//! become visible in their order and nothing is passed over.

use crate::database::{Tx, query};
use crate::{EnvStore, Result, now};

/// What changed behind a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Changes {
    /// What to ask for next.
    pub upto: i64,
    /// Credentials that are new or changed, by id.
    pub changed: Vec<String>,
    /// Credentials that are gone.
    pub departed: Vec<String>,
}

async fn next(tx: &mut Tx) -> Result<i64> {
    query("UPDATE host_counters SET value = value + 1 WHERE name = 'changes' RETURNING value")
        .one(tx)
        .await
}

/// Notes that a credential changed.
pub(crate) async fn note(tx: &mut Tx, credential_id: &str) -> Result<()> {
    // First the credential, as those lock it who change it, then the counter.
    let held = query("UPDATE host_credentials SET changed = changed WHERE id = $1");
    held.bind(credential_id).execute(&mut *tx).await?;
    let number = next(tx).await?;
    query("UPDATE host_credentials SET changed = $2 WHERE id = $1")
        .bind(credential_id)
        .bind(number)
        .execute(tx)
        .await
        .map(drop)
}

/// Notes that a credential is gone.
pub(crate) async fn note_departure(tx: &mut Tx, credential_id: &str) -> Result<()> {
    let number = next(tx).await?;
    query("INSERT INTO host_departed (credential_id, changed, at) VALUES ($1, $2, $3)")
        .bind(credential_id)
        .bind(number)
        .bind(now())
        .execute(tx)
        .await
        .map(drop)
}

impl EnvStore {
    /// The number of the last change.
    pub async fn changes_upto(&self) -> Result<i64> {
        query("SELECT value FROM host_counters WHERE name = 'changes'")
            .brief()
            .one(&self.db)
            .await
    }

    /// What changed behind a number.
    pub async fn changes_since(&self, after: i64) -> Result<Changes> {
        let mut tx = self.db.snapshot().await?;
        let upto = query("SELECT value FROM host_counters WHERE name = 'changes'")
            .one(&mut tx)
            .await?;
        let changed = query("SELECT id FROM host_credentials WHERE changed > $1 ORDER BY changed")
            .bind(after)
            .all(&mut tx)
            .await?;
        let departed =
            query("SELECT credential_id FROM host_departed WHERE changed > $1 ORDER BY changed")
                .bind(after)
                .all(&mut tx)
                .await?;
        self.db.commit(tx).await?;
        Ok(Changes {
            upto,
            changed,
            departed,
        })
    }

    /// Clears away what is known of credentials that are gone since before a time,
    /// in milliseconds since 1970.
    pub async fn forget_departed(&self, before: i64) -> Result<u64> {
        let mut tx = self.db.write().await?;
        let gone = query("DELETE FROM host_departed WHERE at < $1").bind(before);
        let gone = gone.execute(&mut tx).await?;
        self.db.commit(tx).await?;
        Ok(gone)
    }
}
