//! What a handler written for this one question would do: a bare axum server,
//! in a process of its own, that runs the one statement and returns the bytes;
//! and one that has the bytes.

use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{AssertSqlSafe, Row, SqlitePool};

/// What the baselines need to know; a file, because it holds a page.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) database: PathBuf,
    pub(crate) sql: String,
    pub(crate) credential: String,
    pub(crate) entity: String,
    /// What the list is filtered by.
    pub(crate) values: Vec<String>,
    pub(crate) limit: i64,
    /// What stands before and behind the records.
    pub(crate) head: String,
    pub(crate) tail: String,
    /// The whole answer.
    pub(crate) bytes: String,
}

struct Queried {
    plan: Plan,
    pool: SqlitePool,
}

pub(crate) async fn serve(plan: &Path) -> Result<()> {
    let plan: Plan = serde_json::from_slice(&std::fs::read(plan)?)?;
    // The same connections as the host's readers.
    let options = SqliteConnectOptions::new()
        .filename(&plan.database)
        .journal_mode(SqliteJournalMode::Wal)
        .row_buffer_size(256)
        .pragma("cache_size", "-2048")
        .pragma("query_only", "on");
    let pool = SqlitePoolOptions::new()
        .max_connections(4)
        .test_before_acquire(false)
        .connect_with(options)
        .await?;
    let prebuilt = Bytes::from(plan.bytes.clone());
    let app = Router::new()
        .route("/query", get(query))
        .with_state(Arc::new(Queried { plan, pool }))
        .route("/bytes", get(|| async move { json(prebuilt) }));
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
    let listener = listener.tap_io(|stream| {
        // A socket that refuses the option works all the same.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, app).await?;
    Ok(())
}

fn json(body: impl Into<Bytes>) -> Response {
    ([(CONTENT_TYPE, "application/json")], body.into()).into_response()
}

async fn query(State(state): State<Arc<Queried>>) -> Response {
    match page(&state).await {
        Ok(body) => json(body),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn page(Queried { plan, pool }: &Queried) -> Result<Vec<u8>, sqlx::Error> {
    let mut query = sqlx::query(AssertSqlSafe(plan.sql.as_str()))
        .bind(&plan.credential)
        .bind(&plan.entity);
    for value in &plan.values {
        query = query.bind(value);
    }
    let rows = query.bind(plan.limit + 1).fetch_all(pool).await?;
    let mut body = Vec::with_capacity(plan.bytes.len() + 64);
    body.extend_from_slice(plan.head.as_bytes());
    for (at, row) in rows
        .iter()
        .take(usize::try_from(plan.limit).unwrap_or_default())
        .enumerate()
    {
        if at > 0 {
            body.push(b',');
        }
        body.extend_from_slice(row.try_get::<&str, _>(1)?.as_bytes());
    }
    body.extend_from_slice(plan.tail.as_bytes());
    Ok(body)
}
