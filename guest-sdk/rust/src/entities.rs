//! The catalogue's entities as types, one module per category.
//!
//! Made at build time from the catalogue (`wit/entities`), whose files say what
//! each field means. All fields are optional: leave out what the app does not
//! have. Texts are [`Cow`]s, so that a record that is only
//! passed on borrows from the app's answer.
//!
//! ```
//! use rollout_connector::Item;
//! use rollout_connector::entities::crm::{Person, PersonEmail};
//!
//! let mut person = Person {
//!     first_name: Some("Ada".into()),
//!     assigned_user_id: Some(7.into()),
//!     emails: Some(vec![PersonEmail { value: Some("ada@example.com".into()), ..Default::default() }]),
//!     ..Default::default()
//! };
//! person.custom.insert("customCloseDate", &"2026-03-01")?;
//! assert_eq!(
//!     Item::new(1).body(&person).body,
//!     r#"{"firstName":"Ada","assignedUserId":"7","emails":[{"value":"ada@example.com"}],"customCloseDate":"2026-03-01"}"#
//! );
//! # Ok::<(), rollout_connector::Error>(())
//! ```

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::error::Error;
use crate::json::{Write, Writer};
use crate::records::Id;

include!(concat!(env!("OUT_DIR"), "/entities.rs"));

/// The custom fields of a record, which stand beside its other fields. Their
/// names begin with `custom`; values are any JSON and are passed on as text.
#[derive(Debug, Clone, Default)]
pub struct Custom<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Custom<'a> {
    /// True for names that custom fields have.
    pub fn is_name(name: &str) -> bool {
        name.starts_with("custom")
    }

    /// Adds a value. Names that don't begin with `custom` are refused.
    pub fn insert(
        &mut self,
        name: impl Into<Cow<'a, str>>,
        value: &impl Serialize,
    ) -> Result<(), Error> {
        let name = name.into();
        if !Self::is_name(&name) {
            return Err(Error::Internal(format!(
                "{name} is no name of a custom field"
            )));
        }
        let value = serde_json::to_string(value)?;
        self.0.push((name, Cow::Owned(value)));
        Ok(())
    }

    /// Adds a value of the app's answer as it is, usually what
    /// [`Reader::raw`](crate::json::Reader::raw) gave, so that it is JSON; ignored
    /// unless the name begins with `custom`.
    pub fn insert_raw(&mut self, name: Cow<'a, str>, value: &'a str) {
        if Self::is_name(&name) {
            self.0.push((name, Cow::Borrowed(value)));
        }
    }

    /// Names and values as JSON text, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn write(&self, out: &mut Writer) {
        for (name, value) in &self.0 {
            out.name(name);
            out.raw(value);
        }
    }
}

impl<'de> Deserialize<'de> for Custom<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Rest;
        impl<'de> Visitor<'de> for Rest {
            type Value = Custom<'static>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
                let mut custom = Custom::default();
                while let Some(name) = object.next_key::<String>()? {
                    if Custom::is_name(&name) {
                        let value: serde_json::Value = object.next_value()?;
                        custom
                            .insert(name, &value)
                            .map_err(serde::de::Error::custom)?;
                    } else {
                        object.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(custom)
            }
        }
        deserializer.deserialize_map(Rest)
    }
}
