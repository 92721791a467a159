//! The SQL tables that hold the entities' records.

use std::fmt;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Text.
    Text,
    /// A point in time as text, `2025-07-02T15:19:21Z`, or a date, `2025-07-02`.
    DateTime,
    /// A number, 64-bit floating point.
    Number,
    /// A whole number, 64 bits, signed.
    Integer,
    /// True or false.
    Boolean,
    /// JSON text.
    Json,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Text => "text",
            Kind::DateTime => "a time",
            Kind::Number => "a number",
            Kind::Integer => "an integer",
            Kind::Boolean => "a boolean",
            Kind::Json => "JSON",
        })
    }
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The column's name, spelled as the API's field.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether a record may have null there.
    pub nullable: bool,
}

/// One table. Entities of different categories with one name share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// `rollout_` and the entity's name in snake case: `rollout_text_messages`.
    pub name: String,
    /// The stored fields of all entities that share the table, those of the host among them, in the order of the
    /// files; then `customFields`, if one of them has custom fields.
    pub columns: Vec<Column>,
}

/// The column that holds the custom fields, as one JSON object.
pub(crate) const CUSTOM_FIELDS: &str = "customFields";

/// `textMessages` and `smart-lists` as `text_messages` and `smart_lists`.
pub(crate) fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
            snake.push(letter.to_ascii_lowercase());
        } else {
            snake.push(if letter == '-' { '_' } else { letter });
        }
    }
    snake
}
