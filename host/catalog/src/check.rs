//! Checking what a client sends, before a connector sees it.
//!
//! Clients are people's programs: they learn of all mistakes at once, each with the place and what to do. Nothing is
//! coerced here, because a client that sends the wrong type has a bug that it wants to know of.

use serde_json::{Map, Value};

use crate::entity::{Entity, Field, Operation, Rule};
use crate::error::Issue;
use crate::json::push_pointer;
use crate::land::MAX_DEPTH;
use crate::moment;
use crate::nearest::nearest;
use crate::node::{Member, Node, Object, Shape};
use crate::schema::Type;

impl Entity {
    /// Checks the body of a `POST`: required fields are there, every field may be set and has its type. Null for an
    /// optional field is the same as leaving it out.
    pub fn check_create(&self, body: &Value) -> Result<(), Vec<Issue>> {
        self.check(body, Write::Create)
    }

    /// Checks the body of a `PUT`: every field may be changed and has its type, or is null, which clears it.
    pub fn check_update(&self, body: &Value) -> Result<(), Vec<Issue>> {
        self.check(body, Write::Update)
    }

    /// Checks the body of an operation, `tags/apply`.
    pub fn check_operation(&self, operation: &str, body: &Value) -> Result<(), Vec<Issue>> {
        match self.operation(operation) {
            Some(operation) => operation.check(body),
            None => Err(vec![Issue::new(
                "",
                format!("`{}` has no operation `{operation}`", self.name),
            )]),
        }
    }

    fn check(&self, body: &Value, write: Write) -> Result<(), Vec<Issue>> {
        let mut check = Check::default();
        match body {
            Value::Object(body) => check.record(self, body, write),
            other => check.complain(format!("must be an object, not {}", kind(other))),
        }
        check.outcome()
    }
}

impl Operation {
    /// Checks the operation's body.
    pub fn check(&self, body: &Value) -> Result<(), Vec<Issue>> {
        self.node.check(body)
    }
}

impl Node {
    /// Checks a value that stands where the node is.
    pub(crate) fn check(&self, value: &Value) -> Result<(), Vec<Issue>> {
        let mut check = Check::default();
        check.value(self, value);
        check.outcome()
    }
}

/// Which request the body belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Write {
    Create,
    Update,
}

impl Write {
    fn takes(self, field: &Field) -> bool {
        match self {
            Write::Create => field.create != Rule::No,
            Write::Update => field.update != Rule::No,
        }
    }

    fn requires(self, field: &Field) -> bool {
        let rule = match self {
            Write::Create => field.create,
            Write::Update => field.update,
        };
        rule == Rule::Required
    }
}

/// Issues that are told at once. Whoever has more learns of the others when these are mended; a body of a million
/// mistakes must not make an answer of a million entries.
const MOST_ISSUES: usize = 100;
/// Bytes of a field's name, custom ones included. A longer one is not repeated in the answer.
const LONGEST_NAME: usize = 1000;

/// The issues found so far, and where we are.
#[derive(Default)]
struct Check {
    pointer: String,
    issues: Vec<Issue>,
}

impl Check {
    fn outcome(self) -> Result<(), Vec<Issue>> {
        if self.issues.is_empty() {
            Ok(())
        } else {
            Err(self.issues)
        }
    }

    fn complain(&mut self, message: impl Into<String>) {
        self.issues.push(Issue::new(self.pointer.as_str(), message));
    }

    /// Does something one level deeper, unless enough has been found.
    fn at(&mut self, segment: &str, act: impl FnOnce(&mut Self)) {
        if self.issues.len() >= MOST_ISSUES {
            return;
        }
        if segment.len() > LONGEST_NAME {
            let length = segment.len();
            return self.complain(format!(
                "has a field with a name of {length} bytes; there is none of more than {LONGEST_NAME}"
            ));
        }
        let length = self.pointer.len();
        push_pointer(&mut self.pointer, segment);
        act(self);
        self.pointer.truncate(length);
    }

    fn record(&mut self, entity: &Entity, body: &Map<String, Value>, write: Write) {
        for (name, value) in body {
            self.at(name, |check| {
                match entity.field(name).zip(entity.record.get(name)) {
                    Some((field, member)) if write.takes(field) => match other_kind(field, body) {
                        Some(_) if value.is_null() => {}
                        Some(message) => check.complain(message),
                        None => check.field(field, member, value, write),
                    },
                    Some((field, _)) => check.complain(refusal(field, write)),
                    None if entity.is_custom(name) => check.custom(value),
                    None => {
                        let allowed = entity.fields.iter().filter(|field| write.takes(field));
                        check.complain(unknown(name, allowed.map(|field| field.name.as_str())));
                    }
                }
            });
        }
        for field in &entity.fields {
            // Whether a field of one kind is missing shows only when the kind is known.
            let needed = field.only.as_ref().is_none_or(|only| {
                body.contains_key(&only.field) && other_kind(field, body).is_none()
            });
            if needed && write.requires(field) && !body.contains_key(&field.name) {
                self.at(&field.name, |check| check.complain("is required"));
            }
        }
    }

    fn field(&mut self, field: &Field, member: &Member, value: &Value, write: Write) {
        match value {
            Value::Null if write.requires(field) => {
                self.complain("is required, so it can't be null")
            }
            Value::Null => {}
            value => self.value(&member.node, value),
        }
    }

    fn custom(&mut self, value: &Value) {
        // The record itself is one level.
        if !within(value, MAX_DEPTH - 1) {
            self.complain(format!("is nested more than {MAX_DEPTH} deep"));
        }
    }

    fn missing(&mut self, object: &Object, body: &Map<String, Value>) {
        for member in object
            .members
            .iter()
            .filter(|member| member.required && !body.contains_key(&member.name))
        {
            self.at(&member.name, |check| check.complain("is required"));
        }
    }

    fn value(&mut self, node: &Node, value: &Value) {
        match (&node.shape, value) {
            (_, Value::Null) if node.nullable => {}
            (Shape::List(items), Value::Array(values)) => {
                for (at, value) in values.iter().enumerate() {
                    self.at(&at.to_string(), |check| check.value(items, value));
                }
            }
            (Shape::Object(object), Value::Object(body)) => self.object(object, body),
            (Shape::Text(one_of), Value::String(text)) => {
                if !one_of.is_empty() && !one_of.contains(text) {
                    self.complain(format!("must be one of {}", one_of.join(", ")));
                }
            }
            (Shape::Reference(_), Value::String(id)) => {
                if id.is_empty() {
                    self.complain("must be the id of a record, not an empty string");
                }
            }
            (Shape::Time, Value::String(text)) => {
                if moment::canonical(text).is_none() {
                    self.complain(
                        "must be a time like 2025-07-02T15:19:21Z or a date like 2025-07-02",
                    );
                }
            }
            (Shape::Time, Value::Number(number)) => {
                if moment::from_number(number).is_none() {
                    self.complain("must be a time: a string, or milliseconds since 1970");
                }
            }
            (Shape::Number, Value::Number(_)) | (Shape::Boolean, Value::Bool(_)) => {}
            (Shape::Integer, Value::Number(number)) if number.as_i64().is_some() => {}
            (Shape::Any(types), value)
                if types.is_empty() || types.iter().any(|kind| is(*kind, value)) =>
            {
                self.custom(value);
            }
            (shape, value) => {
                self.complain(format!("must be {}, not {}", expected(shape), kind(value)))
            }
        }
    }

    fn object(&mut self, object: &Object, body: &Map<String, Value>) {
        for (name, value) in body {
            self.at(name, |check| match object.get(name) {
                Some(member) => check.value(&member.node, value),
                None => check.complain(unknown(
                    name,
                    object.members.iter().map(|member| member.name.as_str()),
                )),
            });
        }
        self.missing(object, body);
    }
}

/// Why a record of the kind that the body says does not have this field. A body that does not say, as those of `PUT`,
/// may have it.
fn other_kind(field: &Field, body: &Map<String, Value>) -> Option<String> {
    let only = field.only.as_ref()?;
    let kind = body.get(&only.field)?.as_str()?;
    let has = only.values.iter().any(|value| value == kind);
    (!has).then(|| {
        format!(
            "goes with the {} {} only; leave it out",
            only.field,
            only.values.join(" or ")
        )
    })
}

/// Why a known field is not taken.
fn refusal(field: &Field, write: Write) -> &'static str {
    match write {
        _ if field.host => "is made by the host and can't be set; leave it out",
        Write::Create if field.update != Rule::No => {
            "can be changed later, but not set when the record is created"
        }
        Write::Update if field.create != Rule::No => "can only be set when the record is created",
        _ => "is read-only; leave it out",
    }
}

fn unknown<'a>(name: &str, allowed: impl Iterator<Item = &'a str>) -> String {
    match nearest(name, allowed) {
        Some(meant) => format!("is not a field; did you mean `{meant}`?"),
        None => "is not a field".to_owned(),
    }
}

/// Whether lists and objects are nested at most so deep.
fn within(value: &Value, depth: u32) -> bool {
    match value {
        Value::Array(values) => depth > 0 && values.iter().all(|value| within(value, depth - 1)),
        Value::Object(members) => {
            depth > 0 && members.values().all(|value| within(value, depth - 1))
        }
        _ => true,
    }
}

fn is(kind: Type, value: &Value) -> bool {
    match kind {
        Type::Null => value.is_null(),
        Type::Boolean => value.is_boolean(),
        Type::Integer => value.is_i64() || value.is_u64(),
        Type::Number => value.is_number(),
        Type::String => value.is_string(),
        Type::Array => value.is_array(),
        Type::Object => value.is_object(),
    }
}

/// In the words of JSON, which is what the client writes.
fn expected(shape: &Shape) -> &'static str {
    match shape {
        Shape::Text(_) => "a string",
        Shape::Reference(_) => "the id of a record, a string",
        other => other.expected(),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
