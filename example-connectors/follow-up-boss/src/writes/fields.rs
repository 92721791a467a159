//! A write's fields in the app's terms, as the tables of `resources` say.

use rollout_connector::entities::Custom;
use rollout_connector::{Error, Issue, Write, time};
use serde_json::{Map, Value, json};

use crate::api;
use crate::resources::Resource;
use crate::table::{Field, Writes};

/// What a body is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Create,
    Update,
}

/// Where a field of the app is in the caller's document.
pub(super) fn pointer(resource: &Resource, theirs: &str) -> Option<String> {
    if resource.custom && Custom::is_name(theirs) {
        return Some(format!("/{theirs}"));
    }
    let theirs = match theirs.split('.').next().unwrap_or(theirs) {
        "dueDate" => "dueDateTime",
        theirs => theirs,
    };
    let (field, _) = writable(resource).find(|(field, _)| field.theirs == theirs)?;
    Some(format!("/{}", field.ours))
}

/// The app's body of a write. All complaints are made at once.
pub(super) fn body(
    resource: &Resource,
    write: &Write,
    verb: Verb,
) -> Result<Map<String, Value>, Error> {
    let mut draft = Draft {
        verb,
        body: Map::new(),
        issues: Vec::new(),
    };
    for (field, writes) in writable(resource) {
        if let Some(value) = write.body.get(field.ours) {
            draft.put(field, writes, value)?;
        }
    }
    for (name, value) in &write.body {
        if writable(resource).any(|(field, _)| field.ours == name) {
            continue;
        }
        if resource.custom && Custom::is_name(name) {
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

/// The fields that the app takes.
fn writable(resource: &Resource) -> impl Iterator<Item = (&'static Field, Writes)> {
    let fields = resource.fields.iter();
    fields.filter_map(|field| Some((field, field.writes?)))
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

    fn put(&mut self, field: &Field, writes: Writes, value: &Value) -> Result<(), Error> {
        let (ours, theirs) = (field.ours, field.theirs);
        let value = match writes {
            Writes::Text => match value {
                Value::Null => Ok("".into()),
                value => checked(value, Value::is_string, "expected a text"),
            },
            Writes::TextOrNull => checked(
                value,
                |value| value.is_string() || value.is_null(),
                "expected a text",
            ),
            Writes::FixedText => checked(
                value,
                Value::is_string,
                "expected a text; it can't be cleared",
            ),
            Writes::Id => match value {
                Value::Null => Ok(Value::Null),
                value => id(value),
            },
            Writes::RequiredId => id(value),
            Writes::Ids => list(value, |item| id(item).ok())
                .ok_or("expected a list of ids of records of this account"),
            Writes::Moment => moment(value, |moment| match time::is_date(moment) {
                true => format!("{moment}T00:00:00Z"),
                false => moment.to_owned(),
            }),
            Writes::Day => moment(value, |moment| moment.chars().take(DATE).collect()),
            Writes::PipelineStages => {
                list(value, pipeline_stage).ok_or("expected a list of objects with a name")
            }
            Writes::Person => id(value).map(|id| json!({ "id": id })),
            Writes::Invitee(name) => match self.invitee(name, value) {
                Ok(()) => return Ok(()),
                Err(message) => Err(message),
            },
            Writes::Number => checked(
                value,
                |value| value.is_number() || value.is_null(),
                "expected a number",
            ),
            Writes::Flag => checked(value, Value::is_boolean, "expected true or false"),
            Writes::Texts => list(value, |item| item.is_string().then(|| item.clone()))
                .ok_or("expected a list of texts"),
            Writes::Contacts => contacts(value).ok_or("expected a list of objects with a value"),
            Writes::Addresses => list(value, |item| {
                picked(
                    item,
                    &["type", "street", "city", "state", "code", "country"],
                )
            })
            .ok_or("expected a list of objects"),
            Writes::StageId => stage(value)?,
            Writes::Due => return self.put_due(ours, value),
        };
        match value {
            Ok(value) => {
                self.body.insert(theirs.to_owned(), value);
            }
            Err(message) => self.refuse(ours, message),
        }
        Ok(())
    }

    /// Adds to those who are invited; null says that there is none.
    fn invitee(&mut self, name: &str, value: &Value) -> Result<(), &'static str> {
        let id = match value {
            Value::Null => Value::Null,
            value => id(value)?,
        };
        if self.verb == Verb::Create && id.is_null() {
            return Ok(());
        }
        let invitees = self.body.entry(INVITEES).or_insert_with(|| json!([]));
        if let Value::Array(invitees) = invitees {
            invitees.push(json!({ name: id }));
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

/// Where an appointment has those who are invited.
pub(super) const INVITEES: &str = "invitees";

/// How long `2025-07-02` is.
const DATE: usize = 10;

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

/// A moment or day in the form that the app wants; null is null.
fn moment(value: &Value, form: impl Fn(&str) -> String) -> Checked {
    let text = value.as_str().unwrap_or_default().trim();
    match time::normalize(text.into()) {
        _ if value.is_null() => Ok(Value::Null),
        Some(moment) => Ok(form(&moment).into()),
        None => Err("expected a moment (RFC 3339) or a day (YYYY-MM-DD)"),
    }
}

/// A stage of a pipeline; without an id it is new.
fn pipeline_stage(stage: &Value) -> Option<Value> {
    stage.get("name")?.as_str()?;
    let members = ["name", "description", "orderWeight", "color", "closedStage"];
    let mut picked = picked(stage, &members)?;
    if let Some(known) = stage.get("id").filter(|id| !id.is_null()) {
        let known = id(known).ok()?;
        picked.as_object_mut()?.insert("id".to_owned(), known);
    }
    Some(picked)
}

/// Those who are invited once the appointment is changed: who was, but for the
/// first of each kind that the change names anew.
pub(super) fn invited(present: &Value, change: &Value) -> Value {
    const KINDS: [&str; 5] = ["userId", "personId", "relationshipId", "name", "email"];
    let present = present.as_array().into_iter().flatten();
    let mut invitees: Vec<Value> = present
        .filter_map(|invitee| picked(invitee, &KINDS))
        .collect();
    let change = change.as_array().into_iter().flatten();
    for (name, id) in change.filter_map(Value::as_object).flatten() {
        let before = invitees.iter().position(|one| one.get(name).is_some());
        let same = before.and_then(|at| invitees.get(at)?.get(name)) == Some(id);
        if same {
            continue;
        }
        let at = before.unwrap_or(invitees.len());
        let there = at..at + usize::from(before.is_some());
        let wanted = (!id.is_null()).then(|| json!({ name.as_str(): id }));
        invitees.splice(there, wanted);
    }
    invitees.into()
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
