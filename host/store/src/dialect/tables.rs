//! The entities' tables: columns, indexes, landing.

use rollout_catalog::{Cell, Kind};

use super::{Dialect, Type, literal, quote};
use crate::Result;
use crate::database::{Tx, Value, query};
use crate::table::EntityColumn;

impl Type {
    fn sqlite(self) -> &'static str {
        match self {
            Self::Text | Self::Time | Self::Json => "TEXT",
            Self::Number => "REAL",
            Self::Integer | Self::Boolean => "INTEGER",
            Self::Bytes => "BLOB",
        }
    }

    pub(super) fn postgres(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Time => "timestamptz",
            Self::Json => "jsonb",
            Self::Number => "double precision",
            Self::Integer => "bigint",
            Self::Boolean => "boolean",
            Self::Bytes => "bytea",
        }
    }

    /// A cell as a value of this type. What JSON can't express is null.
    pub(crate) fn value(self, cell: Cell) -> Value {
        match (self, cell) {
            (Self::Text, Cell::Text(text) | Cell::Json(text)) => Value::Text(Some(text)),
            (Self::Time, Cell::Text(text) | Cell::Json(text)) => Value::Time(Some(text)),
            (Self::Json, Cell::Json(text) | Cell::Text(text)) => Value::Json(Some(text)),
            (Self::Number, Cell::Number(number)) if number.is_finite() => {
                Value::Number(Some(number))
            }
            (Self::Integer, Cell::Integer(number)) => Value::Integer(Some(number)),
            (Self::Boolean, Cell::Bool(value)) => Value::Boolean(Some(value)),
            (Self::Text, _) => Value::Text(None),
            (Self::Time, _) => Value::Time(None),
            (Self::Json, _) => Value::Json(None),
            (Self::Number, _) => Value::Number(None),
            (Self::Integer, _) => Value::Integer(None),
            (Self::Boolean, _) => Value::Boolean(None),
            (Self::Bytes, _) => Value::Bytes(None),
        }
    }
}

impl Dialect {
    /// A stored field's column. Rows that were there before the column show the
    /// default of its kind.
    pub(crate) fn entity_column(self, column: &EntityColumn) -> String {
        let name = quote(&column.name);
        let kind = Type::from(column.kind);
        let kind = match self {
            Self::Sqlite => kind.sqlite(),
            Self::Postgres => kind.postgres(),
        };
        let default = match (&column.default, self) {
            (Cell::Null, _) => return format!("{name} {kind}"),
            (Cell::Text(text) | Cell::Json(text), _) => literal(text),
            (Cell::Number(number), _) => number.to_string(),
            (Cell::Integer(number), _) => number.to_string(),
            (Cell::Bool(value), Self::Sqlite) => i64::from(*value).to_string(),
            (Cell::Bool(value), Self::Postgres) => value.to_string(),
        };
        format!("{name} {kind} DEFAULT {default}")
    }

    /// An entity's table and, beside it, the index of the values in its lists.
    /// The small columns come first: reading them does not touch `original`. On
    /// Postgres a row lies in its table as a whole, not compressed: that costs
    /// more time than reading what it saves.
    pub(crate) fn create_entity_table(self, table: &str, columns: &[String]) -> Vec<String> {
        let (options, clustered) = match self {
            Self::Sqlite => ("", "WITHOUT ROWID"),
            Self::Postgres => ("WITH (toast_tuple_target = 8160)", ""),
        };
        vec![
            self.text(&format!(
                "CREATE TABLE IF NOT EXISTS {} (\
                 host_seq {{serial}}, \
                 \"id\" {{key}} NOT NULL UNIQUE, \"credentialId\" {{key}} NOT NULL, \
                 \"appKey\" TEXT NOT NULL, \
                 host_upstream_id TEXT NOT NULL, \
                 host_hash {{bytes}} NOT NULL, host_original_hash {{bytes}} NOT NULL, \
                 host_stamp BIGINT NOT NULL, host_catalog BIGINT NOT NULL, {}) {options}",
                self.entity_table(table),
                columns.join(", "),
            )),
            format!(
                "CREATE TABLE IF NOT EXISTS host_keys_{table} (\
                 key BIGINT NOT NULL, seq BIGINT NOT NULL, PRIMARY KEY (key, seq)) {clustered}"
            ),
        ]
    }

    /// Indexes for reading one credential's rows newest first, all of them and
    /// those with one value in a column: each by name. SQLite's end with the
    /// row's `host_seq` by themselves.
    pub(crate) fn entity_indexes(
        self,
        table: &str,
        equals: &[(&str, Kind)],
    ) -> Vec<(String, String)> {
        let seq = match self {
            Self::Sqlite => "",
            Self::Postgres => ", host_seq",
        };
        let on = |suffix: &str, columns: String| {
            let name = format!("host_{table}_{suffix}");
            let create = format!(
                "CREATE INDEX IF NOT EXISTS {} ON {} ({columns}{seq})",
                quote(&name),
                self.entity_table(table)
            );
            (name, create)
        };
        let mut indexes = vec![on("credential", quote("credentialId"))];
        for (column, kind) in equals {
            let key = self.index_key(*kind, &quote(column));
            indexes.push(on(column, format!("{}, {key}", quote("credentialId"))));
        }
        indexes
    }

    /// What an index holds of a value. An entry of Postgres' has a largest size,
    /// beyond which the row would be refused, so of texts it is the beginning.
    pub(crate) fn index_key(self, kind: Kind, value: &str) -> String {
        match (self, kind) {
            (Self::Postgres, Kind::Text) => format!("left({value}, 200)"),
            _ => value.to_owned(),
        }
    }

    /// What the landing statement does with a row that is there: a row that is
    /// newer than the page, or was written under a newer catalogue, stays; a row
    /// with both hashes unchanged is not written. `rolloutUpdated` is null for a
    /// change that nobody is told of.
    pub(crate) fn landing_tail(self, table: &str, columns: &[&str]) -> String {
        let constant = [
            "host_seq",
            "id",
            "credentialId",
            "appKey",
            "host_upstream_id",
            "rolloutUpdated",
        ];
        let changes: Vec<String> = columns
            .iter()
            .filter(|name| !constant.contains(name))
            .map(|name| format!("{0} = excluded.{0}", quote(name)))
            .collect();
        let table = quote(table);
        format!(
            "ON CONFLICT (\"id\") DO UPDATE SET {changes}, \
             \"rolloutUpdated\" = coalesce(excluded.\"rolloutUpdated\", {table}.\"rolloutUpdated\") \
             WHERE ({table}.host_hash <> excluded.host_hash \
             OR {table}.host_original_hash <> excluded.host_original_hash) \
             AND {table}.host_stamp <= excluded.host_stamp \
             AND {table}.host_catalog <= excluded.host_catalog",
            changes = changes.join(", "),
        )
    }

    /// The columns that a table has now; none if there is no such table.
    pub(crate) async fn column_names(self, tx: &mut Tx, table: &str) -> Result<Vec<String>> {
        let names = match self {
            Self::Sqlite => query("SELECT name FROM pragma_table_info($1)"),
            Self::Postgres => query(
                "SELECT attname::text FROM pg_attribute \
                 WHERE attrelid = to_regclass('public.' || quote_ident($1)) \
                 AND attnum > 0 AND NOT attisdropped",
            ),
        };
        names.bind(table).all(tx).await
    }

    /// The names of the indexes that a table has now.
    pub(crate) async fn index_names(self, tx: &mut Tx, table: &str) -> Result<Vec<String>> {
        let names = match self {
            Self::Sqlite => {
                query("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = $1")
            }
            Self::Postgres => query(
                "SELECT indexname::text FROM pg_indexes WHERE schemaname = 'public' AND tablename = $1",
            ),
        };
        names.bind(table).all(tx).await
    }
}
