//! `POST /events`: how leads and what they do come in.
//!
//! The answer is the person: 201 when it is new, 200 when it was there and has
//! been updated, 204 without a body when the lead flow of the source is
//! archived. An existing person is found by `person.id` (404 if there is none),
//! else by its emails and phones.
//!
//! Chosen where the Follow Up Boss API reference is silent: `type` and `person`
//! are needed and a type outside the documented ones is refused; an existing
//! person gets the emails, phones and addresses it lacks, more tags, names only
//! where it has none, and its other values as sent, but keeps its stage, its
//! source and whom it is assigned to; the event's `occurred` is `occurredAt`,
//! its `created` the present; amounts of the property come back as texts and
//! `forRent` as 0 or 1, as seen in the field; `campaign`, `system` and
//! `pageReferrer` are accepted and not shown.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::filters::truthy;
use super::moments;
use super::paging::Selection;
use super::records::{Kind, Record, Resource};
use super::reply::{Refusal, Reply};
use super::routes::{Call, sent};
use super::write::{invalid, missing};

const FIELDS: &[&str] = &[
    "source",
    "system",
    "type",
    "message",
    "description",
    "person",
    "property",
    "propertySearch",
    "campaign",
    "occurredAt",
    "pageTitle",
    "pageUrl",
    "pageDuration",
    "pageReferrer",
];

const TYPES: &[&str] = &[
    "Registration",
    "Inquiry",
    "Seller Inquiry",
    "Property Inquiry",
    "General Inquiry",
    "Viewed Property",
    "Saved Property",
    "Visited Website",
    "Incoming Call",
    "Unsubscribed",
    "Property Search",
    "Saved Property Search",
    "Visited Open House",
    "Viewed Page",
];

/// Texts of a property; its other fields are amounts.
const PROPERTY_TEXTS: &[&str] = &[
    "street",
    "city",
    "state",
    "code",
    "mlsNumber",
    "url",
    "type",
];

/// Amounts of a property, which are sent as texts.
const PROPERTY_AMOUNTS: &[&str] = &["price", "bedrooms", "bathrooms", "area", "lot"];

/// What an event does not change in a person that exists.
const KEPT: &[&str] = &[
    "createdAt",
    "stage",
    "source",
    "sourceUrl",
    "assignedTo",
    "assignedUserId",
    "assignedPondId",
    "collaborators",
];

/// Takes an event in.
pub(super) fn receive(call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = call.body_object()?;
    check_names("", &body, FIELDS)?;
    let event = event(&body)?;
    let source = event.get("source").and_then(Value::as_str).unwrap_or("");
    let mut lead = match body.get("person") {
        Some(Value::Object(person)) => person.clone(),
        None | Some(Value::Null) => return Err(missing("person")),
        _ => return Err(invalid("person")),
    };
    let id = lead.shift_remove("id").filter(|id| !id.is_null());
    lead.entry("source").or_insert_with(|| source.into());

    let people = Resource::of(Kind::People);
    let mut store = call.account.store.write();
    let draft = call.draft(&store, people, true);
    let fresh = draft.apply(draft.blank(), &lead)?;
    let existing = match id {
        Some(id) => {
            let id = id.as_u64().ok_or_else(|| invalid("person.id"))?;
            Some(call.find(&store, people, id, false)?.into_owned())
        }
        None => call.duplicate_of(&store, &fresh),
    };
    if store.ignores_source(source) {
        return Ok(Reply::no_content());
    }
    let (status, person) = match existing {
        None => (StatusCode::CREATED, call.add(&mut store, people, fresh)),
        Some(existing) => {
            let news = news(&existing, &lead, &fresh);
            let mut draft = call.draft(&store, people, false);
            draft.merge_tags = true;
            let updated = draft.apply(existing, &news)?;
            (StatusCode::OK, store.put(Kind::People, updated))
        }
    };
    let mut event = event;
    event.insert("personId".to_owned(), person.into());
    if let Some(Value::Object(property)) = event.get_mut("property") {
        let number = store.collection(Kind::Events).next_id();
        property.shift_insert(0, "id".to_owned(), number.into());
    }
    call.add(&mut store, Resource::of(Kind::Events), event);
    let person = call.find(&store, people, person, true)?;
    let selection = Selection::standard();
    Ok(sent(status, people, &store, &person, &selection))
}

/// The event as it is stored, but for the person.
fn event(body: &Record) -> Result<Record, Refusal> {
    let text = |field: &str| match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        _ => Err(invalid(field)),
    };
    let property = body.get("property").filter(|property| !property.is_null());
    let kind = match text("type")?.ok_or_else(|| missing("type"))? {
        "Inquiry" if property.is_some() => "Property Inquiry",
        "Inquiry" => "General Inquiry",
        kind if TYPES.contains(&kind) => kind,
        _ => return Err(invalid("type")),
    };
    let now = moments::now();
    let occurred = match text("occurredAt")? {
        Some(at) => moments::parse(at).ok_or_else(|| invalid("occurredAt"))?,
        None => now,
    };
    let duration = body.get("pageDuration").filter(|value| !value.is_null());
    if duration.is_some_and(|seconds| !seconds.is_number()) {
        return Err(invalid("pageDuration"));
    }
    for field in ["propertySearch", "campaign"] {
        let given = body.get(field).filter(|value| !value.is_null());
        if given.is_some_and(|value| !value.is_object()) {
            return Err(invalid(field));
        }
    }
    let record = json!({
        "id": null, "created": moments::iso(now), "updated": moments::iso(now),
        "occurred": moments::iso(occurred), "personId": 0,
        "message": text("message")?.unwrap_or(""),
        "description": text("description")?.unwrap_or(""),
        "additional": [], "noteId": null,
        "source": text("source")?.unwrap_or("<unspecified>"), "type": kind,
        "pageTitle": text("pageTitle")?, "pageUrl": text("pageUrl")?,
        "pageDuration": duration.cloned().unwrap_or_else(|| 0.into()),
        "property": property.map(stored_property).transpose()?,
        "propertySearch": body.get("propertySearch"),
    });
    match record {
        Value::Object(mut record) => {
            record.shift_remove("id");
            Ok(record)
        }
        _ => Ok(Record::new()),
    }
}

fn stored_property(property: &Value) -> Result<Value, Refusal> {
    let property = property.as_object().ok_or_else(|| invalid("property"))?;
    let known = [PROPERTY_TEXTS, PROPERTY_AMOUNTS, &["forRent"]].concat();
    check_names("property.", property, &known)?;
    let mut stored = Map::new();
    for field in PROPERTY_TEXTS {
        let value = property.get(*field).filter(|value| !value.is_null());
        if value.is_some_and(|value| !value.is_string()) {
            return Err(invalid(&format!("property.{field}")));
        }
        let value = value.cloned().unwrap_or_else(|| "".into());
        stored.insert((*field).to_owned(), value);
    }
    for field in PROPERTY_AMOUNTS {
        let value = match property.get(*field) {
            None | Some(Value::Null) => Value::Null,
            Some(Value::Number(number)) => number.to_string().into(),
            Some(Value::String(text)) => text.as_str().into(),
            _ => return Err(invalid(&format!("property.{field}"))),
        };
        stored.insert((*field).to_owned(), value);
    }
    let for_rent = property.get("forRent").is_some_and(truthy);
    stored.insert("forRent".to_owned(), u8::from(for_rent).into());
    Ok(stored.into())
}

/// What of a lead is new to the person that exists already. `fresh` is the
/// lead as a person of its own.
fn news(existing: &Record, lead: &Record, fresh: &Record) -> Record {
    let is_empty = |field: &str| match existing.get(field) {
        None | Some(Value::Null) => true,
        Some(value) => value == "",
    };
    let mut news = Record::new();
    for (field, value) in lead {
        let value = match field.as_str() {
            kept if KEPT.contains(&kept) => continue,
            "firstName" | "lastName" if !is_empty(field) => continue,
            "emails" | "phones" => both(existing, fresh, field, "value"),
            "addresses" => both(existing, fresh, field, "street"),
            _ => Some(value.clone()),
        };
        news.extend(value.map(|value| (field.clone(), value)));
    }
    news
}

/// A list with what the other one has more, told apart by a field; nothing if
/// there is nothing more.
fn both(existing: &Record, fresh: &Record, list: &str, by: &str) -> Option<Value> {
    let items = |record: &Record| -> Vec<Value> {
        let items = record.get(list).and_then(Value::as_array);
        items.cloned().unwrap_or_default()
    };
    let key = |item: &Value| {
        let text = item.get("normalized").or_else(|| item.get(by));
        text.and_then(Value::as_str).unwrap_or("").to_lowercase()
    };
    let mut all = items(existing);
    let before = all.len();
    for item in items(fresh) {
        if !all.iter().any(|known| key(known) == key(&item)) {
            all.push(item);
        }
    }
    (all.len() > before).then(|| all.into())
}

fn check_names(inside: &str, body: &Record, known: &[&str]) -> Result<(), Refusal> {
    let unknown: Vec<String> = body
        .keys()
        .filter(|field| !known.contains(&field.as_str()))
        .map(|field| format!("{inside}{field}"))
        .collect();
    match unknown.is_empty() {
        true => Ok(()),
        false => Err(Refusal::bad_request(format!(
            "Invalid fields in the request body: {}.",
            unknown.join(", ")
        ))),
    }
}
