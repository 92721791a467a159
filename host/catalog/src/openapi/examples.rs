//! Example bodies, made of the catalogue.
//!
//! A field's own `examples` come first; without any, an example is what its type, format and choices allow. Where records
//! come in kinds, the first of a field's `examples` is for the first kind and so on; a change has the last. The same
//! entity's records have the same id wherever one is named, so that examples fit together.

use serde_json::{Map, Value, json};

use crate::entity::{Entity, Field, Operation, Rule};
use crate::filter::Filter;

/// Any time will do; all examples have this one.
const TIME: &str = "2026-03-02T15:30:00Z";

/// A record as it is served; `kind` is its kind, where records come in kinds.
pub(super) fn record(entity: &Entity, kind: Option<&str>) -> Value {
    let shown = entity.fields.iter().filter(|field| field.stored());
    body(entity, kind, shown)
}

/// A new record: what is required, what has `examples`, and what lists are filtered by.
pub(super) fn create(entity: &Entity, kind: Option<&str>) -> Value {
    let told = entity.fields.iter().filter(|field| match field.create {
        Rule::Required => true,
        Rule::Optional => chosen(field),
        Rule::No => false,
    });
    body(entity, kind, told)
}

/// Changes: the same.
pub(super) fn update(entity: &Entity) -> Value {
    let told = entity.fields.iter().filter(|field| match field.update {
        Rule::Required => true,
        Rule::Optional => chosen(field),
        Rule::No => false,
    });
    body_of(entity, None, told, usize::MAX)
}

/// The body of an operation.
pub(super) fn operation(operation: &Operation) -> Value {
    of("", &operation.input, 0)
}

/// The kinds of an entity's records, or one without a name.
pub(super) fn kinds(entity: &Entity) -> Vec<Option<&str>> {
    match entity.kinds() {
        Some((_, kinds)) => kinds.iter().map(|kind| Some(kind.as_str())).collect(),
        None => vec![None],
    }
}

/// Named examples, as media types have them: one for each kind of record.
pub(super) fn named(entity: &Entity, example: impl Fn(Option<&str>) -> Value) -> Value {
    let kinds = kinds(entity).into_iter();
    let examples = kinds.map(|kind| {
        let name = kind.unwrap_or("example");
        (name.to_owned(), json!({ "value": example(kind) }))
    });
    Value::Object(examples.collect())
}

/// The same for a body that is always alike.
pub(super) fn one(value: Value) -> Value {
    json!({ "example": { "value": value } })
}

/// A page of records.
pub(super) fn page(entity: &Entity, server_url: &str) -> Value {
    let next = "eyJhZnRlciI6IDEwMH0";
    let records: Vec<Value> = kinds(entity)
        .into_iter()
        .map(|kind| record(entity, kind))
        .collect();
    let mut page = Map::new();
    let metadata = json!({
        "collection": entity.collection, "offset": 0, "limit": records.len(), "total": 240, "next": next,
        "nextLink": format!("{server_url}/{}?limit={}&next={next}", entity.path, records.len())
    });
    page.insert("_metadata".to_owned(), metadata);
    page.insert(entity.collection.clone(), Value::Array(records));
    one(Value::Object(page))
}

/// A page of events.
pub(super) fn feed(server_url: &str) -> Value {
    let person = id("people");
    one(json!({
        "_metadata": {
            "collection": "events", "after": 0, "limit": 100, "next": 17, "hasMore": false, "first": 1
        },
        "events": [{
            "number": 17, "eventId": id("feed"), "event": "peopleUpdated", "eventCreated": TIME,
            "credentialId": id("credentials"), "appKey": "follow-up-boss", "resourceIds": [person],
            "uri": format!("{server_url}/people?ids={person}")
        }]
    }))
}

/// The value of a filter that finds the example record.
pub(super) fn filter(entity: &Entity, filter: &Filter) -> Value {
    let example = entity
        .field(&filter.field)
        .map(|field| of(&field.name, &field.schema, 0))
        .unwrap_or_default();
    let first = match &example {
        Value::Array(items) => items.first(),
        one => Some(one),
    };
    let found = first.map(|one| one.get("value").unwrap_or(one));
    found.cloned().unwrap_or_default()
}

/// The id that all examples give the entity's record: a UUID of version 8, made of the entity's name.
pub(super) fn id(entity: &str) -> String {
    let hash = entity
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("0199c7a5-3e00-8000-8000-{:012x}", hash >> 16)
}

/// Whether an optional field is worth showing in a body.
fn chosen(field: &Field) -> bool {
    field.schema.get("examples").is_some() || field.filter.is_some()
}

fn body<'a>(entity: &Entity, kind: Option<&str>, fields: impl Iterator<Item = &'a Field>) -> Value {
    let place = kinds(entity).iter().position(|one| *one == kind);
    body_of(entity, kind, fields, place.unwrap_or_default())
}

/// The same with the examples at this place, or the last.
fn body_of<'a>(
    entity: &Entity,
    kind: Option<&str>,
    fields: impl Iterator<Item = &'a Field>,
    place: usize,
) -> Value {
    let mut body = Map::new();
    let teller = entity.kinds().map(|(teller, _)| teller.name.as_str());
    for field in fields {
        let other = field.only.as_ref().zip(kind).is_some_and(|(only, kind)| {
            let mut values = only.values.iter();
            !values.any(|value| value == kind)
        });
        if other {
            continue;
        }
        let example = match (field.name.as_str(), kind) {
            ("id", _) if field.host => json!(id(&entity.name)),
            ("originalIds", _) => json!({ &entity.name: 4711 }),
            ("original", _) => json!({ &entity.name: { "id": 4711 } }),
            (name, Some(kind)) if teller == Some(name) => json!(kind),
            (name, _) => of(name, &field.schema, place),
        };
        body.insert(field.name.clone(), example);
    }
    Value::Object(body)
}

/// An example of a schema of the catalogue: the one at this place or the last, if it has some. `name` is the field's.
fn of(name: &str, schema: &Value, place: usize) -> Value {
    let list = |keyword: &str| schema.get(keyword)?.as_array();
    let examples = list("examples").and_then(|all| all.get(place).or(all.last()));
    let choices = || list("enum").and_then(|all| all.first());
    if let Some(example) = examples.or_else(choices) {
        return example.clone();
    }
    if let Some(entity) = schema.get("x-reference").and_then(Value::as_str) {
        return json!(id(entity));
    }
    let kind = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.first().and_then(Value::as_str),
        kind => kind.and_then(Value::as_str),
    };
    match kind {
        Some("string")
            if schema
                .get("format")
                .is_some_and(|format| format == "date-time") =>
        {
            json!(TIME)
        }
        Some("string") => json!(name),
        Some("number" | "integer") => json!(1),
        Some("boolean") => json!(true),
        Some("array") => {
            let items = schema.get("items");
            let item = items.map(|items| of(name, items, place));
            json!(Vec::from_iter(item))
        }
        Some("object") => {
            let members = schema.get("properties").and_then(Value::as_object);
            let members = members.into_iter().flatten();
            let members = members.map(|(name, schema)| (name.clone(), of(name, schema, place)));
            Value::Object(members.collect())
        }
        _ => Value::Null,
    }
}
