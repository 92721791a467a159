//! Postgres: pools, sessions, and how values travel.

use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{
    PgArgumentBuffer, PgConnectOptions, PgHasArrayType, PgPoolOptions, PgTypeInfo,
};
use sqlx::{Encode, PgPool, Postgres, Type};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Purpose, Tx, answered};
use crate::signals::Signals;
use crate::{Result, StoreError};

/// The oldest server that is supported, as it numbers itself.
const SERVER_VERSION: i64 = 150_000;

/// How long a call waits for its turn at a connection, or for a new one.
const TURN_TIMEOUT: Duration = Duration::from_secs(15);
/// How long opening waits for a server to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that had nothing to do for so long is closed.
const IDLE: Duration = Duration::from_secs(60);
const LIFETIME: Duration = Duration::from_secs(30 * 60);
/// A connection that was idle for longer is asked whether it is alive.
const TRUSTED: Duration = Duration::from_millis(500);
const ALIVE: Duration = Duration::from_secs(2);
/// Prepared statements per connection.
const STATEMENTS: usize = 256;
/// What every session is begun with. A process that stands still inside a
/// transaction loses it, and its locks, after ten seconds.
const SESSION: [(&str, &str); 5] = [
    ("statement_timeout", "30s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("client_min_messages", "warning"),
    ("timezone", "UTC"),
];

/// What a process's databases share: how many connections it makes, and the
/// signals of work.
#[derive(Debug)]
pub struct Databases {
    per_database: u32,
    per_server: usize,
    servers: Mutex<HashMap<String, Arc<Server>>>,
    signals: Arc<Signals>,
}

impl Default for Databases {
    fn default() -> Self {
        Self::new(5, 60)
    }
}

impl Databases {
    /// At most so many connections of this process to one database, and to all
    /// databases of one server together. SQLite files don't count.
    pub fn new(per_database: u32, per_server: usize) -> Self {
        Self {
            per_database,
            per_server,
            servers: Mutex::default(),
            signals: Arc::default(),
        }
    }

    /// What says that there is work in one of the databases.
    pub fn signals(&self) -> Arc<Signals> {
        self.signals.clone()
    }

    fn server(&self, options: &PgConnectOptions) -> Arc<Server> {
        let name = format!("{}:{}", options.get_host(), options.get_port());
        let mut servers = self.servers.lock();
        let server = servers.entry(name).or_insert_with(|| {
            Arc::new(Server {
                turns: Arc::new(Semaphore::new(self.per_server)),
                most: self.per_server,
                open: AtomicUsize::new(0),
            })
        });
        server.clone()
    }
}

/// One server, for all databases on it.
#[derive(Debug)]
struct Server {
    /// Connections in use.
    turns: Arc<Semaphore>,
    most: usize,
    /// Connections as of the last look at each pool.
    open: AtomicUsize,
}

/// The connections to one database.
#[derive(Debug)]
pub(crate) struct Pool {
    pool: PgPool,
    server: Arc<Server>,
    /// What this pool last added to the server's count.
    counted: AtomicUsize,
    pub(crate) options: PgConnectOptions,
}

impl Pool {
    pub(super) async fn open(databases: &Databases, url: &str, purpose: Purpose) -> Result<Self> {
        let schema = match purpose {
            Purpose::Control => "host_control",
            Purpose::Environment => "host",
        };
        let options = PgConnectOptions::from_str(url)?
            .application_name("rollout")
            .statement_cache_capacity(STATEMENTS)
            .options(SESSION)
            .options([("search_path", format!("{schema},pg_catalog"))]);
        let server = databases.server(&options);
        let crowded = server.clone();
        let pool = PgPoolOptions::new()
            .max_connections(databases.per_database)
            .acquire_timeout(TURN_TIMEOUT)
            .idle_timeout(IDLE)
            .max_lifetime(LIFETIME)
            .test_before_acquire(false)
            .before_acquire(|connection, known| {
                Box::pin(async move {
                    if known.idle_for < TRUSTED {
                        return Ok(true);
                    }
                    let alive = sqlx::Connection::ping(connection);
                    Ok(matches!(
                        tokio::time::timeout(ALIVE, alive).await,
                        Ok(Ok(()))
                    ))
                })
            })
            .after_release(move |_, _| {
                // Others need the room more than this pool needs to be ready.
                let keep = crowded.open.load(Ordering::Relaxed) <= crowded.most;
                Box::pin(async move { Ok(keep) })
            })
            .connect_lazy_with(options.clone());
        let pool = Self {
            server,
            pool,
            counted: AtomicUsize::new(0),
            options,
        };
        pool.check().await?;
        Ok(pool)
    }

    /// Refuses what can't be used, with a reason.
    async fn check(&self) -> Result<()> {
        // Not through the pool, which tries again until its time is up.
        let connecting = <sqlx::PgConnection as sqlx::Connection>::connect_with(&self.options);
        let connecting = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
        let mut connection = connecting.map_err(|_| {
            let seconds = CONNECT_TIMEOUT.as_secs();
            StoreError::Unavailable(format!("its server did not answer within {seconds} s"))
        })??;
        let (version, encoding): (String, String) = sqlx::query_as(
            "SELECT current_setting('server_version_num'), current_setting('server_encoding')",
        )
        .fetch_one(&mut connection)
        .await?;
        sqlx::Connection::close(connection).await?;
        let number: i64 = version.parse().unwrap_or_default();
        if number < SERVER_VERSION {
            return Err(StoreError::Refused(format!(
                "the server is Postgres {}; {} or newer is needed",
                number / 10_000,
                SERVER_VERSION / 10_000
            )));
        }
        if encoding != "UTF8" {
            return Err(StoreError::Refused(format!(
                "the database is encoded in {encoding}; create one with ENCODING 'UTF8'"
            )));
        }
        Ok(())
    }

    pub(super) async fn acquire(&self) -> Result<(Connection, OwnedSemaphorePermit)> {
        let turn = self.turn().await?;
        Ok((self.pool.acquire().await?, turn))
    }

    pub(super) async fn begin(&self, statement: &'static str) -> Result<Tx> {
        let turn = self.turn().await?;
        let tx = answered(self.pool.begin_with(statement)).await?;
        Ok(Tx::Postgres { tx, turn })
    }

    /// Runs a statement on a connection of its own, without a limit of time.
    pub(super) async fn alone(&self, sql: String) -> Result<()> {
        use sqlx::Connection as _;
        let _turn = self.turn().await?;
        let options = self.options.clone();
        let options = options.options([("statement_timeout", "0"), ("lock_timeout", "2s")]);
        let mut connection = answered(sqlx::PgConnection::connect_with(&options)).await?;
        let sql = sqlx::AssertSqlSafe(sql);
        sqlx::raw_sql(sql).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Waits for the turn to use one of the server's connections.
    async fn turn(&self) -> Result<OwnedSemaphorePermit> {
        let turn = tokio::time::timeout(TURN_TIMEOUT, self.server.turns.clone().acquire_owned());
        let turn = turn.await.ok().and_then(std::result::Result::ok);
        let size = usize::try_from(self.pool.size()).unwrap_or_default();
        let before = self.counted.swap(size, Ordering::Relaxed);
        self.server.open.fetch_add(size, Ordering::Relaxed);
        self.server.open.fetch_sub(before, Ordering::Relaxed);
        turn.ok_or_else(|| {
            StoreError::Unavailable("all connections to its server are in use".to_owned())
        })
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

pub(super) type Connection = PoolConnection<Postgres>;

/// Text as Postgres can hold it: without U+0000.
pub(crate) fn clean(text: String) -> String {
    if text.contains('\0') {
        text.replace('\0', "\u{fffd}")
    } else {
        text
    }
}

/// A time as the API writes it. It has no more than milliseconds; a date without a
/// time of day is kept as its midnight and one microsecond, and so told from that.
pub(crate) fn time_of(text: &str) -> Option<OffsetDateTime> {
    if text.len() == "2025-07-02".len() {
        let midnight = OffsetDateTime::parse(&format!("{text}T00:00:00.000001Z"), &Rfc3339);
        return midnight.ok();
    }
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

/// A JSON text as a value of type `jsonb`.
pub(crate) struct JsonText(pub(crate) String);

impl Type<Postgres> for JsonText {
    fn type_info() -> PgTypeInfo {
        <sqlx::types::Json<()> as Type<Postgres>>::type_info()
    }
}

impl PgHasArrayType for JsonText {
    fn array_type_info() -> PgTypeInfo {
        <sqlx::types::Json<()> as PgHasArrayType>::array_type_info()
    }
}

impl Encode<'_, Postgres> for JsonText {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        // The version of the format.
        buffer.push(1);
        buffer.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }
}
