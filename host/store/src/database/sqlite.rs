//! SQLite: one file per database with a write-ahead log, one writer, a few readers.
//!
//! A statement runs where it is asked for: it takes microseconds, and handing it
//! to another thread and back takes longer than that. What may take longer (a
//! reader's query, a statement with many values, a script) tells the runtime,
//! which gives this thread's other tasks to another one.
//!
//! A commit is written to the log at once and on disk before its caller goes on:
//! `log` synchronises the file once for all that wait, while the next transaction
//! runs already. So SQLite itself synchronises only around checkpoints.

mod log;
mod readers;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};

use rusqlite::hooks::Wal;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Mutex, OwnedMappedMutexGuard, OwnedMutexGuard};

use super::Value;
use crate::{Result, StoreError};
use log::Log;
use readers::{Reader, Readers};

/// How long a statement waits for a lock of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the write lock is asked for meanwhile.
const BUSY_LOOK: Duration = Duration::from_millis(5);
/// How long a call waits for its turn at a connection.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);
/// Page cache in KiB: a page of 500 records touches about 8 MB of indexes.
const WRITER_CACHE_KIB: u32 = 8 * 1024;
const READER_CACHE_KIB: u32 = 2 * 1024;
/// A table row is about 2.5 KB: three fit in this page, one in half of it.
const PAGE_BYTES: u32 = 8 * 1024;
/// The log is copied into the file every 32 MiB.
const CHECKPOINT_PAGES: i32 = 4 * 1024;
/// A log that readers kept from being restarted is cut off beyond 128 MiB, in a gap
/// between them that is waited for so long.
const LOG_PAGES_MAX: i32 = 16 * 1024;
const GAP: Duration = Duration::from_millis(100);
const LOG_BYTES_KEPT: u32 = 64 * 1024 * 1024;
/// Prepared statements per connection.
const STATEMENTS: usize = 128;
/// Values that a statement may have and still be short: a row's are about 50.
const SHORT_VALUES: usize = 128;

thread_local! {
    /// Pages in the log after this thread's last commit.
    static LOG_PAGES: std::cell::Cell<i32> = const { std::cell::Cell::new(0) };
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Pool {
    /// None: it is closed.
    writer: Arc<Mutex<Option<Connection>>>,
    readers: Arc<Readers>,
    log: Log,
    /// At how many pages the log is cut off: a reader that stays is not waited for with
    /// every commit.
    cut_at: AtomicI32,
}

/// A transaction. Dropping it undoes it.
pub(crate) struct Transaction {
    connection: Lent,
    /// It has written much, so that committing takes long.
    long: bool,
}

enum Lent {
    Writer(OwnedMappedMutexGuard<Option<Connection>, Connection>),
    Reader(Reader),
}

impl Pool {
    /// Opens the file, creating it if it is not there.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let writer = at_length(|| -> Result<Connection> {
            let writer = Connection::open_with_flags(path, flags)?;
            writer.busy_timeout(BUSY_TIMEOUT)?;
            writer.pragma_update(None, "page_size", PAGE_BYTES)?;
            let mode: String =
                writer.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
            if mode != "wal" {
                return Err(StoreError::Refused(format!(
                    "{} lies on a file system that can't keep a write-ahead log (SQLite says `{mode}`): \
                     use a local disk",
                    path.display()
                )));
            }
            writer.pragma_update(None, "synchronous", "normal")?;
            writer.pragma_update(None, "cache_size", -i64::from(WRITER_CACHE_KIB))?;
            writer.pragma_update(None, "journal_size_limit", LOG_BYTES_KEPT)?;
            prepare(&writer)?;
            // In the place of SQLite's own checkpoints, which would run in a commit.
            writer.wal_hook(Some(note_log));
            // Whoever begins a transaction waits by himself.
            writer.busy_timeout(Duration::ZERO)?;
            Ok(writer)
        })?;
        // As SQLite found it: the log lies beside what a link leads to.
        let log = Log::new(writer.path().map_or(path, Path::new));
        Ok(Self {
            writer: Arc::new(Mutex::new(Some(writer))),
            readers: Readers::new(path),
            log,
            cut_at: AtomicI32::new(LOG_PAGES_MAX),
        })
    }

    /// Begins a writing transaction. It takes the write lock at once: one that
    /// begins by reading could not get it later if another one wrote in between.
    pub(super) async fn write(&self) -> Result<Transaction> {
        self.log.check()?;
        let writer = self.turn().await?;
        let began = Instant::now();
        // Another process may have the lock.
        while let Err(error) = begin(&writer) {
            let locked = matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            );
            if !locked || began.elapsed() >= BUSY_TIMEOUT {
                return Err(error.into());
            }
            tokio::time::sleep(BUSY_LOOK).await;
        }
        Ok(Transaction {
            connection: Lent::Writer(writer),
            long: false,
        })
    }

    /// Begins reading as of one point in time.
    pub(super) async fn snapshot(&self) -> Result<Transaction> {
        let reader = self.reader().await?;
        run(&reader, "BEGIN", &[], |_| Ok(()))?;
        Ok(Transaction {
            connection: Lent::Reader(reader),
            long: false,
        })
    }

    /// Commits; once this answers, it is on disk.
    pub(super) async fn commit(&self, tx: Transaction) -> Result<()> {
        match self.commit_soon(tx)? {
            Some(place) => self.log.synced(place).await,
            None => Ok(()),
        }
    }

    /// Commits what need not be on disk before somebody builds on it: it is, at the
    /// latest, with the next commit. Answers its place in the log.
    pub(super) fn commit_soon(&self, tx: Transaction) -> Result<Option<u64>> {
        let commit = || run(tx.connection(), "COMMIT", &[], |_| Ok(()));
        let Lent::Writer(writer) = &tx.connection else {
            commit()?;
            return Ok(None);
        };
        let place = self.log.write(|| match tx.long {
            true => at_length(commit),
            false => commit(),
        })?;
        let pages = LOG_PAGES.replace(0);
        if pages >= CHECKPOINT_PAGES {
            at_length(|| self.checkpoint(writer, pages));
        }
        Ok(Some(place))
    }

    /// Waits until everything that was committed is on disk.
    pub(super) async fn settled(&self) -> Result<()> {
        self.log.synced(self.log.last_visible()).await
    }

    /// A connection that reads.
    pub(super) async fn reader(&self) -> Result<Reader> {
        in_time(Arc::clone(&self.readers).take()).await
    }

    /// Makes the file one that nothing lies beside.
    pub(crate) async fn fold(&self) -> Result<()> {
        self.readers.close().await;
        let writer = self.turn().await?;
        let fold = || writer.pragma_update(None, "journal_mode", "delete");
        Ok(at_length(fold)?)
    }

    pub(super) async fn close(&self) {
        self.readers.close().await;
        let writer = self.writer.lock().await.take();
        // The last one to close copies the log into the file.
        at_length(|| drop(writer));
    }

    /// Copies the log into the file. Readers that overlap all the time keep SQLite
    /// from starting the log again; beyond a size this waits for a gap between them.
    fn checkpoint(&self, writer: &Connection, pages: i32) {
        let mut done = copy_log(writer, "PASSIVE").map(drop);
        if done.is_ok() && pages > self.cut_at.load(Ordering::Relaxed) {
            let cut = writer
                .busy_timeout(GAP)
                .and_then(|()| copy_log(writer, "TRUNCATE"));
            done = writer.busy_timeout(Duration::ZERO);
            let next = match cut {
                Ok(false) => LOG_PAGES_MAX,
                _ => pages.saturating_add(LOG_PAGES_MAX),
            };
            self.cut_at.store(next, Ordering::Relaxed);
            done = done.and(cut.map(drop));
        }
        if let Err(error) = done {
            tracing::warn!(%error, "the write-ahead log can't be copied into its database");
        }
    }

    async fn turn(&self) -> Result<OwnedMappedMutexGuard<Option<Connection>, Connection>> {
        let turn = async {
            let writer = Arc::clone(&self.writer).lock_owned().await;
            OwnedMutexGuard::try_map(writer, Option::as_mut).map_err(|_| closed())
        };
        in_time(turn).await
    }
}

impl Transaction {
    pub(super) fn connection(&self) -> &Connection {
        match &self.connection {
            Lent::Writer(writer) => writer,
            Lent::Reader(reader) => reader,
        }
    }

    /// Runs a statement; answers how many rows it changed. `long`: it may take long.
    pub(super) fn run(
        &mut self,
        sql: &str,
        values: &[Value],
        long: bool,
        read: impl FnMut(&rusqlite::Row<'_>) -> Result<()>,
    ) -> Result<u64> {
        let connection = self.open_connection()?;
        let reads = matches!(self.connection, Lent::Reader(_));
        if !long && !reads && values.len() <= SHORT_VALUES {
            return run(connection, sql, values, read);
        }
        let done = at_length(|| run(connection, sql, values, read));
        self.long = true;
        done
    }

    /// Runs several statements without values, for as long as that takes.
    pub(super) fn script(&mut self, sql: &str) -> Result<()> {
        let connection = self.open_connection()?;
        at_length(|| connection.execute_batch(sql))?;
        self.long = true;
        Ok(())
    }

    /// On a full disk SQLite undoes a transaction by itself. What follows must not be
    /// committed alone.
    fn open_connection(&self) -> Result<&Connection> {
        let connection = self.connection();
        if connection.is_autocommit() {
            return Err(StoreError::Unavailable("the transaction was undone".into()));
        }
        Ok(connection)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        let connection = self.connection();
        if connection.is_autocommit() {
            return;
        }
        if let Err(error) = run(connection, "ROLLBACK", &[], |_| Ok(())) {
            tracing::warn!(%error, "a transaction can't be undone");
        }
    }
}

/// What every connection needs.
fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "memory")
}

fn note_log(_: &Wal, pages: i32) -> rusqlite::Result<()> {
    LOG_PAGES.set(pages);
    Ok(())
}

fn begin(writer: &Connection) -> rusqlite::Result<()> {
    let mut begin = writer.prepare_cached("BEGIN IMMEDIATE")?;
    begin.raw_execute().map(drop)
}

/// Copies the log into the file; answers whether somebody was in the way.
fn copy_log(writer: &Connection, mode: &str) -> rusqlite::Result<bool> {
    let sql = format!("PRAGMA wal_checkpoint({mode})");
    writer.query_row(&sql, [], |row| row.get(0))
}

/// Runs a statement to its end; answers how many rows it changed.
pub(super) fn run(
    connection: &Connection,
    sql: &str,
    values: &[Value],
    mut read: impl FnMut(&rusqlite::Row<'_>) -> Result<()>,
) -> Result<u64> {
    let mut statement = connection.prepare_cached(sql)?;
    for place in 1..=statement.parameter_count() {
        // `$7` is a name to SQLite, `?` the next value.
        let number = statement.parameter_name(place);
        let number = number.and_then(|name| name.get(1..)?.parse().ok());
        let value = values.get(number.unwrap_or(place) - 1).ok_or_else(|| {
            StoreError::Internal(format!("a statement lacks a value for its place {place}"))
        })?;
        value.bind_sqlite(&mut statement, place)?;
    }
    let reads_only = statement.readonly();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        read(row)?;
    }
    drop(rows);
    Ok(if reads_only { 0 } else { connection.changes() })
}

/// Does what may take long, while this thread's other tasks go on elsewhere.
pub(super) fn at_length<T>(work: impl FnOnce() -> T) -> T {
    match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

async fn in_time<T>(turn: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(TURN_TIMEOUT, turn).await {
        Ok(turn) => turn,
        Err(_) => Err(StoreError::Unavailable(format!(
            "it was busy for {} s",
            TURN_TIMEOUT.as_secs()
        ))),
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".to_owned())
}
