//! Many rows into a table.
//!
//! SQLite gets multi-row `VALUES` of few fixed sizes, so that the statements
//! stay prepared. Postgres gets one array per column.

use std::sync::Arc;

use sqlx::Arguments as _;
use sqlx::postgres::PgArguments;

use super::{Dialect, Type, quote};
use crate::Result;
use crate::database::{JsonText, Tx, Value, clean, execute_arguments, statement, time_of};

/// Rows per statement, largest first. 500 rows take three of 128, three of 32,
/// two of 8 and two of 2.
const CHUNKS: [usize; 5] = [128, 32, 8, 2, 1];
/// The same for rows of two small columns.
const NARROW_CHUNKS: [usize; 6] = [1024, 256, 64, 16, 4, 1];

/// A prepared way to enter rows into one table.
#[derive(Debug)]
pub(crate) struct Insert {
    types: Vec<Type>,
    /// By rows, largest first; for Postgres one for any number.
    statements: Vec<(usize, Arc<str>)>,
}

impl Insert {
    /// `tail` is what follows the rows, `ON CONFLICT …`.
    pub(crate) fn new(dialect: Dialect, table: &str, columns: &[(&str, Type)], tail: &str) -> Self {
        let names: Vec<String> = columns.iter().map(|(name, _)| quote(name)).collect();
        let names = names.join(", ");
        let statements = match dialect {
            Dialect::Sqlite => {
                let sizes: &[usize] = if columns.len() <= 2 {
                    &NARROW_CHUNKS
                } else {
                    &CHUNKS
                };
                // Without numbers: SQLite looks numbered placeholders up in a list,
                // which takes longer than the statement itself. `OR FAIL`, because
                // the transaction is rolled back in any case, and undoing the
                // statement alone would need a journal of its own.
                let row = format!("(?{})", ",?".repeat(columns.len().saturating_sub(1)));
                let of = |rows: usize| {
                    let rows = vec![row.as_str(); rows].join(",");
                    format!("INSERT OR FAIL INTO {table} ({names}) VALUES {rows} {tail}")
                };
                sizes.iter().map(|size| (*size, of(*size).into())).collect()
            }
            Dialect::Postgres => {
                let arrays: Vec<String> = columns
                    .iter()
                    .enumerate()
                    .map(|(at, (_, kind))| format!("${}::{}[]", at + 1, kind.postgres()))
                    .collect();
                let statement = format!(
                    "INSERT INTO {table} ({names}) SELECT * FROM unnest({}) AS rows {tail}",
                    arrays.join(", ")
                );
                vec![(usize::MAX, statement.into())]
            }
        };
        Self {
            types: columns.iter().map(|(_, kind)| *kind).collect(),
            statements,
        }
    }

    /// Enters the rows, each with a value for every column.
    pub(crate) async fn run(&self, tx: &mut Tx, mut rows: Vec<Vec<Value>>) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        if let (Tx::Postgres { .. }, [(_, statement)]) = (&*tx, self.statements.as_slice()) {
            let arguments = self.arrays(rows)?;
            return execute_arguments(Arc::clone(statement), arguments, tx).await;
        }
        let mut left = rows.len();
        let mut rows = rows.drain(..);
        while left > 0 {
            let fits = self.statements.iter().find(|(size, _)| *size <= left);
            let Some((size, sql)) = fits else {
                break;
            };
            left -= size;
            let values = rows.by_ref().take(*size).flatten();
            let insert = statement(Arc::clone(sql));
            insert.bind_all(values).execute(&mut *tx).await?;
        }
        Ok(())
    }

    /// The rows' values, column by column.
    fn arrays(&self, rows: Vec<Vec<Value>>) -> Result<PgArguments> {
        let count = rows.len();
        let mut columns: Vec<Array> = self
            .types
            .iter()
            .map(|kind| Array::of(*kind, count))
            .collect();
        for row in rows {
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value);
            }
        }
        let mut arguments = PgArguments::default();
        for column in columns {
            let added = match column {
                Array::Text(list) => arguments.add(list),
                Array::Integer(list) => arguments.add(list),
                Array::Number(list) => arguments.add(list),
                Array::Boolean(list) => arguments.add(list),
                Array::Bytes(list) => arguments.add(list),
                Array::Json(list) => arguments.add(list),
                Array::Time(list) => arguments.add(list),
            };
            added.map_err(sqlx::Error::Encode)?;
        }
        Ok(arguments)
    }
}

/// The values of one column.
enum Array {
    Text(Vec<Option<String>>),
    Integer(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
    Boolean(Vec<Option<bool>>),
    Bytes(Vec<Option<Vec<u8>>>),
    Json(Vec<Option<JsonText>>),
    Time(Vec<Option<time::OffsetDateTime>>),
}

impl Array {
    fn of(kind: Type, count: usize) -> Self {
        match kind {
            Type::Text => Self::Text(Vec::with_capacity(count)),
            Type::Integer => Self::Integer(Vec::with_capacity(count)),
            Type::Number => Self::Number(Vec::with_capacity(count)),
            Type::Boolean => Self::Boolean(Vec::with_capacity(count)),
            Type::Bytes => Self::Bytes(Vec::with_capacity(count)),
            Type::Json => Self::Json(Vec::with_capacity(count)),
            Type::Time => Self::Time(Vec::with_capacity(count)),
        }
    }

    /// A value of another type is none: columns and values come from one place.
    fn push(&mut self, value: Value) {
        match (self, value) {
            (Self::Text(list), Value::Text(text)) => list.push(text.map(clean)),
            (Self::Integer(list), Value::Integer(number)) => list.push(number),
            (Self::Number(list), Value::Number(number)) => list.push(number),
            (Self::Boolean(list), Value::Boolean(value)) => list.push(value),
            (Self::Bytes(list), Value::Bytes(bytes)) => list.push(bytes),
            (Self::Json(list), Value::Json(text)) => list.push(text.map(JsonText)),
            (Self::Time(list), Value::Time(text)) => {
                list.push(text.as_deref().and_then(time_of));
            }
            (Self::Text(list), _) => list.push(None),
            (Self::Integer(list), _) => list.push(None),
            (Self::Number(list), _) => list.push(None),
            (Self::Boolean(list), _) => list.push(None),
            (Self::Bytes(list), _) => list.push(None),
            (Self::Json(list), _) => list.push(None),
            (Self::Time(list), _) => list.push(None),
        }
    }
}
