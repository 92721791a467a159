//! A statement with its parameters.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sqlx::error::BoxDynError;
use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, AssertSqlSafe, SqlSafeStr, SqlStr};

use super::postgres::{JsonText, clean, time_of};
use super::{FromRow, On, Row, Tx, answered, sqlite};
use crate::{Result, StoreError};

/// A parameter. Without a value it still has a type, which Postgres asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(Option<String>),
    Integer(Option<i64>),
    Number(Option<f64>),
    Boolean(Option<bool>),
    Bytes(Option<Vec<u8>>),
    /// A JSON text.
    Json(Option<String>),
    /// A time as the API writes it.
    Time(Option<String>),
    /// A list for [`crate::dialect::Dialect::in_list`].
    Texts(Vec<String>),
    /// The same of numbers.
    Integers(Vec<i64>),
}

macro_rules! values {
    ($($kind:ident $from:ty)*) => {$(
        impl From<$from> for Value {
            fn from(value: $from) -> Self {
                Self::$kind(Some(value.into()))
            }
        }
        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Self {
                Self::$kind(value.map(Into::into))
            }
        }
    )*};
}

values! { Text &str  Text &String  Text String  Integer i64  Number f64  Boolean bool  Bytes &[u8]  Bytes Vec<u8> }

impl From<&Option<String>> for Value {
    fn from(value: &Option<String>) -> Self {
        Self::Text(value.clone())
    }
}

impl From<Vec<String>> for Value {
    fn from(list: Vec<String>) -> Self {
        Self::Texts(list)
    }
}

impl From<&[String]> for Value {
    fn from(list: &[String]) -> Self {
        Self::Texts(list.to_vec())
    }
}

impl From<Vec<i64>> for Value {
    fn from(list: Vec<i64>) -> Self {
        Self::Integers(list)
    }
}

impl Value {
    pub(super) fn bind_sqlite(
        &self,
        statement: &mut rusqlite::Statement<'_>,
        place: usize,
    ) -> rusqlite::Result<()> {
        match self {
            Self::Text(text) | Self::Json(text) | Self::Time(text) => {
                statement.raw_bind_parameter(place, text)
            }
            Self::Integer(number) => statement.raw_bind_parameter(place, number),
            Self::Number(number) => statement.raw_bind_parameter(place, number),
            Self::Boolean(value) => statement.raw_bind_parameter(place, value),
            Self::Bytes(bytes) => statement.raw_bind_parameter(place, bytes),
            Self::Texts(list) => statement
                .raw_bind_parameter(place, serde_json::Value::from(list.as_slice()).to_string()),
            Self::Integers(list) => statement
                .raw_bind_parameter(place, serde_json::Value::from(list.as_slice()).to_string()),
        }
    }

    fn bind_postgres(self, arguments: &mut PgArguments) -> Result<(), BoxDynError> {
        match self {
            Self::Text(text) => arguments.add(text.map(clean)),
            Self::Json(text) => arguments.add(text.map(JsonText)),
            Self::Time(text) => arguments.add(text.as_deref().and_then(time_of)),
            Self::Integer(number) => arguments.add(number),
            Self::Number(number) => arguments.add(number),
            Self::Boolean(value) => arguments.add(value),
            Self::Bytes(bytes) => arguments.add(bytes),
            Self::Texts(list) => arguments.add(list.into_iter().map(clean).collect::<Vec<_>>()),
            Self::Integers(list) => arguments.add(list),
        }
    }
}

/// A statement that is to run.
pub(crate) struct Query {
    sql: SqlStr,
    values: Vec<Value>,
    pace: Pace,
}

/// What is known of how long a statement takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    /// Microseconds.
    Brief,
    /// Microseconds in a transaction that writes, who knows in one that reads.
    Usual,
    /// Perhaps long.
    Long,
}

/// A statement of a fixed text.
pub(crate) fn query(sql: &'static str) -> Query {
    Query {
        sql: sql.into_sql_str(),
        values: Vec::new(),
        pace: Pace::Usual,
    }
}

/// A statement that was put together: from names of the catalogue and from
/// placeholders, never from values.
pub(crate) fn statement<T>(sql: T) -> Query
where
    AssertSqlSafe<T>: SqlSafeStr,
{
    Query {
        sql: AssertSqlSafe(sql).into_sql_str(),
        values: Vec::new(),
        pace: Pace::Usual,
    }
}

impl Query {
    /// Adds the next parameter.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Adds parameters.
    pub(crate) fn bind_all(mut self, values: impl IntoIterator<Item = Value>) -> Self {
        self.values.extend(values);
        self
    }

    /// Says that it finds a row or a few by a key: not worth another thread.
    pub(crate) fn brief(mut self) -> Self {
        self.pace = Pace::Brief;
        self
    }

    /// Says that it touches many rows: a thread of others is not to wait for it.
    pub(crate) fn long(mut self) -> Self {
        self.pace = Pace::Long;
        self
    }

    fn for_postgres(self) -> Result<(SqlStr, PgArguments)> {
        let mut arguments = PgArguments::default();
        for value in self.values {
            let bound = value.bind_postgres(&mut arguments);
            bound.map_err(sqlx::Error::Encode)?;
        }
        Ok((self.sql, arguments))
    }

    /// Runs it; answers how many rows it changed.
    pub(crate) async fn execute<'a>(self, on: impl Into<On<'a>>) -> Result<u64> {
        match on.into() {
            On::Sqlite(tx) => tx.run(
                self.sql.as_str(),
                &self.values,
                self.pace == Pace::Long,
                |_| Ok(()),
            ),
            On::SqlitePool(pool) => self.read_sqlite(pool, |_| Ok(())).await,
            On::Postgres(connection) => {
                let (sql, arguments) = self.for_postgres()?;
                execute_postgres(sql, arguments, connection).await
            }
            On::PostgresPool(pool) => {
                let (sql, arguments) = self.for_postgres()?;
                let (mut connection, _turn) = pool.acquire().await?;
                execute_postgres(sql, arguments, &mut connection).await
            }
        }
    }

    /// Runs it and reads every row.
    pub(crate) async fn all<'a, T: FromRow>(self, on: impl Into<On<'a>>) -> Result<Vec<T>> {
        let mut all = Vec::new();
        let read = |row: Row<'_>| {
            all.push(T::read(&row)?);
            Ok(())
        };
        self.each(on, read).await?;
        Ok(all)
    }

    /// Runs it and reads its row, if there is one.
    pub(crate) async fn optional<'a, T: FromRow>(self, on: impl Into<On<'a>>) -> Result<Option<T>> {
        Ok(self.all(on).await?.into_iter().next())
    }

    /// Runs it and reads its only row.
    pub(crate) async fn one<'a, T: FromRow>(self, on: impl Into<On<'a>>) -> Result<T> {
        let row = self.optional(on).await?;
        row.ok_or_else(|| StoreError::Internal("a statement gave no row".to_owned()))
    }

    /// Runs it and hands over row by row.
    pub(crate) async fn each<'a>(
        self,
        on: impl Into<On<'a>>,
        mut read: impl FnMut(Row<'_>) -> Result<()>,
    ) -> Result<()> {
        match on.into() {
            On::Sqlite(tx) => {
                let long = self.pace == Pace::Long;
                tx.run(self.sql.as_str(), &self.values, long, |row| {
                    read(Row::Sqlite(row))
                })?;
            }
            On::SqlitePool(pool) => {
                self.read_sqlite(pool, |row| read(Row::Sqlite(row))).await?;
            }
            On::Postgres(connection) => {
                let (sql, arguments) = self.for_postgres()?;
                each_postgres(sql, arguments, connection, &mut read).await?;
            }
            On::PostgresPool(pool) => {
                let (sql, arguments) = self.for_postgres()?;
                let (mut connection, _turn) = pool.acquire().await?;
                each_postgres(sql, arguments, &mut connection, &mut read).await?;
            }
        }
        Ok(())
    }

    /// Runs several statements without parameters, separated by `;`, for as long as
    /// that takes: an index may take long.
    pub(crate) async fn script<'a>(self, on: impl Into<On<'a>>) -> Result<()> {
        match on.into() {
            On::Sqlite(tx) => tx.script(self.sql.as_str()),
            On::Postgres(connection) => {
                sqlx::raw_sql(self.sql).execute(connection).await?;
                Ok(())
            }
            On::SqlitePool(_) | On::PostgresPool(_) => Err(StoreError::Internal(
                "a script runs in a transaction".to_owned(),
            )),
        }
    }

    /// A query that reads outside of any transaction.
    async fn read_sqlite(
        self,
        pool: &sqlite::Pool,
        read: impl FnMut(&rusqlite::Row<'_>) -> Result<()>,
    ) -> Result<u64> {
        let reader = pool.reader().await?;
        let run = || sqlite::run(&reader, self.sql.as_str(), &self.values, read);
        if self.pace == Pace::Brief {
            run()
        } else {
            sqlite::at_length(run)
        }
    }
}

/// Runs a statement of Postgres with what was bound already.
pub(crate) async fn execute_arguments(
    statement: Arc<str>,
    arguments: PgArguments,
    tx: &mut Tx,
) -> Result<()> {
    let sql = AssertSqlSafe(statement).into_sql_str();
    match tx.into() {
        On::Postgres(connection) => execute_postgres(sql, arguments, connection).await.map(drop),
        _ => Err(StoreError::Internal("arrays are for Postgres".to_owned())),
    }
}

async fn execute_postgres(
    sql: SqlStr,
    arguments: PgArguments,
    connection: &mut sqlx::PgConnection,
) -> Result<u64> {
    let query = sqlx::query_with(sql, arguments);
    Ok(answered(query.execute(connection)).await?.rows_affected())
}

async fn each_postgres(
    sql: SqlStr,
    arguments: PgArguments,
    connection: &mut sqlx::PgConnection,
    read: &mut impl FnMut(Row<'_>) -> Result<()>,
) -> Result<()> {
    let mut rows = sqlx::query_with(sql, arguments).fetch(connection);
    while let Some(row) = answered(rows.try_next()).await? {
        read(Row::Postgres(row))?;
    }
    Ok(())
}
