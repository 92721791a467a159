//! One value of an app that is not strict about types.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use super::Writer;
use crate::records::Id;
use crate::time;

/// A JSON value where a scalar is expected. Reading it never fails: `null`,
/// lists and objects are [`Scalar::None`]; the methods say what a value can
/// pass for.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Scalar<'a> {
    /// Absent, null, a list or an object.
    #[default]
    None,
    /// `true` or `false`.
    Flag(bool),
    /// A whole number that is not negative.
    Whole(u64),
    /// Any other number.
    Number(f64),
    /// A text, borrowed where it holds no escapes.
    Text(Cow<'a, str>),
}

impl<'a> Scalar<'a> {
    /// The text, or the decimal text of a number.
    #[inline]
    pub fn text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Whole(number) => Some(number.to_string().into()),
            Self::Number(number) => {
                let mut text = Writer::default();
                text.number(number);
                Some(text.finish().into())
            }
            Self::None | Self::Flag(_) => None,
        }
    }

    /// An id: a number but 0, or a text but `""` and `"0"`, which mean "none".
    #[inline]
    pub fn id(self) -> Option<Id<'a>> {
        match self {
            Self::Whole(0) => None,
            Self::Whole(number) => Some(Id::Number(number)),
            Self::Text(text) => match text.trim() {
                "" | "0" => None,
                trimmed if trimmed.len() == text.len() => Some(Id::Text(text)),
                trimmed => Some(Id::Text(trimmed.to_owned().into())),
            },
            Self::None | Self::Flag(_) | Self::Number(_) => None,
        }
    }

    /// `true` and `false`, 1 and 0, also as texts.
    #[inline]
    pub fn flag(&self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(*flag),
            Self::Whole(number) => Some(*number != 0),
            Self::Text(text) => match text.as_ref() {
                "1" | "true" => Some(true),
                "0" | "false" => Some(false),
                _ => None,
            },
            Self::None | Self::Number(_) => None,
        }
    }

    /// A number, also as a text.
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Whole(number) => Some(*number as f64),
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.trim().parse::<Number>().ok()?.as_f64(),
            Self::None | Self::Flag(_) => None,
        }
    }

    /// A whole number that is not negative.
    pub fn whole(&self) -> Option<u64> {
        match self {
            Self::Whole(number) => Some(*number),
            _ => None,
        }
    }

    /// A moment or a date, in the form of [`time::normalize`].
    #[inline]
    pub fn moment(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => time::normalize(text),
            _ => None,
        }
    }

    /// The text as it is, if it is one.
    #[inline]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Scalar::None)
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Scalar::None)
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Scalar::Flag(flag))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Scalar::Whole(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(u64::try_from(number).map_or(Scalar::Number(number as f64), Scalar::Whole))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Scalar::Number(number))
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Scalar::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::None)
    }
}
