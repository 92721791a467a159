//! A new SQLite file.

use rollout_store::Location;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _};
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

    /// Runs statements past the store.
    pub(crate) async fn run(&self, sql: &str) {
        let mut connection = self.connection().await;
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    /// The only value of a query.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let mut connection = self.connection().await;
        let number = sqlx::query_scalar(AssertSqlSafe(sql));
        let number = number.fetch_one(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        number
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
