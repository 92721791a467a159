//! Turning what a client sends into what a connector expects: the app's ids for the host's, times in one form.
//!
//! The host's ids are first collected ([`Entity::references`]), so that they can be looked up together, and then
//! replaced ([`Entity::map_references`]).

use serde_json::{Map, Value};

use crate::entity::{Entity, Operation};
use crate::error::Issue;
use crate::json::push_pointer;
use crate::moment;
use crate::node::{Node, Object, Shape};

/// A host's id in a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostId {
    /// JSON pointer to it.
    pub pointer: String,
    /// The entity whose record it should be.
    pub entity: String,
    /// The id.
    pub id: String,
}

impl Entity {
    /// The ids of other records in a body for `POST` or `PUT`.
    pub fn references(&self, body: &Value) -> Vec<HostId> {
        references(&self.record, body)
    }

    /// Replaces the ids of other records by what `map` gives for (entity, id). An id for which it gives none stays
    /// and is complained of.
    pub fn map_references(
        &self,
        body: &mut Value,
        map: impl FnMut(&str, &str) -> Option<String>,
    ) -> Vec<Issue> {
        map_references(&self.record, body, map)
    }

    /// Brings the times in a checked body into the form in which the API serves them. Numbers are milliseconds since
    /// 1970.
    pub fn normalise_times(&self, body: &mut Value) {
        normalise_times(&self.record, body);
    }
}

impl Operation {
    /// The ids of other records in the operation's body.
    pub fn references(&self, body: &Value) -> Vec<HostId> {
        self.input_object()
            .map(|input| references(input, body))
            .unwrap_or_default()
    }

    /// Replaces the ids of other records, like [`Entity::map_references`].
    pub fn map_references(
        &self,
        body: &mut Value,
        map: impl FnMut(&str, &str) -> Option<String>,
    ) -> Vec<Issue> {
        self.input_object()
            .map(|input| map_references(input, body, map))
            .unwrap_or_default()
    }

    /// Brings the times in a checked body into one form, like [`Entity::normalise_times`].
    pub fn normalise_times(&self, body: &mut Value) {
        if let Some(input) = self.input_object() {
            normalise_times(input, body);
        }
    }

    fn input_object(&self) -> Option<&Object> {
        match &self.node.shape {
            Shape::Object(object) => Some(object),
            _ => None,
        }
    }
}

fn references(object: &Object, body: &Value) -> Vec<HostId> {
    let mut found = Vec::new();
    walk_body(object, body, &mut |node, pointer, value| {
        if let (Shape::Reference(entity), Value::String(id)) = (&node.shape, value) {
            found.push(HostId {
                pointer: pointer.to_owned(),
                entity: entity.clone(),
                id: id.clone(),
            });
        }
    });
    found
}

fn map_references(
    object: &Object,
    body: &mut Value,
    mut map: impl FnMut(&str, &str) -> Option<String>,
) -> Vec<Issue> {
    let mut issues = Vec::new();
    for HostId {
        pointer,
        entity,
        id,
    } in references(object, body)
    {
        match (map(&entity, &id), body.pointer_mut(&pointer)) {
            (Some(upstream), Some(place)) => *place = Value::String(upstream),
            _ => issues.push(Issue::new(
                pointer,
                format!("is not the id of one of this credential's {entity}"),
            )),
        }
    }
    issues
}

fn normalise_times(object: &Object, body: &mut Value) {
    let mut times = Vec::new();
    walk_body(object, body, &mut |node, pointer, value| {
        let time = match (&node.shape, value) {
            (Shape::Time, Value::String(text)) => {
                moment::canonical(text).map(|time| time.into_owned())
            }
            (Shape::Time, Value::Number(number)) => moment::from_number(number),
            _ => None,
        };
        times.extend(time.map(|time| (pointer.to_owned(), time)));
    });
    for (pointer, time) in times {
        if let Some(place) = body.pointer_mut(&pointer) {
            *place = Value::String(time);
        }
    }
}

/// Shows every value that the schema knows, with its pointer.
fn walk_body(object: &Object, body: &Value, visit: &mut dyn FnMut(&Node, &str, &Value)) {
    if let Value::Object(body) = body {
        walk_object(object, body, &mut String::new(), visit);
    }
}

fn walk_object(
    object: &Object,
    body: &Map<String, Value>,
    pointer: &mut String,
    visit: &mut dyn FnMut(&Node, &str, &Value),
) {
    for (name, value) in body {
        if let Some(member) = object.get(name) {
            walk(&member.node, value, pointer, name, visit);
        }
    }
}

fn walk(
    node: &Node,
    value: &Value,
    pointer: &mut String,
    segment: &str,
    visit: &mut dyn FnMut(&Node, &str, &Value),
) {
    let length = pointer.len();
    push_pointer(pointer, segment);
    visit(node, pointer, value);
    match (&node.shape, value) {
        (Shape::List(items), Value::Array(values)) => {
            for (at, value) in values.iter().enumerate() {
                walk(items, value, pointer, &at.to_string(), visit);
            }
        }
        (Shape::Object(object), Value::Object(body)) => walk_object(object, body, pointer, visit),
        _ => {}
    }
    pointer.truncate(length);
}
