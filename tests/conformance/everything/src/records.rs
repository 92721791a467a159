//! Records: every type of `entities`, and through `perform` every import.

use rollout_connector::{Cursor, Entities, Error, Item, Page, Scope, Write, Written, log};
use serde_json::{Value, json};

use crate::{Everything, errors, imports};

impl Entities for Everything {
    fn changes(entity: &str, scope: Scope, cursor: Cursor, limit: u32) -> Result<Page, Error> {
        if entity == "notes" {
            return Page::last(Vec::new(), &());
        }
        let (scope, parents) = match scope {
            Scope::Incremental => ("incremental", Vec::new()),
            Scope::Full => ("full", Vec::new()),
            Scope::Parents(ids) => ("parents", ids),
        };
        let asked = json!({ "scope": scope, "parents": parents, "limit": limit });
        Ok(Page {
            items: vec![Item::new(entity).body(&asked)],
            done: cursor.text().is_some(),
            next: Cursor::of_text(cursor.text().unwrap_or("1").to_owned()),
            total: Some(limit.into()),
        })
    }

    fn get(_: &str, ids: &[String]) -> Result<Vec<Item>, Error> {
        let mut items = Vec::new();
        for id in ids {
            if let Some(error) = id.strip_prefix("error-").and_then(errors::named) {
                return Err(error);
            }
            items.extend(record(id));
        }
        Ok(items)
    }

    fn create(entity: &str, write: Write) -> Result<Written, Error> {
        Ok(match entity {
            "people" => {
                let how = json!({ "merge": write.merge, "idempotencyKey": write.idempotency_key });
                let item = Item::new("new").native_raw(&how.to_string());
                Written::Item(item.body(&write.body))
            }
            "notes" => Written::Id(write.idempotency_key),
            _ => Written::Accepted,
        })
    }

    fn update(_: &str, id: &str, write: Write) -> Result<Written, Error> {
        Ok(Written::Item(Item::new(id).body(&write.body)))
    }

    fn delete(entity: &str, id: &str, idempotency_key: &str) -> Result<(), Error> {
        if id == "missing" {
            return Err(Error::NotFound(id.to_owned()));
        }
        log::info(format!("deleted {entity}/{id} {idempotency_key}"));
        Ok(())
    }

    fn perform(_: &str, id: &str, operation: &str, write: Write) -> Result<Written, Error> {
        let body = Value::Object(write.body);
        let answer = imports::exercise(operation, id, &body)?;
        Ok(Written::Item(Item::new(id).body(&answer)))
    }
}

/// The record of this id; `None` if there is none.
pub(crate) fn record(id: &str) -> Option<Item> {
    Some(match id {
        "whole" => Item {
            native: Some(r#"{"n":1}"#.to_owned()),
            updated_at: Some(1_751_469_561_000),
            merged_ids: vec!["a".to_owned(), "b".to_owned()],
            ..Item::new(id).body(&json!({ "name": "Zoë 😀" }))
        },
        "bare" => Item::new(id),
        "gone" => Item::deleted(id),
        _ => return None,
    })
}
