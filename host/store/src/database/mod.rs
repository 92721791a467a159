//! One open database, SQLite or Postgres, behind one set of calls.
//!
//! Statements are one text for both, with `$1` placeholders; what differs is in
//! `dialect`. Every change runs in a transaction ([`Db::write`]); dropping it
//! undoes it, so a cancelled call leaves nothing behind. Readers see the last
//! commit and never wait for a writer.
//!
//! SQLite has a single writer, which takes the write lock when it begins, and a
//! few readers. Postgres has a small lazy pool for each database, and one limit
//! over all pools of a server.

mod location;
mod postgres;
mod row;
mod sqlite;
mod statement;

use std::time::Duration;

use sqlx::Transaction;
use tokio::sync::OwnedSemaphorePermit;

pub use location::{Location, LocationError};
pub use postgres::Databases;
pub(crate) use postgres::{JsonText, clean, time_of};
pub(crate) use row::{FromRow, Row};
pub(crate) use statement::{Query, Value, execute_arguments, query, statement};

use crate::dialect::Dialect;
use crate::{Result, StoreError};

/// How long a server that doesn't answer is waited for: longer than its own
/// limit for a statement.
const ANSWER: Duration = Duration::from_secs(40);

/// An open database.
#[derive(Debug)]
pub(crate) enum Db {
    Sqlite(sqlite::Pool),
    Postgres(Box<postgres::Pool>),
}

/// A transaction.
pub(crate) enum Tx {
    Sqlite(sqlite::Transaction),
    Postgres {
        tx: Transaction<'static, sqlx::Postgres>,
        turn: OwnedSemaphorePermit,
    },
}

/// Which of the two kinds of database a location holds; on Postgres they lie in
/// schemas of their own, so that one database can be both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Control,
    Environment,
}

impl Db {
    pub(crate) async fn open(
        databases: &Databases,
        location: &Location,
        purpose: Purpose,
    ) -> Result<Self> {
        match location {
            Location::File(path) => Ok(Self::Sqlite(sqlite::Pool::open(path)?)),
            Location::Postgres(url) => {
                let pool = postgres::Pool::open(databases, url, purpose).await?;
                Ok(Self::Postgres(Box::new(pool)))
            }
        }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Begins a writing transaction; on SQLite it waits for the one before it.
    pub(crate) async fn write(&self) -> Result<Tx> {
        match self {
            Self::Sqlite(pool) => Ok(Tx::Sqlite(pool.write().await?)),
            Self::Postgres(pool) => pool.begin("BEGIN").await,
        }
    }

    /// Begins reading as of one point in time.
    pub(crate) async fn snapshot(&self) -> Result<Tx> {
        match self {
            Self::Sqlite(pool) => Ok(Tx::Sqlite(pool.snapshot().await?)),
            Self::Postgres(pool) => {
                pool.begin("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    .await
            }
        }
    }

    /// Commits; once this answers, it is on disk.
    pub(crate) async fn commit(&self, tx: Tx) -> Result<()> {
        match (self, tx) {
            (Self::Sqlite(pool), Tx::Sqlite(tx)) => pool.commit(tx).await,
            (_, Tx::Sqlite(_)) => Err(StoreError::Internal("a strange transaction".to_owned())),
            (_, Tx::Postgres { tx, turn }) => {
                answered(tx.commit()).await?;
                drop(turn);
                Ok(())
            }
        }
    }

    /// Commits what need not be on disk yet. Whoever tells others of it waits for
    /// [`Self::settled`] first; what is lost with the power was never told.
    pub(crate) async fn commit_soon(&self, tx: Tx) -> Result<()> {
        match (self, tx) {
            (Self::Sqlite(pool), Tx::Sqlite(tx)) => pool.commit_soon(tx).map(drop),
            (_, tx) => self.commit(tx).await,
        }
    }

    /// Waits until everything that was committed is on disk.
    pub(crate) async fn settled(&self) -> Result<()> {
        match self {
            Self::Sqlite(pool) => pool.settled().await,
            Self::Postgres(_) => Ok(()),
        }
    }

    /// Runs a statement of Postgres outside of any transaction, for as long as it
    /// takes. It waits two seconds for locks.
    pub(crate) async fn alone(&self, sql: String) -> Result<()> {
        match self {
            Self::Postgres(pool) => pool.alone(sql).await,
            Self::Sqlite(_) => Err(StoreError::Internal("a file locks as a whole".to_owned())),
        }
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        query("SELECT 1").execute(self).await.map(drop)
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Tx {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres { .. } => Dialect::Postgres,
        }
    }
}

/// Where a statement runs.
pub(crate) enum On<'a> {
    Sqlite(&'a mut sqlite::Transaction),
    SqlitePool(&'a sqlite::Pool),
    Postgres(&'a mut sqlx::PgConnection),
    PostgresPool(&'a postgres::Pool),
}

impl<'a> From<&'a mut Tx> for On<'a> {
    fn from(tx: &'a mut Tx) -> Self {
        match tx {
            Tx::Sqlite(tx) => Self::Sqlite(tx),
            Tx::Postgres { tx, .. } => Self::Postgres(&mut *tx),
        }
    }
}

/// A single statement that only reads, on any connection that is free.
impl<'a> From<&'a Db> for On<'a> {
    fn from(db: &'a Db) -> Self {
        match db {
            Db::Sqlite(pool) => Self::SqlitePool(pool),
            Db::Postgres(pool) => Self::PostgresPool(pool),
        }
    }
}

/// Waits for a server's answer, but not for ever.
async fn answered<T>(answer: impl Future<Output = sqlx::Result<T>>) -> Result<T> {
    match tokio::time::timeout(ANSWER, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(StoreError::Unavailable(format!(
            "its server did not answer within {} s",
            ANSWER.as_secs()
        ))),
    }
}
