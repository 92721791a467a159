//! The query parameters of a list.
//!
//! Every list has `next`, `offset`, `limit` and `ids`. An entity adds those that its fields declare with `x-filter`;
//! they combine with AND. A name that is neither is ignored by the server.

use serde::Deserialize;

/// The parameters that every list has: the cursor, the offset, the page size, up to 100 comma-separated ids, and since when a
/// record changed.
pub const STANDARD_PARAMS: [&str; 5] = ["next", "offset", "limit", "ids", "updatedSince"];

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
