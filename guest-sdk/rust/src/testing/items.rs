//! Records against the schema of their entity.

use serde_json::{Map, Value};

use super::catalogue::{self, Entity, is_custom, says};
use super::nearest::did_you_mean;
use super::schema::{escaped, issue, kind, texts, wrong_type};
use crate::error::Issue;
use crate::records::Item;
use crate::time;

/// Checks that records are what the catalogue says of their entity: names of fields,
/// types, ids, times. The host takes most of it more lightly, and leaves out or
/// replaces what does not fit, so that nobody notices.
///
/// ```
/// # use rollout_connector::{Item, testing};
/// # use rollout_connector::entities::crm::User;
/// let ada = User { first_name: Some("Ada".into()), ..User::default() };
/// testing::assert_items("users", &[Item::new(7).body(&ada)]);
/// ```
///
/// # Panics
/// If there is a fault; the message lists all of them.
#[track_caller]
pub fn assert_items(entity: &str, items: &[Item]) {
    let faults: Vec<String> = items
        .iter()
        .flat_map(|item| {
            let line = |fault: Issue| format!("\n  {entity} {}: {fault}", item.id);
            item_faults(entity, item).into_iter().map(line)
        })
        .collect();
    assert!(
        faults.is_empty(),
        "these records are not what the catalogue says (wit/entities):{}",
        faults.concat()
    );
}

/// The faults that [`assert_items`] would find in one record.
pub fn item_faults(entity: &str, item: &Item) -> Vec<Issue> {
    let Some(known) = Entity::of(entity) else {
        let meant = did_you_mean(entity, &catalogue::names());
        let message = format!("`{entity}` is no entity of the catalogue{meant}");
        return vec![issue("", message)];
    };
    let mut faults = Vec::new();
    let empty = |id: &String| id.trim().is_empty();
    if empty(&item.id) || item.merged_ids.iter().any(empty) {
        faults.push(issue("", "an id must not be empty"));
    }
    if let Some(native) = &item.native
        && serde_json::from_str::<Value>(native).is_err()
    {
        faults.push(issue("", "its native record is not JSON"));
    }
    if !item.deleted {
        match serde_json::from_str::<Value>(&item.body) {
            Ok(Value::Object(body)) => record(&known, &body, &mut faults),
            Ok(other) => {
                let message = format!("its body must be an object, not {}", kind(&other));
                faults.push(issue("", message));
            }
            Err(error) => faults.push(issue("", format!("its body is not JSON: {error}"))),
        }
    }
    faults
}

fn record(entity: &Entity, body: &Map<String, Value>, faults: &mut Vec<Issue>) {
    let fields: Map<String, Value> = body
        .iter()
        .filter(|(name, _)| !(entity.has_custom_fields() && is_custom(name)))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    check(entity.schema(), &Value::Object(fields), "", faults);
}

fn check(schema: &Value, value: &Value, at: &str, faults: &mut Vec<Issue>) {
    let mut complain = |message: String| faults.push(issue(at, message));
    if let Some(wanted) = schema
        .as_object()
        .and_then(|schema| wrong_type(schema, value))
    {
        return complain(match value {
            Value::Null => "is null; leave out what the app does not have".to_owned(),
            _ => format!("must be {wanted}, not {}", kind(value)),
        });
    }
    match value {
        Value::Object(members) => {
            let empty = Map::new();
            let properties = schema.get("properties").and_then(Value::as_object);
            if properties.is_none() {
                return;
            }
            let properties = properties.unwrap_or(&empty);
            for name in texts(schema.get("required").unwrap_or(&Value::Null)) {
                if !at.is_empty() && !members.contains_key(name) {
                    complain(format!("lacks `{name}`"));
                }
            }
            for (name, value) in members {
                let at = format!("{at}/{}", escaped(name));
                match properties.get(name) {
                    None => {
                        let known: Vec<&str> = properties.keys().map(String::as_str).collect();
                        let meant = did_you_mean(name, &known);
                        faults.push(issue(at, format!("the catalogue has no such field{meant}")));
                    }
                    Some(field) if says(field, "x-host") => {
                        faults.push(issue(at, "is made by the host; leave it out"));
                    }
                    Some(field) if says(field, "writeOnly") => {
                        faults.push(issue(at, "is for writes only; leave it out"));
                    }
                    Some(field) => check(field, value, &at, faults),
                }
            }
        }
        Value::Array(items) => {
            let schema = schema.get("items").unwrap_or(&Value::Null);
            for (place, item) in items.iter().enumerate() {
                check(schema, item, &format!("{at}/{place}"), faults);
            }
        }
        Value::String(text) => {
            let reference = schema.get("x-reference").and_then(Value::as_str);
            if let (Some(entity), "" | "0") = (reference, text.as_str()) {
                complain(format!(
                    "`{text}` is no id of one of {entity}; leave it out, or null where that is allowed"
                ));
            }
            let moment = schema.get("format").and_then(Value::as_str) == Some("date-time");
            if moment && time::parse(text).is_none() && !time::is_date(text) {
                complain(format!(
                    "`{text}` is no time such as 2026-03-01T09:00:00Z (`time::normalize` makes one)"
                ));
            }
            let known = texts(schema.get("enum").unwrap_or(&Value::Null));
            if !known.is_empty() && !known.contains(&text.as_str()) {
                complain(format!("`{text}` is none of {}", known.join(", ")));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
