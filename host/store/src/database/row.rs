//! What a statement answers.

use rusqlite::RowIndex;
use rusqlite::types::FromSql;
use sqlx::postgres::PgRow;
use sqlx::{ColumnIndex, Decode, Postgres, Row as _, Type};

use crate::Result;

/// One row.
pub(crate) enum Row<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(PgRow),
}

/// What a column can be read as.
pub(crate) trait Column: FromSql + Type<Postgres> + for<'r> Decode<'r, Postgres> {}

impl<T> Column for T where T: FromSql + Type<Postgres> + for<'r> Decode<'r, Postgres> {}

/// A column by its place or its name.
pub(crate) trait Place: RowIndex + ColumnIndex<PgRow> {}

impl<T> Place for T where T: RowIndex + ColumnIndex<PgRow> {}

impl Row<'_> {
    pub(crate) fn get<T: Column>(&self, place: impl Place) -> Result<T> {
        Ok(match self {
            Self::Sqlite(row) => row.get(place)?,
            Self::Postgres(row) => row.try_get(place)?,
        })
    }

    /// A text where it lies.
    pub(crate) fn text(&self, place: impl Place) -> Result<&str> {
        Ok(match self {
            Self::Sqlite(row) => row
                .get_ref(place)?
                .as_str()
                .map_err(rusqlite::Error::from)?,
            Self::Postgres(row) => row.try_get(place)?,
        })
    }
}

/// What a whole row can be read as.
pub(crate) trait FromRow: Sized {
    fn read(row: &Row<'_>) -> Result<Self>;
}

macro_rules! scalars {
    ($($scalar:ty),*) => {$(
        impl FromRow for $scalar {
            fn read(row: &Row<'_>) -> Result<Self> {
                row.get(0)
            }
        }
    )*};
}

scalars!(i64, bool, String, Option<i64>, Option<String>, Vec<u8>);

macro_rules! tuples {
    ($(($($column:ident $place:tt),*))*) => {$(
        impl<$($column: Column),*> FromRow for ($($column,)*) {
            fn read(row: &Row<'_>) -> Result<Self> {
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
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
}
