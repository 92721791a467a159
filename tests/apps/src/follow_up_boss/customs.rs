//! Custom fields: how they are defined, and what their values can be.
//!
//! The name of a new one is `custom` and its label in CamelCase; it stays when
//! the label changes. Chosen where the Follow Up Boss API reference is silent:
//! a label whose name exists is refused; a dropdown needs choices, other types
//! have none; a number has to be a number, a date `yyyy-mm-dd`, a dropdown one
//! of its choices, a text a text or a number; read-only fields cannot be
//! written and are refused like unknown ones; deleting a field deletes the
//! values people have (those of bulk people excepted).

use serde_json::Value;

use super::filters::truthy;
use super::moments;
use super::records::Record;
use super::reply::Refusal;
use super::write::{Draft, invalid, missing};

/// The types a custom field can have.
pub(super) const TYPES: &[&str] = &["text", "date", "number", "dropdown"];

/// Whether values can be written.
pub(super) fn is_writable(definition: &Record) -> bool {
    !definition.get("readOnly").is_some_and(truthy)
}

/// Whether a value, not null, can be stored under a definition.
pub(super) fn suits(definition: &Record, value: &Value) -> bool {
    match definition.get("type").and_then(Value::as_str) {
        Some("number") => value.is_number(),
        Some("date") => value.as_str().is_some_and(moments::is_date),
        Some("dropdown") => choices(definition).any(|choice| choice == value),
        _ => value.is_string() || value.is_number(),
    }
}

/// The rules of a definition, once its body was applied.
pub(super) fn define(draft: &Draft<'_>, record: &mut Record, body: &Record) -> Result<(), Refusal> {
    let is_dropdown = record.get("type").is_some_and(|kind| kind == "dropdown");
    if let Some(renamed) = body.get("dropdownChoiceMap") {
        let renamed = renamed
            .as_object()
            .filter(|_| is_dropdown)
            .ok_or_else(|| invalid("dropdownChoiceMap"))?;
        if let Some(choices) = record.get_mut("choices").and_then(Value::as_array_mut) {
            for choice in choices {
                if let Some(new) = choice.as_str().and_then(|old| renamed.get(old)) {
                    *choice = new.clone();
                }
            }
        }
        record.insert("_renamed".to_owned(), renamed.clone().into());
    }
    match (is_dropdown, choices(record).next().is_some()) {
        (true, false) => return Err(missing("choices")),
        (false, true) => return Err(invalid("choices")),
        _ => {}
    }
    if draft.creating {
        let label = record.get("label").and_then(Value::as_str).unwrap_or("");
        let name = name_of(label).ok_or_else(|| invalid("label"))?;
        record.insert("name".to_owned(), name.into());
    }
    draft.put_last(record);
    draft.only_one("name", record)
}

fn choices(definition: &Record) -> impl Iterator<Item = &Value> {
    let choices = definition.get("choices").and_then(Value::as_array);
    choices.into_iter().flatten()
}

/// `custom` and the label in CamelCase: "Close Date" is `customCloseDate`.
fn name_of(label: &str) -> Option<String> {
    let words = label
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty());
    let camel: String = words
        .flat_map(|word| {
            let mut letters = word.chars();
            let first = letters.next().into_iter().flat_map(char::to_uppercase);
            first.chain(letters).collect::<Vec<_>>()
        })
        .collect();
    (!camel.is_empty()).then(|| format!("custom{camel}"))
}
