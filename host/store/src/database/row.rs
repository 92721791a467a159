//! What a statement answers.

use sqlx::{ColumnIndex, Decode, Row as _, Type};

use crate::Result;

/// One row.
pub(crate) enum Row {
    Sqlite(sqlx::sqlite::SqliteRow),
    Postgres(sqlx::postgres::PgRow),
}

/// What a column can be read as.
pub(crate) trait Column:
    Type<sqlx::Sqlite>
    + Type<sqlx::Postgres>
    + for<'r> Decode<'r, sqlx::Sqlite>
    + for<'r> Decode<'r, sqlx::Postgres>
{
}

impl<T> Column for T where
    T: Type<sqlx::Sqlite>
        + Type<sqlx::Postgres>
        + for<'r> Decode<'r, sqlx::Sqlite>
        + for<'r> Decode<'r, sqlx::Postgres>
{
}

/// A column by its place or its name.
pub(crate) trait Place:
    ColumnIndex<sqlx::sqlite::SqliteRow> + ColumnIndex<sqlx::postgres::PgRow>
{
}

impl<T> Place for T where
    T: ColumnIndex<sqlx::sqlite::SqliteRow> + ColumnIndex<sqlx::postgres::PgRow>
{
}

impl Row {
    pub(crate) fn get<T: Column>(&self, place: impl Place) -> Result<T> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(place)?,
            Self::Postgres(row) => row.try_get(place)?,
        })
    }

    /// A text where it lies.
    pub(crate) fn text(&self, place: impl Place) -> Result<&str> {
        Ok(match self {
            Self::Sqlite(row) => row.try_get(place)?,
            Self::Postgres(row) => row.try_get(place)?,
        })
    }
}

/// What a whole row can be read as.
pub(crate) trait FromRow: Sized {
    fn read(row: &Row) -> Result<Self>;
}

macro_rules! scalars {
    ($($scalar:ty),*) => {$(
        impl FromRow for $scalar {
            fn read(row: &Row) -> Result<Self> {
                row.get(0)
            }
        }
    )*};
}

scalars!(i64, bool, String, Option<i64>, Option<String>, Vec<u8>);

macro_rules! tuples {
    ($(($($column:ident $place:tt),*))*) => {$(
        impl<$($column: Column),*> FromRow for ($($column,)*) {
            fn read(row: &Row) -> Result<Self> {
                Ok(($(row.get::<$column>($place)?,)*))
            }
        }
    )*};
}

tuples! {
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
}
