//! The places of a request that a secret may go to; the same list as `place` in the WIT interface `http`.

use std::fmt;

use serde::Deserialize;

/// A place in a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The value of the header of this name. Names are compared without case: use [`Place::is`].
    Header(String),
    /// The value of this query parameter.
    Query(String),
    /// The value of this field of a form.
    FormField(String),
    /// The string at this JSON pointer of a JSON body.
    JsonPointer(String),
    /// The user name of HTTP Basic authentication.
    BasicUser,
    /// The password of HTTP Basic authentication.
    BasicPassword,
}

impl Place {
    /// Whether both are the same place.
    pub fn is(&self, other: &Place) -> bool {
        match (self, other) {
            (Place::Header(mine), Place::Header(theirs)) => mine.eq_ignore_ascii_case(theirs),
            _ => self == other,
        }
    }
}

impl fmt::Display for Place {
    /// As the manifest has it: `{"header":"authorization"}`, `"basic-user"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, name) = match self {
            Place::Header(name) => ("header", name),
            Place::Query(name) => ("query", name),
            Place::FormField(name) => ("form-field", name),
            Place::JsonPointer(pointer) => ("json-pointer", pointer),
            Place::BasicUser => return f.write_str("\"basic-user\""),
            Place::BasicPassword => return f.write_str("\"basic-password\""),
        };
        let mut text = format!("{{\"{place}\":");
        crate::json::push_text(&mut text, name);
        write!(f, "{text}}}")
    }
}
