//! Reading: lists and single records, as the API's JSON.
//!
//! A list runs from the row that landed last to the first. `host_seq` is that
//! order and never changes, so a reader who goes on behind the last one he saw
//! meets every record that was there throughout exactly once.

use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use rollout_catalog::{Entity, Kind, Match};
use sqlx::{Arguments as _, AssertSqlSafe, Row as _};

use crate::dialect::{self, Arguments, Connection, quote};
use crate::keys::Keys;
use crate::landing::json_list;
use crate::table::EntityTable;
use crate::{EnvStore, Result, StoreError};

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
        let select = Select::new(table, query, keys_behind(&mut connection, query).await?)?;
        let mut list = List {
            count: 0,
            next: None,
            total: 0,
            total_is_at_least: false,
        };
        let mut total = None;
        {
            let mut last = None;
            let (sql, arguments) = select.page(table.record(query.entity)?, query, limit)?;
            let mut rows = sqlx::query_with(AssertSqlSafe(sql), arguments).fetch(&mut *connection);
            while let Some(row) = rows.try_next().await? {
                if list.count == limit {
                    list.next = last;
                    continue;
                }
                if list.count > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(row.try_get::<&str, _>(1)?.as_bytes());
                last = Some(row.try_get(0)?);
                total = Some(row.try_get(2)?);
                list.count += 1;
            }
        }
        let total = match total {
            Some(total) => total,
            // Without a row there was nothing to say it beside.
            None => {
                let (sql, arguments) = select.total()?;
                let count = sqlx::query_scalar_with(AssertSqlSafe(sql), arguments);
                count.fetch_one(&mut *connection).await?
            }
        };
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
             WHERE \"credentialId\" = $1 AND host_seq > $2 ORDER BY host_seq LIMIT $3",
            self.table(entity)?.sql_name,
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

/// Behind which row keys are missing. Only lists that look for keys ask; rows
/// that land after the answer are newer than the list.
async fn keys_behind(connection: &mut Connection, query: &ListQuery<'_>) -> Result<Option<i64>> {
    if query.filters.is_empty() {
        return Ok(None);
    }
    let behind = sqlx::query_scalar(
        "SELECT keys_behind FROM host_sync WHERE credential_id = $1 AND entity = $2",
    );
    let behind = behind.bind(query.credential_id).bind(&query.entity.name);
    Ok(behind.fetch_optional(connection).await?.flatten())
}

/// The `FROM … WHERE …` of a list. `$1` is the credential, `$2` the entity.
struct Select {
    from: String,
    filter: String,
    /// What a row's place is called: the index's own column, so that it gives
    /// the order.
    seq: &'static str,
    /// The values of `$3` and on.
    values: Vec<Bound>,
    /// Rows behind this one may have no keys.
    keys_behind: Option<i64>,
    /// The total is counted, not looked up.
    counted: bool,
    credential_id: String,
    entity: String,
}

#[derive(Clone)]
enum Bound {
    Text(String),
    Integer(i64),
    Number(f64),
}

impl Select {
    fn new(table: &EntityTable, query: &ListQuery<'_>, keys_behind: Option<i64>) -> Result<Self> {
        let mut select = Self {
            from: table.sql_name.clone(),
            filter: String::new(),
            seq: "host_seq",
            values: Vec::new(),
            keys_behind,
            counted: !query.filters.is_empty() || query.ids.is_some(),
            credential_id: query.credential_id.to_owned(),
            entity: query.entity.name.clone(),
        };
        let credential = quote("credentialId");
        // One index leads to the rows; the other conditions are looked up in
        // them. Ids lead to the fewest rows, then keys of single values.
        let mut leads = false;
        if let Some(ids) = &query.ids {
            if ids.len() > IDS_MAX {
                return Err(StoreError::Limit("a list is narrowed to at most 100 ids"));
            }
            let placeholder = select.value(Bound::Text(json_list(ids)));
            select.and(&format!("\"id\" {}", dialect::in_list(&placeholder)));
            leads = true;
        }
        let mut narrows: Vec<(&Narrow, Match, Kind)> = Vec::new();
        for narrow in &query.filters {
            let field = query.entity.field(&narrow.field);
            let filter = field.and_then(|field| Some((field.filter.as_ref()?.matches, field.kind)));
            let (matching, kind) =
                filter.ok_or_else(|| StoreError::Unknown(format!("filter on {}", narrow.field)))?;
            narrows.push((narrow, matching, kind));
        }
        narrows.sort_by_key(|(_, matching, _)| match matching {
            Match::EntryValue | Match::EntryDigits | Match::Digits => 0,
            Match::Equals => 1,
            Match::AnyItem => 2,
        });
        for (narrow, matching, kind) in narrows {
            if matching == Match::Equals {
                select.equals(&narrow.field, kind, &narrow.values, leads);
                leads = true;
            } else {
                select.holds(table, narrow, matching, &mut leads);
            }
        }
        // Led to by other means, rows are not looked up by their credential.
        let by_credential = !leads || select.filter.contains("\"credentialId\"");
        let credential = if by_credential {
            credential
        } else {
            dialect::unindexed(&credential)
        };
        select.and(&format!("{credential} = $1"));
        Ok(select)
    }

    fn value(&mut self, value: Bound) -> String {
        self.values.push(value);
        format!("${}", self.values.len() + 2)
    }

    fn and(&mut self, condition: &str) {
        if !self.filter.is_empty() {
            self.filter.push_str(" AND ");
        }
        self.filter.push_str(condition);
    }

    fn equals(&mut self, field: &str, kind: Kind, values: &[String], leads: bool) {
        let column = if leads {
            dialect::unindexed(&quote(field))
        } else {
            quote(field)
        };
        let values: Vec<Bound> = values
            .iter()
            .filter_map(|value| Bound::parse(kind, value))
            .collect();
        let placeholders: Vec<String> = values.into_iter().map(|value| self.value(value)).collect();
        match placeholders.as_slice() {
            [] => self.and("1 = 0"),
            [one] => self.and(&format!("{column} = {one}")),
            several => self.and(&format!("{column} IN ({})", several.join(", "))),
        }
        if !leads {
            self.and("\"credentialId\" = $1");
        }
    }

    /// A value inside a list, or the digits of a text.
    fn holds(&mut self, table: &EntityTable, narrow: &Narrow, matching: Match, leads: &mut bool) {
        let digits = matches!(matching, Match::Digits | Match::EntryDigits);
        let values = narrow.values.iter();
        let mut values: Vec<String> = if digits {
            values.map(|value| dialect::digits(value)).collect()
        } else {
            values.cloned().collect()
        };
        values.retain(|value| !digits || !value.is_empty());
        values.sort_unstable();
        values.dedup();
        let column = table
            .keyed
            .iter()
            .find(|column| column.name == narrow.field);
        if let Some(column) = column.filter(|_| !*leads) {
            let keys_of = Keys::new(&self.credential_id);
            let keys: Vec<i64> = values
                .iter()
                .map(|value| keys_of.of(column, value))
                .collect();
            self.lead_by_keys(table, &keys);
            *leads = true;
        }
        let placeholder = self.value(Bound::Text(json_list(&values)));
        self.and(&dialect::matches(matching, &narrow.field, &placeholder));
    }

    /// Lets the key index lead to the rows, and then those that it does not
    /// have yet. One key's entries lie in the order of the list; all others
    /// are brought into it.
    fn lead_by_keys(&mut self, table: &EntityTable, keys: &[i64]) {
        let placeholders: Vec<String> = keys
            .iter()
            .map(|key| self.value(Bound::Integer(*key)))
            .collect();
        self.seq = "lead.seq";
        let (keys_name, rows) = (&table.keys_name, &table.sql_name);
        match (placeholders.as_slice(), self.keys_behind) {
            ([one], None) => {
                self.from = format!("{keys_name} AS lead CROSS JOIN {rows}");
                self.and(&format!("lead.key = {one}"));
            }
            (several, behind) => {
                let several = several.join(", ");
                let mut lead = format!("SELECT seq FROM {keys_name} WHERE key IN ({several})");
                if let Some(behind) = behind {
                    let behind = self.value(Bound::Integer(behind));
                    lead.push_str(&format!(
                        " UNION SELECT host_seq FROM {rows} \
                         WHERE \"credentialId\" = $1 AND host_seq > {behind}"
                    ));
                }
                self.from = format!(
                    "(SELECT DISTINCT seq FROM ({lead}) AS found) AS lead CROSS JOIN {rows}"
                );
            }
        }
        self.and("host_seq = lead.seq");
    }

    /// One row per record: its place, its JSON, the total.
    fn page(&self, record: &str, query: &ListQuery<'_>, limit: u32) -> Result<(String, Arguments)> {
        let mut bound = self.values.len() + 2;
        let mut next = || {
            bound += 1;
            format!("${bound}")
        };
        let mut arguments = self.arguments()?;
        let mut add = |value: i64| arguments.add(value).map_err(sqlx::Error::Encode);
        let mut after = String::new();
        let mut offset = String::new();
        if let Some(seq) = query.after {
            after = format!(" AND {} < {}", self.seq, next());
            add(seq)?;
        }
        let limit_placeholder = next();
        add(i64::from(limit) + 1)?;
        if query.after.is_none() && query.offset > 0 {
            offset = format!(" OFFSET {}", next());
            add(i64::from(query.offset.min(OFFSET_MAX)))?;
        }
        let sql = format!(
            "SELECT {seq}, {record}, ({total}) FROM {from} WHERE {filter}{after} \
             ORDER BY {seq} DESC LIMIT {limit_placeholder}{offset}",
            seq = self.seq,
            total = self.total_sql(),
            from = self.from,
            filter = self.filter,
        );
        Ok((sql, arguments))
    }

    fn total(&self) -> Result<(String, Arguments)> {
        Ok((format!("SELECT ({})", self.total_sql()), self.arguments()?))
    }

    fn total_sql(&self) -> String {
        if self.counted {
            let most = COUNTED_MAX + 1;
            let Self { from, filter, .. } = self;
            format!(
                "SELECT COUNT(*) FROM (SELECT 1 FROM {from} WHERE {filter} LIMIT {most}) AS counted"
            )
        } else {
            "SELECT coalesce(MAX(records), 0) FROM host_sync WHERE credential_id = $1 AND entity = $2".to_owned()
        }
    }

    fn arguments(&self) -> Result<Arguments> {
        let mut arguments = Arguments::default();
        arguments
            .add(&self.credential_id)
            .map_err(sqlx::Error::Encode)?;
        arguments.add(&self.entity).map_err(sqlx::Error::Encode)?;
        for value in &self.values {
            match value {
                Bound::Text(text) => arguments.add(text),
                Bound::Integer(number) => arguments.add(*number),
                Bound::Number(number) => arguments.add(*number),
            }
            .map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }
}

impl Bound {
    /// A parameter's text as a value of the column; none fits none.
    fn parse(kind: Kind, text: &str) -> Option<Self> {
        Some(match kind {
            Kind::Text | Kind::DateTime | Kind::Json => Self::Text(text.to_owned()),
            Kind::Number => Self::Number(text.parse().ok()?),
            Kind::Integer => Self::Integer(text.parse().ok()?),
            Kind::Boolean => Self::Integer(i64::from(text.parse::<bool>().ok()?)),
        })
    }
}
