//! The fixed tables of both databases, as numbered steps.
//!
//! A step only ever adds, so that the version before it keeps working beside
//! it during an upgrade. `schema_version` names the last step that ran,
//! `schema_floor` the oldest version of the program's steps that may still use
//! the database; a step that removes something raises it.
//!
//! The entities' tables are not here: they follow the catalogue, see `table`.

use sqlx::AssertSqlSafe;

use crate::database::Tx;
use crate::dialect;
use crate::{Result, StoreError};

/// Steps, oldest first; the first one has number 1.
pub(crate) type Steps = &'static [&'static str];

const META: &str =
    "CREATE TABLE IF NOT EXISTS host_meta (key TEXT PRIMARY KEY, value BIGINT NOT NULL)";

/// Runs the steps that the database has not seen. The caller's transaction
/// holds the write lock, so two programs starting at once don't meet.
pub(crate) async fn run(tx: &mut Tx, steps: Steps) -> Result<()> {
    sqlx::query(META).execute(&mut **tx).await?;
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let floor = meta(tx, "schema_floor").await?;
    if floor > known {
        return Err(StoreError::TooOld { floor, known });
    }
    let done = meta(tx, "schema_version").await?;
    for step in steps.iter().skip(usize::try_from(done).unwrap_or_default()) {
        sqlx::raw_sql(AssertSqlSafe(dialect::migration(step)))
            .execute(&mut **tx)
            .await?;
    }
    if known > done {
        sqlx::query(
            "INSERT INTO host_meta (key, value) VALUES ('schema_version', $1) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        )
        .bind(known)
        .execute(&mut **tx)
        .await?;
    }
    Ok(())
}

async fn meta(tx: &mut Tx, key: &str) -> Result<i64> {
    let value = sqlx::query_scalar("SELECT value FROM host_meta WHERE key = $1");
    Ok(value
        .bind(key)
        .fetch_optional(&mut **tx)
        .await?
        .unwrap_or_default())
}

/// The control database.
pub(crate) const CONTROL: Steps = &["
CREATE TABLE host_environments (
    name TEXT PRIMARY KEY,
    client_id TEXT NOT NULL UNIQUE,
    client_secret_sealed TEXT NOT NULL,
    database_url TEXT,
    app_keys TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE host_app_settings (
    environment TEXT NOT NULL,
    connector TEXT NOT NULL,
    name TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (environment, connector, name)
);
"];

/// An environment's database.
///
/// `host_ids` and `host_tombstones` have no index by credential: a record's id
/// begins with its credential's time of creation, so that the ids of one
/// credential are a range of the primary key.
pub(crate) const ENVIRONMENT: Steps = &["
CREATE TABLE host_consumers (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);
CREATE TABLE host_credentials (
    id TEXT PRIMARY KEY,
    app_key TEXT NOT NULL,
    plan TEXT NOT NULL,
    label TEXT,
    avatar TEXT,
    external_id TEXT NOT NULL,
    fields {json} NOT NULL,
    entities_to_sync {json} NOT NULL,
    status TEXT NOT NULL,
    status_reason TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);
CREATE INDEX host_credentials_external ON host_credentials (external_id, app_key);
CREATE TABLE host_credential_consumers (
    credential_id TEXT NOT NULL REFERENCES host_credentials (id) ON DELETE CASCADE,
    consumer_id TEXT NOT NULL REFERENCES host_consumers (id) ON DELETE CASCADE,
    PRIMARY KEY (consumer_id, credential_id)
) {clustered};
CREATE INDEX host_credential_consumers_credential ON host_credential_consumers (credential_id);
CREATE TABLE host_secrets (
    credential_id TEXT NOT NULL REFERENCES host_credentials (id) ON DELETE CASCADE,
    slot TEXT NOT NULL,
    sealed TEXT NOT NULL,
    PRIMARY KEY (credential_id, slot)
) {clustered};
CREATE TABLE host_state (
    credential_id TEXT NOT NULL REFERENCES host_credentials (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value {bytes} NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (credential_id, key)
);
CREATE TABLE host_sync (
    credential_id TEXT NOT NULL REFERENCES host_credentials (id) ON DELETE CASCADE,
    entity TEXT NOT NULL,
    status TEXT NOT NULL,
    phase TEXT NOT NULL,
    cursor TEXT,
    records BIGINT NOT NULL DEFAULT 0,
    total BIGINT,
    next_at BIGINT,
    attempts BIGINT NOT NULL DEFAULT 0,
    error TEXT,
    first_done_at BIGINT,
    quarantined BIGINT NOT NULL DEFAULT 0,
    lenient BIGINT NOT NULL DEFAULT 0,
    keys_behind BIGINT,
    PRIMARY KEY (credential_id, entity)
) {clustered};
CREATE INDEX host_sync_due ON host_sync (next_at) WHERE next_at IS NOT NULL;
CREATE TABLE host_quarantine (
    credential_id TEXT NOT NULL REFERENCES host_credentials (id) ON DELETE CASCADE,
    entity TEXT NOT NULL,
    upstream_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (credential_id, entity, upstream_id)
) {clustered};
CREATE TABLE host_ids (
    id TEXT PRIMARY KEY,
    credential_id TEXT NOT NULL,
    entity TEXT NOT NULL,
    upstream_id TEXT NOT NULL
) {clustered};
CREATE TABLE host_tombstones (
    id TEXT PRIMARY KEY,
    credential_id TEXT NOT NULL,
    entity TEXT NOT NULL,
    upstream_id TEXT NOT NULL,
    stamp BIGINT NOT NULL,
    at BIGINT NOT NULL
) {clustered};
CREATE TABLE host_purges (
    credential_id TEXT NOT NULL,
    entity TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (credential_id, entity)
);
CREATE TABLE host_counters (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO host_counters (name, value) VALUES ('stamp', 0);
CREATE TABLE host_columns (
    table_name TEXT NOT NULL,
    column_name TEXT NOT NULL,
    catalog BIGINT NOT NULL,
    PRIMARY KEY (table_name, column_name)
);
"];
