//! Walks the text along the schema, by serde's visitors.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::keep::Keep;
use super::scalar::{Raw, Scalar};
use super::{Cell, Landing, Reject, default_cell, default_json, without_nul};
use crate::json::push_pointer;
use crate::node::{Member, Node, Object, Shape};

/// The record as a whole.
pub(super) struct Record<'a, 'c> {
    pub(super) to: &'a mut Landing<'c>,
}

impl<'de> DeserializeSeed<'de> for Record<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<(), D::Error> {
        text.deserialize_any(self)
    }
}

impl Record<'_, '_> {
    fn not_an_object<E: Error>(self) -> Result<(), E> {
        self.to.reject = Some(Reject::NotAnObject);
        // What follows may still turn out not to be JSON, but that changes nothing.
        Ok(())
    }
}

impl<'de> Visitor<'de> for Record<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a record")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.not_an_object()
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.not_an_object()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.not_an_object()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.not_an_object()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.not_an_object()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.not_an_object()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        self.not_an_object()
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Record { to } = self;
        let entity = to.entity;
        let mut expected = 0;
        to.descend()?;
        while let Some(key) = map.next_key_seed(FieldName { entity, expected })? {
            match key {
                Key::Field(at) => {
                    expected = at + 1;
                    let member = entity.record.members.get(at);
                    match (member, entity.column_of.get(at).copied().flatten()) {
                        (Some(member), Some(column)) => {
                            let read = Reader {
                                node: &member.node,
                                to,
                                place: Place::Column(column),
                            };
                            if let Err(error) = map.next_value_seed(read) {
                                to.blame(|pointer| push_pointer(pointer, &member.name));
                                return Err(error);
                            }
                        }
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                Key::Custom(name) => {
                    to.out.clear();
                    map.next_value_seed(Keep { to })?;
                    to.custom.insert(without_nul(name), to.out.clone());
                }
                Key::Unknown => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        to.ascend();
        Ok(())
    }
}

/// What a key of the record is.
enum Key {
    Field(usize),
    Custom(String),
    Unknown,
}

struct FieldName<'a> {
    entity: &'a crate::Entity,
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for FieldName<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<Key, D::Error> {
        text.deserialize_str(self)
    }
}

impl Visitor<'_> for FieldName<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Key, E> {
        Ok(match self.entity.record.find(name, self.expected) {
            Some(at) => Key::Field(at),
            None if self.entity.is_custom(name) => Key::Custom(name.to_owned()),
            None => Key::Unknown,
        })
    }
}

struct MemberName<'a> {
    object: &'a Object,
    expected: usize,
}

impl<'de> DeserializeSeed<'de> for MemberName<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<Self::Value, D::Error> {
        text.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberName<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.object.find(name, self.expected))
    }
}

/// Where a value goes.
#[derive(Clone, Copy)]
enum Place {
    /// A cell of the row.
    Column(usize),
    /// The end of `out`, as an object's member.
    Member,
    /// The end of `out`, as a list's item.
    Item,
}

/// One value, where the schema says what it is.
struct Reader<'a, 'c> {
    node: &'a Node,
    to: &'a mut Landing<'c>,
    place: Place,
}

impl Reader<'_, '_> {
    fn scalar<E: Error>(self, raw: Raw<'_>) -> Result<(), E> {
        // An item that is null says nothing, so it is left out.
        if matches!((self.place, raw), (Place::Item, Raw::Null)) && !self.node.nullable {
            self.to.lenient += 1;
            return Ok(());
        }
        let scalar = self.to.settle(self.node, raw)?;
        self.to.put(self.place, self.node, scalar);
        Ok(())
    }

    /// Where in `out` a list or object begins.
    fn begin(&mut self) -> usize {
        if let Place::Column(_) = self.place {
            self.to.out.clear();
        }
        self.to.out.len()
    }

    /// The list or object is in `out`.
    fn end(self) {
        if let Place::Column(column) = self.place {
            let text = self.to.out.clone();
            self.to.fill(column, Cell::Json(text));
        }
    }
}

impl Landing<'_> {
    fn put(&mut self, place: Place, node: &Node, scalar: Scalar<'_>) {
        match place {
            Place::Column(column)
                if matches!(node.shape, Shape::Any(_)) && !matches!(scalar, Scalar::Null) =>
            {
                let mut text = String::new();
                scalar.push_json(&mut text);
                self.fill(column, Cell::Json(text));
            }
            Place::Column(column) => self.fill(column, scalar.into_cell()),
            Place::Member | Place::Item => scalar.push_json(&mut self.out),
        }
    }

    fn fill(&mut self, column: usize, cell: Cell) {
        if let Some(place) = self.cells.get_mut(column) {
            *place = Some(cell);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<(), D::Error> {
        text.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar(Raw::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(Raw::Bool(value))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.scalar(Raw::Integer(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.scalar(i64::try_from(number).map_or(Raw::Huge(number), Raw::Integer))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.scalar(Raw::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.scalar(Raw::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let items = match &self.node.shape {
            Shape::List(items) => items,
            Shape::Any(types)
                if types.is_empty() || types.contains(&crate::schema::Type::Array) =>
            {
                self.begin();
                Keep { to: self.to }.visit_seq(list)?;
                self.end();
                return Ok(());
            }
            _ => return Err(self.to.wrong_type(self.node, "a list")),
        };
        self.begin();
        self.to.descend()?;
        self.to.out.push('[');
        let mut first = true;
        for at in 0.. {
            let before = self.to.out.len();
            if !first {
                self.to.out.push(',');
            }
            let start = self.to.out.len();
            match list.next_element_seed(Reader {
                node: items,
                to: self.to,
                place: Place::Item,
            }) {
                Ok(item) => {
                    if self.to.out.len() == start {
                        // No item, or one that was left out.
                        self.to.out.truncate(before);
                    } else {
                        first = false;
                    }
                    if item.is_none() {
                        break;
                    }
                }
                Err(error) => {
                    self.to
                        .blame(|pointer| push_pointer(pointer, &at.to_string()));
                    return Err(error);
                }
            }
        }
        self.to.out.push(']');
        self.to.ascend();
        self.end();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<(), A::Error> {
        let object = match &self.node.shape {
            Shape::Object(object) => object,
            Shape::Any(types)
                if types.is_empty() || types.contains(&crate::schema::Type::Object) =>
            {
                self.begin();
                Keep { to: self.to }.visit_map(map)?;
                self.end();
                return Ok(());
            }
            _ => return Err(self.to.wrong_type(self.node, "an object")),
        };
        let start = self.begin();
        self.to.descend()?;
        let spans = self.to.spans.len();
        self.to.spans.resize(spans + object.members.len(), None);
        self.to.read_members(object, spans, map)?;
        self.to.write_members(object, spans, start)?;
        self.to.spans.truncate(spans);
        self.to.ascend();
        self.end();
        Ok(())
    }
}

impl Landing<'_> {
    /// Reads the values of an object's members to the end of `out`, in the order in which they come, and notes where
    /// they are in `spans` from `first` on. Of two with one name the last counts.
    fn read_members<'de, A: MapAccess<'de>>(
        &mut self,
        object: &Object,
        first: usize,
        mut map: A,
    ) -> Result<(), A::Error> {
        let mut expected = 0;
        while let Some(at) = map.next_key_seed(MemberName { object, expected })? {
            let Some((at, member)) = at.and_then(|at| Some((at, object.members.get(at)?))) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            expected = at + 1;
            let from = self.out.len();
            if let Err(error) = map.next_value_seed(Reader {
                node: &member.node,
                to: self,
                place: Place::Member,
            }) {
                self.blame(|pointer| push_pointer(pointer, &member.name));
                return Err(error);
            }
            let span = (from, self.out.len());
            if let Some(place) = self.spans.get_mut(first + at) {
                *place = Some(span);
            }
        }
        Ok(())
    }

    /// Writes the object with its members in the schema's order, in place of the values that stand from `start` on.
    fn write_members<E: Error>(
        &mut self,
        object: &Object,
        first: usize,
        start: usize,
    ) -> Result<(), E> {
        let end = self.out.len();
        // Nothing known is in it: the same as an object that is absent, unless something must be there.
        let known = self.spans.get(first..).unwrap_or_default();
        let optional = |member: &Member| !member.required && default_cell(&member.node).is_some();
        if known.iter().all(Option::is_none) && object.members.iter().all(optional) {
            self.out.truncate(start);
            self.out.push_str("{}");
            return Ok(());
        }
        self.out.push('{');
        for (at, member) in object.members.iter().enumerate() {
            if at > 0 {
                self.out.push(',');
            }
            self.out.push_str(&member.key);
            match self.spans.get(first + at).copied().flatten() {
                Some((from, to)) => self.out.extend_from_within(from..to),
                None if default_cell(&member.node).is_some() => {
                    self.out.push_str(default_json(&member.node))
                }
                None => {
                    let error = self.refuse(Reject::WrongId {
                        pointer: String::new(),
                        found: "nothing",
                    });
                    self.blame(|pointer| push_pointer(pointer, &member.name));
                    return Err(error);
                }
            }
        }
        self.out.push('}');
        self.cut(start, end);
        Ok(())
    }
}
