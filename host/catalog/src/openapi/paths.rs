//! The document's paths: the five verbs and the operations of every entity.

use serde_json::{Map, Value, json};

use super::pascal_case;
use super::schemas::{names, public, reference};
use crate::category::Verb;
use crate::entity::{Entity, Operation, Rule};
use crate::filter::Filter;

/// The answers that a request of a kind can get beside its own.
const READ_ERRORS: [u16; 8] = [400, 401, 403, 404, 405, 409, 429, 503];
const FEED_ERRORS: [u16; 5] = [400, 401, 403, 429, 503];
const WRITE_ERRORS: [u16; 13] = [
    400, 401, 403, 404, 405, 409, 413, 415, 422, 429, 502, 503, 504,
];

/// The paths of one entity.
pub(super) fn of(entity: &Entity) -> Vec<(String, Value)> {
    let mut collection = Map::new();
    let mut record = Map::new();
    record.insert("parameters".into(), json!([parameter("id")]));
    for verb in &entity.verbs {
        match verb {
            Verb::List => drop(collection.insert("get".into(), list(entity))),
            Verb::Create if entity.fields.iter().any(|field| field.create != Rule::No) => {
                collection.insert("post".into(), create(entity));
            }
            Verb::Get => drop(record.insert("get".into(), get(entity))),
            Verb::Update if entity.fields.iter().any(|field| field.update != Rule::No) => {
                record.insert("put".into(), update(entity));
            }
            Verb::Delete => drop(record.insert("delete".into(), delete(entity))),
            Verb::Create | Verb::Update => {}
        }
    }
    let base = format!("/{}", entity.path);
    let mut paths = vec![
        (base.clone(), Value::Object(collection)),
        (format!("{base}/{{id}}"), Value::Object(record)),
    ];
    for operation in &entity.operations {
        let path = format!("{base}/{{id}}/{}", operation.path);
        let method = (
            operation.method.to_ascii_lowercase(),
            perform(entity, operation),
        );
        // Two operations may share a path and differ in the method.
        match paths.iter_mut().find(|(known, _)| *known == path) {
            Some((_, Value::Object(methods))) => drop(methods.insert(method.0, method.1)),
            _ => {
                let methods: Map<_, _> =
                    [("parameters".to_owned(), json!([parameter("id")])), method]
                        .into_iter()
                        .collect();
                paths.push((path, Value::Object(methods)));
            }
        }
    }
    paths
}

/// What happened to the account's records.
pub(super) fn feed() -> Value {
    json!({ "get": {
        "operationId": "readFeed",
        "summary": "Lists what happened to records",
        "description": "In the order of `number`. Ask again with `after` set to `_metadata.next`; numbers belong to the \
                        environment, so that those of one account have gaps. Events are kept for 30 days unless the \
                        operator says otherwise.",
        "tags": ["events-feed"],
        "parameters": [parameter("after"), parameter("eventLimit"), parameter("includeInitialSync")],
        "responses": responses("200", "Events, oldest first.", reference("FeedPage"), &FEED_ERRORS)
    } })
}

fn list(entity: &Entity) -> Value {
    let mut parameters = vec![
        parameter("next"),
        parameter("offset"),
        parameter("limit"),
        parameter("ids"),
        parameter("updatedSince"),
    ];
    parameters.extend(
        entity
            .filters()
            .map(|filter| filter_parameter(entity, filter)),
    );
    parameters.push(parameter("allowPartial"));
    let collection = &entity.collection;
    let page = json!({
        "type": "object", "required": ["_metadata", collection],
        "properties": {
            "_metadata": reference("ListMetadata"),
            collection: { "type": "array", "items": reference(&names(entity).record) }
        }
    });
    json!({
        "operationId": format!("list{}", pascal_case(&entity.name_in_code())),
        "summary": format!("Lists {}", entity.plural()),
        "description": "Newest first. Filters combine with AND. Follow `_metadata.next` to read everything.",
        "tags": [entity.path],
        "parameters": parameters,
        "responses": responses("200", "A page of records.", page, &READ_ERRORS)
    })
}

fn get(entity: &Entity) -> Value {
    let names = names(entity);
    json!({
        "operationId": format!("get{}", names.record),
        "summary": format!("Reads one of the {}", entity.plural()),
        "tags": [entity.path],
        "parameters": [parameter("allowPartial")],
        "responses": responses("200", "The record.", reference(&names.record), &READ_ERRORS)
    })
}

fn create(entity: &Entity) -> Value {
    let names = names(entity);
    let mut answers = responses(
        "201",
        "The record, as the app made it.",
        reference(&names.record),
        &WRITE_ERRORS,
    );
    if let Some(answers) = answers.as_object_mut() {
        answers.remove("404");
        let later = "The app has taken it on and will make the record later.";
        answers.insert(
            "202".into(),
            json!({ "description": later, "headers": request_id() }),
        );
    }
    json!({
        "operationId": format!("create{}", names.record),
        "summary": format!("Adds to the {}", entity.plural()),
        "tags": [entity.path],
        "parameters": [parameter("idempotencyKey")],
        "requestBody": body(reference(&names.create)),
        "responses": answers
    })
}

fn update(entity: &Entity) -> Value {
    let names = names(entity);
    let mut parameters = vec![parameter("idempotencyKey")];
    for (field, merge) in entity
        .fields
        .iter()
        .filter_map(|field| Some((field, field.merge.as_ref()?)))
    {
        parameters.push(json!({
            "name": merge, "in": "query", "schema": { "type": "boolean", "default": false },
            "description": format!("True: the body's `{}` are added to those that are there, instead of replacing them.", field.name)
        }));
    }
    json!({
        "operationId": format!("update{}", names.record),
        "summary": format!("Changes one of the {}", entity.plural()),
        "tags": [entity.path],
        "parameters": parameters,
        "requestBody": body(reference(&names.update)),
        "responses": responses("200", "The record, as the app has it now.", reference(&names.record), &WRITE_ERRORS)
    })
}

fn delete(entity: &Entity) -> Value {
    json!({
        "operationId": format!("delete{}", names(entity).record),
        "summary": format!("Deletes one of the {}", entity.plural()),
        "tags": [entity.path],
        "parameters": [parameter("idempotencyKey")],
        "responses": responses("200", "It is deleted.", reference("Nothing"), &WRITE_ERRORS)
    })
}

fn perform(entity: &Entity, operation: &Operation) -> Value {
    json!({
        "operationId": format!("{}{}", operation.name_in_code(), names(entity).record),
        "summary": operation.description,
        "tags": [entity.path],
        "parameters": [parameter("idempotencyKey")],
        "requestBody": body(public(&operation.input)),
        "responses": responses("200", "It is done.", reference("Nothing"), &WRITE_ERRORS)
    })
}

impl Entity {
    /// The entity's name as a word of generated code, `TextMessages`.
    fn name_in_code(&self) -> String {
        pascal_case(&self.name)
    }

    /// The entity's name as words, `text messages`.
    fn plural(&self) -> String {
        crate::table::snake_case(&self.name).replace('_', " ")
    }
}

impl Operation {
    /// `tags/apply` as `tagsApply`.
    fn name_in_code(&self) -> String {
        let pascal = pascal_case(&self.name);
        let mut letters = pascal.chars();
        letters
            .next()
            .into_iter()
            .flat_map(char::to_lowercase)
            .chain(letters.clone())
            .collect()
    }
}

fn filter_parameter(entity: &Entity, filter: &Filter) -> Value {
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
        "description": format!("Only records whose `{field}` {}.{id}", matches.description())
    })
}

fn body(schema: Value) -> Value {
    json!({ "required": true, "content": { "application/json": { "schema": schema } } })
}

fn responses(status: &str, description: &str, schema: Value, errors: &[u16]) -> Value {
    let mut answers = Map::new();
    let answer = json!({
        "description": description,
        "headers": answer_headers(),
        "content": { "application/json": { "schema": schema } }
    });
    answers.insert(status.to_owned(), answer);
    for error in errors {
        answers.insert(
            error.to_string(),
            json!({ "$ref": format!("#/components/responses/{error}") }),
        );
    }
    Value::Object(answers)
}

fn request_id() -> Value {
    json!({ "X-Request-Id": { "$ref": "#/components/headers/X-Request-Id" } })
}

fn answer_headers() -> Value {
    let name = "X-Rollout-Credential-Status";
    let mut headers = request_id();
    if let Some(headers) = headers.as_object_mut() {
        headers.insert(
            name.into(),
            json!({ "$ref": format!("#/components/headers/{name}") }),
        );
    }
    headers
}

fn parameter(name: &str) -> Value {
    json!({ "$ref": format!("#/components/parameters/{name}") })
}

pub(super) fn shared_headers() -> Value {
    json!({
        "X-Request-Id": { "description": "Names this request in the host's log.", "schema": { "type": "string" } },
        "X-Rollout-Credential-Status": {
            "description": "`broken` if the app no longer accepts the credential; reads go on from the last copy.",
            "schema": { "type": "string" }
        },
        "Retry-After": { "description": "Seconds to wait before trying again.", "schema": { "type": "integer" } }
    })
}

pub(super) fn shared_parameters() -> Value {
    json!({
        "id": {
            "name": "id", "in": "path", "required": true, "schema": { "type": "string" },
            "description": "The record's id in this host."
        },
        "next": {
            "name": "next", "in": "query", "schema": { "type": "string" },
            "description": "`_metadata.next` of the page before. Takes precedence over `offset`; valid for 24 hours, and only \
                            with the same filters."
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
            "name": "updatedSince", "in": "query", "schema": { "type": "string" },
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

pub(super) fn shared_responses() -> Value {
    let told = [
        (
            400,
            "Something in the request is wrong; `errors` says what and where.",
        ),
        (401, "The token is missing or not valid."),
        (
            403,
            "The credential is unknown or broken, or may not do this.",
        ),
        (404, "There is no such record."),
        (405, "This app does not offer this."),
        (
            409,
            "The first sync is still running, the entity is not synced, the record's state does not allow this, or a \
             request with this Idempotency-Key is under way (`write_in_progress`: send it again after Retry-After).",
        ),
        (413, "The body is too large."),
        (415, "The body is not JSON."),
        (422, "The Idempotency-Key was used for another request."),
        (429, "Too many requests, here or at the app."),
        (
            502,
            "The app failed. With `maybe_applied` the write may have been carried out.",
        ),
        (503, "This host cannot answer now."),
        (504, "The app did not answer in time."),
    ];
    let mut responses = Map::new();
    for (status, description) in told {
        let mut headers = request_id();
        if let (409 | 429 | 503, Some(headers)) = (status, headers.as_object_mut()) {
            headers.insert(
                "Retry-After".into(),
                json!({ "$ref": "#/components/headers/Retry-After" }),
            );
        }
        let content = json!({ "application/json": { "schema": reference("Error") } });
        let answer = json!({ "description": description, "headers": headers, "content": content });
        responses.insert(status.to_string(), answer);
    }
    Value::Object(responses)
}
