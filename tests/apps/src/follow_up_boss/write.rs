//! Bodies of `POST` and `PUT`: what is refused, and what becomes of the rest.
//!
//! Chosen where the Follow Up Boss API reference is silent: a value of the
//! wrong type is 400 `Invalid value for field 'x'.`; a person, user or lender
//! id that does not exist is refused; `source`, `sourceUrl` and `createdAt` in
//! a `PUT` are accepted and change nothing; a new person belongs to the key's
//! user unless assigned; a new note moves the person's `lastActivity` but not
//! its `updated`.

use std::time::Duration;

use serde_json::{Value, json};

use super::filters::{digits, switch, tags};
use super::moments;
use super::records::{Kind, Record, Resource, STAGES};
use super::reply::Refusal;
use super::store::{Store, View, touch};

/// What the bodies of a resource may and must contain.
#[derive(Debug)]
pub(super) struct Writes {
    pub(super) fields: &'static [(&'static str, Shape)],
    /// Needed at creation: one of each group, named by the first.
    pub(super) required: &'static [&'static [&'static str]],
}

/// What the value of a field has to look like, and how it is stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Text,
    /// A text which stays as it was created.
    OnceText,
    Number,
    /// Stored as 0 or 1.
    Flag,
    /// Stored as a boolean.
    Switch,
    /// A task's flag, which also sets the time of completion.
    Completion,
    Date,
    Moment,
    OneOf(&'static [&'static str]),
    /// Sets `created` at creation.
    CreatedAt,
    /// A stage name; unknown ones silently become the first stage.
    Stage,
    /// A person's id, or 0 for none.
    Person,
    /// A user's name; sets the id too. Names the field the name is kept in.
    UserName(&'static str),
    /// A user's id; sets the name too.
    UserId(&'static str),
    Emails,
    Phones,
    Addresses,
    Tags,
    Collaborators,
    /// Accepted, never shown.
    Unshown,
}

/// A write being carried out.
pub(super) struct Draft<'a> {
    pub(super) store: &'a Store,
    pub(super) resource: &'a Resource,
    /// The id of the user who writes.
    pub(super) author: u64,
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
        if self.resource.kind == Kind::People {
            let name = full_name(&record);
            record.insert("name".to_owned(), name.into());
        }
        if !self.creating {
            touch(&mut record);
            if record.contains_key("updatedBy") {
                record.insert("updatedBy".to_owned(), self.author_name());
            }
        }
        Ok(record)
    }

    /// A new record before its body is applied: every field, in the order in
    /// which they are sent.
    pub(super) fn blank(&self) -> Record {
        let now = moments::iso(moments::now());
        let author = self.author_name();
        let blank = match self.resource.kind {
            Kind::People => json!({
                "id": null, "created": now, "updated": now, "createdVia": "API",
                "lastActivity": now, "name": "", "firstName": "", "lastName": "",
                "stage": STAGES[0].0, "stageId": STAGES[0].1,
                "source": "<unspecified>", "sourceUrl": "", "contacted": 0, "price": null,
                "assignedLenderId": null, "assignedLenderName": null,
                "assignedUserId": self.author, "assignedPondId": null, "assignedTo": author,
                "tags": [], "emails": [], "phones": [], "addresses": [],
                "picture": null, "background": null, "collaborators": [],
                "timeframeId": null, "timeframeStatus": null, "timeframeUpdated": null,
                "relationships": [],
            }),
            Kind::Notes => json!({
                "id": null, "created": now, "updated": now,
                "createdBy": author, "updatedBy": author, "createdById": self.author,
                "personId": 0, "subject": "", "body": "", "type": "Note", "isHtml": false,
            }),
            Kind::Tasks => json!({
                "id": null, "created": now, "updated": now, "completed": null,
                "createdBy": author, "updatedBy": author, "createdById": self.author,
                "personId": 0, "AssignedTo": null, "assignedUserId": null,
                "name": "", "type": "Follow Up", "isCompleted": 0,
                "dueDate": null, "dueDateTime": null, "person": null,
            }),
            Kind::Users | Kind::CustomFields => json!({ "id": null }),
        };
        match blank {
            Value::Object(record) => record,
            _ => Record::new(),
        }
    }

    fn shape(&self, field: &str) -> Option<Shape> {
        let writes = self.resource.writes.as_ref()?;
        writes
            .fields
            .iter()
            .find(|(name, _)| *name == field)
            .map(|(_, shape)| *shape)
    }

    /// Refuses unknown fields, all at once, and missing required ones.
    fn check_names(&self, body: &Record) -> Result<(), Refusal> {
        let known = |field: &str| {
            self.shape(field).is_some()
                || (self.resource.is_custom(field) && self.store.defines_custom_field(field))
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
        let required = match &self.resource.writes {
            Some(writes) if self.creating => writes.required,
            _ => &[],
        };
        let given = |field: &&str| body.get(*field).is_some_and(|value| !value.is_null());
        match required.iter().find(|group| !group.iter().any(given)) {
            Some(group) => Err(Refusal::bad_request(format!(
                "Missing required field '{}'",
                group.first().copied().unwrap_or_default()
            ))),
            None => Ok(()),
        }
    }

    fn store_value(
        &self,
        record: &mut Record,
        shape: Shape,
        field: &str,
        value: &Value,
    ) -> Result<(), Refusal> {
        let invalid = || Refusal::bad_request(format!("Invalid value for field '{field}'."));
        let list = || match value {
            Value::Array(items) => Ok(items.as_slice()),
            Value::Null => Ok(&[] as &[Value]),
            _ => Err(invalid()),
        };
        let stored = match shape {
            Shape::Unshown => return Ok(()),
            Shape::OnceText | Shape::CreatedAt if !self.creating => return Ok(()),
            Shape::Stage => {
                let name = value.as_str().ok_or_else(invalid)?;
                let (stage, id) = STAGES
                    .into_iter()
                    .find(|(stage, _)| *stage == name)
                    .unwrap_or(STAGES[0]);
                record.insert("stageId".to_owned(), id.into());
                stage.into()
            }
            Shape::UserName(_) | Shape::UserId(_) if value.is_null() => return Ok(()),
            Shape::UserName(kept_in) => {
                let name = value.as_str().ok_or_else(invalid)?;
                let id = self.store.user_named(name).ok_or_else(invalid)?;
                record.insert("assignedUserId".to_owned(), id.into());
                record.insert(kept_in.to_owned(), name.into());
                return Ok(());
            }
            Shape::UserId(name_kept_in) => {
                let id = value.as_u64().ok_or_else(invalid)?;
                let name = self.store.name_of(Kind::Users, id).ok_or_else(invalid)?;
                record.insert(name_kept_in.to_owned(), name.into());
                value.clone()
            }
            Shape::Person => {
                let person = self.person(value.as_u64().ok_or_else(invalid)?)?;
                if record.contains_key("person") {
                    record.insert("person".to_owned(), person);
                }
                value.clone()
            }
            Shape::CreatedAt => {
                let text = value.as_str().ok_or_else(invalid)?;
                let moment = moments::parse(text).ok_or_else(invalid)?;
                record.insert("created".to_owned(), moments::iso(moment).into());
                return Ok(());
            }
            Shape::Completion => {
                let done = read_switch(value).ok_or_else(invalid)?;
                let completed = match done {
                    true => moments::iso(moments::now()).into(),
                    false => Value::Null,
                };
                record.insert("completed".to_owned(), completed);
                u8::from(done).into()
            }
            Shape::Flag => u8::from(read_switch(value).ok_or_else(invalid)?).into(),
            Shape::Switch => read_switch(value).ok_or_else(invalid)?.into(),
            Shape::Tags => {
                let mut kept: Vec<String> = match self.merge_tags {
                    true => tags(record).map(str::to_owned).collect(),
                    false => Vec::new(),
                };
                for tag in list()? {
                    let tag = tag.as_str().ok_or_else(invalid)?;
                    if !kept.iter().any(|known| known == tag) {
                        kept.push(tag.to_owned());
                    }
                }
                kept.into()
            }
            Shape::Emails => each(list()?, email).ok_or_else(invalid)?,
            Shape::Phones => each(list()?, phone).ok_or_else(invalid)?,
            Shape::Addresses => each(list()?, address).ok_or_else(invalid)?,
            Shape::Collaborators => each(list()?, |_, item| {
                let id = item.get("id")?.as_u64()?;
                Some(json!({ "id": id, "name": self.store.name_of(Kind::Users, id)? }))
            })
            .ok_or_else(invalid)?,
            Shape::Text | Shape::OnceText => kept_if(value, value.is_string(), invalid)?,
            Shape::Number => kept_if(value, value.is_number(), invalid)?,
            Shape::OneOf(names) => {
                let known = value.as_str().is_some_and(|name| names.contains(&name));
                kept_if(value, known, invalid)?
            }
            Shape::Date => {
                let date = value.as_str().is_some_and(moments::is_date);
                kept_if(value, date, invalid)?
            }
            Shape::Moment => {
                let moment = value.as_str().and_then(moments::parse);
                kept_if(value, moment.is_some(), invalid)?;
                moment.map(moments::iso).into()
            }
        };
        record.insert(field.to_owned(), stored);
        Ok(())
    }

    /// Custom fields take texts and numbers; null deletes the value.
    fn store_custom(&self, record: &mut Record, field: &str, value: &Value) -> Result<(), Refusal> {
        match value {
            Value::Null => {
                record.shift_remove(field);
            }
            Value::String(_) | Value::Number(_) => {
                record.insert(field.to_owned(), value.clone());
            }
            _ => {
                return Err(Refusal::bad_request(format!(
                    "Invalid value for field '{field}'."
                )));
            }
        }
        Ok(())
    }

    /// The person something is attached to, as tasks show it.
    fn person(&self, id: u64) -> Result<Value, Refusal> {
        if id == 0 {
            return Ok(Value::Null);
        }
        let people = Resource::of(Kind::People);
        let person = self
            .store
            .get(Kind::People, id)
            .filter(|person| {
                !people.hides(person)
                    && self.view.sees(self.store, people.kind, person)
                    && !self.store.is_settling(id, self.settling)
            })
            .ok_or_else(|| Refusal::not_found(people.noun))?;
        Ok(json!({ "id": id, "name": person.get("name") }))
    }

    fn author_name(&self) -> Value {
        self.store.name_of(Kind::Users, self.author).into()
    }
}

/// Null is kept as null, whatever the field.
fn kept_if(value: &Value, fits: bool, invalid: impl Fn() -> Refusal) -> Result<Value, Refusal> {
    if fits || value.is_null() {
        Ok(value.clone())
    } else {
        Err(invalid())
    }
}

fn each(items: &[Value], store: impl Fn(usize, &Value) -> Option<Value>) -> Option<Value> {
    items
        .iter()
        .enumerate()
        .map(|(position, item)| store(position, item))
        .collect()
}

/// The first email or phone of a list is the primary one, whatever is sent.
fn primary(position: usize) -> u8 {
    u8::from(position == 0)
}

fn email(position: usize, item: &Value) -> Option<Value> {
    let value = item
        .get("value")?
        .as_str()
        .filter(|text| !text.is_empty())?;
    let status = if value.contains('@') {
        "Valid"
    } else {
        "Invalid"
    };
    Some(json!({
        "value": value,
        "type": text_of(item, "type", "home"),
        "status": status,
        "isPrimary": primary(position),
    }))
}

fn phone(position: usize, item: &Value) -> Option<Value> {
    let value = item
        .get("value")?
        .as_str()
        .filter(|text| !text.is_empty())?;
    let normalized = digits(value);
    let status = if normalized.len() < 7 {
        "Invalid"
    } else {
        "Valid"
    };
    Some(json!({
        "value": value,
        "type": text_of(item, "type", "mobile"),
        "status": status,
        "isPrimary": primary(position),
        "normalized": normalized,
        "isLandline": 0,
        "relationshipId": 0,
    }))
}

fn address(_: usize, item: &Value) -> Option<Value> {
    item.as_object()?;
    Some(json!({
        "type": text_of(item, "type", "home"),
        "street": text_of(item, "street", ""),
        "city": text_of(item, "city", ""),
        "state": text_of(item, "state", ""),
        "code": text_of(item, "code", ""),
        "country": text_of(item, "country", ""),
    }))
}

fn text_of<'a>(item: &'a Value, field: &str, default: &'a str) -> &'a str {
    item.get(field).and_then(Value::as_str).unwrap_or(default)
}

fn read_switch(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(on) => Some(*on),
        Value::Number(number) => switch(&number.to_string()),
        _ => None,
    }
}

/// `name` is derived from the two others.
pub(super) fn full_name(record: &Record) -> String {
    let part = |field| record.get(field).and_then(Value::as_str).unwrap_or("");
    format!("{} {}", part("firstName"), part("lastName"))
        .trim()
        .to_owned()
}
