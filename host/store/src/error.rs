//! What can go wrong in the store, sorted by what the caller does about it.

use crate::dialect::{self, Fault};

/// A failed call of the store. Nothing of a failed call was written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is busy, full, read-only or out of reach: try again later.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// The row that the call is about is not there (any more).
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// Another row has this key already, or a compare-and-set lost.
    #[error("{0} is there already, or was changed meanwhile")]
    Conflict(&'static str),
    /// A documented limit is passed; the text names it.
    #[error("{0}")]
    Limit(&'static str),
    /// The file or a row in it is damaged.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// Somebody else has a lock for longer than one waits: try again.
    #[error("the database is not available: {0}")]
    Locked(String),
    /// The work was taken over by another process, or is no longer wanted.
    #[error("the lease on this work is lost")]
    LeaseLost,
    /// The database can't be used, and trying again does not help.
    #[error("{0}")]
    Refused(String),
    /// The database lacks steps, and they are not to be made up.
    #[error(
        "the database has schema version {done}, this program needs {known}: \
         start `rollout serve` once with --migrate=run"
    )]
    Unmigrated {
        /// The last step that ran.
        done: i64,
        /// The newest schema version that this program knows.
        known: i64,
    },
    /// The database was migrated by a newer version that refuses this one.
    #[error(
        "the database was upgraded by rollout {program} and needs schema version {floor} or newer; \
         this is rollout {this}, which knows {known}: start a newer version of the program",
        this = env!("CARGO_PKG_VERSION")
    )]
    TooOld {
        /// The version of the program that upgraded it.
        program: String,
        /// The oldest schema version that may still use the database.
        floor: i64,
        /// The newest schema version that this program knows.
        known: i64,
    },
    /// The catalogue has no such entity, or the entity no such filter.
    #[error("the catalogue has no {0}")]
    Unknown(String),
    /// A statement failed for a reason that should not occur.
    #[error("the database refused a statement: {0}")]
    Internal(String),
}

/// The result of the store's calls.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(refusal) => {
                let code = refusal.code().unwrap_or_default();
                Self::of_fault(dialect::fault_of_sqlstate(&code), &error)
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => Self::Unavailable(error.to_string()),
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => {
                Self::Corrupt(error.to_string())
            }
            _ => Self::Internal(error.to_string()),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match &error {
            rusqlite::Error::SqliteFailure(refusal, _) => {
                let fault = dialect::fault_of_result_code(refusal.extended_code);
                Self::of_fault(fault, &error)
            }
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::Utf8Error(..) => Self::Corrupt(error.to_string()),
            _ => Self::Internal(error.to_string()),
        }
    }
}

impl StoreError {
    fn of_fault(fault: Fault, error: &dyn std::error::Error) -> Self {
        match fault {
            Fault::Unavailable => Self::Unavailable(error.to_string()),
            Fault::Conflict => Self::Conflict("a row with this key"),
            Fault::Orphan => Self::NotFound("row that this belongs to"),
            Fault::Locked => Self::Locked(error.to_string()),
            Fault::Forbidden => Self::Refused(error.to_string()),
            Fault::Corrupt => Self::Corrupt(error.to_string()),
            Fault::Other => Self::Internal(error.to_string()),
        }
    }
}

impl From<serde_json::Error> for StoreError {
    /// JSON is only ever read back from columns that the store wrote.
    fn from(error: serde_json::Error) -> Self {
        Self::Corrupt(error.to_string())
    }
}
