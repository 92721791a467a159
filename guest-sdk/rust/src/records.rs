//! Records on their way between the app and the host.

use std::borrow::Cow;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::error::Error;
use crate::json;
use crate::time;

/// One record as the app has it now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    /// The app's id, canonical: one spelling per record.
    pub id: String,
    /// The record in the catalogue's terms, as JSON text.
    pub body: String,
    /// The record as the app sent it, as JSON text.
    pub native: Option<String>,
    /// When the app changed it last, in milliseconds since the Unix epoch.
    pub updated_at: Option<u64>,
    /// True when the app deleted it, or moved it to its trash.
    pub deleted: bool,
    /// Ids of records that were merged into this one and are gone.
    pub merged_ids: Vec<String>,
}

impl Item {
    /// A record with this id and an empty body.
    pub fn new(id: impl ToString) -> Self {
        Self {
            id: id.to_string(),
            body: "{}".to_owned(),
            ..Self::default()
        }
    }

    /// Says that the record is gone.
    pub fn deleted(id: impl ToString) -> Self {
        Self {
            deleted: true,
            ..Self::new(id)
        }
    }

    /// Sets the body, usually a type of [`entities`](crate::entities).
    #[must_use]
    pub fn body(mut self, body: &impl json::Write) -> Self {
        // A mapped record is rarely longer than the app's own.
        let room = self.native.as_ref().map_or(256, String::len);
        let mut out = json::Writer::with_capacity(room);
        body.write(&mut out);
        self.body = out.finish();
        self
    }

    /// Sets the native record: the very text that the app sent.
    #[must_use]
    pub fn native_raw(mut self, native: &str) -> Self {
        self.native = Some(native.to_owned());
        self
    }

    /// Sets the moment of the last change from the app's text; ignored if it
    /// is no moment.
    #[must_use]
    pub fn updated_at_rfc3339(mut self, moment: &str) -> Self {
        self.updated_at = time::parse(moment);
        self
    }

    /// The body as a JSON document, null if it is none; for tests.
    pub fn document(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

/// A part of what there is to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// The records. One id may appear again; the last wins.
    pub items: Vec<Item>,
    /// The cursor of the next call.
    pub next: Cursor,
    /// True when this pass has read everything.
    pub done: bool,
    /// How many records the whole pass has, where the app says.
    pub total: Option<u64>,
}

impl Page {
    /// A page after which this pass goes on at `next`.
    pub fn more(items: Vec<Item>, next: &impl Serialize) -> Result<Self, Error> {
        Ok(Self {
            items,
            next: Cursor::at(next)?,
            ..Self::default()
        })
    }

    /// The last page of this pass. The next incremental pass begins at `next`;
    /// `&()` makes it begin anew.
    pub fn last(items: Vec<Item>, next: &impl Serialize) -> Result<Self, Error> {
        Ok(Self {
            done: true,
            ..Self::more(items, next)?
        })
    }

    /// Adds how many records the whole pass has.
    #[must_use]
    pub fn total(mut self, total: Option<u64>) -> Self {
        self.total = total;
        self
    }
}

/// Where to go on reading: a JSON document of the connector's own, which the
/// host stores with the records and hands back unread.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor(pub(crate) Option<String>);

impl Cursor {
    /// No cursor: a pass begins.
    pub const START: Self = Self(None);

    /// A cursor that holds `value`; none if that is null.
    pub fn at(value: &impl Serialize) -> Result<Self, Error> {
        let text = serde_json::to_string(value)?;
        Ok(Self((text != "null").then_some(text)))
    }

    /// A cursor of this JSON text.
    pub fn of_text(text: String) -> Self {
        Self(Some(text))
    }

    /// The JSON text of the cursor; `None` when a pass begins.
    pub fn text(&self) -> Option<&str> {
        self.0.as_deref()
    }

    /// What the cursor holds; `None` when a pass begins.
    pub fn read<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        let read = |text| {
            serde_json::from_str(text).map_err(|error| {
                Error::Internal(format!("the cursor is not of this version: {error}"))
            })
        };
        self.0.as_deref().map(read).transpose()
    }
}

/// What to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everything that changed since the cursor; everything there is, oldest
    /// first, without a cursor.
    Incremental,
    /// Everything there is, for finding out what is gone.
    Full,
    /// Everything that belongs to these records, for entities that the app
    /// lists per parent only.
    Parents(Vec<String>),
}

/// What to write.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Write {
    /// The fields to write, in the catalogue's terms: all of them to create,
    /// those that change to update. Null clears a field.
    pub body: Map<String, Value>,
    /// Names of list fields whose values are added instead of replacing the list.
    pub merge: Vec<String>,
    /// The same for every attempt at the same write.
    pub idempotency_key: String,
}

impl Write {
    /// A write of this JSON object; for tests.
    pub fn of(body: Value) -> Self {
        match body {
            Value::Object(body) => Self {
                body,
                ..Self::default()
            },
            _ => Self::default(),
        }
    }

    /// True if the values of this list field are to be added.
    pub fn merges(&self, field: &str) -> bool {
        self.merge.iter().any(|name| name == field)
    }

    /// The text of a field; `None` if it is absent, null or no text.
    pub fn text(&self, field: &str) -> Option<&str> {
        self.body.get(field)?.as_str()
    }

    /// The whole body as a type of [`entities`](crate::entities). Null and
    /// absent look alike there; look into `body` where that matters.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Error> {
        T::deserialize(&self.body).map_err(|error| Error::invalid("", error.to_string()))
    }
}

/// What came of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// The record as it is now.
    Item(Item),
    /// Only its id is known; the host reads it.
    Id(String),
    /// The app took it on and will do it later.
    Accepted,
}

/// An id in the app's terms. Numbers and texts become text on the way out, as
/// the contract wants them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id<'a> {
    /// A number, written in decimal.
    Number(u64),
    /// A text, written as it is.
    Text(Cow<'a, str>),
}

impl fmt::Display for Id<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl json::Write for Id<'_> {
    fn write(&self, out: &mut json::Writer) {
        match self {
            Self::Text(text) => out.text(text),
            Self::Number(number) => {
                out.raw("\"");
                out.whole(*number);
                out.raw("\"");
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Id<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        json::Scalar::deserialize(deserializer)?
            .id()
            .ok_or_else(|| serde::de::Error::custom("expected an id"))
    }
}

impl From<u64> for Id<'_> {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl<'a> From<&'a str> for Id<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Id<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl<'a> From<Cow<'a, str>> for Id<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self::Text(text)
    }
}
