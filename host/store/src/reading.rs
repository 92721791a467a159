//! Reading: lists and single records, as the API's JSON.
//!
//! A list runs from the row that landed last to the first. `host_seq` is that
//! order and never changes, so a reader who goes on behind the last one he saw
//! meets every record that was there throughout exactly once. A list can be sorted
//! by a field instead: then that holds for records whose value stays.

mod select;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use rollout_catalog::{Entity, Sort};

use crate::database::{On, Query, Row, query, statement};
use crate::dialect::SORTED_LETTERS;
use crate::table::EntityTable;
use crate::{EnvStore, Result};
use select::Select;
use serde_json::value::RawValue;

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

/// Where a page of a list begins: behind this row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The row's number.
    pub seq: i64,
    /// What it has in the field that the list is sorted by, as text; none if that is
    /// null, or the list is not sorted.
    pub value: Option<String>,
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
    /// Only rows that changed here in this second or later, `2025-07-02T15:19:21Z`.
    pub updated_since: Option<String>,
    /// In which order; none: what landed last first.
    pub sort: Option<Sort<'a>>,
    /// [`List::next`] of the page before. With it, `offset` has no effect.
    pub after: Option<Place>,
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
            updated_since: None,
            sort: None,
            after: None,
            offset: 0,
            limit,
        }
    }
}

/// What there is to say about a page beside its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Rows on the page.
    pub count: u32,
    /// Where the next page begins; none: this is the last one.
    pub next: Option<Place>,
    /// Rows on all pages.
    pub total: i64,
    /// `total` is [`COUNTED_MAX`], and there are more.
    pub total_is_at_least: bool,
}

impl EnvStore {
    /// Appends a page's records to `out`, with commas between them and nothing
    /// around them. An entity that is not synced has none.
    pub async fn list_json(&self, query: &ListQuery<'_>, out: &mut Vec<u8>) -> Result<List> {
        let table = self.table(&query.entity.name)?;
        let select = Select::new(table, query, self.keys_behind(table, query).await?)?;
        let page = select.page(table.record(query.entity)?, query);
        let (mut list, mut total) = rows(&self.db, page, query, out).await?;
        if total.is_none() {
            // Without a row there was nothing to say the total beside: both
            // once more, as of one point in time.
            let mut tx = self.db.snapshot().await?;
            let page = select.page(table.record(query.entity)?, query);
            (list, total) = rows(&mut tx, page, query, out).await?;
            if total.is_none() {
                total = Some(select.total().one(&mut tx).await?);
            }
            self.db.commit(tx).await?;
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
        let select = Select::new(table, query, None)?;
        Ok(select.page_sql(table.record(query.entity)?, query))
    }

    /// One record as JSON.
    pub async fn get_json(
        &self,
        credential_id: &str,
        entity: &Entity,
        id: &str,
    ) -> Result<Option<String>> {
        let get = self.table(&entity.name)?.get(entity)?;
        let record = statement(get).bind(id).bind(credential_id);
        record.brief().optional(&self.db).await
    }

    /// The app's id of a record that is stored.
    pub async fn upstream_id(
        &self,
        credential_id: &str,
        entity: &str,
        id: &str,
    ) -> Result<Option<String>> {
        let upstream_id = statement(Arc::clone(&self.table(entity)?.upstream_id));
        let upstream_id = upstream_id.bind(id).bind(credential_id);
        upstream_id.brief().optional(&self.db).await
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
        let dialect = self.db.dialect();
        let list = dialect.in_list("$1");
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
                dialect.unindexed("\"credentialId\""),
            ));
        }
        let pairs = statement(sources.join(" UNION "));
        let pairs: Vec<(String, String)> = pairs
            .bind(ids)
            .bind(credential_id)
            .bind(entity)
            .brief()
            .all(&self.db)
            .await?;
        Ok(pairs.into_iter().collect())
    }

    /// The rows of an entity behind `after` in the order of landing: their places and
    /// the app's ids.
    pub async fn rows_after(
        &self,
        credential_id: &str,
        entity: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<(i64, String)>> {
        let rows = format!(
            "SELECT host_seq, host_upstream_id FROM {} \
             WHERE \"credentialId\" = $1 AND host_seq > $2 ORDER BY host_seq LIMIT {}",
            self.table(entity)?.sql_name,
            self.db.dialect().limit("$3"),
        );
        let rows = statement(rows).bind(credential_id).bind(after);
        rows.bind(i64::from(limit)).all(&self.db).await
    }

    /// Behind which row keys are missing. Only lists that look for keys ask; rows
    /// that land after the answer are newer than the list.
    async fn keys_behind(&self, table: &EntityTable, list: &ListQuery<'_>) -> Result<Option<i64>> {
        let keyed = |narrow: &Narrow| table.keyed.iter().any(|column| column.name == narrow.field);
        if !list.filters.iter().any(keyed) {
            return Ok(None);
        }
        let behind =
            query("SELECT keys_behind FROM host_sync WHERE credential_id = $1 AND entity = $2");
        let behind = behind.bind(list.credential_id).bind(&list.entity.name);
        let behind: Option<Option<i64>> = behind.brief().optional(&self.db).await?;
        Ok(behind.flatten())
    }
}

/// Appends a page's rows; answers its count and `next`, and the total if there
/// was a row to say it.
async fn rows<'a>(
    on: impl Into<On<'a>>,
    page: Query,
    query: &ListQuery<'_>,
    out: &mut Vec<u8>,
) -> Result<(List, Option<i64>)> {
    let limit = query.limit.min(LIMIT_MAX);
    let (mut count, mut more) = (0, false);
    let (mut total, mut last) = (None, None);
    let read = |row: Row<'_>| {
        total = Some(row.get(2)?);
        if count == limit {
            more = true;
            return Ok(());
        }
        if count > 0 {
            out.push(b',');
        }
        last = Some((row.get(0)?, out.len()));
        out.extend_from_slice(row.text(1)?.as_bytes());
        count += 1;
        Ok(())
    };
    page.each(on, read).await?;
    let next = last.filter(|_| more).map(|(seq, begin)| Place {
        seq,
        value: query
            .sort
            .and_then(|sort| sorted_by(out.get(begin..)?, sort)),
    });
    let list = List {
        count,
        next,
        total: 0,
        total_is_at_least: false,
    };
    Ok((list, total))
}

/// What a record has in the field that a list is sorted by, as far as it counts.
fn sorted_by(record: &[u8], sort: Sort<'_>) -> Option<String> {
    let members: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(record).ok()?;
    let value = members.get(sort.field.name.as_str())?.get();
    match serde_json::from_str::<Cow<'_, str>>(value) {
        Ok(text) => Some(text.chars().take(SORTED_LETTERS).collect()),
        Err(_) => (value != "null").then(|| value.to_owned()),
    }
}
