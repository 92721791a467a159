//! The endpoints: list, get, create, update and delete of any resource, and
//! the two which describe the caller.

use std::borrow::Cow;
use std::time::Duration;

use axum::http::StatusCode;
use serde_json::Value;

use super::account::Account;
use super::bulk::Narrowed;
use super::filters::{Check, digits, truthy};
use super::moments;
use super::paging::{Link, ListQuery, Selection, is_on, shows_hidden};
use super::records::{Kind, Record, Removal, Resource};
use super::reply::{Refusal, Reply};
use super::select::{Page, Row, select};
use super::store::{Store, View};
use super::write::Draft;

/// An authenticated request within the limits.
pub(super) struct Call<'a> {
    pub(super) method: &'a str,
    pub(super) query: &'a str,
    pub(super) params: Vec<(String, String)>,
    pub(super) body: &'a [u8],
    pub(super) url: &'a str,
    pub(super) account: &'a Account,
    pub(super) user: u64,
    pub(super) view: View,
    pub(super) key: String,
    pub(super) settling: Duration,
}

/// Finds the endpoint for the path's segments and lets it answer.
pub(super) fn answer(call: &Call<'_>, segments: &[&str]) -> Result<Reply, Refusal> {
    let nowhere = || Refusal::not_found("Endpoint");
    let path = match segments {
        ["v1", path @ ..] => path,
        _ => return Err(nowhere()),
    };
    let ok = |value: &Value| Ok(Reply::value(StatusCode::OK, value));
    match (call.method, path) {
        ("GET", ["identity"]) => return ok(&call.account.identity(call.user)),
        ("GET", ["me"]) => return ok(&call.account.me(call.user, &call.key)),
        (_, ["identity" | "me"]) => return Err(not_allowed()),
        _ => {}
    }
    let (resource, id) = match path {
        [name] => (Resource::at(name), None),
        [name, id] => (Resource::at(name), Some(*id)),
        _ => return Err(nowhere()),
    };
    let resource = resource.ok_or_else(nowhere)?;
    let Some(id) = id else {
        return match call.method {
            "GET" => call.list(resource),
            "POST" if resource.writes.is_some() => call.create(resource),
            _ => Err(not_allowed()),
        };
    };
    let id = id.parse().map_err(|_| Refusal::not_found(resource.noun))?;
    match call.method {
        "GET" => call.get(resource, id),
        "PUT" if resource.writes.is_some() => call.update(resource, id),
        "DELETE" if resource.removal != Removal::Refused => call.delete(resource, id),
        _ => Err(not_allowed()),
    }
}

fn not_allowed() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.")
}

impl Call<'_> {
    fn list(&self, resource: &Resource) -> Result<Reply, Refusal> {
        let query = ListQuery::parse(resource, &self.params)?;
        let store = self.account.store.read();
        let collection = store.collection(resource.kind);
        let page = select(collection, resource, &query, &|record| {
            self.sees(&store, resource, record)
        })?;
        let link = Link {
            base: self.url,
            query: self.query,
        };
        let metadata = query.metadata(resource, page.total, page.last.as_ref(), &link);

        let mut out = Vec::with_capacity(512 + page.rows.len() * 1536);
        out.extend_from_slice(b"{\"_metadata\":");
        put_json(&mut out, &metadata);
        out.extend_from_slice(b",\"");
        out.extend_from_slice(resource.collection.as_bytes());
        out.extend_from_slice(b"\":[");
        put_rows(&mut out, resource, &store, &page, &query.selection);
        out.extend_from_slice(b"]}");
        Ok(Reply::json(StatusCode::OK, out))
    }

    fn get(&self, resource: &Resource, id: u64) -> Result<Reply, Refusal> {
        let store = self.account.store.read();
        let hidden_too = shows_hidden(resource, &self.params);
        let record = self.find(&store, resource, id, hidden_too)?;
        let selection = Selection::parse(resource, &self.params);
        Ok(sent(StatusCode::OK, resource, &record, &selection))
    }

    fn create(&self, resource: &Resource) -> Result<Reply, Refusal> {
        let body = self.body_object()?;
        let mut store = self.account.store.write();
        let draft = self.draft(&store, resource, true);
        let record = draft.apply(draft.blank(), &body)?;
        if resource.kind == Kind::People && is_on(&self.params, "deduplicate") {
            let existing = self.duplicate_of(&store, &record);
            if let Some(existing) = existing {
                return Ok(sent(
                    StatusCode::OK,
                    resource,
                    &existing,
                    &Selection::standard(),
                ));
            }
        }
        let collection = store.collection_mut(resource.kind);
        let id = collection.insert(record);
        match resource.kind {
            Kind::People => store.arrived(id),
            Kind::Notes => move_last_activity(&mut store, id),
            _ => {}
        }
        let record = self.find(&store, resource, id, true)?;
        let selection = Selection::parse(resource, &self.params);
        Ok(sent(StatusCode::CREATED, resource, &record, &selection))
    }

    fn update(&self, resource: &Resource, id: u64) -> Result<Reply, Refusal> {
        let body = self.body_object()?;
        let mut store = self.account.store.write();
        let record = self.find(&store, resource, id, false)?.into_owned();
        let record = self.draft(&store, resource, false).apply(record, &body)?;
        let selection = Selection::parse(resource, &self.params);
        let reply = sent(StatusCode::OK, resource, &record, &selection);
        store.collection_mut(resource.kind).insert(record);
        Ok(reply)
    }

    fn delete(&self, resource: &Resource, id: u64) -> Result<Reply, Refusal> {
        self.find(&self.account.store.read(), resource, id, false)?;
        match resource.removal {
            Removal::Trash => self.account.trash_person(id),
            Removal::Erase | Removal::Refused => self.account.remove(resource.kind, id),
        };
        Ok(Reply::no_content())
    }

    fn draft<'a>(&self, store: &'a Store, resource: &'a Resource, creating: bool) -> Draft<'a> {
        Draft {
            store,
            resource,
            author: self.user,
            view: self.view,
            creating,
            merge_tags: is_on(&self.params, "mergeTags"),
            settling: self.settling,
        }
    }

    /// A record the caller can see.
    fn find<'a>(
        &self,
        store: &'a Store,
        resource: &Resource,
        id: u64,
        hidden_too: bool,
    ) -> Result<Cow<'a, Record>, Refusal> {
        store
            .get(resource.kind, id)
            .filter(|record| hidden_too || !resource.hides(record))
            .filter(|record| self.sees(store, resource, record))
            .ok_or_else(|| Refusal::not_found(resource.noun))
    }

    fn sees(&self, store: &Store, resource: &Resource, record: &Record) -> bool {
        let restricted = record.get("_restricted").is_some_and(truthy);
        !restricted && self.view.sees(store, resource.kind, record)
    }

    fn body_object(&self) -> Result<Record, Refusal> {
        serde_json::from_slice(self.body)
            .map_err(|_| Refusal::bad_request("Invalid JSON in the request body."))
    }

    /// A person who shares an email or a phone with `person`.
    fn duplicate_of(&self, store: &Store, person: &Record) -> Option<Record> {
        let resource = Resource::of(Kind::People);
        let people = store.collection(Kind::People);
        let fits = |record: &Record, check: &Check| {
            check.passes(record) && !resource.hides(record) && self.sees(store, resource, record)
        };
        contacts(person).find_map(|check| {
            let kept = people
                .kept()
                .find(|(_, record)| fits(record, &check))
                .map(|(_, record)| record.clone());
            kept.or_else(|| {
                let bulk = people.formula()?;
                let Narrowed::Candidates(ids) = bulk.narrow(std::slice::from_ref(&check)) else {
                    return None;
                };
                ids.into_iter()
                    .filter(|id| !people.overrides(*id))
                    .map(|id| bulk.record(id))
                    .find(|record| fits(record, &check))
            })
        })
    }
}

/// The checks which find a person by each of its emails and phones.
fn contacts(person: &Record) -> impl Iterator<Item = Check> {
    let email = |value: &str| Check::Value {
        list: "emails",
        value: value.to_lowercase(),
    };
    let phone = |value: &str| Check::Phone {
        digits: digits(value),
    };
    super::filters::values(person, "emails")
        .map(email)
        .chain(super::filters::values(person, "phones").map(phone))
}

fn move_last_activity(store: &mut Store, note: u64) {
    let person = store
        .get(Kind::Notes, note)
        .and_then(|note| note.get("personId")?.as_u64());
    let people = store.collection_mut(Kind::People);
    let Some(person) = person.and_then(|id| people.get(id)) else {
        return;
    };
    let mut person = person.into_owned();
    let now = moments::iso(moments::now());
    person.insert("lastActivity".to_owned(), now.into());
    people.insert(person);
}

fn sent(status: StatusCode, resource: &Resource, record: &Record, selection: &Selection) -> Reply {
    let mut out = Vec::with_capacity(2048);
    put_record(&mut out, resource, record, selection);
    Reply::json(status, out)
}

fn put_rows(
    out: &mut Vec<u8>,
    resource: &Resource,
    store: &Store,
    page: &Page<'_>,
    selection: &Selection,
) {
    let bulk = store.collection(resource.kind).formula();
    let formula = bulk.map(|bulk| (bulk, bulk.columns(resource, selection)));
    for (position, row) in page.rows.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        match (row, &formula) {
            (Row::Kept(record), _) => put_record(out, resource, record, selection),
            (Row::Formula(id), Some((bulk, columns))) => bulk.write(out, *id, columns),
            (Row::Formula(_), None) => {}
        }
    }
}

fn put_record(out: &mut Vec<u8>, resource: &Resource, record: &Record, selection: &Selection) {
    let shown = record
        .iter()
        .filter(|(field, _)| selection.shows(resource, field));
    out.push(b'{');
    for (position, (field, value)) in shown.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        put_json(out, field);
        out.push(b':');
        put_json(out, value);
    }
    out.push(b'}');
}

/// Appends anything as JSON; writing values to memory cannot fail.
fn put_json<T: ?Sized + serde::Serialize>(out: &mut Vec<u8>, value: &T) {
    let _ = serde_json::to_writer(out, value);
}
