//! Everything that one database does differently from another: connections,
//! column types, the landing statement, rendering a row as JSON, matching
//! filters. The rest of the crate is one SQL text for all, with `$1`
//! placeholders, and names no database.

mod record;
mod sqlite;

pub(crate) use record::{digits, matches, record};
pub(crate) use sqlite::{
    Arguments, BEGIN_WRITE, Connection, Database, Pool, Row, bind, bound_log, column_names,
    create_entity_table, create_indexes, entity_column, fault, in_list, migration, open, unindexed,
    upsert, values,
};

/// Why the database refused a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Unavailable,
    Conflict,
    Corrupt,
    Other,
}

/// Rows per statement, largest first. Statements of few fixed sizes stay
/// prepared; 500 rows take seven of 64, three of 16 and one of 4.
pub(crate) const CHUNKS: [usize; 4] = [64, 16, 4, 1];

/// Splits `rows` into chunks of the fixed sizes.
pub(crate) fn chunk(rows: usize) -> usize {
    CHUNKS.into_iter().find(|size| *size <= rows).unwrap_or(1)
}

/// A name as SQL: quoted, because the API's names are in camelCase.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL literal.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
