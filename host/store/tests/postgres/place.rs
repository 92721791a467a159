//! A new database on the server that this process's tests share.

use std::time::Duration;

use rollout_store::Location;
use rollout_test_postgres::Server;
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};

/// An empty database, dropped with this value.
pub(crate) struct Place {
    pub(crate) url: String,
}

impl Place {
    /// Random histories that a test tries.
    pub(crate) const CASES: u32 = 12;

    pub(crate) async fn new() -> Self {
        let url = Server::shared().database().unwrap();
        Self { url }
    }

    pub(crate) fn location(&self) -> Location {
        Location::parse(&self.url).unwrap()
    }

    /// Somebody else's connection.
    pub(crate) async fn connection(&self) -> PgConnection {
        let options: PgConnectOptions = self.url.parse().unwrap();
        let options = options.options([("search_path", "host,public")]);
        PgConnection::connect_with(&options).await.unwrap()
    }

    /// The columns of a table.
    pub(crate) async fn columns(&self, table: &str) -> Vec<String> {
        let names = sqlx::query_scalar(
            "SELECT column_name::text FROM information_schema.columns WHERE table_name = $1",
        );
        let names = names.bind(table);
        names.fetch_all(&mut self.connection().await).await.unwrap()
    }

    /// Waits until nobody else is in the database: what a killed process sent
    /// last, the server may still be doing.
    pub(crate) async fn alone(&self) {
        let others = "SELECT COUNT(*) FROM pg_stat_activity \
                      WHERE datname = current_database() AND pid <> pg_backend_pid()";
        while self.number(others).await > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let dropped = Server::shared().drop_database(&self.url);
        if !std::thread::panicking() {
            dropped.unwrap();
        }
    }
}
