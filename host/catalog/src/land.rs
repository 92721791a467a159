//! Reading a connector's record: JSON text in, one row's cells out.
//!
//! A sync reads millions of records, so the text is walked once, along the entity's compiled schema, and no tree of
//! values is built in between. Scalars become cells; lists and objects are written out again as canonical JSON text,
//! with known keys only, in the schema's order. Equal records so give equal cells, whatever the app's mood.
//!
//! A connector is forgiven what has one obvious meaning (see [`scalar`]); what has none refuses the record with a
//! pointer to the place, and the record is set aside.

mod keep;
mod reader;
mod scalar;

use std::collections::BTreeMap;

use serde::de::DeserializeSeed;

use crate::entity::{Entity, Only};
use crate::json;
use crate::moment::EPOCH;
use crate::node::{Node, Shape};
use crate::schema::Type;

/// How deep lists and objects may be nested, the record itself included.
pub const MAX_DEPTH: u32 = 64;

/// Gives the host's id for an app's id.
pub trait References {
    /// The host's id of the record of `entity` that the app calls `upstream` (never empty).
    fn id(&mut self, entity: &str, upstream: &str) -> String;
}

/// One column's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// Text, or a time.
    Text(String),
    /// A number; always finite.
    Number(f64),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Bool(bool),
    /// JSON text.
    Json(String),
}

impl Cell {
    /// Appends the value as it stands in JSON.
    pub fn push_json(&self, out: &mut String) {
        match self {
            Cell::Null => out.push_str("null"),
            Cell::Text(text) => json::push_text(out, text),
            Cell::Number(number) => json::push_number(out, *number),
            Cell::Integer(number) => json::push_integer(out, *number),
            Cell::Bool(value) => json::push_bool(out, *value),
            Cell::Json(text) => out.push_str(text),
        }
    }
}

/// A record as a table's row has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Landed {
    /// Parallel to [`Entity::columns`]. The last is `customFields`, if the entity has them: a JSON object with sorted
    /// keys, or null if there are none.
    pub cells: Vec<Cell>,
    /// How many values the app sent that are not what the schema says (null where there must be something, a text
    /// that is no time, an unknown enum value) and were replaced by a default.
    pub lenient: u32,
}

/// Why a record was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// The text is not JSON, or has a number or letter that cannot be stored (`1e400`, half a surrogate pair).
    #[error("the record is not JSON: {0}")]
    NotJson(String),
    /// The text is JSON, but not an object.
    #[error("the record is not a JSON object")]
    NotAnObject,
    /// Lists and objects are nested more than [`MAX_DEPTH`] deep.
    #[error("the record is nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// A reference is neither an id nor, where that is allowed, empty.
    #[error("{pointer}: expected the app's id of a record, found {found}")]
    WrongId {
        /// JSON pointer.
        pointer: String,
        /// What is there.
        found: &'static str,
    },
    /// A value has the wrong type, and no harmless reading.
    #[error("{pointer}: expected {expected}, found {found}")]
    WrongType {
        /// JSON pointer.
        pointer: String,
        /// What should be there.
        expected: &'static str,
        /// What is there.
        found: &'static str,
    },
}

impl Entity {
    /// Reads a connector's record. Fields of the host, write-only fields and keys that the schema does not know are
    /// passed over; ids of other records become the host's through `references`.
    pub fn land(&self, body: &str, references: &mut dyn References) -> Result<Landed, Reject> {
        let mut landing = Landing {
            entity: self,
            references,
            cells: vec![None; self.columns().len()],
            custom: BTreeMap::new(),
            out: String::with_capacity(256),
            spans: Vec::with_capacity(16),
            depth: 0,
            lenient: 0,
            reject: None,
        };
        let mut text = serde_json::Deserializer::from_str(body);
        let read = reader::Record { to: &mut landing }
            .deserialize(&mut text)
            .and_then(|()| text.end());
        match (read, landing.reject.take()) {
            (_, Some(reject)) => Err(reject),
            (Err(error), None) => Err(Reject::NotJson(error.to_string())),
            (Ok(()), None) => landing.finish(),
        }
    }
}

/// A record on its way.
struct Landing<'c> {
    entity: &'c Entity,
    references: &'c mut dyn References,
    /// Parallel to the entity's columns; none: not in the text.
    cells: Vec<Option<Cell>>,
    /// The custom fields and their JSON text, sorted. The last of several with one name wins.
    custom: BTreeMap<String, String>,
    /// The JSON text of the list or object that is being read.
    out: String,
    /// Where in `out` the members of the objects being read are; the innermost object's are last.
    spans: Vec<Option<Span>>,
    depth: u32,
    lenient: u32,
    /// Why reading stopped. Serde's own error can only hold text.
    reject: Option<Reject>,
}

/// From where to where, in bytes.
type Span = (usize, usize);

impl Landing<'_> {
    fn finish(mut self) -> Result<Landed, Reject> {
        let mut cells = Vec::with_capacity(self.cells.len());
        let fields = self
            .entity
            .record
            .members
            .iter()
            .zip(&self.entity.column_of);
        let landed = fields
            .filter(|(_, column)| column.is_some())
            .map(|(member, _)| member);
        for (cell, member) in self.cells.drain(..).zip(landed) {
            cells.push(match cell {
                Some(cell) => cell,
                None => default_cell(&member.node).ok_or_else(|| Reject::WrongId {
                    pointer: format!("/{}", member.name),
                    found: "nothing",
                })?,
            });
        }
        if let Some(teller) = self.entity.teller {
            empty_other_kinds(self.entity, teller, &mut cells);
        }
        if self.entity.custom_fields {
            cells.push(custom_cell(&self.custom));
        }
        Ok(Landed {
            cells,
            lenient: self.lenient,
        })
    }

    /// Enters a list or object.
    fn descend<E: serde::de::Error>(&mut self) -> Result<(), E> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.refuse(Reject::TooDeep));
        }
        Ok(())
    }

    fn ascend(&mut self) {
        self.depth -= 1;
    }

    /// Notes why reading stops; the answer stops it.
    fn refuse<E: serde::de::Error>(&mut self, reject: Reject) -> E {
        self.reject = Some(reject);
        E::custom("refused")
    }

    /// Puts the place that is being left in front of the pointer of a refusal, if there is one.
    fn blame(&mut self, segment: impl FnOnce(&mut String)) {
        if let Some(Reject::WrongId { pointer, .. } | Reject::WrongType { pointer, .. }) =
            &mut self.reject
        {
            let mut whole = String::new();
            segment(&mut whole);
            whole.push_str(pointer);
            *pointer = whole;
        }
    }

    /// Removes what stands in `out` between `start` and `end`, which `out` goes on after.
    fn cut(&mut self, start: usize, end: usize) {
        self.out.drain(start..end);
    }
}

/// Empties the cells of fields that records of this kind do not have. `teller` is the column that says the kind.
fn empty_other_kinds(entity: &Entity, teller: usize, cells: &mut [Cell]) {
    let kind = match cells.get(teller) {
        Some(Cell::Text(kind)) => kind.clone(),
        _ => String::new(),
    };
    for (field, column) in entity.fields.iter().zip(&entity.column_of) {
        let has = |only: &Only| only.values.contains(&kind);
        if let (false, Some(cell)) = (
            field.only.as_ref().is_none_or(has),
            column.and_then(|column| cells.get_mut(column)),
        ) {
            *cell = Cell::Null;
        }
    }
}

fn custom_cell(custom: &BTreeMap<String, String>) -> Cell {
    if custom.is_empty() {
        return Cell::Null;
    }
    let room = |(name, value): (&String, &String)| name.len() + value.len() + 4;
    let mut out = String::with_capacity(custom.iter().map(room).sum::<usize>() + 2);
    out.push('{');
    for (name, value) in custom {
        if out.len() > 1 {
            out.push(',');
        }
        json::push_text(&mut out, name);
        out.push(':');
        out.push_str(value);
    }
    out.push('}');
    Cell::Json(out)
}

/// A key or text as databases can hold it.
fn without_nul(text: String) -> String {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}"),
        false => text,
    }
}

/// What stands for a field that the app does not have. None for an id that must be there.
fn default_cell(node: &Node) -> Option<Cell> {
    if node.nullable {
        return Some(Cell::Null);
    }
    Some(match &node.shape {
        Shape::Text(_) => Cell::Text(String::new()),
        Shape::Reference(_) => return None,
        Shape::Time => Cell::Text(EPOCH.to_owned()),
        Shape::Number => Cell::Number(0.0),
        Shape::Integer => Cell::Integer(0),
        Shape::Boolean => Cell::Bool(false),
        Shape::List(_) | Shape::Object(_) | Shape::Any(_) => {
            Cell::Json(default_json(node).to_owned())
        }
    })
}

/// The same as JSON text. An id that must be there has none; the caller sees to that.
fn default_json(node: &Node) -> &'static str {
    if node.nullable {
        return "null";
    }
    match &node.shape {
        Shape::Text(_) | Shape::Reference(_) => "\"\"",
        Shape::Time => "\"1970-01-01T00:00:00Z\"",
        Shape::Number | Shape::Integer => "0",
        Shape::Boolean => "false",
        Shape::List(_) => "[]",
        Shape::Object(_) => "{}",
        Shape::Any(types) => match types.first() {
            Some(Type::String) => "\"\"",
            Some(Type::Number | Type::Integer) => "0",
            Some(Type::Boolean) => "false",
            Some(Type::Array) => "[]",
            Some(Type::Object) => "{}",
            Some(Type::Null) | None => "null",
        },
    }
}
