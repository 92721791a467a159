//! Everything of an environment, from one database into another: how backups
//! are made and restored, and how an environment moves between SQLite and
//! Postgres.
//!
//! Both databases have the same tables, which this program made. What there is
//! to copy (tables, columns, their types and keys) is read from the databases
//! themselves, so that a table that is added is copied without a word here. All
//! of it comes from one snapshot of the source, in batches in the order of the
//! primary key: any amount of data takes little memory and no long statement.

use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use rollout_catalog::Catalog;

use crate::database::{Db, Row, Tx, Value, query, statement};
use crate::dialect::{Dialect, Insert, Type, quote};
use crate::{EnvStore, Result, StoreError, migrations};

/// Rows that are in memory at once.
const BATCH: i64 = 500;
/// The note in `host_meta` that makes a database a backup.
const NOTE: &str = "backup";

/// A table as it is in one of the databases.
struct Table {
    name: String,
    /// The name as SQL.
    place: String,
    columns: Vec<Column>,
    /// The column that the database numbers.
    serial: Option<String>,
}

struct Column {
    name: String,
    kind: Type,
    /// Its place in the primary key, from 1; 0: it is not in it.
    key: i64,
}

impl EnvStore {
    /// Copies everything into another database, whose own rows are replaced. It
    /// takes what was committed when it began, however long it takes; nobody
    /// has to wait for it. Answers how many rows there were.
    pub async fn copy_to(&self, target: &Self) -> Result<u64> {
        let mut from = self.db.snapshot().await?;
        let dialect = from.dialect();
        if dialect == Dialect::Postgres {
            query("SET LOCAL idle_in_transaction_session_timeout = 0")
                .execute(&mut from)
                .await?;
        }
        let mut copied = 0;
        for name in tables(&mut from).await? {
            let source = Table::describe(&mut from, &name).await?;
            copied += source.copy(&mut from, target).await?;
        }
        let stamp = last_stamp(&mut from).await?;
        drop(from);
        target.settle(stamp).await?;
        Ok(copied)
    }

    /// What differs between a copy and what it was made from.
    async fn settle(&self, stamp: i64) -> Result<()> {
        let mut tx = self.db.write().await?;
        match tx.dialect() {
            Dialect::Postgres => {
                let set = query("SELECT setval('host_stamps', greatest($1, 1))").bind(stamp);
                set.one::<i64>(&mut tx).await?;
                // The tables are new, and without the indexes that were made for others.
                query("UPDATE host_index_requests SET state = 'waiting' WHERE state = 'done'")
                    .execute(&mut tx)
                    .await?;
            }
            Dialect::Sqlite => {
                query("UPDATE host_counters SET value = $1 WHERE name = 'stamp'")
                    .bind(stamp)
                    .execute(&mut tx)
                    .await?;
            }
        }
        self.db.commit(tx).await?;
        // Whoever works on something works on it there.
        self.release_all_leases().await.map(drop)
    }

    /// Makes a SQLite database a backup, one file that nothing lies beside, and
    /// closes it. The note is the caller's.
    pub async fn close_as_backup(&self, note: &str) -> Result<()> {
        let mut tx = self.db.write().await?;
        migrations::put(&mut tx, NOTE, note).await?;
        self.db.commit(tx).await?;
        self.close_whole().await
    }

    /// Closes a database of SQLite so that all of it is in its file, and nothing lies
    /// beside.
    pub async fn close_whole(&self) -> Result<()> {
        if let Db::Sqlite(pool) = &self.db {
            pool.fold().await?;
        }
        self.close().await;
        Ok(())
    }

    /// Makes a backup an environment's database again.
    pub async fn forget_backup(&self) -> Result<()> {
        let mut tx = self.db.write().await?;
        let remove = query("DELETE FROM host_meta WHERE key = $1").bind(NOTE);
        remove.execute(&mut tx).await?;
        self.db.commit(tx).await
    }
}

impl Table {
    async fn describe(tx: &mut Tx, name: &str) -> Result<Self> {
        let dialect = tx.dialect();
        let place = if name.starts_with("rollout_") {
            dialect.entity_table(name)
        } else {
            quote(name)
        };
        let described = match dialect {
            Dialect::Sqlite => query(
                "SELECT c.name, c.type, c.pk, c.pk > 0 AND m.sql LIKE '%AUTOINCREMENT%' \
                 FROM sqlite_master m JOIN pragma_table_info(m.name) c \
                 WHERE m.type = 'table' AND m.name = $1 ORDER BY c.cid",
            )
            .bind(name),
            Dialect::Postgres => query(
                "SELECT a.attname::text, format_type(a.atttypid, NULL), \
                 coalesce((SELECT k.place FROM pg_index i, \
                 unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place) \
                 WHERE i.indrelid = a.attrelid AND i.indisprimary AND k.number = a.attnum), 0), \
                 a.attidentity <> '' FROM pg_attribute a \
                 WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped \
                 ORDER BY a.attnum",
            )
            .bind(&place),
        };
        // Name, declared type, place in the key, whether the database numbers it.
        let described: Vec<(String, String, i64, bool)> = described.all(&mut *tx).await?;
        let mut serial = None;
        let mut columns = Vec::with_capacity(described.len());
        for (column, declared, key, numbered) in described {
            let kind = Type::declared(&declared).ok_or_else(|| {
                StoreError::Internal(format!("{name}.{column} is of the type {declared}"))
            })?;
            if numbered {
                serial = Some(column.clone());
            }
            columns.push(Column {
                name: column,
                kind,
                key,
            });
        }
        Ok(Self {
            name: name.to_owned(),
            place,
            columns,
            serial,
        })
    }

    /// Copies the rows, and the last number that was given to one.
    async fn copy(&self, from: &mut Tx, target: &EnvStore) -> Result<u64> {
        let mut tx = target.db.write().await?;
        let there = Self::describe(&mut tx, &self.name).await?;
        let kinds = self.kinds_in(&there)?;
        statement(format!("DELETE FROM {}", there.place))
            .execute(&mut tx)
            .await?;
        target.db.commit(tx).await?;
        let names = self.columns.iter().map(|column| column.name.as_str());
        let columns: Vec<(&str, Type)> = names.zip(kinds.iter().copied()).collect();
        let insert = Insert::new(target.db.dialect(), &there.place, &columns, "");
        let mut copied = 0;
        let mut after = Vec::new();
        loop {
            let rows = self.rows(from, &after).await?;
            let Some(last) = rows.last() else {
                break;
            };
            after = self.key_of(last);
            copied += u64::try_from(rows.len()).unwrap_or_default();
            let fitted = rows.into_iter().map(|row| {
                let values = row.into_iter().zip(&kinds);
                values.map(|(value, kind)| kind.fit(value)).collect()
            });
            let mut tx = target.db.write().await?;
            insert.run(&mut tx, fitted.collect::<Result<_>>()?).await?;
            target.db.commit(tx).await?;
        }
        if let Some(last) = self.last_number(from).await? {
            let mut tx = target.db.write().await?;
            there.set_last_number(&mut tx, last).await?;
            target.db.commit(tx).await?;
        }
        Ok(copied)
    }

    /// The types that the columns have there.
    fn kinds_in(&self, there: &Self) -> Result<Vec<Type>> {
        let kind = |column: &Column| {
            let known = there.columns.iter().find(|one| one.name == column.name);
            known.map(|known| known.kind).ok_or_else(|| {
                StoreError::Refused(format!(
                    "{}.{} is of a newer version of the program: use that one",
                    self.name, column.name
                ))
            })
        };
        self.columns.iter().map(kind).collect()
    }

    fn key(&self) -> Vec<&Column> {
        let mut key: Vec<&Column> = self.columns.iter().filter(|one| one.key > 0).collect();
        key.sort_by_key(|column| column.key);
        key
    }

    fn key_of(&self, row: &[Value]) -> Vec<Value> {
        let at = |wanted: &Column| self.columns.iter().position(|one| one.name == wanted.name);
        let key = self.key().into_iter().filter_map(at);
        key.filter_map(|at| row.get(at).cloned()).collect()
    }

    /// The next rows after the one with this key; of an empty key the first.
    async fn rows(&self, from: &mut Tx, after: &[Value]) -> Result<Vec<Vec<Value>>> {
        let dialect = from.dialect();
        let columns = self.columns.iter();
        let columns: Vec<String> = columns
            .map(|column| dialect.portable(&quote(&column.name), column.kind))
            .collect();
        let key: Vec<String> = self.key().iter().map(|one| quote(&one.name)).collect();
        let behind = if after.is_empty() {
            String::new()
        } else {
            let places: Vec<String> = (1..=after.len()).map(|at| format!("${at}")).collect();
            format!("WHERE ({}) > ({})", key.join(", "), places.join(", "))
        };
        let select = statement(format!(
            "SELECT {} FROM {} {behind} ORDER BY {} LIMIT {BATCH}",
            columns.join(", "),
            self.place,
            key.join(", "),
        ));
        let mut rows = Vec::new();
        let read = |row: Row<'_>| {
            let values = self.columns.iter().enumerate();
            let values = values.map(|(at, column)| column.kind.read(&row, at));
            rows.push(values.collect::<Result<Vec<_>>>()?);
            Ok(())
        };
        let select = select.bind_all(after.iter().cloned());
        select.each(from, read).await?;
        Ok(rows)
    }

    /// The last number that the database gave to a row, which may be gone.
    async fn last_number(&self, tx: &mut Tx) -> Result<Option<i64>> {
        let Some(serial) = &self.serial else {
            return Ok(None);
        };
        match tx.dialect() {
            Dialect::Sqlite => {
                let last = query("SELECT seq FROM sqlite_sequence WHERE name = $1");
                last.bind(&self.name).optional(tx).await
            }
            Dialect::Postgres => {
                let last = query(
                    "SELECT pg_sequence_last_value(pg_get_serial_sequence($1, $2)::regclass)",
                );
                last.bind(&self.place).bind(serial).one(tx).await
            }
        }
    }

    async fn set_last_number(&self, tx: &mut Tx, last: i64) -> Result<()> {
        let Some(serial) = &self.serial else {
            return Ok(());
        };
        match tx.dialect() {
            Dialect::Sqlite => {
                query("DELETE FROM sqlite_sequence WHERE name = $1")
                    .bind(&self.name)
                    .execute(&mut *tx)
                    .await?;
                let set = query("INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)");
                set.bind(&self.name).bind(last).execute(tx).await.map(drop)
            }
            Dialect::Postgres => {
                let set = query("SELECT setval(pg_get_serial_sequence($1, $2), $3)");
                let set = set.bind(&self.place).bind(serial).bind(last);
                set.one::<i64>(tx).await.map(drop)
            }
        }
    }
}

/// The tables of an environment, those that refer to others behind them. What
/// a database says of itself is not copied: it is about the database.
async fn tables(tx: &mut Tx) -> Result<Vec<String>> {
    let tables = match tx.dialect() {
        Dialect::Sqlite => query(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'host_meta' \
             AND (name LIKE 'host\\_%' ESCAPE '\\' OR name IN (SELECT table_name FROM host_columns)) \
             ORDER BY EXISTS (SELECT 1 FROM pragma_foreign_key_list(sqlite_master.name)), name",
        ),
        Dialect::Postgres => query(
            "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE c.relkind = 'r' AND c.relname <> 'host_meta' AND (n.nspname = 'host' \
             OR n.nspname = 'public' AND c.relname IN (SELECT table_name FROM host_columns)) \
             ORDER BY EXISTS (SELECT 1 FROM pg_constraint f WHERE f.conrelid = c.oid \
             AND f.contype = 'f'), c.relname",
        ),
    };
    tables.all(tx).await
}

/// The last number of the write sequence. Numbers that are drawn but not used
/// count: they are in the source alone.
async fn last_stamp(tx: &mut Tx) -> Result<i64> {
    let last = match tx.dialect() {
        Dialect::Sqlite => query("SELECT value FROM host_counters WHERE name = 'stamp'"),
        Dialect::Postgres => query("SELECT last_value FROM host_stamps"),
    };
    last.one(tx).await
}

impl Type {
    /// The type of a column by what its database says that it is.
    fn declared(declared: &str) -> Option<Self> {
        Some(match declared.to_ascii_lowercase().as_str() {
            "text" => Self::Text,
            "integer" | "bigint" => Self::Integer,
            "real" | "double precision" => Self::Number,
            "blob" | "bytea" => Self::Bytes,
            "boolean" => Self::Boolean,
            "jsonb" => Self::Json,
            "timestamp with time zone" => Self::Time,
            _ => return None,
        })
    }

    fn read(self, row: &Row, at: usize) -> Result<Value> {
        Ok(match self {
            Self::Text => Value::Text(row.get(at)?),
            Self::Json => Value::Json(row.get(at)?),
            Self::Time => Value::Time(row.get(at)?),
            Self::Integer => Value::Integer(row.get(at)?),
            Self::Number => Value::Number(row.get(at)?),
            Self::Boolean => Value::Boolean(row.get(at)?),
            Self::Bytes => Value::Bytes(row.get(at)?),
        })
    }

    /// A value of the other dialect's type for the same column.
    fn fit(self, value: Value) -> Result<Value> {
        Ok(match (self, value) {
            (Self::Text, Value::Text(text) | Value::Json(text) | Value::Time(text)) => {
                Value::Text(text)
            }
            (Self::Json, Value::Text(text) | Value::Json(text)) => Value::Json(text),
            (Self::Time, Value::Text(text) | Value::Time(text)) => Value::Time(text),
            (Self::Boolean, Value::Integer(number)) => Value::Boolean(number.map(|one| one != 0)),
            (Self::Integer, Value::Boolean(value)) => Value::Integer(value.map(i64::from)),
            (Self::Integer, value @ Value::Integer(_))
            | (Self::Number, value @ Value::Number(_))
            | (Self::Boolean, value @ Value::Boolean(_))
            | (Self::Bytes, value @ Value::Bytes(_)) => value,
            (kind, _) => {
                let reason = format!("a column of the type {kind:?} is of another kind there");
                return Err(StoreError::Internal(reason));
            }
        })
    }
}

/// The note of a backup. Refuses files that are none, and backups that a newer
/// version made.
pub async fn backup_note(file: &Path) -> Result<String> {
    let shown = file.display();
    let none = || StoreError::Refused(format!("{shown} is no backup of an environment"));
    let file = file.to_owned();
    let read = tokio::task::spawn_blocking(move || facts_of_backup(&file));
    let read = read.await.map_err(|_| none())?;
    let (facts, catalog) = read.map_err(|error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::CannotOpen) => {
            StoreError::Refused(format!("{shown} can't be opened: {error}"))
        }
        _ => none(),
    })?;
    let fact = |wanted: &str| {
        let found = facts.iter().find(|(key, _)| key == wanted);
        found.map(|(_, value)| value.clone()).unwrap_or_default()
    };
    let note = fact(NOTE);
    if note.is_empty() {
        return Err(none());
    }
    let version = fact("schema_version").parse().unwrap_or(usize::MAX);
    let known = migrations::ENVIRONMENT.len();
    if version > known || catalog > i64::from(Catalog::VERSION) {
        return Err(StoreError::Refused(format!(
            "the backup was made by rollout {} with schema version {version} and catalogue {catalog}; \
             this is rollout {}, which knows {known} and {}: restore it with a newer version of the \
             program",
            fact("program"),
            env!("CARGO_PKG_VERSION"),
            Catalog::VERSION,
        )));
    }
    Ok(note)
}

/// What a backup says of itself, and the newest catalogue in it.
fn facts_of_backup(file: &Path) -> rusqlite::Result<(Vec<(String, String)>, i64)> {
    // Nothing is to lie beside it afterwards.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let backup = Connection::open_with_flags(file, flags)?;
    let mut facts = backup.prepare("SELECT key, value FROM host_meta")?;
    let facts = facts.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let facts = facts.collect::<Result<_, _>>()?;
    let catalog = "SELECT coalesce(max(catalog), 0) FROM host_columns";
    Ok((facts, backup.query_row(catalog, [], |row| row.get(0))?))
}
