//! A record of every request to an app, kept for a while.

use crate::database::{FromRow, Row, Value, statement};
use crate::dialect::{Dialect, Insert, Type};
use crate::{EnvStore, Result};

/// Rows that are cleared away in one transaction.
const BATCH: i64 = 5000;

/// A request to an app, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundCall {
    /// When it left, in milliseconds since 1970.
    pub at: i64,
    /// What it was made for: the id of a request to the API, or of a job.
    pub request_id: String,
    /// The credential; none while an account is being connected.
    pub credential_id: Option<String>,
    /// The connector's key.
    pub connector: String,
    /// The method.
    pub method: String,
    /// The host; empty if the URL was refused.
    pub host: String,
    /// The path without its query; empty if the URL was refused.
    pub path: String,
    /// The status that the app answered with.
    pub status: Option<i64>,
    /// Without an answer: the kind of failure as one word.
    pub failure: Option<String>,
    /// Bytes of the request's body.
    pub sent: i64,
    /// Decoded bytes of the answer's body.
    pub received: i64,
    /// How long it took.
    pub milliseconds: i64,
    /// 1, or 2 for the second try of a request.
    pub attempt: i64,
}

impl FromRow for (i64, OutboundCall) {
    fn read(row: &Row) -> Result<Self> {
        let call = OutboundCall {
            at: row.get("at")?,
            request_id: row.get("request_id")?,
            credential_id: row.get("credential_id")?,
            connector: row.get("connector")?,
            method: row.get("method")?,
            host: row.get("host")?,
            path: row.get("path")?,
            status: row.get("status")?,
            failure: row.get("failure")?,
            sent: row.get("sent")?,
            received: row.get("received")?,
            milliseconds: row.get("milliseconds")?,
            attempt: row.get("attempt")?,
        };
        Ok((row.get("id")?, call))
    }
}

/// Which calls to read.
#[derive(Debug, Clone, Copy, Default)]
pub struct OutboundQuery<'a> {
    /// Only those that were made for this request or job.
    pub request_id: Option<&'a str>,
    /// Only those of this credential.
    pub credential_id: Option<&'a str>,
    /// Only those before this number.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

const COLUMNS: [(&str, Type); 13] = [
    ("at", Type::Integer),
    ("request_id", Type::Text),
    ("credential_id", Type::Text),
    ("connector", Type::Text),
    ("method", Type::Text),
    ("host", Type::Text),
    ("path", Type::Text),
    ("status", Type::Integer),
    ("failure", Type::Text),
    ("sent", Type::Integer),
    ("received", Type::Integer),
    ("milliseconds", Type::Integer),
    ("attempt", Type::Integer),
];

/// The statement that enters calls.
#[derive(Debug)]
pub(crate) struct Calls(Insert);

impl Calls {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self(Insert::new(dialect, "host_outbound_calls", &COLUMNS, ""))
    }
}

fn row(call: &OutboundCall) -> Vec<Value> {
    vec![
        call.at.into(),
        (&call.request_id).into(),
        (&call.credential_id).into(),
        (&call.connector).into(),
        (&call.method).into(),
        (&call.host).into(),
        (&call.path).into(),
        call.status.into(),
        (&call.failure).into(),
        call.sent.into(),
        call.received.into(),
        call.milliseconds.into(),
        call.attempt.into(),
    ]
}

impl EnvStore {
    /// Keeps records of calls, in their order.
    pub async fn record_outbound_calls(&self, calls: &[OutboundCall]) -> Result<()> {
        let mut tx = self.db.write().await?;
        let rows = calls.iter().map(row).collect();
        self.calls.0.run(&mut tx, rows).await?;
        self.db.commit(tx).await
    }

    /// Calls with their numbers, newest first.
    pub async fn outbound_calls(
        &self,
        wanted: &OutboundQuery<'_>,
    ) -> Result<Vec<(i64, OutboundCall)>> {
        let mut select = "SELECT * FROM host_outbound_calls WHERE id < $1".to_owned();
        let mut values: Vec<Value> = vec![
            wanted.before.unwrap_or(i64::MAX).into(),
            i64::from(wanted.limit).into(),
        ];
        let narrowed = [
            ("request_id", wanted.request_id),
            ("credential_id", wanted.credential_id),
        ];
        for (column, value) in narrowed {
            if let Some(value) = value {
                values.push(value.into());
                select.push_str(&format!(" AND {column} = ${}", values.len()));
            }
        }
        let limit = self.db.dialect().limit("$2");
        select.push_str(&format!(" ORDER BY id DESC LIMIT {limit}"));
        statement(select).bind_all(values).all(&self.db).await
    }

    /// Clears away calls from before a time, in milliseconds since 1970, and the oldest
    /// of those that are more than `most`, nearly.
    pub async fn forget_outbound_calls(&self, before: i64, most: i64) -> Result<u64> {
        let mut all = 0;
        loop {
            let mut tx = self.db.write().await?;
            // From the front, up to the first that is kept.
            let gone = statement(format!(
                "DELETE FROM host_outbound_calls WHERE id IN (SELECT id FROM host_outbound_calls \
                 WHERE id < coalesce((SELECT id FROM host_outbound_calls WHERE at >= $1 \
                 ORDER BY id LIMIT 1), 9223372036854775807) \
                 OR id <= (SELECT MAX(id) FROM host_outbound_calls) - $2 \
                 ORDER BY id LIMIT {BATCH})"
            ));
            let gone = gone.bind(before).bind(most).long().execute(&mut tx).await?;
            self.db.commit(tx).await?;
            all += gone;
            if gone < BATCH.unsigned_abs() {
                return Ok(all);
            }
        }
    }
}
