//! The fixed tables of both databases, as numbered steps.
//!
//! A step only ever adds, so that the version before it keeps working beside
//! it during an upgrade. `schema_version` names the last step that ran,
//! `compat_floor` the oldest version of the program's steps that may still use
//! the database; a step that removes something raises it. One lock lets one
//! process migrate and the others wait.
//!
//! The entities' tables are not here: they follow the catalogue, see `table`.

use std::time::Duration;

use crate::database::{Db, Tx, query, statement};
use crate::dialect::Dialect;
use crate::{
    Result, StoreError, challenges, data_keys, full_passes, outbound, sharing, tokens, webhooks,
};

/// Steps, oldest first; the first one has number 1.
pub(crate) type Steps = &'static [&'static str];

/// What to do with a database that lacks steps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Migrate {
    /// They are made up.
    #[default]
    Run,
    /// It is refused.
    Check,
}

/// How often a step that others' locks are in the way of is tried again, each
/// time after waiting two seconds for the locks and [`PAUSE`].
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_secs(1);

const META: &str =
    "CREATE TABLE IF NOT EXISTS host_meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)";

/// Begins a transaction that migrates, alone among all processes.
pub(crate) async fn begin(db: &Db, schema: &str) -> Result<Tx> {
    let mut tx = db.write().await?;
    if db.dialect() == Dialect::Postgres {
        let begin = format!(
            "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '2s'; \
             SET LOCAL idle_in_transaction_session_timeout = '60s'; \
             SELECT pg_catalog.pg_advisory_xact_lock(7301, pg_catalog.hashtext('{schema}')); \
             DO $$ BEGIN IF pg_catalog.to_regnamespace('{schema}') IS NULL \
             THEN CREATE SCHEMA {schema}; END IF; END $$"
        );
        statement(begin).script(&mut tx).await?;
    }
    Ok(tx)
}

/// Lets whoever is in the way of a migration go first: a customer's long query
/// must not be waited for with a lock that stops everybody behind it.
#[derive(Debug, Default)]
pub(crate) struct Patience {
    attempt: u32,
}

impl Patience {
    /// Waits after a try that locks were in the way of; answers other errors, and
    /// this one in the end.
    pub(crate) async fn after(&mut self, error: StoreError) -> Result<()> {
        let StoreError::Locked(reason) = &error else {
            return Err(error);
        };
        self.attempt += 1;
        if self.attempt > ATTEMPTS {
            return Err(error);
        }
        if self.attempt % 5 == 1 {
            tracing::warn!(reason, "waiting for others to let a migration pass");
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

/// Runs the steps that the database has not seen, or says that there are some.
pub(crate) async fn run(tx: &mut Tx, steps: Steps, migrate: Migrate) -> Result<()> {
    query(META).execute(&mut *tx).await?;
    let known = i64::try_from(steps.len()).unwrap_or(i64::MAX);
    let floor = number(tx, "compat_floor").await?;
    if floor > known {
        return Err(StoreError::TooOld {
            program: text(tx, "program").await?.unwrap_or_default(),
            floor,
            known,
        });
    }
    let done = number(tx, "schema_version").await?;
    if done >= known {
        return Ok(());
    }
    if migrate == Migrate::Check {
        return Err(StoreError::Unmigrated { done, known });
    }
    let dialect = tx.dialect();
    for step in steps.iter().skip(usize::try_from(done).unwrap_or_default()) {
        statement(dialect.text(step)).script(&mut *tx).await?;
    }
    put(tx, "schema_version", &known.to_string()).await?;
    put(tx, "program", env!("CARGO_PKG_VERSION")).await
}

async fn number(tx: &mut Tx, key: &str) -> Result<i64> {
    let text = text(tx, key).await?.unwrap_or_default();
    Ok(text.parse().unwrap_or_default())
}

/// A fact about the database itself.
pub(crate) async fn text(tx: &mut Tx, key: &str) -> Result<Option<String>> {
    let value = query("SELECT value FROM host_meta WHERE key = $1");
    value.bind(key).optional(&mut *tx).await
}

/// Notes a fact about the database itself.
pub(crate) async fn put(tx: &mut Tx, key: &str, value: &str) -> Result<()> {
    let put = query(
        "INSERT INTO host_meta (key, value) VALUES ($1, $2) \
         ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    );
    put.bind(key).bind(value).execute(&mut *tx).await.map(drop)
}

/// The control database.
pub(crate) const CONTROL: Steps = &[
    "
CREATE TABLE host_environments (
    name TEXT PRIMARY KEY,
    client_id TEXT NOT NULL UNIQUE,
    client_secret_sealed TEXT NOT NULL,
    old_secret_sealed TEXT,
    old_secret_until BIGINT,
    database_url_sealed TEXT,
    app_keys TEXT NOT NULL,
    held BIGINT NOT NULL DEFAULT 0,
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
",
    "
CREATE TABLE host_components (
    sha256 TEXT PRIMARY KEY,
    bytes {bytes} NOT NULL
);
CREATE TABLE host_connectors (
    key TEXT NOT NULL,
    version TEXT NOT NULL,
    sha256 TEXT NOT NULL REFERENCES host_components (sha256),
    installed_at BIGINT NOT NULL,
    PRIMARY KEY (key, version)
);
CREATE TABLE host_connector_uses (
    environment TEXT NOT NULL,
    key TEXT NOT NULL,
    version TEXT NOT NULL,
    before TEXT,
    PRIMARY KEY (environment, key)
);
CREATE TABLE host_connector_grants (
    key TEXT NOT NULL,
    name TEXT NOT NULL,
    PRIMARY KEY (key, name)
);
CREATE TABLE host_acts (
    number {serial},
    at BIGINT NOT NULL,
    act TEXT NOT NULL
);
",
    data_keys::TABLE,
    outbound::TABLES,
    "ALTER TABLE host_environments ADD COLUMN include_data BIGINT NOT NULL DEFAULT 0",
];

/// An environment's database.
///
/// `host_ids` and `host_tombstones` have no index by credential: a record's id
/// begins with its credential's time of creation, so that the ids of one
/// credential are a range of the primary key.
pub(crate) const ENVIRONMENT: Steps = &[
    "
CREATE TABLE host_consumers (
    id TEXT PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);
CREATE TABLE host_credentials (
    id {key} PRIMARY KEY,
    app_key TEXT NOT NULL,
    plan TEXT NOT NULL,
    label TEXT,
    avatar TEXT,
    external_id TEXT NOT NULL,
    fields TEXT NOT NULL,
    entities_to_sync TEXT NOT NULL,
    status TEXT NOT NULL,
    status_reason TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    changed BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX host_credentials_changed ON host_credentials (changed);
CREATE TABLE host_departed (
    credential_id {key} PRIMARY KEY,
    changed BIGINT NOT NULL,
    at BIGINT NOT NULL
);
CREATE INDEX host_credentials_external ON host_credentials (external_id, app_key);
CREATE TABLE host_credential_consumers (
    credential_id {key} NOT NULL REFERENCES host_credentials (id) ON DELETE CASCADE,
    consumer_id TEXT NOT NULL REFERENCES host_consumers (id) ON DELETE CASCADE,
    PRIMARY KEY (consumer_id, credential_id)
) {clustered};
CREATE INDEX host_credential_consumers_credential ON host_credential_consumers (credential_id);
CREATE TABLE host_secrets (
    credential_id {key} NOT NULL REFERENCES host_credentials (id) ON DELETE CASCADE,
    slot TEXT NOT NULL,
    sealed TEXT NOT NULL,
    PRIMARY KEY (credential_id, slot)
) {clustered};
CREATE TABLE host_state (
    credential_id {key} NOT NULL REFERENCES host_credentials (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value {bytes} NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (credential_id, key)
);
CREATE TABLE host_sync (
    credential_id {key} NOT NULL REFERENCES host_credentials (id) ON DELETE CASCADE,
    entity TEXT NOT NULL,
    status TEXT NOT NULL,
    phase TEXT NOT NULL,
    cursor TEXT,
    records BIGINT NOT NULL DEFAULT 0,
    total BIGINT,
    attempts BIGINT NOT NULL DEFAULT 0,
    error TEXT,
    first_done_at BIGINT,
    quarantined BIGINT NOT NULL DEFAULT 0,
    lenient BIGINT NOT NULL DEFAULT 0,
    keys_behind BIGINT,
    PRIMARY KEY (credential_id, entity)
) {clustered};
CREATE TABLE host_quarantine (
    credential_id {key} NOT NULL REFERENCES host_credentials (id) ON DELETE CASCADE,
    entity TEXT NOT NULL,
    upstream_id TEXT NOT NULL,
    reason TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (credential_id, entity, upstream_id)
) {clustered};
CREATE TABLE host_rereads (
    id {key} PRIMARY KEY,
    credential_id {key} NOT NULL REFERENCES host_credentials (id) ON DELETE CASCADE,
    entity TEXT NOT NULL,
    upstream_id TEXT NOT NULL,
    catalog BIGINT NOT NULL
);
CREATE INDEX host_rereads_credential ON host_rereads (credential_id, entity);
CREATE TABLE host_ids (
    id {key} PRIMARY KEY,
    credential_id {key} NOT NULL,
    entity TEXT NOT NULL,
    upstream_id TEXT NOT NULL
) {clustered};
CREATE TABLE host_tombstones (
    id {key} PRIMARY KEY,
    credential_id {key} NOT NULL,
    entity TEXT NOT NULL,
    upstream_id TEXT NOT NULL,
    stamp BIGINT NOT NULL,
    at BIGINT NOT NULL
) {clustered};
CREATE TABLE host_purges (
    credential_id {key} NOT NULL,
    entity TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (credential_id, entity)
);
CREATE TABLE host_counters (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO host_counters (name, value) VALUES ('stamp', 0), ('event', 0), ('changes', 0);
{stamps};
CREATE TABLE host_columns (
    table_name TEXT NOT NULL,
    column_name TEXT NOT NULL,
    catalog BIGINT NOT NULL,
    PRIMARY KEY (table_name, column_name)
);
CREATE TABLE host_jobs (
    id {serial},
    queue TEXT NOT NULL,
    lane {key} NOT NULL,
    name {key} NOT NULL,
    due_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    worker TEXT,
    token BIGINT NOT NULL DEFAULT 0,
    lease_until BIGINT,
    again_at BIGINT
);
CREATE UNIQUE INDEX host_jobs_name ON host_jobs (queue, name);
CREATE INDEX host_jobs_due ON host_jobs (queue, lane, due_at, id);
CREATE INDEX host_jobs_leased ON host_jobs (queue, lane, lease_until) WHERE lease_until IS NOT NULL;
CREATE TABLE host_lanes (
    queue TEXT NOT NULL,
    lane {key} NOT NULL,
    due_at BIGINT,
    PRIMARY KEY (queue, lane)
) {clustered};
CREATE INDEX host_lanes_due ON host_lanes (queue, due_at) WHERE due_at IS NOT NULL;
CREATE TABLE host_outbox (
    id {serial},
    event_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    change TEXT NOT NULL,
    credential_id {key} NOT NULL,
    app_key TEXT NOT NULL,
    initial BIGINT NOT NULL,
    ids TEXT NOT NULL,
    data TEXT
);
CREATE TABLE host_events (
    number BIGINT PRIMARY KEY,
    event_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    change TEXT NOT NULL,
    credential_id {key} NOT NULL,
    app_key TEXT NOT NULL,
    initial BIGINT NOT NULL,
    ids TEXT NOT NULL,
    data TEXT
);
CREATE INDEX host_events_credential ON host_events (credential_id, number);
CREATE TABLE host_writes (
    id {key} PRIMARY KEY,
    credential_id {key} NOT NULL REFERENCES host_credentials (id) ON DELETE CASCADE,
    entity TEXT NOT NULL,
    operation TEXT NOT NULL,
    record_id TEXT,
    upstream_id TEXT,
    key TEXT,
    request TEXT NOT NULL,
    body TEXT NOT NULL,
    stamp BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    opened_at BIGINT NOT NULL,
    settled_at BIGINT,
    answer TEXT
);
CREATE UNIQUE INDEX host_writes_key ON host_writes (credential_id, key) WHERE key IS NOT NULL;
CREATE INDEX host_writes_settled ON host_writes (settled_at) WHERE settled_at IS NOT NULL;
CREATE TABLE host_index_requests (
    id {serial},
    table_name TEXT NOT NULL,
    columns TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    requested_at BIGINT NOT NULL,
    state TEXT NOT NULL,
    reason TEXT
);
",
    data_keys::TABLE,
    outbound::TABLES,
    tokens::TABLES,
    sharing::TABLES,
    challenges::TABLES,
    full_passes::TABLES,
    webhooks::TABLES,
];
