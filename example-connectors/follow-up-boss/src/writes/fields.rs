//! The table of writable fields: ours, the app's, and how a value goes over.

use rollout_connector::entities::Custom;
use rollout_connector::{Error, Issue, Write, time};
use serde_json::{Map, Value, json};

use crate::api::{self, Resource};

/// What a body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Update,
}

/// A field of the catalogue that the app takes.
struct Field {
    ours: &'static str,
    theirs: &'static str,
    shape: Shape,
}

/// What the app wants of a value, and what null becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// A text; null is the empty text.
    Text,
    /// A text that can't be taken away.
    FixedText,
    /// The id of another record; null is null.
    Id,
    /// The id of another record that there must be.
    RequiredId,
    Number,
    Flag,
    /// A list of texts; null is the empty list.
    Texts,
    /// A list of `{value, type}`, the primary one first.
    Contacts,
    Addresses,
    /// A stage's id: the app wants its name.
    StageId,
    /// A moment or a day, which the app keeps apart.
    Due,
}

const fn field(ours: &'static str, theirs: &'static str, shape: Shape) -> Field {
    Field {
        ours,
        theirs,
        shape,
    }
}

const PEOPLE: &[Field] = &[
    field("firstName", "firstName", Shape::Text),
    field("lastName", "lastName", Shape::Text),
    field("stage", "stage", Shape::FixedText),
    // After `stage`: the id is the exact one and wins.
    field("stageId", "stage", Shape::StageId),
    field("source", "source", Shape::Text),
    field("averagePrice", "price", Shape::Number),
    field("assignedUserId", "assignedUserId", Shape::Id),
    field("assignedPondId", "assignedPondId", Shape::Id),
    field("timeframeId", "timeframeId", Shape::Id),
    field("tags", "tags", Shape::Texts),
    field("emails", "emails", Shape::Contacts),
    field("phones", "phones", Shape::Contacts),
    field("addresses", "addresses", Shape::Addresses),
];

const NOTES: &[Field] = &[
    field("personId", "personId", Shape::RequiredId),
    field("subject", "subject", Shape::Text),
    field("body", "body", Shape::Text),
    field("isHtml", "isHtml", Shape::Flag),
];

const TASKS: &[Field] = &[
    field("personId", "personId", Shape::RequiredId),
    field("assignedUserId", "assignedUserId", Shape::RequiredId),
    field("name", "name", Shape::Text),
    field("type", "type", Shape::FixedText),
    field("isCompleted", "isCompleted", Shape::Flag),
    field("dueDateTime", "dueDateTime", Shape::Due),
];

fn table(resource: Resource) -> &'static [Field] {
    match resource {
        Resource::People => PEOPLE,
        Resource::Notes => NOTES,
        Resource::Tasks => TASKS,
        Resource::Users => &[],
    }
}

/// Where a field of the app is in the caller's document.
pub(super) fn pointer(resource: Resource, theirs: &str) -> Option<String> {
    if resource == Resource::People && Custom::is_name(theirs) {
        return Some(format!("/{theirs}"));
    }
    let theirs = match theirs {
        "dueDate" => "dueDateTime",
        theirs => theirs,
    };
    let field = table(resource)
        .iter()
        .find(|field| field.theirs == theirs)?;
    Some(format!("/{}", field.ours))
}

/// The app's body of a write. All complaints are made at once.
pub(super) fn body(
    resource: Resource,
    write: &Write,
    verb: Verb,
) -> Result<Map<String, Value>, Error> {
    if resource == Resource::Users {
        return Err(Error::unsupported(resource.name(), "writing"));
    }
    let mut draft = Draft {
        verb,
        body: Map::new(),
        issues: Vec::new(),
    };
    for field in table(resource) {
        if let Some(value) = write.body.get(field.ours) {
            draft.put(field, value)?;
        }
    }
    for (name, value) in &write.body {
        if table(resource).iter().any(|field| field.ours == name) {
            continue;
        }
        if resource == Resource::People && Custom::is_name(name) {
            draft.body.insert(name.clone(), value.clone());
        } else {
            draft.refuse(name, "Follow Up Boss has no such field to write");
        }
    }
    match draft.issues.is_empty() {
        true => Ok(draft.body),
        false => Err(draft.issues.into()),
    }
}

struct Draft {
    verb: Verb,
    body: Map<String, Value>,
    issues: Vec<Issue>,
}

impl Draft {
    fn refuse(&mut self, pointer: &str, message: &str) {
        self.issues.push(Issue {
            pointer: format!("/{pointer}"),
            message: message.to_owned(),
        });
    }

    fn put(&mut self, field: &Field, value: &Value) -> Result<(), Error> {
        let (ours, theirs) = (field.ours, field.theirs);
        let value = match field.shape {
            Shape::Text => match value {
                Value::Null => Ok("".into()),
                value => checked(value, Value::is_string, "expected a text"),
            },
            Shape::FixedText => checked(
                value,
                Value::is_string,
                "expected a text; it can't be cleared",
            ),
            Shape::Id => match value {
                Value::Null => Ok(Value::Null),
                value => id(value),
            },
            Shape::RequiredId => id(value),
            Shape::Number => checked(
                value,
                |value| value.is_number() || value.is_null(),
                "expected a number",
            ),
            Shape::Flag => checked(value, Value::is_boolean, "expected true or false"),
            Shape::Texts => list(value, |item| item.is_string().then(|| item.clone()))
                .ok_or("expected a list of texts"),
            Shape::Contacts => contacts(value).ok_or("expected a list of objects with a value"),
            Shape::Addresses => list(value, |item| {
                picked(
                    item,
                    &["type", "street", "city", "state", "code", "country"],
                )
            })
            .ok_or("expected a list of objects"),
            Shape::StageId => stage(value)?,
            Shape::Due => return self.put_due(ours, value),
        };
        match value {
            Ok(value) => {
                self.body.insert(theirs.to_owned(), value);
            }
            Err(message) => self.refuse(ours, message),
        }
        Ok(())
    }

    /// The app keeps a day (`dueDate`) and a moment (`dueDateTime`) apart; what
    /// is not meant is cleared, or it would win when the task is read again.
    fn put_due(&mut self, ours: &str, value: &Value) -> Result<(), Error> {
        let text = value.as_str().unwrap_or_default().trim();
        let (day, moment) = match time::normalize(text.into()) {
            _ if value.is_null() => (Some(Value::Null), Some(Value::Null)),
            None => {
                self.refuse(ours, "expected a moment (RFC 3339) or a day (YYYY-MM-DD)");
                return Ok(());
            }
            Some(day) if time::is_date(&day) => (
                Some(day.into()),
                (self.verb == Verb::Update).then_some(Value::Null),
            ),
            Some(moment) => (None, Some(moment.into())),
        };
        self.body.extend(day.map(|day| ("dueDate".to_owned(), day)));
        self.body
            .extend(moment.map(|moment| ("dueDateTime".to_owned(), moment)));
        Ok(())
    }
}

type Checked = Result<Value, &'static str>;

fn checked(value: &Value, fits: impl Fn(&Value) -> bool, message: &'static str) -> Checked {
    if fits(value) {
        Ok(value.clone())
    } else {
        Err(message)
    }
}

/// The app's ids are whole numbers; ours are their text.
fn id(value: &Value) -> Checked {
    let number = match value {
        Value::String(text) => text.parse::<u64>().ok(),
        Value::Number(number) => number.as_u64(),
        _ => None,
    };
    match number {
        Some(number) if number > 0 => Ok(number.into()),
        _ => Err("expected the id of a record of this account"),
    }
}

/// The app takes a stage by its name only.
fn stage(value: &Value) -> Result<Checked, Error> {
    let Ok(id) = id(value) else {
        return Ok(Err("expected the id of a stage; it can't be cleared"));
    };
    let name = api::stage_name(&id.to_string())?;
    Ok(name.map(Value::from).ok_or("there is no such stage"))
}

/// A list, each entry made anew; null is the empty list.
fn list(value: &Value, entry: impl Fn(&Value) -> Option<Value>) -> Option<Value> {
    match value {
        Value::Null => Some(json!([])),
        Value::Array(items) => items.iter().map(entry).collect(),
        _ => None,
    }
}

/// Emails or phones. The app takes the first for the primary one and refuses to
/// be told, so the primary one is put first.
fn contacts(value: &Value) -> Option<Value> {
    let mut entries = match value {
        Value::Array(entries) => entries.clone(),
        Value::Null => Vec::new(),
        _ => return None,
    };
    let primary = |entry: &Value| entry.get("isPrimary") == Some(&Value::Bool(true));
    if let Some(first) = entries.iter().position(primary) {
        entries.get_mut(..=first)?.rotate_right(1);
    }
    list(&entries.into(), |entry| {
        entry
            .get("value")?
            .as_str()
            .filter(|value| !value.is_empty())?;
        picked(entry, &["value", "type"])
    })
}

/// An object with these members only; null and absent ones are left out.
fn picked(value: &Value, names: &[&str]) -> Option<Value> {
    let object = value.as_object()?;
    let members = names.iter().filter_map(|name| {
        let member = object.get(*name).filter(|member| !member.is_null())?;
        Some(((*name).to_owned(), member.clone()))
    });
    Some(Value::Object(members.collect()))
}
