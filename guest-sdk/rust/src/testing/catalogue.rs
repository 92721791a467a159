//! The catalogue's own files (`wit/entities`), for checking manifests and records.

use serde_json::{Map, Value};

include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));

/// An entity's file.
pub(super) struct Entity {
    /// The categories that have it.
    pub(super) categories: Vec<&'static str>,
    schema: Value,
}

/// The names of all entities, each once.
pub(super) fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = FILES.iter().map(|(_, name, _)| *name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

impl Entity {
    /// The entity of this name.
    pub(super) fn of(name: &str) -> Option<Self> {
        let files = || FILES.iter().filter(|(_, known, _)| *known == name);
        let (_, _, text) = files().next()?;
        Some(Self {
            categories: files().map(|(category, _, _)| *category).collect(),
            schema: serde_json::from_str(text).ok()?,
        })
    }

    pub(super) fn schema(&self) -> &Value {
        &self.schema
    }

    /// The fields and their schemas.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        object(&self.schema, "properties").map(|(name, schema)| (name.as_str(), schema))
    }

    /// The names of the operations.
    pub(super) fn operations(&self) -> Vec<&str> {
        object(&self.schema, "x-operations")
            .map(|(name, _)| name.as_str())
            .collect()
    }

    /// Whether the API has this verb of it.
    pub(super) fn has_verb(&self, verb: &str) -> bool {
        match self.schema.pointer("/x-entity/verbs") {
            Some(Value::Array(verbs)) => verbs.iter().any(|known| known == verb),
            _ => true,
        }
    }

    /// Whether it has fields of the account's own making.
    pub(super) fn has_custom_fields(&self) -> bool {
        says(&self.schema, "x-custom-fields")
    }
}

/// True for names that custom fields have.
pub(super) fn is_custom(name: &str) -> bool {
    name.starts_with("custom") && !name.starts_with("customer")
}

/// Whether a keyword is true.
pub(super) fn says(schema: &Value, keyword: &str) -> bool {
    schema.get(keyword).and_then(Value::as_bool) == Some(true)
}

fn object<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    schema
        .get(key)
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::iter)
}
