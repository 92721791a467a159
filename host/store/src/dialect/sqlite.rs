//! SQLite: one file per database, write-ahead log, full synchronisation.

use std::path::Path;
use std::time::Duration;

use rollout_catalog::{Cell, Kind};
use sqlx::error::{BoxDynError, DatabaseError};
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Arguments as _, Row as _};

use super::{Fault, quote};
use crate::Result;
use crate::table::EntityColumn;

pub(crate) type Database = sqlx::Sqlite;
pub(crate) type Pool = sqlx::SqlitePool;
pub(crate) type Connection = sqlx::SqliteConnection;
pub(crate) type Row = sqlx::sqlite::SqliteRow;
pub(crate) type Arguments = SqliteArguments;

/// Takes the write lock at once: a transaction that begins by reading could
/// not get it later if another one wrote in between.
pub(crate) const BEGIN_WRITE: &str = "BEGIN IMMEDIATE";

/// Begins reading as of one point in time.
pub(crate) const BEGIN_READ: &str = "BEGIN";

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
pub(crate) async fn open(path: &Path) -> Result<(Pool, Pool)> {
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

/// Keeps the log from growing without bound. Readers that overlap all the time
/// keep SQLite from starting the log again; this waits for a gap between them.
pub(crate) async fn bound_log(writer: &Pool) -> Result<()> {
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

/// What a refusal means; the code is SQLite's extended result code.
pub(crate) fn fault(refusal: &dyn DatabaseError) -> Fault {
    let code = refusal
        .code()
        .and_then(|code| code.parse::<u32>().ok())
        .unwrap_or_default();
    match code & 0xff {
        // BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN
        5 | 6 | 7 | 8 | 10 | 13 | 14 => Fault::Unavailable,
        // CORRUPT, NOTADB
        11 | 26 => Fault::Corrupt,
        // CONSTRAINT
        19 => Fault::Conflict,
        _ => Fault::Other,
    }
}

/// Fills in what the texts of the migrations leave to the dialect:
/// `{clustered}` after a table whose rows lie in the order of its key, and the
/// column types `{bytes}` and `{json}`.
pub(crate) fn migration(text: &str) -> String {
    text.replace("{clustered}", "WITHOUT ROWID")
        .replace("{bytes}", "BLOB")
        .replace("{json}", "TEXT")
}

fn column_type(kind: Kind) -> &'static str {
    match kind {
        Kind::Text | Kind::DateTime | Kind::Json => "TEXT",
        Kind::Number => "REAL",
        Kind::Integer | Kind::Boolean => "INTEGER",
    }
}

/// A stored field's column. Rows that were there before the column show the
/// default of its kind.
pub(crate) fn entity_column(column: &EntityColumn) -> String {
    let name = quote(&column.name);
    let kind = column_type(column.kind);
    match &column.default {
        Cell::Null => format!("{name} {kind}"),
        Cell::Text(text) | Cell::Json(text) => {
            format!("{name} {kind} DEFAULT {}", super::literal(text))
        }
        Cell::Number(number) => format!("{name} {kind} DEFAULT {number}"),
        Cell::Integer(number) => format!("{name} {kind} DEFAULT {number}"),
        Cell::Bool(value) => format!("{name} {kind} DEFAULT {}", i64::from(*value)),
    }
}

/// An entity's table and, beside it, the index of the values in its lists.
/// The small columns come first: reading them does not touch `original`.
pub(crate) fn create_entity_table(table: &str, columns: &[String]) -> Vec<String> {
    vec![
        format!(
            "CREATE TABLE IF NOT EXISTS {} (\
             host_seq INTEGER PRIMARY KEY AUTOINCREMENT, \
             \"id\" TEXT NOT NULL UNIQUE, \"credentialId\" TEXT NOT NULL, \"appKey\" TEXT NOT NULL, \
             host_upstream_id TEXT NOT NULL, host_rev INTEGER NOT NULL, \
             host_hash BLOB NOT NULL, host_original_hash BLOB NOT NULL, \
             host_stamp INTEGER NOT NULL, host_catalog INTEGER NOT NULL, {})",
            quote(table),
            columns.join(", "),
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS host_keys_{table} (\
             key INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (key, seq)) WITHOUT ROWID"
        ),
    ]
}

/// Indexes for reading one credential's rows newest first, all of them and
/// those with one value in a column: an index ends with the row's `host_seq`.
pub(crate) fn create_indexes(table: &str, equals: &[&str]) -> Vec<String> {
    let on = |suffix: &str, columns: String| {
        let name = quote(&format!("host_{table}_{suffix}"));
        format!(
            "CREATE INDEX IF NOT EXISTS {name} ON {} ({columns})",
            quote(table)
        )
    };
    let mut indexes = vec![on("credential", quote("credentialId"))];
    for column in equals {
        indexes.push(on(
            column,
            format!("{}, {}", quote("credentialId"), quote(column)),
        ));
    }
    indexes
}

/// The columns that a table has now; none if there is no such table.
pub(crate) async fn column_names(connection: &mut Connection, table: &str) -> Result<Vec<String>> {
    let names = sqlx::query_scalar("SELECT name FROM pragma_table_info($1)");
    Ok(names.bind(table).fetch_all(connection).await?)
}

/// A list of any length as one parameter, a JSON array: `column IN …`.
pub(crate) fn in_list(placeholder: &str) -> String {
    format!("IN (SELECT value FROM json_each({placeholder}))")
}

/// The column, but not as a reason to use an index on it.
pub(crate) fn unindexed(column: &str) -> String {
    format!("+{column}")
}

/// A parameter as a `LIMIT`. SQLite plans a statement anew for every value of a
/// bare one, which takes longer than reading a page; not for a calculation.
pub(crate) fn limit(placeholder: &str) -> String {
    format!("0 + {placeholder}")
}

/// `VALUES` with placeholders. Without numbers: SQLite looks numbered ones up
/// in a list, which takes longer than the statement itself.
pub(crate) fn values(columns: usize, rows: usize) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    format!("VALUES {}", vec![row; rows].join(","))
}

/// The landing statement for so many rows: `host_seq` (null for a row that is
/// there) and `columns`. `host_rev` is 1 for a new row. A row that is newer than
/// the page, or was written under a newer catalogue, stays; a row with both
/// hashes unchanged is not written. `rolloutUpdated` is null for a change that
/// nobody is told of. `OR FAIL`, because the transaction is rolled back in any
/// case, and undoing the statement alone would need a journal of its own.
pub(crate) fn upsert(table: &str, columns: &[&str], rows: usize) -> String {
    let table = quote(table);
    let names: Vec<String> = columns.iter().map(|name| quote(name)).collect();
    let constant = [
        "id",
        "credentialId",
        "appKey",
        "host_upstream_id",
        "rolloutUpdated",
    ];
    let changes: Vec<String> = columns
        .iter()
        .filter(|name| !constant.contains(name))
        .map(|name| format!("{0} = excluded.{0}", quote(name)))
        .collect();
    let row = format!("(1,?{})", ",?".repeat(columns.len()));
    format!(
        "INSERT OR FAIL INTO {table} (host_rev, host_seq, {names}) VALUES {rows} \
         ON CONFLICT(\"id\") DO UPDATE SET {changes}, \
         \"rolloutUpdated\" = coalesce(excluded.\"rolloutUpdated\", {table}.\"rolloutUpdated\"), \
         host_rev = {table}.host_rev + 1 \
         WHERE ({table}.host_hash <> excluded.host_hash \
         OR {table}.host_original_hash <> excluded.host_original_hash) \
         AND {table}.host_stamp <= excluded.host_stamp \
         AND {table}.host_catalog <= excluded.host_catalog",
        names = names.join(", "),
        rows = vec![row; rows].join(","),
        changes = changes.join(", "),
    )
}

/// The largest `host_seq` that the table ever gave out.
pub(crate) fn last_seq(table: &str) -> String {
    format!(
        "SELECT coalesce(MAX(seq), 0) FROM sqlite_sequence WHERE name = {}",
        super::literal(table)
    )
}

/// All rows of a query as one JSON array of arrays. The driver passes every
/// row from thread to thread; one long row is much cheaper than many short.
pub(crate) fn as_one(columns: &[&str], from: &str) -> String {
    format!(
        "SELECT json_group_array(json_array({})) FROM {from}",
        columns.join(", ")
    )
}

/// Bytes as text, inside of [`as_one`].
pub(crate) fn hex(column: &str) -> String {
    format!("hex({column})")
}

/// Adds a cell to a statement's parameters. What JSON can't express is null.
pub(crate) fn bind(arguments: &mut Arguments, cell: Cell) -> Result<(), BoxDynError> {
    match cell {
        Cell::Null => arguments.add(None::<i64>),
        Cell::Text(text) | Cell::Json(text) => arguments.add(text),
        Cell::Number(number) if number.is_finite() => arguments.add(number),
        Cell::Number(_) => arguments.add(None::<f64>),
        Cell::Integer(number) => arguments.add(number),
        Cell::Bool(value) => arguments.add(value),
    }
}
