//! The document's schemas: per entity the record as served, and the bodies of `POST` and `PUT`.

use serde_json::{Map, Value, json};

use super::pascal_case;
use crate::entity::{Entity, Field, Only, Rule};
use crate::table::Kind;

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
        "FeedPage": {
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
                "events": { "type": "array", "items": reference("FeedEvent") }
            }
        },
        "FeedEvent": {
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
        "Accepted": { "type": "object", "maxProperties": 0, "description": "Empty: there is no record to show yet." },
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
    let mut schemas = Vec::new();
    union(entity, &names.record, Direction::Out, &mut schemas);
    union(entity, &names.create, Direction::Create, &mut schemas);
    let update = object(entity, Direction::Update, None);
    schemas.push((names.update, update));
    schemas
}

/// One schema, or where records come in kinds one for each kind, and the schema that is any of these.
fn union(entity: &Entity, name: &str, direction: Direction, schemas: &mut Vec<(String, Value)>) {
    let Some((teller, kinds)) = entity.kinds() else {
        return schemas.push((name.to_owned(), object(entity, direction, None)));
    };
    let mut mapping = Map::new();
    for kind in kinds {
        let kind_name = format!("{name}{}", pascal_case(kind));
        mapping.insert(
            kind.clone(),
            json!(format!("#/components/schemas/{kind_name}")),
        );
        let mut schema = object(entity, direction, Some(kind));
        if let Some(teller) = schema.pointer_mut(&format!("/properties/{}", teller.name)) {
            *teller = json!({ "type": "string", "enum": [kind] });
        }
        schemas.push((kind_name, schema));
    }
    let any: Vec<Value> = mapping
        .values()
        .map(|kind| json!({ "$ref": kind }))
        .collect();
    let schema = json!({
        "description": direction.description(entity),
        "oneOf": any,
        "discriminator": { "propertyName": teller.name, "mapping": mapping }
    });
    schemas.push((name.to_owned(), schema));
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Out,
    Create,
    Update,
}

impl Direction {
    fn description(self, entity: &Entity) -> &str {
        match self {
            Direction::Out => &entity.description,
            Direction::Create => "What a new record is made of.",
            Direction::Update => {
                "What is to change: null clears a field, an absent field stays, a list is replaced."
            }
        }
    }

    fn shows(self, field: &Field) -> bool {
        match self {
            Direction::Out => field.stored(),
            Direction::Create => field.create != Rule::No,
            Direction::Update => field.update != Rule::No,
        }
    }

    fn requires(self, field: &Field) -> bool {
        match self {
            Direction::Out => true,
            Direction::Create => field.create == Rule::Required,
            Direction::Update => field.update == Rule::Required,
        }
    }
}

/// The schema of an object with the fields that records of this kind have; none: of any kind.
fn object(entity: &Entity, direction: Direction, kind: Option<&String>) -> Value {
    let fields = entity.fields.iter().filter(|field| {
        let other = |only: &Only| kind.is_some_and(|kind| !only.values.contains(kind));
        direction.shows(field) && !field.only.as_ref().is_some_and(other)
    });
    let required = fields.clone().filter(|field| direction.requires(field));
    let required: Vec<&str> = required.map(|field| field.name.as_str()).collect();
    let properties: Map<String, Value> = fields
        .map(|field| (field.name.clone(), property(field, direction)))
        .collect();
    let mut schema = json!({
        "type": "object", "description": direction.description(entity), "properties": properties
    });
    if let Some(schema) = schema.as_object_mut() {
        if !required.is_empty() {
            schema.insert("required".into(), json!(required));
        }
        if entity.custom_fields {
            let any = json!({ "description": "A custom field of the account." });
            schema.insert("patternProperties".into(), json!({ "^custom[^a-z]": any }));
        }
        if direction != Direction::Out {
            schema.insert("additionalProperties".into(), json!(false));
        }
    }
    schema
}

fn property(field: &Field, direction: Direction) -> Value {
    let mut schema = match direction {
        Direction::Out => public(&field.schema),
        Direction::Create | Direction::Update => closed(&field.schema),
    };
    if let Some(schema) = schema.as_object_mut() {
        match direction {
            Direction::Out if field.host => {
                schema.insert("readOnly".into(), json!(true));
            }
            Direction::Out => {}
            _ if direction.requires(field) => without_null(schema),
            Direction::Create | Direction::Update => with_null(schema),
        }
        if field.kind == Kind::DateTime && !field.host {
            time(schema, field, direction);
        }
    }
    schema
}

/// Says how a time may be written. Apps have dates without a time of day too; the times that they make themselves are
/// whole.
fn time(schema: &mut Map<String, Value>, field: &Field, direction: Direction) {
    let settable = field.create != Rule::No || field.update != Rule::No;
    let mut forms = vec![
        json!({ "format": "date-time" }),
        json!({ "format": "date" }),
    ];
    match direction {
        Direction::Out if settable => {}
        Direction::Out => return,
        Direction::Create | Direction::Update => {
            if let Some(types) = schema.get_mut("type") {
                let mut all = types.as_array().cloned().unwrap_or(vec![types.clone()]);
                all.insert(1, json!("integer"));
                *types = Value::Array(all);
            }
            // From year 1 to year 9999.
            forms.push(json!({
                "type": "integer", "minimum": -62_135_596_800_000_i64, "maximum": 253_402_300_799_999_i64,
                "description": "Milliseconds since 1970."
            }));
            let text = forms.iter_mut().take(2).filter_map(Value::as_object_mut);
            text.for_each(|form| drop(form.insert("type".into(), json!(["string", "null"]))));
        }
    }
    schema.remove("format");
    schema.insert("anyOf".into(), Value::Array(forms));
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

/// A schema of the catalogue as a body has it: an object has no members but the described ones, an id is not empty.
pub(super) fn closed(schema: &Value) -> Value {
    let mut closed = public(schema);
    close(schema, &mut closed);
    closed
}

fn close(schema: &Value, closed: &mut Value) {
    let Some(keywords) = closed.as_object_mut() else {
        return;
    };
    if schema.get("x-reference").is_some() {
        keywords.insert("minLength".into(), json!(1));
    }
    if let (Some(schema), Some(items)) = (schema.get("items"), keywords.get_mut("items")) {
        close(schema, items);
    }
    if let Some(Value::Object(properties)) = keywords.get_mut("properties") {
        for (name, property) in properties {
            let schema = schema.get("properties").and_then(|all| all.get(name));
            close(schema.unwrap_or(&Value::Null), property);
        }
        keywords.insert("additionalProperties".into(), json!(false));
    }
}

/// A schema of the catalogue without the keywords that are for this host only.
fn public(schema: &Value) -> Value {
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
