//! The document's schemas: per entity the record as served, and the bodies of `POST` and `PUT`.

use serde_json::{Map, Value, json};

use super::pascal_case;
use crate::entity::{Entity, Field, Rule};

/// The names of an entity's schemas.
pub(super) struct Names {
    pub(super) record: String,
    pub(super) create: String,
    pub(super) update: String,
}

pub(super) fn names(entity: &Entity) -> Names {
    let record = pascal_case(&entity.title);
    Names {
        create: format!("{record}Create"),
        update: format!("{record}Update"),
        record,
    }
}

/// A reference to a schema.
pub(super) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The schemas that every category has.
pub(super) fn shared() -> Map<String, Value> {
    let shared = json!({
        "originalIds": {
            "type": "object", "description": "The app's ids of the record, keyed by the app's name for it.",
            "additionalProperties": { "type": ["string", "number"] }
        },
        "original": {
            "type": "object", "description": "The record as the app has it, keyed by the app's name for it.",
            "additionalProperties": { "type": "object" }
        },
        "Error": {
            "type": "object", "required": ["errorMessage", "errors"],
            "properties": {
                "errorMessage": { "type": "string", "description": "What went wrong, in a sentence." },
                "maybe_applied": { "type": "boolean", "description": "True if the app may have carried it out all the same." },
                "errors": {
                    "type": "array",
                    "items": {
                        "type": "object", "required": ["message", "code"],
                        "properties": {
                            "message": { "type": "string" },
                            "code": { "type": "string", "description": "A constant for programs." },
                            "pointer": { "type": "string", "description": "JSON pointer to the place in the body." }
                        }
                    }
                }
            }
        },
        "ListMetadata": {
            "type": "object", "required": ["collection", "offset", "limit", "total", "next", "nextLink"],
            "properties": {
                "collection": { "type": "string", "description": "The key of the array." },
                "offset": { "type": "integer" },
                "limit": { "type": "integer", "description": "The limit that was applied." },
                "total": { "type": "integer", "description": "How many records match." },
                "totalIsAtLeast": { "type": "boolean", "description": "True if there are more than `total`." },
                "next": { "type": ["string", "null"], "description": "The cursor of the next page; null on the last." },
                "nextLink": { "type": ["string", "null"], "description": "The URL of the next page." },
                "partial": { "type": "boolean", "description": "True while the first sync is still running." }
            }
        },
        "Events": {
            "type": "object", "required": ["_metadata", "events"],
            "properties": {
                "_metadata": {
                    "type": "object", "required": ["collection", "after", "limit", "next", "hasMore", "first"],
                    "properties": {
                        "collection": { "type": "string", "description": "The key of the array." },
                        "after": { "type": "integer" },
                        "limit": { "type": "integer", "description": "The limit that was applied." },
                        "next": { "type": "integer", "description": "What to ask for next as `after`." },
                        "hasMore": { "type": "boolean", "description": "True if there are more already." },
                        "first": { "type": "integer", "description": "The oldest number that is kept: a reader whose `after` is more than one less has missed events." }
                    }
                },
                "events": { "type": "array", "items": reference("Event") }
            }
        },
        "Event": {
            "type": "object",
            "required": ["number", "eventId", "event", "eventCreated", "credentialId", "appKey", "resourceIds"],
            "properties": {
                "number": { "type": "integer", "description": "Its place in the environment's order." },
                "eventId": { "type": "string", "format": "uuid" },
                "event": { "type": "string", "description": "The collection and `Created`, `Updated` or `Deleted`: `peopleCreated`." },
                "eventCreated": { "type": "string", "format": "date-time" },
                "credentialId": { "type": "string" },
                "appKey": { "type": "string" },
                "resourceIds": { "type": "array", "items": { "type": "string" }, "description": "Up to 100 ids of records." },
                "uri": { "type": "string", "description": "Where the records are read; empty for deleted ones." },
                "initialSync": { "type": "boolean", "description": "True if a first sync brought them." }
            }
        },
        "Nothing": { "type": "array", "maxItems": 0, "items": {}, "description": "Always empty." }
    });
    match shared {
        Value::Object(shared) => shared,
        _ => Map::new(),
    }
}

/// The schemas of one entity.
pub(super) fn of(entity: &Entity) -> Vec<(String, Value)> {
    let names = names(entity);
    let served = entity.fields.iter().filter(|field| field.stored());
    let required = served.clone().map(|field| field.name.as_str()).collect();
    let record = object(
        &entity.description,
        served.map(|field| (field, Direction::Out)),
        required,
    );

    let settable = entity
        .fields
        .iter()
        .filter(|field| field.create != Rule::No);
    let required = settable
        .clone()
        .filter(|field| field.create == Rule::Required);
    let required = required.map(|field| field.name.as_str()).collect();
    let create = object(
        "What a new record is made of.",
        settable.map(|field| (field, Direction::Create)),
        required,
    );

    let changeable = entity.fields.iter().filter(|field| field.update);
    let update = object(
        "What is to change: null clears a field, an absent field stays, a list is replaced.",
        changeable.map(|field| (field, Direction::Update)),
        Vec::new(),
    );
    let custom = |mut schema: Value| {
        if let (true, Some(schema)) = (entity.custom_fields, schema.as_object_mut()) {
            let any = json!({ "description": "A custom field of the account." });
            schema.insert("patternProperties".into(), json!({ "^custom[^a-z]": any }));
        }
        schema
    };
    vec![
        (names.record, custom(record)),
        (names.create, custom(create)),
        (names.update, custom(update)),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Out,
    Create,
    Update,
}

fn object<'a>(
    description: &str,
    fields: impl Iterator<Item = (&'a Field, Direction)>,
    required: Vec<&str>,
) -> Value {
    let properties: Map<String, Value> = fields
        .map(|(field, direction)| (field.name.clone(), property(field, direction)))
        .collect();
    let mut schema =
        json!({ "type": "object", "description": description, "properties": properties });
    if let (false, Some(schema)) = (required.is_empty(), schema.as_object_mut()) {
        schema.insert("required".into(), json!(required));
    }
    schema
}

fn property(field: &Field, direction: Direction) -> Value {
    let mut schema = public(&field.schema);
    if let Some(schema) = schema.as_object_mut() {
        match direction {
            Direction::Out if field.host => {
                schema.insert("readOnly".into(), json!(true));
            }
            Direction::Out => {}
            Direction::Create if field.create == Rule::Required => without_null(schema),
            Direction::Create | Direction::Update => with_null(schema),
        }
    }
    schema
}

fn without_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
    }
}

fn with_null(schema: &mut Map<String, Value>) {
    if let Some(Value::String(kind)) = schema.get("type") {
        let types = json!([kind, "null"]);
        schema.insert("type".into(), types);
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
}

/// A schema of the catalogue without the keywords that are for this host only.
pub(super) fn public(schema: &Value) -> Value {
    match schema {
        Value::Object(keywords) => keywords
            .iter()
            .filter(|(keyword, _)| !keyword.starts_with("x-") && *keyword != "writeOnly")
            .map(|(keyword, value)| match (keyword.as_str(), value) {
                ("$ref", Value::String(shared)) => (
                    keyword.clone(),
                    json!(shared.replace("#/$defs/", "#/components/schemas/")),
                ),
                // Names, not keywords.
                ("properties", Value::Object(properties)) => {
                    let properties: Map<_, _> = properties
                        .iter()
                        .map(|(name, schema)| (name.clone(), public(schema)))
                        .collect();
                    (keyword.clone(), Value::Object(properties))
                }
                ("items", schema) => (keyword.clone(), public(schema)),
                _ => (keyword.clone(), value.clone()),
            })
            .collect(),
        other => other.clone(),
    }
}
