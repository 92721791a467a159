//! A statement with its parameters.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use sqlx::error::BoxDynError;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe, SqlSafeStr, SqlStr};

use super::postgres::{JsonText, clean, time_of};
use super::{FromRow, On, Row, Tx, answered};
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
    pub(super) fn bind_sqlite(self, arguments: &mut SqliteArguments) -> Result<(), BoxDynError> {
        match self {
            Self::Text(text) | Self::Json(text) | Self::Time(text) => arguments.add(text),
            Self::Integer(number) => arguments.add(number),
            Self::Number(number) => arguments.add(number),
            Self::Boolean(value) => arguments.add(value),
            Self::Bytes(bytes) => arguments.add(bytes),
            Self::Texts(list) => arguments.add(serde_json::Value::from(list).to_string()),
            Self::Integers(list) => arguments.add(serde_json::Value::from(list).to_string()),
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
}

/// A statement of a fixed text.
pub(crate) fn query(sql: &'static str) -> Query {
    Query {
        sql: sql.into_sql_str(),
        values: Vec::new(),
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

    fn for_sqlite(self) -> Result<(SqlStr, SqliteArguments)> {
        let mut arguments = SqliteArguments::default();
        arguments.reserve(self.values.len(), 0);
        for value in self.values {
            let bound = value.bind_sqlite(&mut arguments);
            bound.map_err(sqlx::Error::Encode)?;
        }
        Ok((self.sql, arguments))
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
            On::Sqlite(connection) => {
                let (sql, arguments) = self.for_sqlite()?;
                let query = sqlx::query_with(sql, arguments);
                Ok(query.execute(connection).await?.rows_affected())
            }
            On::SqlitePool(pool) => {
                let (sql, arguments) = self.for_sqlite()?;
                let query = sqlx::query_with(sql, arguments);
                Ok(query.execute(pool).await?.rows_affected())
            }
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
        let read = |row: Row| {
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
        mut read: impl FnMut(Row) -> Result<()>,
    ) -> Result<()> {
        match on.into() {
            On::Sqlite(connection) => {
                let (sql, arguments) = self.for_sqlite()?;
                let mut rows = sqlx::query_with(sql, arguments).fetch(connection);
                while let Some(row) = rows.try_next().await? {
                    read(Row::Sqlite(row))?;
                }
            }
            On::SqlitePool(pool) => {
                let (sql, arguments) = self.for_sqlite()?;
                let mut rows = sqlx::query_with(sql, arguments).fetch(pool);
                while let Some(row) = rows.try_next().await? {
                    read(Row::Sqlite(row))?;
                }
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
        let script = sqlx::raw_sql(self.sql);
        match on.into() {
            On::Sqlite(connection) => script.execute(connection).await.map(drop)?,
            On::SqlitePool(pool) => script.execute(pool).await.map(drop)?,
            On::Postgres(connection) => script.execute(connection).await.map(drop)?,
            On::PostgresPool(pool) => {
                let (mut connection, _turn) = pool.acquire().await?;
                script.execute(&mut *connection).await.map(drop)?;
            }
        }
        Ok(())
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
    read: &mut impl FnMut(Row) -> Result<()>,
) -> Result<()> {
    let mut rows = sqlx::query_with(sql, arguments).fetch(connection);
    while let Some(row) = answered(rows.try_next()).await? {
        read(Row::Postgres(row))?;
    }
    Ok(())
}
