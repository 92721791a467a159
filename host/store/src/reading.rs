//! Reading: lists and single records, as the API's JSON.
//!
//! A list runs from the row that landed last to the first. `host_seq` is that
//! order and never changes, so a reader who goes on behind the last one he saw
//! meets every record that was there throughout exactly once.

mod select;

use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use rollout_catalog::Entity;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use crate::dialect::{self, Arguments, Connection};
use crate::landing::json_list;
use crate::table::EntityTable;
use crate::{EnvStore, Result};
use select::Select;

/// Filtered rows are counted up to here.
pub const COUNTED_MAX: i64 = 10_000;
/// The largest offset; beyond it only `next` leads on.
pub const OFFSET_MAX: u32 = 10_000;
/// Rows of one page.
pub const LIMIT_MAX: u32 = 1000;
/// Ids that one list may be narrowed to.
pub const IDS_MAX: usize = 100;

/// Narrows a list by a field that declares `x-filter`, in the way it declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Narrow {
    /// The field's name, `emails`.
    pub field: String,
    /// The values; a row needs one of them.
    pub values: Vec<String>,
}

/// Which rows to list.
#[derive(Clone, Debug)]
pub struct ListQuery<'a> {
    /// Whose records.
    pub credential_id: &'a str,
    /// The entity as the category serves it.
    pub entity: &'a Entity,
    /// All of these must fit.
    pub filters: Vec<Narrow>,
    /// Only records with these ids of this host; at most [`IDS_MAX`].
    pub ids: Option<Vec<String>>,
    /// [`List::next`] of the page before. With it, `offset` has no effect.
    pub after: Option<i64>,
    /// Rows to pass over, at most [`OFFSET_MAX`].
    pub offset: u32,
    /// Rows to give, at most [`LIMIT_MAX`].
    pub limit: u32,
}

impl<'a> ListQuery<'a> {
    /// The first `limit` rows.
    pub fn new(credential_id: &'a str, entity: &'a Entity, limit: u32) -> Self {
        Self {
            credential_id,
            entity,
            filters: Vec::new(),
            ids: None,
            after: None,
            offset: 0,
            limit,
        }
    }
}

/// What there is to say about a page beside its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// Rows on the page.
    pub count: u32,
    /// Where the next page begins; none: this is the last one.
    pub next: Option<i64>,
    /// Rows on all pages.
    pub total: i64,
    /// `total` is [`COUNTED_MAX`], and there are more.
    pub total_is_at_least: bool,
}

/// A stored record as a full pass compares it with the app's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredId {
    /// Its place in the order of landing.
    pub seq: i64,
    /// This host's id.
    pub id: String,
    /// The app's id.
    pub upstream_id: String,
}

impl EnvStore {
    /// Appends a page's records to `out`, with commas between them and nothing
    /// around them. An entity that is not synced has none.
    pub async fn list_json(&self, query: &ListQuery<'_>, out: &mut Vec<u8>) -> Result<List> {
        let table = self.table(&query.entity.name)?;
        let limit = query.limit.min(LIMIT_MAX);
        let mut connection = self.db.readers().acquire().await?;
        let select = Select::new(
            table,
            query,
            keys_behind(&mut connection, table, query).await?,
        )?;
        let (sql, arguments) = select.page(table.record(query.entity)?, query, limit)?;
        let (mut list, mut total) = rows(&mut connection, sql, arguments, limit, out).await?;
        if total.is_none() {
            // Without a row there was nothing to say the total beside: both
            // once more, as of one point in time.
            let mut tx = connection.begin_with(dialect::BEGIN_READ).await?;
            let (sql, arguments) = select.page(table.record(query.entity)?, query, limit)?;
            (list, total) = rows(&mut tx, sql, arguments, limit, out).await?;
            if total.is_none() {
                let (sql, arguments) = select.total()?;
                let count = sqlx::query_scalar_with(AssertSqlSafe(sql), arguments);
                total = Some(count.fetch_one(&mut *tx).await?);
            }
            tx.commit().await?;
        }
        let total = total.unwrap_or_default();
        list.total_is_at_least = select.counted && total > COUNTED_MAX;
        list.total = if list.total_is_at_least {
            COUNTED_MAX
        } else {
            total
        };
        Ok(list)
    }

    /// The statement behind [`EnvStore::list_json`], for benchmarks. A plain list
    /// binds the credential, the entity's name and one row more than its limit,
    /// and has a record's JSON in its second column.
    pub fn list_sql(&self, query: &ListQuery<'_>) -> Result<String> {
        let table = self.table(&query.entity.name)?;
        let limit = query.limit.min(LIMIT_MAX);
        let select = Select::new(table, query, None)?;
        let (sql, _) = select.page(table.record(query.entity)?, query, limit)?;
        Ok(sql)
    }

    /// One record as JSON.
    pub async fn get_json(
        &self,
        credential_id: &str,
        entity: &Entity,
        id: &str,
    ) -> Result<Option<String>> {
        let table = self.table(&entity.name)?;
        let sql = format!(
            "SELECT {} FROM {} WHERE \"id\" = $1 AND {} = $2",
            table.record(entity)?,
            table.sql_name,
            dialect::unindexed("\"credentialId\""),
        );
        let record = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(id)
            .bind(credential_id);
        Ok(record.fetch_optional(self.db.readers()).await?)
    }

    /// The app's ids of records, by this host's: of rows, of references that
    /// were given out, and of deleted records. Ids of other credentials are as
    /// unknown as those that never were.
    pub async fn upstream_ids(
        &self,
        credential_id: &str,
        entity: &str,
        ids: &[String],
    ) -> Result<HashMap<String, String>> {
        let list = dialect::in_list("$1");
        let mut sources = vec![
            format!(
                "SELECT id, upstream_id FROM host_ids WHERE id {list} AND credential_id = $2 AND entity = $3"
            ),
            format!(
                "SELECT id, upstream_id FROM host_tombstones WHERE id {list} AND credential_id = $2 AND entity = $3"
            ),
        ];
        if let Ok(table) = self.table(entity) {
            sources.push(format!(
                "SELECT \"id\", host_upstream_id FROM {} WHERE \"id\" {list} AND {} = $2",
                table.sql_name,
                dialect::unindexed("\"credentialId\""),
            ));
        }
        let pairs = sqlx::query_as(AssertSqlSafe(sources.join(" UNION ")));
        let pairs: Vec<(String, String)> = pairs
            .bind(json_list(ids))
            .bind(credential_id)
            .bind(entity)
            .fetch_all(self.db.readers())
            .await?;
        Ok(pairs.into_iter().collect())
    }

    /// The ids of an entity's rows in the order of landing, behind `after`; for
    /// finding out what a full pass did not meet.
    pub async fn stored_ids(
        &self,
        credential_id: &str,
        entity: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<StoredId>> {
        let sql = format!(
            "SELECT host_seq, \"id\", host_upstream_id FROM {} \
             WHERE \"credentialId\" = $1 AND host_seq > $2 ORDER BY host_seq LIMIT {}",
            self.table(entity)?.sql_name,
            dialect::limit("$3"),
        );
        let rows: Vec<(i64, String, String)> = sqlx::query_as(AssertSqlSafe(sql))
            .bind(credential_id)
            .bind(after)
            .bind(i64::from(limit))
            .fetch_all(self.db.readers())
            .await?;
        let rows = rows.into_iter();
        Ok(rows
            .map(|(seq, id, upstream_id)| StoredId {
                seq,
                id,
                upstream_id,
            })
            .collect())
    }
}

/// Appends a page's rows; answers its count and `next`, and the total if there
/// was a row to say it.
async fn rows(
    connection: &mut Connection,
    sql: String,
    arguments: Arguments,
    limit: u32,
    out: &mut Vec<u8>,
) -> Result<(List, Option<i64>)> {
    let mut list = List {
        count: 0,
        next: None,
        total: 0,
        total_is_at_least: false,
    };
    let (mut total, mut last) = (None, None);
    let mut rows = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        total = Some(row.try_get(2)?);
        if list.count == limit {
            list.next = last;
            continue;
        }
        if list.count > 0 {
            out.push(b',');
        }
        out.extend_from_slice(row.try_get::<&str, _>(1)?.as_bytes());
        last = Some(row.try_get(0)?);
        list.count += 1;
    }
    Ok((list, total))
}

/// Behind which row keys are missing. Only lists that look for keys ask; rows
/// that land after the answer are newer than the list.
async fn keys_behind(
    connection: &mut Connection,
    table: &EntityTable,
    query: &ListQuery<'_>,
) -> Result<Option<i64>> {
    let keyed = |narrow: &Narrow| table.keyed.iter().any(|column| column.name == narrow.field);
    if !query.filters.iter().any(keyed) {
        return Ok(None);
    }
    let behind = sqlx::query_scalar(
        "SELECT keys_behind FROM host_sync WHERE credential_id = $1 AND entity = $2",
    );
    let behind = behind.bind(query.credential_id).bind(&query.entity.name);
    Ok(behind.fetch_optional(connection).await?.flatten())
}
