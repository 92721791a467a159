//! Bodies of `POST` and `PUT`: what is refused, and what becomes of the rest.
//!
//! Chosen where the Follow Up Boss API reference is silent: a value of the
//! wrong type is 400 `Invalid value for field 'x'.`; a person, user, pond,
//! type or lender id that does not exist is refused; `source`, `sourceUrl` and
//! `createdAt` in a `PUT` are accepted and change nothing; a new person belongs
//! to the key's user unless assigned; a new note, call, text message or event
//! moves the person's `lastActivity` but not its `updated`; two stages, types
//! or outcomes cannot have one name; what is created without `orderWeight`
//! comes last.

use std::time::Duration;

use serde_json::{Value, json};

use super::customs;
use super::moments;
use super::records::{Birth, Kind, Record, Resource};
use super::reply::Refusal;
use super::shapes::Shape;
use super::store::{Store, View, touch};

/// A write being carried out.
pub(super) struct Draft<'a> {
    pub(super) store: &'a Store,
    pub(super) resource: &'a Resource,
    /// The id of the user who writes.
    pub(super) author: u64,
    /// The registered system through which it is done.
    pub(super) system: Option<&'a str>,
    pub(super) view: View,
    pub(super) creating: bool,
    pub(super) merge_tags: bool,
    pub(super) settling: Duration,
}

impl Draft<'_> {
    /// The record after `body` is applied to it.
    pub(super) fn apply(&self, mut record: Record, body: &Record) -> Result<Record, Refusal> {
        self.check_names(body)?;
        for (field, value) in body {
            match self.shape(field) {
                Some(shape) => self.store_value(&mut record, shape, field, value)?,
                None => self.store_custom(&mut record, field, value)?,
            }
        }
        (self.resource.finish)(self, &mut record, body)?;
        if !self.creating {
            touch(self.resource, &mut record);
            let changes = [
                ("updatedBy", self.author_name()),
                ("updatedById", self.author.into()),
            ];
            for (field, value) in changes {
                if let Some(kept) = record.get_mut(field) {
                    *kept = value;
                }
            }
        }
        Ok(record)
    }

    /// A new record before its body is applied.
    pub(super) fn blank(&self) -> Record {
        let birth = Birth {
            author: self.author,
            author_name: self.author_name(),
            now: moments::iso(moments::now()),
            system: self.system.unwrap_or_default().to_owned(),
        };
        match (self.resource.blank)(&birth) {
            Value::Object(record) => record,
            _ => Record::new(),
        }
    }

    /// Gives a record without `orderWeight` the last place among its kind.
    pub(super) fn put_last(&self, record: &mut Record) {
        if !record.get("orderWeight").is_none_or(Value::is_null) {
            return;
        }
        let weights = self.store.collection(self.resource.kind).kept();
        let last = weights
            .filter_map(|(_, other)| other.get("orderWeight")?.as_i64())
            .max();
        record.insert(
            "orderWeight".to_owned(),
            last.unwrap_or_default().saturating_add(1000).into(),
        );
    }

    /// Refuses a record whose field has the text of another one's.
    pub(super) fn only_one(&self, field: &str, record: &Record) -> Result<(), Refusal> {
        let text = |record: &Record| {
            let text = record.get(field).and_then(Value::as_str).unwrap_or("");
            text.trim().to_lowercase()
        };
        let wanted = text(record);
        let taken = self
            .store
            .collection(self.resource.kind)
            .kept()
            .any(|(_, other)| other.get("id") != record.get("id") && text(other) == wanted);
        match (wanted.is_empty(), taken) {
            (true, _) => Err(invalid(field)),
            (_, true) => Err(Refusal::bad_request(format!(
                "{} with this {field} already exists.",
                self.resource.noun
            ))),
            _ => Ok(()),
        }
    }

    fn shape(&self, field: &str) -> Option<Shape> {
        self.resource
            .fields
            .iter()
            .find(|(name, _)| *name == field)
            .map(|(_, shape)| *shape)
    }

    /// Refuses unknown fields, all at once, and missing required ones.
    fn check_names(&self, body: &Record) -> Result<(), Refusal> {
        let known = |field: &str| {
            self.shape(field).is_some()
                || (self.resource.is_custom(field)
                    && self.definition(field).is_some_and(customs::is_writable))
        };
        let unknown: Vec<&str> = body
            .keys()
            .map(String::as_str)
            .filter(|field| !known(field))
            .collect();
        if !unknown.is_empty() {
            let unknown = unknown.join(", ");
            return Err(Refusal::bad_request(format!(
                "Invalid fields in the request body: {unknown}."
            )));
        }
        let required = match self.creating {
            true => self.resource.required,
            false => &[],
        };
        let given = |field: &&str| body.get(*field).is_some_and(|value| !value.is_null());
        match required.iter().find(|group| !group.iter().any(given)) {
            Some(group) => Err(missing(group.first().copied().unwrap_or_default())),
            None => Ok(()),
        }
    }

    /// A custom value has to suit its definition; null deletes it.
    fn store_custom(&self, record: &mut Record, field: &str, value: &Value) -> Result<(), Refusal> {
        if value.is_null() {
            record.shift_remove(field);
            return Ok(());
        }
        let suits = self
            .definition(field)
            .is_some_and(|definition| customs::suits(definition, value));
        if !suits {
            return Err(invalid(field));
        }
        record.insert(field.to_owned(), value.clone());
        Ok(())
    }

    /// The definition of a custom field of this resource.
    fn definition(&self, field: &str) -> Option<&Record> {
        self.store.custom_field(self.resource.customs?, field)
    }

    /// The person something is attached to, as tasks show it.
    pub(super) fn person(&self, id: u64) -> Result<Value, Refusal> {
        let person = self.person_record(id)?;
        Ok(person.map_or(
            Value::Null,
            |person| json!({ "id": id, "name": person.get("name") }),
        ))
    }

    /// The person with this id; none for 0.
    pub(super) fn person_record(&self, id: u64) -> Result<Option<Record>, Refusal> {
        if id == 0 {
            return Ok(None);
        }
        let people = Resource::of(Kind::People);
        self.store
            .get(Kind::People, id)
            .filter(|person| {
                !people.hides(person)
                    && self.view.sees(self.store, people, person)
                    && !self.store.is_settling(id, self.settling)
            })
            .map(|person| Some(person.into_owned()))
            .ok_or_else(|| Refusal::not_found(people.noun))
    }

    fn author_name(&self) -> Value {
        self.store.name_of(Kind::Users, self.author).into()
    }
}

/// The refusal of a value that does not suit its field.
pub(super) fn invalid(field: &str) -> Refusal {
    Refusal::bad_request(format!("Invalid value for field '{field}'."))
}

/// The refusal of a body which lacks a field.
pub(super) fn missing(field: &str) -> Refusal {
    Refusal::bad_request(format!("Missing required field '{field}'"))
}

/// `name` is derived from the two others.
pub(super) fn full_name(record: &Record) -> String {
    let part = |field| record.get(field).and_then(Value::as_str).unwrap_or("");
    format!("{} {}", part("firstName"), part("lastName"))
        .trim()
        .to_owned()
}
