//! A new SQLite file.

use rollout_store::Location;
use sqlx::Connection as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tempfile::TempDir;

/// An empty database, gone with this value.
pub(crate) struct Place {
    directory: TempDir,
}

impl Place {
    /// Random histories that a test tries.
    pub(crate) const CASES: u32 = 48;

    pub(crate) async fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn location(&self) -> Location {
        Location::File(self.directory.path().join("dev.sqlite"))
    }

    /// Somebody else's connection.
    pub(crate) async fn connection(&self) -> SqliteConnection {
        let Location::File(path) = self.location() else {
            panic!("a file")
        };
        let options = SqliteConnectOptions::new().filename(path);
        SqliteConnection::connect_with(&options).await.unwrap()
    }

    /// The columns of a table.
    pub(crate) async fn columns(&self, table: &str) -> Vec<String> {
        let names = sqlx::query_scalar("SELECT name FROM pragma_table_info($1)").bind(table);
        names.fetch_all(&mut self.connection().await).await.unwrap()
    }

    /// Waits until nobody else is in the database: a killed process takes
    /// everything with it here.
    pub(crate) async fn alone(&self) {}
}
