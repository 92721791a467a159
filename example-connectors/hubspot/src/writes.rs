//! Writing: the catalogue's fields as the app's properties, and what the app says to it.
//!
//! The app answers a write with a part of the contact's properties, so the host reads
//! the contact again. A refusal comes back as `invalid-input` that points at the
//! caller's field, whatever the app calls it.

mod draft;

use rollout_connector::json::Reader;
use rollout_connector::{Error, Issue, Request, Response, Upstream, Write, Written};
use serde_json::{Map, Value};

use crate::api;
use draft::{Draft, Verb};

/// What a refusal's message begins with that has its complaints inside, as JSON.
const COMPLAINTS: &str = "Property values were not valid:";

pub(crate) fn create(write: &Write) -> Result<Written, Error> {
    let draft = Draft::of(write, Verb::Create)?;
    let response = sent(api::collection("POST"), &draft)?;
    match api::refusal(&response).get("id").and_then(Value::as_str) {
        Some(id) => Ok(Written::Id(id.to_owned())),
        None => Err(Error::Upstream(Upstream {
            status: Some(response.status),
            retryable: false,
            maybe_applied: true,
            message: "the app's answer to the write is not a record".into(),
        })),
    }
}

pub(crate) fn update(id: &str, write: &Write) -> Result<Written, Error> {
    let draft = Draft::of(write, Verb::Update)?;
    sent(api::one("PATCH", id), &draft)?;
    Ok(Written::Id(id.to_owned()))
}

/// Archives it: in the app it can be restored for 90 days.
pub(crate) fn delete(id: &str) -> Result<(), Error> {
    api::accepted(api::one("DELETE", id).send()?).map(|_| ())
}

fn sent(request: Request, draft: &Draft) -> Result<Response, Error> {
    let properties = Value::Object(draft.properties.clone());
    let body = Map::from_iter([("properties".to_owned(), properties)]);
    let response = request.json_value(&body).send()?;
    let complaints = match response.status {
        400 => complaints(&api::refusal(&response), draft),
        _ => Vec::new(),
    };
    match complaints.is_empty() {
        true => api::accepted(response),
        false => Err(complaints.into()),
    }
}

/// What the app complains of, pointing at the caller's fields. The complaints are in
/// `errors`, or as JSON in the message; one that names no property points at the whole.
fn complaints(refusal: &Value, draft: &Draft) -> Vec<Issue> {
    let message = refusal.get("message").and_then(Value::as_str);
    let inside = message.and_then(|message| message.strip_prefix(COMPLAINTS));
    let inside = inside.and_then(|list| Reader::new(list).value().ok());
    let listed = refusal.get("errors").and_then(Value::as_array);
    let listed = listed.filter(|listed| !listed.is_empty());
    let listed = listed.or(inside.as_ref().and_then(Value::as_array));
    listed
        .into_iter()
        .flatten()
        .filter_map(|complaint| {
            let places = ["/context/propertyName/0", "/name"];
            let property = places
                .iter()
                .find_map(|place| complaint.pointer(place)?.as_str());
            Some(Issue {
                pointer: property.map(|name| draft.pointer(name)).unwrap_or_default(),
                message: complaint.get("message")?.as_str()?.to_owned(),
            })
        })
        .collect()
}
