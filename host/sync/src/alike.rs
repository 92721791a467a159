//! Whether a record is what a write asked for.

use serde_json::Value;

/// True if every field of `body` that the app accepts stands in `record` as it was
/// sent. Apps trim texts, change the case of addresses and add to lists; a list is
/// there if all its items are, an item with a `value` if the value is. A field that
/// was cleared may be empty in any way. A body that says nothing which could be
/// compared is like no record.
pub(crate) fn alike(body: &Value, record: &Value, accepts: impl Fn(&str) -> bool) -> bool {
    let Some(fields) = body.as_object() else {
        return false;
    };
    let mut compared = false;
    for (name, sent) in fields.iter().filter(|(name, _)| accepts(name)) {
        let Some(stored) = record.get(name) else {
            continue;
        };
        compared = true;
        if !same(sent, stored) {
            return false;
        }
    }
    compared
}

/// True if of the lists in `body` no item stands in `record` any more.
pub(crate) fn lacks(body: &Value, record: &Value) -> bool {
    let lists = body.as_object().into_iter().flatten();
    let mut lists = lists.filter_map(|(name, sent)| Some((sent.as_array()?, record.get(name)?)));
    lists.all(|(sent, stored)| {
        let stored = stored.as_array().map(Vec::as_slice).unwrap_or_default();
        !sent
            .iter()
            .any(|item| stored.iter().any(|there| same(item, there)))
    })
}

fn same(sent: &Value, stored: &Value) -> bool {
    match (sent, stored) {
        (Value::Null, stored) => is_empty(stored),
        (Value::String(sent), Value::String(stored)) => text(sent) == text(stored),
        (Value::Number(sent), Value::Number(stored)) => sent.as_f64() == stored.as_f64(),
        (Value::Array(sent), Value::Array(stored)) => sent
            .iter()
            .all(|item| stored.iter().any(|there| same(item, there))),
        (Value::Object(sent), Value::Object(stored)) => {
            match (sent.get("value"), stored.get("value")) {
                (Some(sent), Some(stored)) => same(sent, stored),
                _ => sent
                    .iter()
                    .all(|(name, sent)| stored.get(name).is_none_or(|stored| same(sent, stored))),
            }
        }
        (sent, stored) => sent == stored || (is_empty(sent) && is_empty(stored)),
    }
}

fn text(text: &str) -> String {
    // Phone numbers come back in another form, and some HTML wrapped in tags.
    let letters = text.chars().filter(|one| one.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn is(body: &Value, record: &Value) -> bool {
        alike(body, record, |name| name != "unknown")
    }

    #[test]
    fn a_record_is_known_by_what_was_sent() {
        let record = json!({
            "id": "1", "name": "Ann Ray", "price": 5.0, "stage": null, "tags": ["a", "b"],
            "emails": [{"value": "ann@example.com", "type": "home"}],
            "phones": [{"value": "(555) 010-0199"}],
        });
        assert!(is(&json!({"name": " Ann Ray", "price": 5}), &record));
        assert!(is(
            &json!({"emails": [{"value": "Ann@Example.com"}]}),
            &record
        ));
        assert!(is(&json!({"phones": [{"value": "5550100199"}]}), &record));
        assert!(is(&json!({"tags": ["b"], "unknown": "x"}), &record));
        assert!(is(&json!({"stage": null, "name": "Ann Ray"}), &record));
        assert!(!is(&json!({"name": "Ann Roy"}), &record));
        assert!(!is(&json!({"tags": ["c"], "name": "Ann Ray"}), &record));
        assert!(!is(&json!({"unknown": "x"}), &record));
        assert!(!is(&json!({}), &record));
        assert!(lacks(&json!({"tags": ["c", "d"]}), &record));
        assert!(!lacks(&json!({"tags": ["c", "b"]}), &record));
    }
}
