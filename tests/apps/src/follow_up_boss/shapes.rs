//! What the value of each field has to look like, and how it is stored.

use serde_json::{Value, json};

use super::filters::{digits, switch, tags};
use super::moments;
use super::records::{Kind, Record, Resource};
use super::reply::Refusal;
use super::store::View;
use super::write::{Draft, invalid};

/// What the value of a field has to look like, and how it is stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Text,
    /// A text which stays as it was created.
    OnceText,
    /// A list of texts.
    Texts,
    Number,
    /// A whole number.
    Count,
    /// Stored as 0 or 1.
    Flag,
    /// Stored as a boolean.
    Switch,
    /// A task's flag, which also sets the time of completion.
    Completion,
    Date,
    Moment,
    OneOf(&'static [&'static str]),
    /// One of these, which cannot be changed later.
    Fixed(&'static [&'static str]),
    /// Sets `created` at creation.
    CreatedAt,
    /// A stage name; unknown ones silently become the first stage.
    Stage,
    /// A person's id, or 0 for none; sets what the record says of the person.
    Person,
    /// A user's name; sets the id too. Names the field the name is kept in.
    UserName(&'static str),
    /// A user's id; sets the name too.
    UserId(&'static str),
    /// The id of the user something is done for: one's own, but for admins.
    ActingUser(Option<&'static str>),
    /// The id of a record of another kind, and the field its name is kept in.
    /// Null is none.
    Ref(Kind, Option<&'static str>),
    /// A list of ids.
    Ids(Kind),
    /// A list of ids, kept elsewhere as a list of `{id, name}` with a picture
    /// that is called so.
    Links(Kind, &'static str, &'static str),
    /// Users, people and others.
    Invitees,
    /// A stage of a pipeline, which says what the pipeline is.
    DealStage,
    /// The stages of a pipeline, the new ones without `id`.
    DealStages,
    Emails,
    Phones,
    Addresses,
    Tags,
    Collaborators,
    /// Accepted, never shown.
    Unshown,
}

impl Draft<'_> {
    /// Stores a value of the body as its shape demands.
    pub(super) fn store_value(
        &self,
        record: &mut Record,
        shape: Shape,
        field: &str,
        value: &Value,
    ) -> Result<(), Refusal> {
        let invalid = || invalid(field);
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
                let (id, stage) = self.store.stage_named(name);
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
                let id = value.as_u64().ok_or_else(invalid)?;
                let person = self.person_record(id)?;
                if record.contains_key("person") {
                    record.insert("person".to_owned(), self.person(id)?);
                }
                // Calls and text messages repeat the names of their person;
                // relatives have names of their own.
                if record.contains_key("userName") {
                    for field in ["name", "firstName", "lastName"] {
                        let name = person.as_ref().and_then(|person| person.get(field));
                        let name = name.cloned().unwrap_or_else(|| "".into());
                        record.insert(field.to_owned(), name);
                    }
                }
                value.clone()
            }
            Shape::ActingUser(name_kept_in) => {
                let id = value.as_u64().ok_or_else(invalid)?;
                if id != self.author && self.view != View::Everything {
                    return Err(Refusal::forbidden("Only admins can act for other users."));
                }
                let name = self.store.name_of(Kind::Users, id).ok_or_else(invalid)?;
                if let Some(name_kept_in) = name_kept_in {
                    record.insert(name_kept_in.to_owned(), name.into());
                }
                value.clone()
            }
            Shape::Ref(kind, name_kept_in) => {
                let name = match value {
                    Value::Null => None,
                    _ => {
                        let id = value.as_u64().ok_or_else(invalid)?;
                        Some(self.store.name_of(kind, id).ok_or_else(invalid)?)
                    }
                };
                if let Some(name_kept_in) = name_kept_in {
                    record.insert(name_kept_in.to_owned(), name.into());
                }
                value.clone()
            }
            Shape::Ids(kind) => each(list()?, |_, item| {
                self.store.get(kind, item.as_u64()?).map(|_| item.clone())
            })
            .ok_or_else(invalid)?,
            Shape::Links(kind, kept_in, picture) => {
                let links = list()?
                    .iter()
                    .map(|item| self.link(kind, picture, item.as_u64().ok_or_else(invalid)?))
                    .collect::<Result<_, _>>()?;
                record.insert(kept_in.to_owned(), links);
                return Ok(());
            }
            Shape::Invitees => list()?
                .iter()
                .map(|item| self.invitee(field, item))
                .collect::<Result<_, _>>()?,
            Shape::DealStage => {
                let id = value.as_u64().ok_or_else(invalid)?;
                let stage = self.store.deal_stage(id).ok_or_else(invalid)?;
                if record.get("stageId") != Some(value) {
                    let now = moments::iso(moments::now());
                    record.insert("enteredStageAt".to_owned(), now.into());
                }
                record.extend(stage);
                return Ok(());
            }
            Shape::DealStages => self.deal_stages(record, field, list()?)?,
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
            Shape::Texts => {
                each(list()?, |_, item| item.as_str().map(Value::from)).ok_or_else(invalid)?
            }
            Shape::Number => kept_if(value, value.is_number(), invalid)?,
            Shape::Count => {
                let whole = value.as_f64().is_some_and(|number| number.fract() == 0.0);
                match kept_if(value, whole, invalid)? {
                    Value::Number(number) if number.is_f64() => {
                        number.as_f64().map(|number| number as i64).into()
                    }
                    kept => kept,
                }
            }
            Shape::Fixed(_) if !self.creating => {
                if record.get(field) != Some(value) {
                    return Err(Refusal::bad_request(format!(
                        "Field '{field}' cannot be changed."
                    )));
                }
                return Ok(());
            }
            Shape::Fixed(names) => {
                let known = value.as_str().is_some_and(|name| names.contains(&name));
                kept_if(value, known, invalid)?
            }
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

    /// A person or user as deals show them.
    fn link(&self, kind: Kind, picture: &str, id: u64) -> Result<Value, Refusal> {
        let name = match kind {
            Kind::People => self
                .person_record(id)?
                .and_then(|one| one.get("name").cloned()),
            _ => self.store.name_of(kind, id).map(Value::from),
        };
        let name = name.ok_or_else(|| Refusal::not_found(Resource::of(kind).noun))?;
        let none = match picture {
            "avatar" => Value::from(""),
            _ => Value::Null,
        };
        Ok(json!({ "id": id, "name": name, picture: none }))
    }

    /// Somebody invited: a user, a person, a person's relative, or a stranger.
    fn invitee(&self, field: &str, item: &Value) -> Result<Value, Refusal> {
        let id = |name: &str| item.get(name).and_then(Value::as_u64);
        let known = match (id("userId"), id("personId"), id("relationshipId")) {
            (Some(user), ..) => self
                .store
                .get(Kind::Users, user)
                .map(|user| user.into_owned()),
            (_, Some(person), _) => self.person_record(person)?,
            (_, _, Some(relative)) => self
                .store
                .get(Kind::PeopleRelationships, relative)
                .map(|relative| relative.into_owned()),
            _ => item.as_object().cloned(),
        };
        let known = known.ok_or_else(|| invalid(field))?;
        let own_email = known.get("email").cloned().or_else(|| {
            let primary = known.get("emails")?.as_array()?.first()?;
            primary.get("value").cloned()
        });
        let said = |name: &str| item.get(name).filter(|value| value.is_string()).cloned();
        let name = said("name").or_else(|| known.get("name").cloned());
        let email = said("email").or(own_email);
        if name.is_none() && email.is_none() {
            return Err(invalid(field));
        }
        Ok(json!({
            "userId": id("userId"), "personId": id("personId"),
            "relationshipId": id("relationshipId"), "name": name, "email": email,
            "picture": known.get("picture").filter(|_| item.get("userId").is_some()),
        }))
    }

    /// The stages of a pipeline: those with an id are changed, those without
    /// are new, those left out are deleted, unless deals are in them.
    fn deal_stages(
        &self,
        pipeline: &Record,
        field: &str,
        items: &[Value],
    ) -> Result<Value, Refusal> {
        let empty = Vec::new();
        let before = pipeline
            .get("stages")
            .and_then(Value::as_array)
            .unwrap_or(&empty);
        let mut free = self.store.last_deal_stage();
        let mut after = Vec::with_capacity(items.len());
        for (place, item) in (1..).zip(items) {
            let mut stage = match item.get("id").filter(|id| !id.is_null()) {
                Some(id) => before
                    .iter()
                    .find(|stage| stage.get("id") == Some(id))
                    .cloned()
                    .ok_or_else(|| invalid(field))?,
                None => {
                    free += 1;
                    json!({
                        "id": free, "name": null, "color": "#819cff", "description": "",
                        "orderWeight": place * 1000, "closedStage": false,
                    })
                }
            };
            if let (Some(stage), Some(item)) = (stage.as_object_mut(), item.as_object()) {
                for (name, kept) in stage.iter_mut().filter(|(name, _)| *name != "id") {
                    if let Some(value) = item.get(name) {
                        *kept = value.clone();
                    }
                }
            }
            if !stage.get("name").is_some_and(Value::is_string) {
                return Err(invalid(field));
            }
            after.push(stage);
        }
        let kept = |stage: &Value| after.iter().any(|other| other.get("id") == stage.get("id"));
        let used = before.iter().filter(|stage| !kept(stage)).any(|stage| {
            let id = stage.get("id").and_then(Value::as_u64).unwrap_or_default();
            self.store.holds_deals("stageId", id)
        });
        match used {
            true => Err(Refusal::bad_request(
                "A stage with deals cannot be removed.",
            )),
            false => Ok(after.into()),
        }
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
