//! The entity files as they are written: JSON Schema with the keywords of `wit/entities/README.md`, and no others.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::category::Verb;
use crate::entity::Rule;
use crate::filter::Match;

/// A whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntitySchema {
    /// Which JSON Schema this is; named for editors, always 2020-12.
    #[serde(rename = "$schema")]
    pub(crate) dialect: String,
    pub(crate) title: String,
    pub(crate) description: String,
    #[serde(rename = "type")]
    pub(crate) kind: Type,
    #[serde(rename = "x-entity")]
    pub(crate) head: Head,
    #[serde(rename = "x-operations", default)]
    pub(crate) operations: Map<String, Value>,
    #[serde(rename = "x-custom-fields", default)]
    pub(crate) custom_fields: bool,
    pub(crate) properties: Map<String, Value>,
}

/// `x-entity`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Head {
    pub(crate) collection: String,
    pub(crate) path: Option<String>,
    pub(crate) order: u32,
    #[serde(default)]
    pub(crate) core: bool,
    #[serde(default)]
    pub(crate) extension: bool,
    pub(crate) flag: Option<String>,
    pub(crate) verbs: Option<Vec<Verb>>,
}

/// One of `x-operations`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperationSchema {
    pub(crate) description: String,
    pub(crate) method: Option<String>,
    pub(crate) path: Option<String>,
    #[serde(default)]
    pub(crate) removes: bool,
    pub(crate) input: Value,
}

/// The schema of a field, or of a part of one.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Schema {
    #[serde(rename = "$ref")]
    pub(crate) shared: Option<String>,
    #[serde(rename = "type")]
    pub(crate) types: Types,
    pub(crate) format: Option<String>,
    #[serde(rename = "enum")]
    pub(crate) one_of: Vec<String>,
    pub(crate) items: Option<Box<Schema>>,
    pub(crate) properties: Option<Ordered<Schema>>,
    pub(crate) required: Vec<String>,
    /// Only for documents: unknown keys are refused from clients and dropped from connectors in any case.
    #[serde(rename = "additionalProperties")]
    pub(crate) _additional: Option<bool>,
    #[serde(rename = "description")]
    pub(crate) _description: Option<String>,
    /// What may stand there, for documents: the first one is shown.
    pub(crate) examples: Vec<Value>,
    #[serde(rename = "x-reference")]
    pub(crate) reference: Option<String>,

    // What only a whole field can have.
    #[serde(rename = "writeOnly")]
    pub(crate) write_only: bool,
    #[serde(rename = "x-host")]
    pub(crate) host: bool,
    #[serde(rename = "x-create")]
    pub(crate) create: Rule,
    #[serde(rename = "x-update", deserialize_with = "update_rule")]
    pub(crate) update: Rule,
    #[serde(rename = "x-only")]
    pub(crate) only: Option<Ordered<Vec<String>>>,
    #[serde(rename = "x-filter")]
    pub(crate) filter: Option<FilterSchema>,
    #[serde(rename = "x-merge")]
    pub(crate) merge: Option<String>,
}

impl Schema {
    /// Whether a keyword is there that only a whole field can have.
    pub(crate) fn says_what_only_a_field_can(&self) -> bool {
        self.write_only
            || self.host
            || self.update != Rule::No
            || self.only.is_some()
            || self.create != Rule::No
            || self.filter.is_some()
            || self.merge.is_some()
    }
}

/// `x-update`: true, or `"required"`.
fn update_rule<'de, D: Deserializer<'de>>(from: D) -> Result<Rule, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Update {
        May(bool),
        Must(Rule),
    }
    match Update::deserialize(from) {
        Ok(Update::May(false)) => Ok(Rule::No),
        Ok(Update::May(true)) => Ok(Rule::Optional),
        Ok(Update::Must(Rule::Required)) => Ok(Rule::Required),
        Ok(Update::Must(_)) | Err(_) => Err(serde::de::Error::custom(
            "`x-update` is true or \"required\"",
        )),
    }
}

/// `x-filter`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilterSchema {
    pub(crate) param: String,
    #[serde(rename = "match")]
    pub(crate) matches: Match,
}

/// A JSON type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

/// `type`: one, several, or none, which means any.
#[derive(Default)]
pub(crate) struct Types(pub(crate) Vec<Type>);

impl<'de> Deserialize<'de> for Types {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrMore {
            One(Type),
            More(Vec<Type>),
        }
        Ok(Types(match OneOrMore::deserialize(from)? {
            OneOrMore::One(one) => vec![one],
            OneOrMore::More(more) => more,
        }))
    }
}

/// A JSON object whose keys keep their order.
#[derive(Clone, Debug)]
pub(crate) struct Ordered<T>(pub(crate) Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Ordered(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }
        from.deserialize_map(Entries(PhantomData))
    }
}
