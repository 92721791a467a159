//! What a request may say beside its body.

use serde_json::{Value, json};

use super::examples;
use crate::entity::Entity;
use crate::filter::Filter;

/// A reference to one of [`shared`].
pub(super) fn parameter(name: &str) -> Value {
    json!({ "$ref": format!("#/components/parameters/{name}") })
}

/// The query parameter of a filter.
pub(super) fn filter(entity: &Entity, filter: &Filter) -> Value {
    let Filter {
        param,
        field,
        matches,
    } = filter;
    let reference = entity
        .field(field)
        .and_then(|field| field.reference.as_deref());
    let id = reference
        .map(|_| " It is an id of this host.")
        .unwrap_or_default();
    json!({
        "name": param, "in": "query", "schema": { "type": "string" },
        "example": examples::filter(entity, filter),
        "description": format!("Only records whose `{field}` {}.{id}", matches.description())
    })
}

/// The order of a list.
pub(super) fn sort(entity: &Entity) -> Value {
    let orders = entity.sortable();
    let orders = orders.flat_map(|field| [field.name.clone(), format!("-{}", field.name)]);
    json!({
        "name": "sort", "in": "query", "schema": { "type": "string", "enum": orders.collect::<Vec<_>>() },
        "description": "The field to sort by; with `-` the greatest come first. Records without a value come last, equal ones \
                        newest first. Not in the original API."
    })
}

/// The query parameter with which an update adds to a list.
pub(super) fn merge(name: &str, list: &str) -> Value {
    json!({
        "name": name, "in": "query", "schema": { "type": "boolean", "default": false },
        "description": format!("True: the body's `{list}` are added to those that are there, instead of replacing them.")
    })
}

/// `components/parameters`: what many requests take.
pub(super) fn shared() -> Value {
    json!({
        "id": {
            "name": "id", "in": "path", "required": true, "schema": { "type": "string" },
            "description": "The record's id in this host."
        },
        "next": {
            "name": "next", "in": "query", "schema": { "type": "string" },
            "description": "`_metadata.next` of the page before. Takes precedence over `offset`; valid for 24 hours, and only \
                            with the same filters and `sort`."
        },
        "offset": {
            "name": "offset", "in": "query", "schema": { "type": "integer", "minimum": 0, "maximum": 10_000, "default": 0 },
            "description": "How many records to skip. Beyond 10000 use `next`."
        },
        "limit": {
            "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1, "default": 100 },
            "description": "How many records at most; 1000 if it is more."
        },
        "ids": {
            "name": "ids", "in": "query", "schema": { "type": "string" },
            "description": "Only these records: up to 100 ids, separated by commas."
        },
        "updatedSince": {
            "name": "updatedSince", "in": "query",
            "schema": { "type": "string", "anyOf": [{ "format": "date-time" }, { "format": "date" }] },
            "description": "Only records whose copy here changed at this time or later (`rolloutUpdated`): a date, or a time \
                            in ISO 8601. Not in the original API."
        },
        "allowPartial": {
            "name": "X-Rollout-Allow-Partial", "in": "header", "schema": { "type": "boolean" },
            "description": "True: read what is there while the first sync is still running, instead of getting 409."
        },
        "idempotencyKey": {
            "name": "Idempotency-Key", "in": "header", "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
            "description": "Your name for this write, 1 to 255 ASCII letters. The same request with the same key within 24 \
                            hours is carried out once, and answered as the first one was. After `maybe_applied`, or an \
                            answer that was lost, send it again with its key: 409 until the outcome is known."
        },
        "after": {
            "name": "after", "in": "query", "schema": { "type": "integer", "minimum": 0, "default": 0 },
            "description": "`_metadata.next` of the answer before: only events behind this number."
        },
        "eventLimit": {
            "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1, "default": 100 },
            "description": "How many events at most; 1000 if it is more."
        },
        "includeInitialSync": {
            "name": "includeInitialSync", "in": "query", "schema": { "type": "boolean", "default": false },
            "description": "True: with what first syncs brought."
        }
    })
}
