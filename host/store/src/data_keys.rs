//! The keys that secrets of a database are sealed with, each wrapped by a master key,
//! which is never here. A key stays for good: whoever still seals with one that was
//! replaced leaves nothing unreadable.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::database::{Db, FromRow, Query, Row, query, statement};
use crate::dialect::Dialect;
use crate::{Control, EnvStore, Result, now};

/// The table, in both kinds of database. One key at most is the one that seals.
pub(crate) const TABLE: &str = "
CREATE TABLE host_data_keys (
    id TEXT PRIMARY KEY,
    wrapped TEXT NOT NULL,
    seals BIGINT NOT NULL,
    rotation TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX host_data_keys_seals ON host_data_keys (seals) WHERE seals = 1;
";

/// A data key as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredKey {
    /// Sealed values name it.
    pub id: String,
    /// The key itself, sealed by the caller with a master key.
    pub wrapped: String,
    /// Whether new values are sealed with it.
    pub seals: bool,
    /// The rotation that made it; empty: none.
    pub rotation: String,
    /// Milliseconds since 1970.
    pub created_at: i64,
}

impl FromRow for StoredKey {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            wrapped: row.get("wrapped")?,
            seals: row.get::<i64>("seals")? != 0,
            rotation: row.get("rotation")?,
            created_at: row.get("created_at")?,
        })
    }
}

/// The data keys of a database.
pub struct DataKeys<'a> {
    db: &'a Db,
}

impl EnvStore {
    /// The keys of the environment's secrets.
    pub fn data_keys(&self) -> DataKeys<'_> {
        DataKeys { db: &self.db }
    }
}

impl Control {
    /// The keys of what the control database holds of environments.
    pub fn data_keys(&self) -> DataKeys<'_> {
        DataKeys { db: &self.db }
    }
}

impl DataKeys<'_> {
    /// All of them, oldest first.
    pub async fn all(&self) -> Result<Vec<StoredKey>> {
        query("SELECT * FROM host_data_keys ORDER BY created_at, id")
            .all(self.db)
            .await
    }

    /// Enters the first key; one that another process entered before stays.
    pub async fn enter_first(&self, id: &str, wrapped: &str) -> Result<()> {
        let mut tx = self.db.write().await?;
        insert(id, wrapped, "", "ON CONFLICT DO NOTHING")
            .execute(&mut tx)
            .await?;
        self.db.commit(tx).await
    }

    /// Enters a key that a rotation made; it seals from now on. Nothing changes if the
    /// rotation has made one already.
    pub async fn enter_next(&self, id: &str, wrapped: &str, rotation: &str) -> Result<()> {
        let mut tx = self.db.write().await?;
        let made = query("SELECT count(*) FROM host_data_keys WHERE rotation = $1");
        if made.bind(rotation).one::<i64>(&mut tx).await? == 0 {
            query("UPDATE host_data_keys SET seals = 0 WHERE seals = 1")
                .execute(&mut tx)
                .await?;
            insert(id, wrapped, rotation, "").execute(&mut tx).await?;
        }
        self.db.commit(tx).await
    }

    /// Puts a key wrapped anew into the place of what was there. Answers false if that
    /// is no longer there.
    pub async fn rewrap(&self, key: &StoredKey, wrapped: &str) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let changed =
            query("UPDATE host_data_keys SET wrapped = $3 WHERE id = $1 AND wrapped = $2");
        let changed = changed.bind(&key.id).bind(&key.wrapped).bind(wrapped);
        let changed = changed.execute(&mut tx).await?;
        self.db.commit(tx).await?;
        Ok(changed > 0)
    }
}

fn insert(id: &str, wrapped: &str, rotation: &str, conflict: &str) -> Query {
    statement(format!(
        "INSERT INTO host_data_keys (id, wrapped, seals, rotation, created_at) \
         VALUES ($1, $2, 1, $3, $4) {conflict}"
    ))
    .bind(id)
    .bind(wrapped)
    .bind(rotation)
    .bind(now())
}

/// A sealed secret of a credential, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSecret {
    /// The credential's id.
    pub credential_id: String,
    /// The slot's name.
    pub slot: String,
    /// The sealed text.
    pub sealed: String,
}

impl FromRow for SealedSecret {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            credential_id: row.get("credential_id")?,
            slot: row.get("slot")?,
            sealed: row.get("sealed")?,
        })
    }
}

impl EnvStore {
    /// The next secrets behind `after` (a credential's id and a slot) whose text does not
    /// begin with `prefix`, at most `limit`, in the order of both.
    pub async fn secrets_unlike(
        &self,
        prefix: &str,
        after: (&str, &str),
        limit: i64,
    ) -> Result<Vec<SealedSecret>> {
        let limited = self.db.dialect().limit("$5");
        statement(format!(
            "SELECT credential_id, slot, sealed FROM host_secrets \
             WHERE (credential_id, slot) > ($1, $2) AND substr(sealed, 1, CAST($3 AS INTEGER)) <> $4 \
             ORDER BY credential_id, slot LIMIT {limited}"
        ))
        .bind(after.0)
        .bind(after.1)
        .bind(i64::try_from(prefix.len()).unwrap_or_default())
        .bind(prefix)
        .bind(limit)
        .all(&self.db)
        .await
    }

    /// Puts texts that were sealed anew into the place of those that they were made of.
    /// A secret that changed meanwhile stays as it is. Answers how many were replaced.
    /// Nobody is told: what it says is the same.
    pub async fn replace_sealed(&self, secrets: &[(SealedSecret, String)]) -> Result<u64> {
        let rows = secrets.iter().map(|(before, sealed)| {
            serde_json::json!([before.credential_id, before.slot, before.sealed, sealed])
        });
        let rows = serde_json::Value::Array(rows.collect()).to_string();
        // The order is the same for all, so that no two wait for each other.
        let listed = match self.db.dialect() {
            Dialect::Sqlite => "json_each($1)",
            Dialect::Postgres => "jsonb_array_elements(CAST($1 AS JSONB)) AS listed (value)",
        };
        let mut tx = self.db.write().await?;
        let replaced = statement(format!(
            "WITH given AS (SELECT value ->> 0 AS id, value ->> 1 AS slot, value ->> 2 AS before, \
             value ->> 3 AS sealed FROM {listed}) \
             UPDATE host_secrets SET sealed = given.sealed FROM given \
             WHERE host_secrets.credential_id = given.id AND host_secrets.slot = given.slot \
             AND host_secrets.sealed = given.before"
        ))
        .bind(rows)
        .long()
        .execute(&mut tx)
        .await?;
        self.db.commit(tx).await?;
        Ok(replaced)
    }

    /// How many secrets of credentials need each key, by its id.
    pub async fn secrets_by_key(&self) -> Result<BTreeMap<String, i64>> {
        // `rv1.` and sixteen digits.
        let rows: Vec<(String, i64)> = query(
            "SELECT substr(sealed, 5, 16), count(*) FROM host_secrets GROUP BY substr(sealed, 5, 16)",
        )
        .all(&self.db)
        .await?;
        Ok(rows.into_iter().collect())
    }
}
