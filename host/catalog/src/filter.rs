//! The query parameters of a list.
//!
//! Every list has `next`, `offset`, `limit`, `ids`, `updatedSince` and `sort`. An entity adds those that its fields declare with
//! `x-filter`; they combine with AND. A name that is neither is ignored by the server.

use serde::Deserialize;

use crate::entity::{Entity, Field};
use crate::nearest::nearest;
use crate::table::Kind;

/// The parameters that every list has: the cursor, the offset, the page size, up to 100 comma-separated ids, since when a
/// record changed, and the order.
pub const STANDARD_PARAMS: [&str; 6] = ["next", "offset", "limit", "ids", "updatedSince", "sort"];

/// An order of a list, `lastName` or `-created`. Records without a value come last, equal ones newest first.
#[derive(Clone, Copy, Debug)]
pub struct Sort<'a> {
    /// The field that is compared.
    pub field: &'a Field,
    /// From the greatest value to the least.
    pub descending: bool,
}

impl Entity {
    /// The fields that a list can be sorted by: those that are one value.
    pub fn sortable(&self) -> impl Iterator<Item = &Field> {
        let fields = self.fields.iter();
        fields.filter(|field| field.stored() && field.kind != Kind::Json)
    }

    /// Reads the parameter `sort`. Errors are the words behind its name.
    pub fn sort(&self, text: &str) -> Result<Sort<'_>, String> {
        let (name, descending) = match text.strip_prefix('-') {
            Some(name) => (name, true),
            None => (text, false),
        };
        let field = self.sortable().find(|field| field.name == name);
        let field = field.ok_or_else(|| {
            let names = self.sortable().map(|field| field.name.as_str());
            let meant = nearest(name, names).map(|meant| format!("; did you mean `{meant}`?"));
            format!(
                "must be one field that is a text, number, time or flag, with `-` before it for the greatest first{}",
                meant.unwrap_or_default()
            )
        })?;
        Ok(Sort { field, descending })
    }
}

/// A query parameter that narrows a list by one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The parameter's name, `email`.
    pub param: String,
    /// The field it looks at, `emails`; also the column's name.
    pub field: String,
    /// How they are compared.
    pub matches: Match,
}

/// How a filter compares its parameter with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Match {
    /// The field is the parameter, letter by letter.
    Equals,
    /// The digits of the field are the digits of the parameter.
    Digits,
    /// The list holds at least one of the comma-separated values.
    AnyItem,
    /// An entry of the list has this `value`, letter by letter.
    EntryValue,
    /// An entry of the list has a `value` with these digits.
    EntryDigits,
}

impl Match {
    /// What a reader of the API's documentation is told.
    pub fn description(self) -> &'static str {
        match self {
            Match::Equals => "is exactly this",
            Match::Digits => "has exactly these digits; everything else in it is ignored",
            Match::AnyItem => "holds at least one of these comma-separated values",
            Match::EntryValue => "has an entry whose value is exactly this; case matters",
            Match::EntryDigits => {
                "has an entry with exactly these digits; everything else in it is ignored"
            }
        }
    }
}
