//! The statement of a list: by which index its rows are found, in which order
//! they come, and how their total is known.

use super::{COUNTED_MAX, IDS_MAX, LIMIT_MAX, ListQuery, Narrow, OFFSET_MAX};
use crate::database::{Query, Value, statement};
use crate::dialect::{self, Dialect, quote};
use crate::keys::Keys;
use crate::table::EntityTable;
use crate::{Result, StoreError};
use rollout_catalog::{Kind, Match, Sort};

/// The `FROM … WHERE …` of a list. `$1` is the credential, `$2` the entity.
pub(super) struct Select {
    dialect: Dialect,
    /// The entity's table.
    rows: String,
    from: String,
    filter: String,
    /// What a row's place is called: the index's own column, so that it gives
    /// the order.
    seq: &'static str,
    /// The values of `$3` and on.
    values: Vec<Value>,
    /// Rows behind this one may have no keys.
    keys_behind: Option<i64>,
    /// The index by credential leads to the rows, alone or before a column.
    by_credential: bool,
    /// The total is counted, not looked up.
    pub(super) counted: bool,
    credential_id: String,
    entity: String,
}

impl Select {
    pub(super) fn new(
        table: &EntityTable,
        query: &ListQuery<'_>,
        keys_behind: Option<i64>,
    ) -> Result<Self> {
        let mut select = Self {
            dialect: table.dialect,
            rows: table.sql_name.clone(),
            from: table.sql_name.clone(),
            filter: String::new(),
            seq: "host_seq",
            values: Vec::new(),
            keys_behind,
            by_credential: false,
            counted: !query.filters.is_empty()
                || query.ids.is_some()
                || query.updated_since.is_some(),
            credential_id: query.credential_id.to_owned(),
            entity: query.entity.name.clone(),
        };
        // One index leads to the rows; the other conditions are looked up in
        // them. Ids lead to the fewest rows, then keys of single values.
        let mut leads = false;
        if let Some(ids) = &query.ids {
            if ids.len() > IDS_MAX {
                return Err(StoreError::Limit("a list is narrowed to at most 100 ids"));
            }
            let placeholder = select.value(ids.as_slice().into());
            select.and(&format!("\"id\" {}", table.dialect.in_list(&placeholder)));
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
        if let Some(since) = &query.updated_since {
            let since = select.value(Value::Time(Some(since.clone())));
            select.and(&format!("\"rolloutUpdated\" >= {since}"));
        }
        let credential = quote("credentialId");
        let by_credential = select.by_credential || !leads;
        let credential = if by_credential {
            credential
        } else {
            table.dialect.unindexed(&credential)
        };
        select.and(&format!("{credential} = $1"));
        Ok(select)
    }

    fn value(&mut self, value: Value) -> String {
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
            self.dialect.unindexed(&quote(field))
        } else {
            quote(field)
        };
        let values: Vec<Value> = values
            .iter()
            .filter_map(|value| parse(kind, value))
            .collect();
        let placeholders: Vec<String> = values.into_iter().map(|value| self.value(value)).collect();
        let in_index = self.dialect.index_key(kind, &column);
        if in_index != column && !leads && !placeholders.is_empty() {
            let keys = placeholders.iter();
            let keys: Vec<String> = keys.map(|one| self.dialect.index_key(kind, one)).collect();
            self.and(&format!("{in_index} IN ({})", keys.join(", ")));
        }
        match placeholders.as_slice() {
            [] => self.and("1 = 0"),
            [one] => self.and(&format!("{column} = {one}")),
            several => self.and(&format!("{column} IN ({})", several.join(", "))),
        }
        self.by_credential |= !leads;
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
        if values.is_empty() {
            return self.and("1 = 0");
        }
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
        let placeholder = self.value(values.into());
        let dialect = self.dialect;
        self.and(&dialect.matches(matching, &narrow.field, &placeholder));
    }

    /// Lets the key index lead to the rows, and then those that it does not
    /// have yet. One key's entries lie in the order of the list; all others
    /// are brought into it.
    fn lead_by_keys(&mut self, table: &EntityTable, keys: &[i64]) {
        let placeholders: Vec<String> = keys.iter().map(|key| self.value((*key).into())).collect();
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
                    let behind = self.value(behind.into());
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
    pub(super) fn page(&self, record: &str, query: &ListQuery<'_>) -> Query {
        let mut page = statement(self.page_sql(record, query)).bind_all(self.values());
        if let Some(place) = &query.after {
            page = page.bind(place.seq);
            let value = place.value.as_deref();
            if let Some(value) = value.and_then(|text| parse(query.sort?.field.kind, text)) {
                page = page.bind(value);
            }
        }
        let limit = query.limit.min(LIMIT_MAX);
        page = page.bind(i64::from(limit) + 1);
        if query.after.is_none() && query.offset > 0 {
            page = page.bind(i64::from(query.offset.min(OFFSET_MAX)));
        }
        page
    }

    pub(super) fn page_sql(&self, record: &str, query: &ListQuery<'_>) -> String {
        let mut bound = self.values.len() + 2;
        let mut next = || {
            bound += 1;
            format!("${bound}")
        };
        let key = query.sort.map(|sort| {
            let Sort { field, descending } = sort;
            let direction = if descending { "DESC" } else { "ASC" };
            (field.kind, quote(&field.name), direction)
        });
        let Self { seq, .. } = self;
        let after = query.after.as_ref().map(|place| {
            let before = format!("{seq} < {}", next());
            let Some((kind, column, direction)) = &key else {
                return format!(" AND {before}");
            };
            let value = place.value.as_deref();
            if value.and_then(|text| parse(*kind, text)).is_none() {
                return format!(" AND {column} IS NULL AND {before}");
            }
            let value = self.dialect.sort_key(*kind, &next());
            let key = self.dialect.sort_key(*kind, column);
            let beyond = if *direction == "DESC" { '<' } else { '>' };
            format!(
                " AND ({key} {beyond} {value} OR ({key} = {value} AND {before}) OR {column} IS NULL)"
            )
        });
        let after = after.unwrap_or_default();
        let limit = self.dialect.limit(&next());
        let offset = match query.after {
            None if query.offset > 0 => format!(" OFFSET {}", next()),
            _ => String::new(),
        };
        let (total, from, filter) = (self.total_sql(), &self.from, &self.filter);
        let Some((kind, column, direction)) = key else {
            return format!(
                "SELECT {seq}, {record}, ({total}) FROM {from} WHERE {filter}{after} \
                 ORDER BY {seq} DESC LIMIT {limit}{offset}"
            );
        };
        // Only the page's rows are rendered, not all that are sorted.
        let key = self.dialect.sort_key(kind, &column);
        format!(
            "SELECT host_place, {record}, ({total}) FROM (\
             SELECT {seq} AS host_place, {key} AS host_key FROM {from} WHERE {filter}{after} \
             ORDER BY {key} IS NULL, {key} {direction}, {seq} DESC LIMIT {limit}{offset}) AS host_page \
             CROSS JOIN {rows} WHERE host_seq = host_place \
             ORDER BY host_key IS NULL, host_key {direction}, host_place DESC",
            rows = self.rows,
        )
    }

    pub(super) fn total(&self) -> Query {
        statement(format!("SELECT ({})", self.total_sql())).bind_all(self.values())
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

    fn values(&self) -> impl Iterator<Item = Value> {
        let first = [(&self.credential_id).into(), (&self.entity).into()];
        first.into_iter().chain(self.values.iter().cloned())
    }
}

/// A parameter's text as a value of the column; none fits none.
fn parse(kind: Kind, text: &str) -> Option<Value> {
    Some(match kind {
        Kind::Text => Value::from(text),
        Kind::DateTime => Value::Time(Some(text.to_owned())),
        Kind::Json => Value::Json(Some(text.to_owned())),
        Kind::Number => Value::from(text.parse::<f64>().ok()?),
        Kind::Integer => Value::from(text.parse::<i64>().ok()?),
        Kind::Boolean => Value::from(text.parse::<bool>().ok()?),
    })
}
