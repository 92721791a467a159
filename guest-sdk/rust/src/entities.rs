//! The catalogue's entities as types, one module per category.
//!
//! Made at build time from the catalogue (`wit/entities`), whose files say what
//! each field means. All fields are optional: leave out what the app does not
//! have. Texts are [`Cow`](std::borrow::Cow)s, so that a record that is only
//! passed on borrows from the app's answer.
//!
//! ```
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
//!     serde_json::to_string(&person)?,
//!     r#"{"firstName":"Ada","assignedUserId":"7","emails":[{"value":"ada@example.com"}],"customCloseDate":"2026-03-01"}"#
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::borrow::Cow;
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::error::Error;

include!(concat!(env!("OUT_DIR"), "/entities.rs"));

/// The custom fields of a record, which stand beside its other fields. Their
/// names begin with `custom`; values are any JSON and are passed on as text.
#[derive(Debug, Clone, Default)]
pub struct Custom<'a>(Vec<(Cow<'a, str>, Cow<'a, RawValue>)>);

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
        let value = serde_json::value::to_raw_value(value)?;
        self.0.push((name, Cow::Owned(value)));
        Ok(())
    }

    /// Adds a value of the app's answer as it is; ignored unless the name
    /// begins with `custom` and the text is JSON.
    pub fn insert_raw(&mut self, name: Cow<'a, str>, value: &'a str) {
        if let (true, Ok(value)) = (Self::is_name(&name), serde_json::from_str(value)) {
            self.0.push((name, Cow::Borrowed(value)));
        }
    }

    /// Names and values, in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// True if there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn write<M: SerializeMap>(&self, object: &mut M) -> Result<(), M::Error> {
        self.iter()
            .try_for_each(|(name, value)| object.serialize_entry(name, value))
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

/// A number, written without a fraction where it has none.
struct Decimal(f64);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        /// Whole numbers up to here are exact in a `f64`.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if self.0.fract() == 0.0 && self.0.abs() < EXACT {
            serializer.serialize_i64(self.0 as i64)
        } else {
            serializer.serialize_f64(self.0)
        }
    }
}
