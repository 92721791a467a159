//! Everything that one database does differently from another: connections,
//! column types, the landing statement, rendering a row as JSON, matching
//! filters. The rest of the crate is one SQL text for all, with `$1`
//! placeholders, and names no database.

mod record;
mod sqlite;

pub(crate) use record::{digits, matches, record};
pub(crate) use sqlite::{
    Arguments, BEGIN_READ, BEGIN_WRITE, Connection, Database, Pool, Row, as_one, bind, bound_log,
    column_names, create_entity_table, create_indexes, entity_column, fault, hex, in_list,
    last_seq, limit, migration, open, unindexed, upsert, values,
};

/// Why the database refused a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Unavailable,
    Conflict,
    Corrupt,
    Other,
}

/// Rows per statement, largest first: few fixed sizes, so that statements stay
/// prepared. 500 rows take three of 128, three of 32, two of 8 and two of 2.
pub(crate) const ROW_CHUNKS: [usize; 5] = [128, 32, 8, 2, 1];

/// The same for rows of two small columns.
pub(crate) const KEY_CHUNKS: [usize; 6] = [1024, 256, 64, 16, 4, 1];

/// The largest of the sizes that so many rows fill.
pub(crate) fn chunk(sizes: &[usize], rows: usize) -> usize {
    sizes
        .iter()
        .copied()
        .find(|size| *size <= rows)
        .unwrap_or(1)
}

/// A name as SQL: quoted, because the API's names are in camelCase.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as an SQL literal.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
