//! Any JSON, kept as it is but in canonical form: keys sorted, the last of several with one name, no white space, one
//! form of every number.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::scalar::Raw;
use super::{Landing, Span, without_nul};
use crate::json::push_text;

/// Appends a value to `out`.
pub(super) struct Keep<'a, 'c> {
    pub(super) to: &'a mut Landing<'c>,
}

impl Keep<'_, '_> {
    fn scalar(self, raw: Raw<'_>) {
        raw.as_it_is().push_json(&mut self.to.out);
    }
}

impl<'de> DeserializeSeed<'de> for Keep<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, text: D) -> Result<(), D::Error> {
        text.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keep<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar(Raw::Null);
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(Raw::Bool(value));
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.scalar(Raw::Integer(number));
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.scalar(Raw::Huge(number));
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.scalar(Raw::Number(number));
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.scalar(Raw::Text(text));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Keep { to } = self;
        to.descend()?;
        to.out.push('[');
        let start = to.out.len();
        loop {
            let before = to.out.len();
            if before > start {
                to.out.push(',');
            }
            if list.next_element_seed(Keep { to })?.is_none() {
                to.out.truncate(before);
                break;
            }
        }
        to.out.push(']');
        to.ascend();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Keep { to } = self;
        to.descend()?;
        let start = to.out.len();
        let mut members: BTreeMap<String, Span> = BTreeMap::new();
        while let Some(name) = map.next_key::<String>()? {
            let from = to.out.len();
            map.next_value_seed(Keep { to })?;
            // Before they are compared: what is written must have every key once.
            members.insert(without_nul(name), (from, to.out.len()));
        }
        let end = to.out.len();
        to.out.push('{');
        for (at, (name, (from, until))) in members.into_iter().enumerate() {
            if at > 0 {
                to.out.push(',');
            }
            push_text(&mut to.out, &name);
            to.out.push(':');
            to.out.extend_from_within(from..until);
        }
        to.out.push('}');
        to.cut(start, end);
        to.ascend();
        Ok(())
    }
}
