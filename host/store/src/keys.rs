//! Keys of the values inside lists: how `email=` and `tags=` find their rows.
//!
//! Beside an entity's table lies an index of `(key, seq)`. A key is 24 bits of
//! the credential's hash, so that one credential's keys lie together, and 39
//! bits of the hash of column and value. Entries are added and never taken
//! back: a query looks its candidates' values up in the row itself.

use std::borrow::Cow;

use rollout_catalog::{Cell, Match};
use serde::Deserialize;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::dialect;
use crate::table::KeyedColumn;

/// Bits of a key that tell a credential's values apart.
const VALUE_BITS: u32 = 39;

/// Makes the keys of one credential.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys {
    prefix: u64,
}

impl Keys {
    pub(crate) fn new(credential_id: &str) -> Self {
        Self {
            prefix: (xxh3_64(credential_id.as_bytes()) >> 40) << VALUE_BITS,
        }
    }

    /// The key of a value as a filter names it (for digits: of the digits).
    pub(crate) fn of(self, column: &KeyedColumn, value: &str) -> i64 {
        let hash = xxh3_64_with_seed(value.as_bytes(), xxh3_64(column.name.as_bytes()));
        (self.prefix | (hash >> (64 - VALUE_BITS))).cast_signed()
    }

    /// The smallest and the largest key of the credential.
    pub(crate) fn range(self) -> (i64, i64) {
        let last = (1 << VALUE_BITS) - 1;
        (
            self.prefix.cast_signed(),
            (self.prefix | last).cast_signed(),
        )
    }

    /// Adds the keys of a record's cell.
    pub(crate) fn collect(self, column: &KeyedColumn, cell: &Cell, keys: &mut Vec<i64>) {
        match (column.matching, cell) {
            (Match::Digits, Cell::Text(text)) => self.push_digits(column, text, keys),
            (Match::AnyItem, Cell::Json(list)) => {
                for Item(item) in items(list) {
                    keys.push(self.of(column, &item));
                }
            }
            (Match::EntryValue, Cell::Json(list)) => {
                for Entry { value: Item(value) } in items(list) {
                    keys.push(self.of(column, &value));
                }
            }
            (Match::EntryDigits, Cell::Json(list)) => {
                for Entry { value: Item(value) } in items(list) {
                    self.push_digits(column, &value, keys);
                }
            }
            _ => {}
        }
    }

    fn push_digits(self, column: &KeyedColumn, text: &str, keys: &mut Vec<i64>) {
        let digits = dialect::digits(text);
        if !digits.is_empty() {
            keys.push(self.of(column, &digits));
        }
    }
}

#[derive(Deserialize)]
struct Item<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    value: Item<'a>,
}

/// The list's items. The catalogue wrote the text: a list of one type of item.
/// A list with null in it falls back to reading the items one by one.
fn items<'a, T: Deserialize<'a>>(list: &'a str) -> Vec<T> {
    serde_json::from_str(list).unwrap_or_else(|_| {
        let items: Vec<&serde_json::value::RawValue> =
            serde_json::from_str(list).unwrap_or_default();
        items
            .into_iter()
            .filter_map(|item| serde_json::from_str(item.get()).ok())
            .collect()
    })
}
