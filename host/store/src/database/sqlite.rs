//! SQLite: one file per database, write-ahead log, full synchronisation.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection as _, Row as _, SqliteConnection};

use crate::Result;

/// Takes the write lock at once: a transaction that begins by reading could
/// not get it later if another one wrote in between.
pub(super) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// How long a statement waits for a lock of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a call waits for its turn at a connection.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);
const READERS: u32 = 4;
/// A reader that had nothing to do for so long gives its memory back.
const READER_IDLE: Duration = Duration::from_secs(60);
/// Page cache in KiB: a page of 500 records touches about 8 MB of indexes.
const WRITER_CACHE_KIB: u32 = 8 * 1024;
const READER_CACHE_KIB: u32 = 2 * 1024;
/// A table row is about 2.5 KB: three fit in this page, one in half of it.
const PAGE_BYTES: u32 = 8 * 1024;
/// The log is copied into the file every 32 MiB.
const CHECKPOINT_PAGES: u32 = 4 * 1024;
/// A log that readers kept from being restarted is cut off beyond 128 MiB.
const LOG_PAGES_MAX: i64 = 16 * 1024;
const LOG_BYTES_KEPT: u32 = 64 * 1024 * 1024;
/// Rows that a query may be ahead of whoever reads them.
const ROW_BUFFER: usize = 256;
/// Prepared statements per connection.
const STATEMENTS: usize = 128;

/// Opens the file, creating it if it is not there: the writer and the readers.
pub(super) async fn open(path: &Path) -> Result<(SqlitePool, SqlitePool)> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .page_size(PAGE_BYTES)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .statement_cache_capacity(STATEMENTS)
        .row_buffer_size(ROW_BUFFER)
        .pragma("mmap_size", "0")
        .pragma("temp_store", "memory");
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(TURN_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
        .after_release(|connection, _| Box::pin(usable(connection)))
        .connect_with(
            options
                .clone()
                .create_if_missing(true)
                .pragma("cache_size", format!("-{WRITER_CACHE_KIB}"))
                .pragma("wal_autocheckpoint", CHECKPOINT_PAGES.to_string())
                .pragma("journal_size_limit", LOG_BYTES_KEPT.to_string()),
        )
        .await?;
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(TURN_TIMEOUT)
        .idle_timeout(READER_IDLE)
        .test_before_acquire(false)
        .connect_lazy_with(
            options
                .pragma("cache_size", format!("-{READER_CACHE_KIB}"))
                .pragma("query_only", "on"),
        );
    Ok((writer, readers))
}

/// Whether a connection that is given back can be used again. On a full disk
/// SQLite undoes a transaction by itself, and the driver goes on believing in it.
async fn usable(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    if !connection.is_in_transaction() {
        return Ok(true);
    }
    // A transaction that was dropped is undone before this is answered.
    connection.ping().await?;
    Ok(!connection.is_in_transaction())
}

/// Keeps the log from growing without bound. Readers that overlap all the time
/// keep SQLite from starting the log again; this waits for a gap between them.
pub(super) async fn bound_log(writer: &SqlitePool) -> Result<()> {
    let row = sqlx::query("PRAGMA wal_checkpoint(PASSIVE)")
        .fetch_one(writer)
        .await?;
    if row.try_get::<i64, _>(1)? > LOG_PAGES_MAX {
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(writer)
            .await?;
    }
    Ok(())
}
