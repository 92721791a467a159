//! Indexes on the entities' tables that customers asked for.
//!
//! A request is a row; one process at a time sees to them. An index is made
//! while everybody goes on working, and gives way to whoever is in its way: it
//! is then tried again. No index may ever keep a record from being stored, so
//! JSON has none, and text that an app may make of any length one of hashes.

use std::collections::HashMap;
use std::sync::Arc;

use crate::database::query;
use crate::dialect::{Dialect, quote};
use crate::jobs::Lease;
use crate::table::EntityTable;
use crate::{EnvStore, Result, StoreError};
use rollout_catalog::Kind;

/// Columns of one index.
const COLUMNS_MAX: usize = 3;
/// Indexes that an environment has for its customers.
const INDEXES_MAX: i64 = 20;

struct Request {
    id: i64,
    table: String,
    columns: String,
}

/// What a request came to.
enum Outcome {
    Done(Option<&'static str>),
    Refused(String),
    /// Others are in the way.
    Waiting,
}

impl EnvStore {
    /// Makes the indexes that are asked for. Nothing on SQLite.
    pub async fn make_requested_indexes(&self, lease: &Lease) -> Result<()> {
        if !self.is_shared() {
            return Ok(());
        }
        let waiting: Vec<(i64, String, String)> = query(
            "SELECT id, table_name, columns FROM host_index_requests \
             WHERE state = 'waiting' ORDER BY id LIMIT 100",
        )
        .all(&self.db)
        .await?;
        for (id, table, columns) in waiting {
            let request = Request { id, table, columns };
            let outcome = self.make_requested(&request).await?;
            self.answer(lease, &request, outcome).await?;
        }
        Ok(())
    }

    async fn make_requested(&self, request: &Request) -> Result<Outcome> {
        let refused = |reason: String| Ok(Outcome::Refused(reason));
        let table = self
            .tables()
            .find(|table| table.entity.table == request.table);
        let Some(table) = table else {
            return refused(format!("there is no table {}", request.table));
        };
        let columns: Vec<String> = serde_json::from_str(&request.columns)?;
        let definition = match definition(table, &columns) {
            Ok(definition) => definition,
            Err(reason) => return refused(reason),
        };
        let (there, same): (i64, i64) = query(
            "SELECT COUNT(*), COUNT(*) FILTER (WHERE table_name = $1 AND columns = $2) \
             FROM host_index_requests WHERE state = 'done' AND reason IS NULL",
        )
        .bind(&request.table)
        .bind(&request.columns)
        .one(&self.db)
        .await?;
        if same > 0 {
            return Ok(Outcome::Done(Some("there was one already")));
        }
        if there >= INDEXES_MAX {
            return refused(format!("there are {INDEXES_MAX} indexes already"));
        }
        let name = quote(&format!("rollout_asked_{}", request.id));
        let on = Dialect::Postgres.entity_table(&table.entity.table);
        // What an attempt left that was cut off is not used by anybody.
        for sql in [
            format!("DROP INDEX CONCURRENTLY IF EXISTS public.{name}"),
            format!("CREATE INDEX CONCURRENTLY {name} ON {on} {definition}"),
        ] {
            match self.db.alone(sql).await {
                Ok(()) => {}
                Err(StoreError::Locked(_)) => return Ok(Outcome::Waiting),
                Err(error) => return Err(error),
            }
        }
        Ok(Outcome::Done(None))
    }

    async fn answer(&self, lease: &Lease, request: &Request, outcome: Outcome) -> Result<()> {
        let (state, reason) = match outcome {
            Outcome::Done(reason) => ("done", reason.map(str::to_owned)),
            Outcome::Refused(reason) => ("refused", Some(reason)),
            Outcome::Waiting => {
                let busy = "others use the table without a pause; it is tried again";
                ("waiting", Some(busy.to_owned()))
            }
        };
        let mut tx = self.db.write().await?;
        lease.check(&mut tx).await?;
        query("UPDATE host_index_requests SET state = $2, reason = $3 WHERE id = $1")
            .bind(request.id)
            .bind(state)
            .bind(reason)
            .execute(&mut tx)
            .await?;
        self.db.commit(tx).await
    }
}

/// What follows the table's name in `CREATE INDEX`, or why there can be none.
fn definition(table: &Arc<EntityTable>, columns: &[String]) -> std::result::Result<String, String> {
    if columns.is_empty() || columns.len() > COLUMNS_MAX {
        return Err(format!("an index has one to {COLUMNS_MAX} columns"));
    }
    let entity = &table.entity;
    // The host's own columns are short; so are references, which are ids.
    let mut bounded: HashMap<&str, bool> = HashMap::from([
        ("id", true),
        ("credentialId", true),
        ("appKey", true),
        ("rolloutUpdated", true),
    ]);
    for column in entity.columns() {
        let is_reference = entity
            .field(&column.name)
            .is_some_and(|field| field.reference.is_some());
        match column.kind {
            Kind::Json => continue,
            Kind::Text => bounded.insert(&column.name, is_reference),
            _ => bounded.insert(&column.name, true),
        };
    }
    let mut hashed = false;
    for column in columns {
        match bounded.get(column.as_str()) {
            None => {
                return Err(format!(
                    "{} has no column {column} that can have an index",
                    entity.table
                ));
            }
            Some(true) => {}
            Some(false) if columns.len() == 1 => hashed = true,
            Some(false) => {
                return Err(format!(
                    "{column} may hold long texts and can only have an index alone"
                ));
            }
        }
    }
    let names: Vec<String> = columns.iter().map(|column| quote(column)).collect();
    let method = if hashed { "USING hash" } else { "USING btree" };
    Ok(format!("{method} ({})", names.join(", ")))
}
