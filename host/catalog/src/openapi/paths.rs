//! The document's paths: the five verbs and the operations of every entity.

use serde_json::{Map, Value, json};

use super::parameters::{filter, merge, parameter, sort};
use super::schemas::{closed, names, reference};
use super::{Ask, Refusal, answers, examples, pascal_case};
use crate::category::Verb;
use crate::entity::{Entity, Operation, Rule};

/// Writes paths.
pub(super) struct Paths<'a> {
    /// Where the paths begin.
    pub(super) server_url: &'a str,
    /// What they may be answered with.
    pub(super) refusals: &'a [Refusal],
}

impl Paths<'_> {
    /// The paths of one entity.
    pub(super) fn of(&self, entity: &Entity) -> Vec<(String, Value)> {
        let mut collection = Map::new();
        let mut record = Map::new();
        record.insert("parameters".into(), json!([parameter("id")]));
        for verb in &entity.verbs {
            match verb {
                Verb::List => drop(collection.insert("get".into(), self.list(entity))),
                Verb::Create if entity.fields.iter().any(|field| field.create != Rule::No) => {
                    collection.insert("post".into(), self.create(entity));
                }
                Verb::Get => drop(record.insert("get".into(), self.get(entity))),
                Verb::Update if entity.fields.iter().any(|field| field.update != Rule::No) => {
                    record.insert("put".into(), self.update(entity));
                }
                Verb::Delete => drop(record.insert("delete".into(), self.delete(entity))),
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
                self.perform(entity, operation),
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
    pub(super) fn feed(&self) -> Value {
        let page = answers::good(
            Ask::Feed,
            "Events, oldest first.",
            reference("FeedPage"),
            examples::feed(self.server_url),
        );
        json!({ "get": {
            "operationId": "readFeed",
            "summary": "Lists what happened to records",
            "description": "In the order of `number`. Ask again with `after` set to `_metadata.next`; numbers belong to the \
                            environment, so that those of one account have gaps. Events are kept for 30 days unless the \
                            operator says otherwise.",
            "tags": ["events-feed"],
            "parameters": [parameter("after"), parameter("eventLimit"), parameter("includeInitialSync")],
            "responses": answers::all(Ask::Feed, vec![("200", page)], self.refusals)
        } })
    }

    fn list(&self, entity: &Entity) -> Value {
        let standard = ["next", "offset", "limit", "ids", "updatedSince"];
        let mut parameters = standard.map(parameter).to_vec();
        parameters.push(sort(entity));
        parameters.extend(entity.filters().map(|one| filter(entity, one)));
        parameters.push(parameter("allowPartial"));
        let collection = &entity.collection;
        let page = json!({
            "type": "object", "required": ["_metadata", collection],
            "properties": {
                "_metadata": reference("ListMetadata"),
                collection: { "type": "array", "items": reference(&names(entity).record) }
            }
        });
        let examples = examples::page(entity, self.server_url);
        let page = answers::good(Ask::List, "A page of records.", page, examples);
        json!({
            "operationId": format!("list{}", pascal_case(&entity.name)),
            "summary": format!("Lists {}", entity.plural()),
            "description": "Newest first, unless `sort` says otherwise. Filters combine with AND. Follow `_metadata.next` to read everything.",
            "tags": [entity.path],
            "parameters": parameters,
            "responses": answers::all(Ask::List, vec![("200", page)], self.refusals)
        })
    }

    fn get(&self, entity: &Entity) -> Value {
        json!({
            "operationId": format!("get{}", names(entity).record),
            "summary": format!("Reads one of the {}", entity.plural()),
            "tags": [entity.path],
            "parameters": [parameter("allowPartial")],
            "responses": self.with_record(entity, Ask::Get, "200", "The record.")
        })
    }

    fn create(&self, entity: &Entity) -> Value {
        let names = names(entity);
        let examples = examples::named(entity, |kind| examples::create(entity, kind));
        json!({
            "operationId": format!("create{}", names.record),
            "summary": format!("Adds to the {}", entity.plural()),
            "tags": [entity.path],
            "parameters": [parameter("idempotencyKey")],
            "requestBody": body(reference(&names.create), examples),
            "responses": self.with_record(entity, Ask::Create, "201", "The record, as the app made it.")
        })
    }

    fn update(&self, entity: &Entity) -> Value {
        let mut parameters = vec![parameter("idempotencyKey")];
        for field in &entity.fields {
            parameters.extend(field.merge.as_ref().map(|name| merge(name, &field.name)));
        }
        let names = names(entity);
        let examples = examples::one(examples::update(entity));
        json!({
            "operationId": format!("update{}", names.record),
            "summary": format!("Changes one of the {}", entity.plural()),
            "tags": [entity.path],
            "parameters": parameters,
            "requestBody": body(reference(&names.update), examples),
            "responses": self.with_record(entity, Ask::Update, "200", "The record, as the app has it now.")
        })
    }

    fn delete(&self, entity: &Entity) -> Value {
        let done = nothing(Ask::Delete, "It is deleted.");
        json!({
            "operationId": format!("delete{}", names(entity).record),
            "summary": format!("Deletes one of the {}", entity.plural()),
            "tags": [entity.path],
            "parameters": [parameter("idempotencyKey")],
            "responses": answers::all(Ask::Delete, vec![("200", done)], self.refusals)
        })
    }

    fn perform(&self, entity: &Entity, operation: &Operation) -> Value {
        let done = nothing(Ask::Perform, "It is done.");
        let later = nothing(Ask::Perform, "The app will do it later.");
        let examples = examples::one(examples::operation(operation));
        json!({
            "operationId": format!("{}{}", operation.name_in_code(), names(entity).record),
            "summary": operation.description,
            "tags": [entity.path],
            "parameters": [parameter("idempotencyKey")],
            "requestBody": body(closed(&operation.input), examples),
            "responses": answers::all(Ask::Perform, vec![("200", done), ("202", later)], self.refusals)
        })
    }

    /// Answers of which the good one is a record. Of a write there may be nothing to show yet.
    fn with_record(&self, entity: &Entity, ask: Ask, status: &str, description: &str) -> Value {
        let schema = reference(&names(entity).record);
        let examples = examples::named(entity, |kind| examples::record(entity, kind));
        let mut own = vec![(status, answers::good(ask, description, schema, examples))];
        if !ask.reads() {
            let later = "The app has taken it on and will do it later.";
            let empty = examples::one(json!({}));
            let later = answers::good(ask, later, reference("Accepted"), empty);
            own.push(("202", later));
        }
        answers::all(ask, own, self.refusals)
    }
}

impl Entity {
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

fn nothing(ask: Ask, description: &str) -> Value {
    let empty = examples::one(json!([]));
    answers::good(ask, description, reference("Nothing"), empty)
}

fn body(schema: Value, examples: Value) -> Value {
    json!({
        "required": true,
        "content": { "application/json": { "schema": schema, "examples": examples } }
    })
}
