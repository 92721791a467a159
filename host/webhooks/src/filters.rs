//! Which records a subscription is about: those that have certain values in certain
//! fields. In a field that holds a list, one of its entries must be the value.

use std::collections::HashSet;

use rollout_catalog::Entity;
use rollout_connectors::Environment;
use rollout_store::{EVENT_IDS_MAX, Event, Happened, ListQuery, StoreError};
use serde_json::{Map, Value};

/// Most fields that a subscription can name.
const MOST: usize = 20;

/// A filter can't be used: the field, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct WrongFilter {
    /// The field; empty: all of them together.
    pub field: String,
    /// What is wrong.
    pub problem: String,
}

/// Fields and their values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filters(Map<String, Value>);

impl Filters {
    /// Reads what a subscription to an entity's events says; to others there are none.
    pub fn read(filters: Map<String, Value>, entity: Option<&Entity>) -> Result<Self, WrongFilter> {
        let wrong = |field: &str, problem: &str| WrongFilter {
            field: field.to_owned(),
            problem: problem.to_owned(),
        };
        let Some(entity) = entity else {
            return match filters.keys().next() {
                None => Ok(Self::default()),
                Some(_) => Err(wrong("", "are for events of one entity's records only")),
            };
        };
        if filters.len() > MOST {
            return Err(wrong("", "may name at most 20 fields"));
        }
        for (field, value) in &filters {
            let mut fields = entity.fields.iter();
            let known = fields.any(|one| one.name == *field && !one.write_only);
            if !known && !field.starts_with("custom") {
                return Err(wrong(field, "is no field of this entity"));
            }
            if value.is_array() || value.is_object() {
                return Err(wrong(
                    field,
                    "must be a string, a number, true, false or null",
                ));
            }
        }
        Ok(Self(filters))
    }

    /// Those of a stored subscription.
    pub(crate) fn stored(text: &str) -> Result<Self, StoreError> {
        Ok(Self(serde_json::from_str(text)?))
    }

    /// As they are stored.
    pub fn text(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    fn pass(&self, record: &Value) -> bool {
        self.0
            .iter()
            .all(|(field, wanted)| match record.get(field) {
                Some(Value::Array(entries)) => entries.contains(wanted),
                found => found.unwrap_or(&Value::Null) == wanted,
            })
    }

    /// The event's records that pass; none: all of them. Deleted ones have no fields any
    /// more, so all are told of.
    pub(crate) async fn narrow(
        &self,
        environment: &Environment,
        entity: Option<&Entity>,
        event: &Event,
    ) -> Result<Option<Vec<String>>, StoreError> {
        let Some(entity) = entity.filter(|_| !self.0.is_empty()) else {
            return Ok(None);
        };
        if event.happened == Happened::Deleted {
            return Ok(None);
        }
        let limit = u32::try_from(EVENT_IDS_MAX).unwrap_or(u32::MAX);
        let mut wanted = ListQuery::new(&event.credential_id, entity, limit);
        wanted.ids = Some(event.ids.clone());
        let mut items = b"[".to_vec();
        environment.store().list_json(&wanted, &mut items).await?;
        items.push(b']');
        let records: Vec<Value> = serde_json::from_slice(&items)?;
        let passing: HashSet<&str> = records
            .iter()
            .filter(|record| self.pass(record))
            .filter_map(|record| record.get("id")?.as_str())
            .collect();
        let ids = event.ids.iter().filter(|id| passing.contains(id.as_str()));
        Ok(Some(ids.cloned().collect()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rollout_catalog::Catalog;
    use serde_json::json;

    use super::*;

    fn read(filters: Value) -> Result<Filters, WrongFilter> {
        let catalog = Catalog::embedded().unwrap();
        let people = catalog.by_name("people").cloned().unwrap();
        Filters::read(filters.as_object().unwrap().clone(), Some(&people))
    }

    #[test]
    fn values_are_equal_or_among_a_list() {
        let record = json!({"stage": "Lead", "tags": ["Buyer", "Hot"], "contacted": true});
        for (filters, passes) in [
            (json!({}), true),
            (json!({"stage": "Lead"}), true),
            (json!({"stage": "lead"}), false),
            (json!({"tags": "Hot"}), true),
            (json!({"tags": "Cold"}), false),
            (json!({"stage": "Lead", "tags": "Cold"}), false),
            (json!({"customColor": null}), true),
            (json!({"customColor": "red"}), false),
        ] {
            assert_eq!(
                read(filters.clone()).unwrap().pass(&record),
                passes,
                "{filters}"
            );
        }
    }

    #[test]
    fn what_is_no_field_is_named() {
        assert_eq!(read(json!({"stages": "Lead"})).unwrap_err().field, "stages");
        assert_eq!(read(json!({"stage": ["Lead"]})).unwrap_err().field, "stage");
        let some = json!({"a": 1}).as_object().unwrap().clone();
        assert!(Filters::read(some, None).is_err());
        assert!(Filters::read(Map::new(), None).is_ok());
    }
}
