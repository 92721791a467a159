//! What happened, told exactly where it was made.
//!
//! Every change of records or of a credential puts a row into `host_outbox` in
//! the transaction that makes it: for records one row per entity, kind of change
//! and up to a hundred ids, as events are told. Transactions commit in another
//! order than they draw ids, so rows there have no order that a reader could
//! follow. One worker per environment, the sequencer, moves committed rows to
//! `host_events` and numbers them without a gap; whoever reads, reads those.

use std::sync::Arc;

use time::OffsetDateTime;
use time::macros::format_description;
use uuid::Uuid;

use crate::database::{FromRow, Row, Tx, Value, query, statement};
use crate::dialect::{Dialect, Insert, Type};
use crate::jobs::Lease;
use crate::{Credential, EnvStore, Result, now};

/// Ids that one event names.
pub const EVENT_IDS_MAX: usize = 100;
/// Events that one look at the feed gives.
pub const EVENTS_MAX: u32 = 1000;
/// Rows that are numbered, or cleared away, in one transaction.
const BATCH: i64 = 500;
/// What `host_events.kind` says of events about credentials. An entity's name
/// stands there otherwise, and no entity has this one.
pub const CREDENTIAL: &str = "credential";

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// Records are new, or came back; a credential was connected.
    Created,
    /// Fields changed.
    Updated,
    /// Records are gone; a credential was deleted.
    Deleted,
    /// The app refuses a credential.
    Broken,
    /// The app accepts a credential again.
    Restored,
    /// A credential's first sync is complete.
    SyncCompleted,
}

impl Happened {
    const ALL: [Self; 6] = [
        Self::Created,
        Self::Updated,
        Self::Deleted,
        Self::Broken,
        Self::Restored,
        Self::SyncCompleted,
    ];

    /// As it is stored, and as the last word of an event's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Updated => "Updated",
            Self::Deleted => "Deleted",
            Self::Broken => "Broken",
            Self::Restored => "Restored",
            Self::SyncCompleted => "SyncCompleted",
        }
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the environment's order: 1, 2, 3, …
    pub number: i64,
    /// UUIDv7.
    pub id: String,
    /// When it was committed, nearly: in milliseconds since 1970.
    pub at: i64,
    /// The entity, or [`CREDENTIAL`].
    pub kind: String,
    /// What happened.
    pub happened: Happened,
    /// Whose.
    pub credential_id: String,
    /// Its connector.
    pub app_key: String,
    /// It came with an entity's first pass.
    pub initial: bool,
    /// This host's ids of the records.
    pub ids: Vec<String>,
    /// More about it, as JSON.
    pub data: Option<String>,
}

impl Event {
    /// The name in the API: `peopleCreated`.
    pub fn name(&self) -> String {
        format!("{}{}", self.kind, self.happened.as_str())
    }

    /// The time as events write it, `2025-07-02T15:19:21.000+00:00`.
    pub fn time(&self) -> String {
        utc_time(self.at)
    }
}

/// A time in milliseconds since 1970 as events write it, `2025-07-02T15:19:21.000+00:00`.
pub fn utc_time(millis: i64) -> String {
    let format = format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]+00:00"
    );
    let nanos = i128::from(millis) * 1_000_000;
    let time = OffsetDateTime::from_unix_timestamp_nanos(nanos).ok();
    time.and_then(|time| time.format(format).ok())
        .unwrap_or_default()
}

impl FromRow for Event {
    fn read(row: &Row<'_>) -> Result<Self> {
        let change = row.text("change")?;
        let happened = Happened::ALL.into_iter().find(|one| one.as_str() == change);
        Ok(Self {
            number: row.get("number")?,
            id: row.get("event_id")?,
            at: row.get("at")?,
            kind: row.get("kind")?,
            happened: happened
                .ok_or_else(|| crate::StoreError::Corrupt(format!("host_events says {change}")))?,
            credential_id: row.get("credential_id")?,
            app_key: row.get("app_key")?,
            initial: row.get::<i64>("initial")? != 0,
            ids: serde_json::from_str(row.text("ids")?)?,
            data: row.get("data")?,
        })
    }
}

/// Which events to read.
#[derive(Debug, Clone, Copy)]
pub struct EventQuery<'a> {
    /// Only those behind this number.
    pub after: i64,
    /// At most so many, and [`EVENTS_MAX`].
    pub limit: u32,
    /// Only of this credential.
    pub credential_id: Option<&'a str>,
    /// Those of first passes too.
    pub initial: bool,
}

/// A part of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Events {
    /// In the order of their numbers.
    pub events: Vec<Event>,
    /// What to ask for next as [`EventQuery::after`]: behind all that was looked
    /// at, told or not.
    pub next: i64,
    /// There are more.
    pub more: bool,
    /// The oldest number that is still kept; what was before is cleared away.
    pub first: i64,
}

/// What an event is made of, in `host_outbox` and in `host_events`.
const COLUMNS: [(&str, Type); 9] = [
    ("event_id", Type::Text),
    ("at", Type::Integer),
    ("kind", Type::Text),
    ("change", Type::Text),
    ("credential_id", Type::Text),
    ("app_key", Type::Text),
    ("initial", Type::Integer),
    ("ids", Type::Text),
    ("data", Type::Text),
];

/// The statements that enter rows and number them.
#[derive(Debug)]
pub(crate) struct Outbox {
    enter: Insert,
    waiting: Arc<str>,
    number: Arc<str>,
    taken: Arc<str>,
}

impl Outbox {
    pub(crate) fn new(dialect: Dialect) -> Self {
        let names = COLUMNS.map(|(name, _)| name).join(", ");
        let in_1 = dialect.in_list("$1");
        let number = format!(
            "INSERT INTO host_events (number, {names}) SELECT \
             (SELECT value FROM host_counters WHERE name = 'event') + row_number() OVER (ORDER BY id), \
             {names} FROM host_outbox WHERE id {in_1}"
        );
        Self {
            enter: Insert::new(dialect, "host_outbox", &COLUMNS, ""),
            waiting: format!("SELECT id FROM host_outbox ORDER BY id LIMIT {BATCH}").into(),
            number: number.into(),
            taken: format!("DELETE FROM host_outbox WHERE id {in_1}").into(),
        }
    }

    /// Tells of records of one entity.
    pub(crate) async fn records(
        &self,
        tx: &mut Tx,
        credential: &Credential,
        entity: &str,
        initial: bool,
        changes: &[(Happened, &[String])],
    ) -> Result<()> {
        let mut rows = Vec::new();
        for (happened, ids) in changes {
            for ids in ids.chunks(EVENT_IDS_MAX) {
                rows.push(row(credential, entity, *happened, initial, ids, None));
            }
        }
        self.enter.run(tx, rows).await
    }

    /// Tells of a credential.
    pub(crate) async fn credential(
        &self,
        tx: &mut Tx,
        credential: &Credential,
        happened: Happened,
        data: Option<String>,
    ) -> Result<()> {
        let row = row(credential, CREDENTIAL, happened, false, &[], data);
        self.enter.run(tx, vec![row]).await
    }
}

fn row(
    credential: &Credential,
    kind: &str,
    happened: Happened,
    initial: bool,
    ids: &[String],
    data: Option<String>,
) -> Vec<Value> {
    vec![
        Uuid::now_v7().to_string().into(),
        now().into(),
        kind.into(),
        happened.as_str().into(),
        (&credential.id).into(),
        (&credential.app_key).into(),
        i64::from(initial).into(),
        serde_json::Value::from(ids).to_string().into(),
        data.into(),
    ]
}

impl EnvStore {
    /// Numbers what was committed, a batch of it; answers how much that was. For
    /// the worker that holds the sequencer's lease.
    pub async fn number_events(&self, lease: &Lease) -> Result<u64> {
        // Looked for before the transaction: if another process numbers it meanwhile,
        // that one has the lease.
        let waiting = statement(Arc::clone(&self.outbox.waiting));
        let ids: Vec<i64> = waiting.brief().all(&self.db).await?;
        if ids.is_empty() {
            return Ok(0);
        }
        let mut tx = self.db.write().await?;
        lease.check(&mut tx).await?;
        let number = statement(Arc::clone(&self.outbox.number)).bind(ids.clone());
        let numbered = number.execute(&mut tx).await?;
        let taken = statement(Arc::clone(&self.outbox.taken)).bind(ids);
        taken.execute(&mut tx).await?;
        query("UPDATE host_counters SET value = value + $1 WHERE name = 'event'")
            .bind(i64::try_from(numbered).unwrap_or_default())
            .execute(&mut tx)
            .await?;
        let hears = query("SELECT CAST(1 AS BIGINT) FROM host_webhooks LIMIT 1");
        let hears: Option<i64> = hears.optional(&mut tx).await?;
        // Before they are told, they are on disk.
        self.db.commit_soon(tx).await?;
        if hears.is_some() {
            self.signal();
        }
        Ok(numbered)
    }

    /// Events behind a number, in order.
    pub async fn events(&self, wanted: &EventQuery<'_>) -> Result<Events> {
        let limit = i64::from(wanted.limit.min(EVENTS_MAX));
        let credential = match wanted.credential_id {
            Some(_) => " AND credential_id = $3",
            None => "",
        };
        let initial = if wanted.initial {
            ""
        } else {
            " AND initial = 0"
        };
        let limit_is = self.db.dialect().limit("$2");
        // How far the numbers go is said beside the events, and alone if there are
        // none: one statement sees one point in time.
        let select = statement(format!(
            "SELECT known.first, known.last, told.* FROM \
             (SELECT (SELECT MIN(number) FROM host_events) AS first, \
             (SELECT value FROM host_counters WHERE name = 'event') AS last) AS known \
             LEFT JOIN (SELECT * FROM host_events WHERE number > $1{credential}{initial} \
             ORDER BY number LIMIT {limit_is}) AS told ON 1 = 1 ORDER BY told.number"
        ));
        let mut select = select.bind(wanted.after).bind(limit + 1);
        if let Some(credential) = wanted.credential_id {
            select = select.bind(credential);
        }
        let (mut first, mut last) = (None, 0);
        let mut events: Vec<Event> = Vec::new();
        let read = |row: Row<'_>| {
            (first, last) = (row.get::<Option<i64>>("first")?, row.get("last")?);
            if row.get::<Option<i64>>("number")?.is_some() {
                events.push(Event::read(&row)?);
            }
            Ok(())
        };
        select.each(&self.db, read).await?;
        self.db.settled().await?;
        let more = events.len() > usize::try_from(limit).unwrap_or_default();
        if more {
            events.pop();
        }
        let next = match events.last() {
            Some(event) if more => event.number,
            None if more => wanted.after,
            _ => last,
        };
        Ok(Events {
            next,
            more,
            first: first.unwrap_or(last + 1),
            events,
        })
    }

    /// Clears away events from before a time, in milliseconds since 1970: from the
    /// front, up to the first that is younger, so that what is left has no gap.
    pub async fn forget_events(&self, before: i64) -> Result<u64> {
        let mut all = 0;
        loop {
            let mut tx = self.db.write().await?;
            let gone = statement(format!(
                "DELETE FROM host_events WHERE number IN (SELECT number FROM host_events \
                 WHERE number < coalesce((SELECT number FROM host_events WHERE at >= $1 \
                 ORDER BY number LIMIT 1), 9223372036854775807) ORDER BY number LIMIT {BATCH})"
            ));
            let gone = gone.bind(before).execute(&mut tx).await?;
            self.db.commit(tx).await?;
            if gone == 0 {
                return Ok(all);
            }
            all += gone;
        }
    }
}
