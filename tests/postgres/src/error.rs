//! What can go wrong with a server.

use std::io;
use std::path::PathBuf;

/// Why a server did not do as it was told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no server to start.
    #[error(
        "tests need a Postgres server of version {oldest} or newer: install it (Debian: \
         `apt-get install postgresql`, macOS: `brew install postgresql`), or name the folder \
         of its programs in {variable}"
    )]
    NotInstalled {
        /// The oldest version that will do.
        oldest: u32,
        /// The environment variable that names the folder.
        variable: &'static str,
    },
    /// The folder that the environment variable names holds no server.
    #[error("{variable} is {folder}, which holds no Postgres server of version {oldest} or newer")]
    NotThere {
        /// The environment variable.
        variable: &'static str,
        /// What it says.
        folder: PathBuf,
        /// The oldest version that will do.
        oldest: u32,
    },
    /// Root can't run Postgres, and the user who would do it is missing.
    #[error("Postgres refuses to run as root, and there is no user `postgres` to run it as")]
    NoAccount,
    /// The system refused something.
    #[error("can't {doing}")]
    System {
        /// What was being done.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program that is started beside the server failed.
    #[error("{program} failed: {said}")]
    Failed {
        /// Its name.
        program: &'static str,
        /// What it wrote to standard error.
        said: String,
    },
    /// The server ended instead of accepting connections.
    #[error("the Postgres server ended at its start; its log:\n{log}")]
    Ended {
        /// The log of this run.
        log: String,
    },
    /// The server accepts no connections, and did not end either.
    #[error("the Postgres server is not ready after {seconds} s; its log:\n{log}")]
    NotReady {
        /// How long it was waited for.
        seconds: u64,
        /// The log of this run.
        log: String,
    },
    /// The server is stopped, and what was asked for needs a running one.
    #[error("the Postgres server is not running")]
    NotRunning,
    /// The server refused a connection or a statement: what psql wrote to standard
    /// error.
    #[error("{0}")]
    Refused(String),
}

/// Says what was being done when the system refused.
pub(crate) trait Doing<T> {
    fn doing(self, doing: impl Into<String>) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, doing: impl Into<String>) -> Result<T, Error> {
        self.map_err(|source| Error::System {
            doing: doing.into(),
            source: source.into(),
        })
    }
}
