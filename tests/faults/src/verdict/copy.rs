//! The app against the hosts' copy: the same records, each once, with the same text.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::found::{Difference, Sort};
use crate::records::Entity;
use crate::workload::number_of;

/// Our ids of the records of the copy, by the app's.
pub(super) type Shown = BTreeMap<u64, String>;

/// Compares what the copy has; what it lacks is for the caller to see.
pub(super) fn check(
    entity: Entity,
    there: &BTreeMap<u64, Value>,
    records: &[Value],
) -> (Vec<Difference>, Shown) {
    let name = entity.name();
    let mut differences = Vec::new();
    let mut add = |sort, text| differences.push(Difference::new(sort, text));
    let mut shown = Shown::new();
    for record in records {
        let original = record.pointer(&format!("/originalIds/{name}"));
        let id = record.get("id").and_then(Value::as_str);
        let (Some(original), Some(id)) = (original.and_then(number_of), id) else {
            add(Sort::Wrong, format!("a record without ids: {record}"));
            continue;
        };
        if let Some(other) = shown.insert(original, id.to_owned()) {
            let text = format!("{name} {original} is in the copy twice, {other} and {id}");
            add(Sort::Double, text);
        }
        let Some(theirs) = there.get(&original) else {
            let text = format!("{name} {original} is in the copy, and not in the app");
            add(Sort::Wrong, text);
            continue;
        };
        for field in entity.compared() {
            let (ours, theirs) = (text(record, field), text(theirs, field));
            if ours != theirs {
                let text = format!("{name} {original}: {field} is {ours:?}, in the app {theirs:?}");
                add(Sort::Wrong, text);
            }
        }
    }
    (differences, shown)
}

/// No text and the empty one are the same here; no database holds a NUL.
fn text(record: &Value, field: &str) -> String {
    let text = record.get(field).and_then(Value::as_str);
    text.unwrap_or_default().replace('\0', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn doubles_strangers_and_old_text_are_found() {
        let there = BTreeMap::from([
            (1, json!({"id": 1, "subject": "a\0", "body": null})),
            (2, json!({"id": 2, "subject": "b", "body": "new"})),
            (3, json!({"id": 3, "subject": "c"})),
        ]);
        let ours = |original: u64, id: &str, subject: &str, body: &str| json!({"id": id, "subject": subject, "body": body, "originalIds": {"notes": original}});
        let records = [
            ours(1, "a", "a\u{fffd}", ""),
            ours(2, "b", "b", "old"),
            ours(2, "b", "b", "new"),
            ours(9, "x", "", ""),
        ];
        let (found, shown) = check(Entity::Notes, &there, &records);
        let sorts: Vec<Sort> = found.iter().map(|one| one.sort).collect();
        assert_eq!(sorts, [Sort::Wrong, Sort::Double, Sort::Wrong], "{found:?}");
        assert_eq!(shown.into_keys().collect::<Vec<_>>(), [1, 2, 9]);
    }
}
