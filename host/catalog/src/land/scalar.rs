//! What a single value means where the schema expects a certain one.
//!
//! | expected | also taken |
//! | --- | --- |
//! | text | a number, as its decimal text |
//! | an id | a whole number; `""` as null where null is allowed |
//! | a number | a text that is a number; `""` as null |
//! | true or false | 1, 0, `"1"`, `"0"`, `"true"`, `"false"`; `""` as null |
//! | a time | any RFC 3339 time, a date; every other text and number as null |
//!
//! Null, where the schema has none, becomes the default of the type.

use std::borrow::Cow;

use super::{Cell, Landing, Reject, default_cell, without_nul};
use crate::json;
use crate::moment;
use crate::node::{Node, Shape};
use crate::schema::Type;

/// A value as the text has it.
#[derive(Clone, Copy)]
pub(super) enum Raw<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    /// A whole number beyond `i64`.
    Huge(u64),
    Number(f64),
    Text(&'a str),
}

/// A value as it is stored.
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(Cow<'a, str>),
    /// The default of a list or object.
    Json(String),
}

impl Scalar<'_> {
    pub(super) fn into_cell(self) -> Cell {
        match self {
            Scalar::Null => Cell::Null,
            Scalar::Bool(value) => Cell::Bool(value),
            Scalar::Integer(number) => Cell::Integer(number),
            Scalar::Number(number) => Cell::Number(number),
            Scalar::Text(text) => Cell::Text(without_nul(text.into_owned())),
            Scalar::Json(text) => Cell::Json(text),
        }
    }

    pub(super) fn push_json(&self, out: &mut String) {
        match self {
            Scalar::Null => out.push_str("null"),
            Scalar::Bool(value) => json::push_bool(out, *value),
            Scalar::Integer(number) => json::push_integer(out, *number),
            Scalar::Number(number) => json::push_number(out, *number),
            Scalar::Text(text) => json::push_text(out, text),
            Scalar::Json(text) => out.push_str(text),
        }
    }
}

impl<'a> Raw<'a> {
    pub(super) fn kind(self) -> &'static str {
        match self {
            Raw::Null => "null",
            Raw::Bool(_) => "true or false",
            Raw::Integer(_) | Raw::Huge(_) | Raw::Number(_) => "a number",
            Raw::Text("") => "an empty text",
            Raw::Text(_) => "a text",
        }
    }

    fn is(self, kind: Type) -> bool {
        match self {
            Raw::Null => kind == Type::Null,
            Raw::Bool(_) => kind == Type::Boolean,
            Raw::Integer(_) | Raw::Huge(_) => matches!(kind, Type::Integer | Type::Number),
            Raw::Number(_) => kind == Type::Number,
            Raw::Text(_) => kind == Type::String,
        }
    }

    /// The value as it is, for a place that takes any.
    pub(super) fn as_it_is(self) -> Scalar<'a> {
        match self {
            Raw::Null => Scalar::Null,
            Raw::Bool(value) => Scalar::Bool(value),
            Raw::Integer(number) => Scalar::Integer(number),
            Raw::Huge(number) => Scalar::Json(number.to_string()),
            Raw::Number(number) => Scalar::Number(number),
            Raw::Text(text) => Scalar::Text(Cow::Borrowed(text)),
        }
    }

    /// The text of a number or text.
    fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Raw::Text(text) => Some(Cow::Borrowed(text)),
            Raw::Integer(number) => Some(Cow::Owned(number.to_string())),
            Raw::Huge(number) => Some(Cow::Owned(number.to_string())),
            Raw::Number(number) => {
                let mut text = String::new();
                json::push_number(&mut text, number);
                Some(Cow::Owned(text))
            }
            Raw::Null | Raw::Bool(_) => None,
        }
    }

    fn number(self) -> Option<f64> {
        match self {
            Raw::Integer(number) => Some(number as f64),
            Raw::Huge(number) => Some(number as f64),
            Raw::Number(number) => Some(number),
            // Rust would also read "inf", "nan" and "+1".
            Raw::Text(text)
                if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) =>
            {
                text.parse().ok().filter(|number: &f64| number.is_finite())
            }
            _ => None,
        }
    }

    fn integer(self) -> Option<i64> {
        /// From here on a floating-point number may be any of several whole numbers.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        match self {
            Raw::Integer(number) => Some(number),
            Raw::Number(number) if number.fract() == 0.0 && number.abs() < EXACT => {
                Some(number as i64)
            }
            Raw::Text(text) if !text.starts_with('+') => text.parse().ok(),
            _ => None,
        }
    }

    fn boolean(self) -> Option<bool> {
        match self {
            Raw::Bool(value) => Some(value),
            Raw::Integer(1) | Raw::Text("1" | "true") => Some(true),
            Raw::Integer(0) | Raw::Text("0" | "false") => Some(false),
            _ => None,
        }
    }
}

impl Landing<'_> {
    /// What `raw` means where `node` is expected.
    pub(super) fn settle<'a, E: serde::de::Error>(
        &mut self,
        node: &Node,
        raw: Raw<'a>,
    ) -> Result<Scalar<'a>, E> {
        if let Raw::Null = raw {
            return self.absent(node, raw);
        }
        let settled = match &node.shape {
            Shape::Text(one_of) => match raw.text() {
                // The empty text is what stands for a value that nobody knows.
                Some(text)
                    if one_of.is_empty()
                        || (text.is_empty() && !node.nullable)
                        || one_of.iter().any(|known| *known == text) =>
                {
                    Some(Scalar::Text(text))
                }
                Some(_) => return self.absent(node, raw),
                None => None,
            },
            Shape::Reference(entity) => return self.reference(node, entity, raw),
            Shape::Time => match raw {
                Raw::Bool(_) => None,
                Raw::Text(text) => match moment::canonical(text) {
                    Some(time) => Some(Scalar::Text(time)),
                    None => return self.absent(node, raw),
                },
                _ => return self.absent(node, raw),
            },
            Shape::Number | Shape::Integer | Shape::Boolean if matches!(raw, Raw::Text("")) => {
                return self.absent(node, raw);
            }
            Shape::Number => raw.number().map(Scalar::Number),
            Shape::Integer => raw.integer().map(Scalar::Integer),
            Shape::Boolean => raw.boolean().map(Scalar::Bool),
            Shape::List(_) | Shape::Object(_) => None,
            Shape::Any(types) if types.is_empty() || types.iter().any(|kind| raw.is(*kind)) => {
                Some(raw.as_it_is())
            }
            Shape::Any(_) => None,
        };
        settled.ok_or_else(|| self.wrong_type(node, raw.kind()))
    }

    /// Stands in for a value that is missing or cannot be read.
    fn absent<'a, E: serde::de::Error>(
        &mut self,
        node: &Node,
        raw: Raw<'_>,
    ) -> Result<Scalar<'a>, E> {
        let allowed = node.nullable && matches!(raw, Raw::Null);
        self.lenient += u32::from(!allowed);
        Ok(match default_cell(node) {
            Some(Cell::Null) => Scalar::Null,
            Some(Cell::Text(text)) => Scalar::Text(Cow::Owned(text)),
            Some(Cell::Number(number)) => Scalar::Number(number),
            Some(Cell::Integer(number)) => Scalar::Integer(number),
            Some(Cell::Bool(value)) => Scalar::Bool(value),
            Some(Cell::Json(text)) => Scalar::Json(text),
            None => return Err(self.wrong_id(raw.kind())),
        })
    }

    fn reference<'a, E: serde::de::Error>(
        &mut self,
        node: &Node,
        entity: &str,
        raw: Raw<'_>,
    ) -> Result<Scalar<'a>, E> {
        let id = match raw {
            Raw::Text("") if node.nullable => return Ok(Scalar::Null),
            Raw::Text("") | Raw::Null | Raw::Bool(_) => None,
            Raw::Text(text) if text.contains('\0') => {
                Some(Cow::Owned(text.replace('\0', "\u{fffd}")))
            }
            Raw::Number(_) => raw.integer().map(|number| Cow::Owned(number.to_string())),
            Raw::Text(_) | Raw::Integer(_) | Raw::Huge(_) => raw.text(),
        };
        match id {
            Some(id) => Ok(Scalar::Text(Cow::Owned(self.references.id(entity, &id)))),
            None => Err(self.wrong_id(raw.kind())),
        }
    }

    pub(super) fn wrong_type<E: serde::de::Error>(
        &mut self,
        node: &Node,
        found: &'static str,
    ) -> E {
        if let Shape::Reference(_) = node.shape {
            return self.wrong_id(found);
        }
        let expected = node.shape.expected();
        self.refuse(Reject::WrongType {
            pointer: String::new(),
            expected,
            found,
        })
    }

    fn wrong_id<E: serde::de::Error>(&mut self, found: &'static str) -> E {
        self.refuse(Reject::WrongId {
            pointer: String::new(),
            found,
        })
    }
}
