//! Writing: the catalogue's fields as the app's, and what the app answers.
//!
//! The app refuses a whole body for one unknown field, so the body holds only
//! what [`fields`] names. A refusal comes back as `invalid-input` that points at
//! the caller's field, whatever the app calls it.

mod fields;

use rollout_connector::entities::Custom;
use rollout_connector::json::{self, Reader};
use rollout_connector::{
    Error, Issue, Item, Request, Response, Upstream, Write, Written, credential,
};
use serde_json::{Map, Value};

use crate::api;
use crate::mapping;
use crate::resources::{PEOPLE, Pass, Resource};

pub(crate) fn create(resource: &Resource, write: &Write) -> Result<Written, Error> {
    offered(resource, resource.verbs.create, "create")?;
    let mut body = fields::body(resource, write, fields::Verb::Create)?;
    if resource.entity == "tasks" && !body.contains_key("assignedUserId") {
        // A task needs an assignee: the key's own user, as in the app itself.
        let user = credential::field("userId").and_then(|id| id.parse::<u64>().ok());
        let user =
            user.ok_or_else(|| Error::invalid("/assignedUserId", "a task needs an assignee"))?;
        body.insert("assignedUserId".into(), user.into());
    }
    let request = resource.request("POST", "").json_value(&body);
    let response = sent(resource, request, &body, fields::Verb::Create)?;
    match read(resource, &response) {
        // An event is answered with its person, and its own id is not told.
        _ if resource.pass == Pass::Made => Ok(Written::Accepted),
        // Matched with a record that was there before: it may hold more than was sent.
        Some(item) if response.status == 200 => Ok(Written::Id(item.id)),
        Some(item) => Ok(Written::Item(with_custom(item, &body)?)),
        None if response.body.is_empty() => Ok(Written::Accepted),
        None => Err(Error::Upstream(Upstream {
            status: Some(response.status),
            retryable: false,
            maybe_applied: true,
            message: "the app's answer to the write is not a record".into(),
        })),
    }
}

pub(crate) fn update(resource: &Resource, id: &str, write: &Write) -> Result<Written, Error> {
    offered(resource, resource.verbs.update, "update")?;
    let mut body = fields::body(resource, write, fields::Verb::Update)?;
    if let Some(change) = body.get_mut(fields::INVITEES) {
        *change = invitees(resource, id, change)?;
    }
    let merges = write.merges("tags") && body.contains_key("tags");
    put(resource, id, &body, merges)
}

pub(crate) fn delete(resource: &Resource, id: &str) -> Result<(), Error> {
    offered(resource, resource.verbs.delete, "delete")?;
    resource.one("DELETE", id).send()?.success().map(|_| ())
}

fn offered(resource: &Resource, offered: bool, verb: &str) -> Result<(), Error> {
    match offered {
        true => Ok(()),
        false => Err(Error::unsupported(resource.entity, verb)),
    }
}

/// All who are invited, one of them changed. The app can only replace the list,
/// so it is read first.
fn invitees(resource: &Resource, id: &str, change: &Value) -> Result<Value, Error> {
    let present = api::get(resource, &[id.to_owned()])?;
    let native = present.first().and_then(|item| item.native.as_deref());
    let native = native.ok_or_else(|| Error::NotFound("there is no such appointment".into()))?;
    let native = Reader::new(native).value()?;
    let present = native.get(fields::INVITEES).unwrap_or(&Value::Null);
    Ok(fields::invited(present, change))
}

/// Adds tags, keeping those that are there.
pub(crate) fn apply_tags(id: &str, write: &Write) -> Result<Written, Error> {
    let body = Map::from_iter([("tags".to_owned(), tags(write)?.into())]);
    put(&PEOPLE, id, &body, true)
}

/// Takes tags off. The app can only replace the list, so it is read first.
pub(crate) fn delete_tags(id: &str, write: &Write) -> Result<Written, Error> {
    let unwanted = tags(write)?;
    let present = api::get(&PEOPLE, &[id.to_owned()])?
        .into_iter()
        .find(|person| !person.deleted)
        .ok_or_else(|| Error::NotFound("there is no such person".into()))?;
    let document = Reader::new(&present.body).value()?;
    let before: Vec<&str> = document
        .get("tags")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let kept: Vec<&str> = before
        .iter()
        .copied()
        .filter(|tag| !unwanted.iter().any(|unwanted| unwanted == tag))
        .collect();
    if kept.len() == before.len() {
        return Ok(Written::Item(present));
    }
    let body = Map::from_iter([("tags".to_owned(), kept.into())]);
    put(&PEOPLE, id, &body, false)
}

fn tags(write: &Write) -> Result<Vec<&str>, Error> {
    let tags = write.body.get("tags").and_then(Value::as_array);
    let tags: Option<Vec<&str>> = tags.and_then(|tags| tags.iter().map(Value::as_str).collect());
    tags.ok_or_else(|| Error::invalid("/tags", "expected a list of texts"))
}

fn put(
    resource: &Resource,
    id: &str,
    body: &Map<String, Value>,
    merge_tags: bool,
) -> Result<Written, Error> {
    let mut request = resource.one("PUT", id);
    if merge_tags {
        request = request.query("mergeTags", true);
    }
    let response = sent(
        resource,
        request.json_value(body),
        body,
        fields::Verb::Update,
    )?;
    // A written person is answered without its custom fields. Passing that on
    // would erase them from the host's copy, so the person is read once more.
    let item = match resource.is(&PEOPLE) {
        true => api::get(resource, &[id.to_owned()])
            .ok()
            .and_then(|items| items.into_iter().next()),
        false => read(resource, &response),
    };
    Ok(item.map_or_else(|| Written::Id(id.to_owned()), Written::Item))
}

/// The record in the answer to a write.
fn read(resource: &Resource, response: &Response) -> Option<Item> {
    mapping::one(resource, response.text().ok()?).ok()?
}

/// A new person's custom fields, which the app doesn't repeat, are those sent.
fn with_custom(mut item: Item, sent: &Map<String, Value>) -> Result<Item, Error> {
    let missing: Vec<_> = sent
        .iter()
        .filter(|(name, value)| Custom::is_name(name) && !value.is_null())
        .collect();
    if item.deleted || missing.is_empty() {
        return Ok(item);
    }
    if let Value::Object(mut body) = Reader::new(&item.body).value()? {
        for (name, value) in missing {
            body.entry(name.clone()).or_insert_with(|| value.clone());
        }
        item.body = json::text_of(&body);
    }
    Ok(item)
}

/// Sends a write; a refusal is put in the caller's terms.
fn sent(
    resource: &Resource,
    request: Request,
    body: &Map<String, Value>,
    verb: fields::Verb,
) -> Result<Response, Error> {
    let response = request.send()?;
    let person = person_in(resource, body);
    response.success().map_err(|error| match error {
        // Only the person can be what was not found. A new one may be unknown
        // to the app's other resources for a while; the host tries again.
        Error::NotFound(message) => match person {
            Some(pointer) if verb == fields::Verb::Create => Error::invalid(pointer, message),
            _ => Error::NotFound(message),
        },
        Error::InvalidInput(issues) => Error::InvalidInput(
            issues
                .into_iter()
                .flat_map(|issue| pointed(resource, body, issue))
                .collect(),
        ),
        error => error,
    })
}

/// The app's complaint, pointing at the caller's fields that it names: in
/// quotes, or in a list after a colon.
fn pointed(resource: &Resource, body: &Map<String, Value>, issue: Issue) -> Vec<Issue> {
    const UNKNOWN: &str = "Invalid fields in the request body:";
    let message = issue.message;
    let named: Vec<&str> = match message.strip_prefix(UNKNOWN) {
        Some(names) => names
            .split(',')
            .map(|name| name.trim().trim_end_matches('.'))
            .collect(),
        None => message.split('\'').skip(1).step_by(2).collect(),
    };
    let mut pointers: Vec<String> = named
        .into_iter()
        .filter_map(|name| fields::pointer(resource, name))
        .collect();
    if pointers.is_empty() && mentions_person(&message) {
        pointers.extend(person_in(resource, body));
    }
    if pointers.is_empty() {
        pointers.push(issue.pointer);
    }
    pointers
        .into_iter()
        .map(|pointer| Issue {
            pointer,
            message: message.clone(),
        })
        .collect()
}

/// Where the caller named the person that a body is about.
fn person_in(resource: &Resource, body: &Map<String, Value>) -> Option<String> {
    let names = ["personId", "person", "peopleIds", fields::INVITEES];
    let name = names.into_iter().find(|name| body.contains_key(*name))?;
    fields::pointer(resource, name)
}

fn mentions_person(message: &str) -> bool {
    message
        .split(|character: char| !character.is_alphanumeric())
        .any(|word| word.eq_ignore_ascii_case("person") || word.eq_ignore_ascii_case("personId"))
}
