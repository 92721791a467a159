//! The endpoints: list, get, create, update and delete of any resource, the
//! two which describe the caller, and the one that takes events in.

use std::borrow::Cow;
use std::time::Duration;

use axum::extract::Query;
use axum::http::{StatusCode, Uri};
use serde_json::Value;

use super::account::Account;
use super::bulk::Narrowed;
use super::events;
use super::filters::{Check, digits, truthy};
use super::moments;
use super::paging::{Link, ListQuery, Selection, is_on, param, shows_gone};
use super::records::{Kind, Record, Removal, Resource, Right};
use super::relations;
use super::reply::{Refusal, Reply};
use super::select::{Page, Row, select};
use super::store::{Store, View};
use super::troubles::Awkward;
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
    pub(super) is_owner: bool,
    pub(super) key: String,
    /// The registered system the request comes from.
    pub(super) system: Option<String>,
    pub(super) settling: Duration,
    pub(super) awkward: Awkward,
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
        ("POST", ["events"]) => return events::receive(call),
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
            "POST" => call.create(resource),
            _ => Err(not_allowed()),
        };
    };
    let id = id.parse().map_err(|_| Refusal::not_found(resource.noun))?;
    match call.method {
        "GET" => call.get(resource, id),
        "PUT" => call.update(resource, id),
        "DELETE" => call.delete(resource, id),
        _ => Err(not_allowed()),
    }
}

fn not_allowed() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.")
}

impl Call<'_> {
    fn list(&self, resource: &'static Resource) -> Result<Reply, Refusal> {
        let store = self.account.store.read();
        let mut params = Cow::Borrowed(&self.params);
        if resource.kind == Kind::People {
            params.to_mut().extend(self.smart_list(&store)?);
        }
        let mut query = ListQuery::parse(resource, &params)?;
        if self.awkward.short {
            query.limit = query.limit.div_ceil(2);
        }
        // Who names records gets them.
        let names_ids = ["id", "ids"]
            .iter()
            .any(|name| param(&params, name).is_some());
        let collection = store.collection(resource.kind);
        let mut page = select(collection, &query, &|record| {
            let unlisted = record.get("_unlisted").is_some_and(truthy);
            (!unlisted || names_ids) && self.sees(&store, resource, record)
        })?;
        if self.awkward.repeated {
            page.repeat_last(&query);
        }
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

    /// The parameters a smart list stands for.
    fn smart_list(&self, store: &Store) -> Result<Vec<(String, String)>, Refusal> {
        let Some(id) = param(&self.params, "smartListId").filter(|id| !id.is_empty()) else {
            return Ok(Vec::new());
        };
        let list = id
            .parse()
            .ok()
            .and_then(|id| store.get(Kind::SmartLists, id))
            .ok_or_else(|| Refusal::bad_request("Invalid value for 'smartListId'."))?;
        let criteria = list.get("_criteria").and_then(Value::as_str);
        let params = format!("/?{}", criteria.unwrap_or_default())
            .parse::<Uri>()
            .ok()
            .and_then(|uri| Query::try_from_uri(&uri).ok())
            .map(|Query(params)| params);
        Ok(params.unwrap_or_default())
    }

    fn get(&self, resource: &Resource, id: u64) -> Result<Reply, Refusal> {
        let store = self.account.store.read();
        let gone_too = shows_gone(resource, &self.params);
        let record = self.find(&store, resource, id, gone_too)?;
        let selection = Selection::parse(resource, &self.params);
        Ok(sent(StatusCode::OK, resource, &store, &record, &selection))
    }

    fn create(&self, resource: &Resource) -> Result<Reply, Refusal> {
        self.permit(resource.creating, None)?;
        let body = self.body_object()?;
        let mut store = self.account.store.write();
        let draft = self.draft(&store, resource, true);
        let record = draft.apply(draft.blank(), &body)?;
        if resource.kind == Kind::People && is_on(&self.params, "deduplicate") {
            let existing = self.duplicate_of(&store, &record);
            if let Some(existing) = existing {
                let selection = Selection::standard();
                return Ok(sent(
                    StatusCode::OK,
                    resource,
                    &store,
                    &existing,
                    &selection,
                ));
            }
        }
        let id = self.add(&mut store, resource, record);
        let record = self.find(&store, resource, id, true)?;
        let selection = Selection::parse(resource, &self.params);
        Ok(sent(
            StatusCode::CREATED,
            resource,
            &store,
            &record,
            &selection,
        ))
    }

    /// Stores a record made by this request, and tells its id.
    pub(super) fn add(&self, store: &mut Store, resource: &Resource, record: Record) -> u64 {
        let id = store.put(resource.kind, record);
        if resource.kind == Kind::People {
            store.arrived(id);
        }
        if resource.activity {
            move_last_activity(store, resource.kind, id);
        }
        id
    }

    fn update(&self, resource: &Resource, id: u64) -> Result<Reply, Refusal> {
        self.permit(resource.updating, None)?;
        let mut store = self.account.store.write();
        let body = self.body_object()?;
        let record = self.find(&store, resource, id, false)?.into_owned();
        self.permit(resource.updating, Some(&record))?;
        if is_protected(&record)
            && body
                .get("name")
                .is_some_and(|name| record.get("name") != Some(name))
        {
            return Err(protected(resource));
        }
        let record = self.draft(&store, resource, false).apply(record, &body)?;
        store.put(resource.kind, record);
        let record = self.find(&store, resource, id, true)?;
        let selection = Selection::parse(resource, &self.params);
        Ok(sent(StatusCode::OK, resource, &store, &record, &selection))
    }

    fn delete(&self, resource: &Resource, id: u64) -> Result<Reply, Refusal> {
        self.permit(resource.deleting, None)?;
        let mut store = self.account.store.write();
        let record = self.find(&store, resource, id, false)?;
        if is_protected(&record) {
            return Err(protected(resource));
        }
        if resource.kind == Kind::Pipelines && store.holds_deals("pipelineId", id) {
            return Err(Refusal::bad_request(
                "A pipeline with deals cannot be deleted.",
            ));
        }
        match resource.removal {
            Removal::Erase => {
                store.erase(resource.kind, id);
            }
            Removal::Trash => {
                store.trash_person(id);
            }
            Removal::Mark(field, value) => {
                let mark = [(field.to_owned(), Value::from(value))];
                store.change(resource.kind, id, mark.into_iter().collect());
            }
            Removal::Replace(by) => {
                let heir = param(&self.params, by).filter(|heir| !heir.is_empty());
                let heir = heir.ok_or_else(|| {
                    Refusal::bad_request(format!("Missing required parameter '{by}'"))
                })?;
                let heir: u64 = heir
                    .parse()
                    .ok()
                    .filter(|heir| *heir != id && store.get(resource.kind, *heir).is_some())
                    .ok_or_else(|| Refusal::bad_request(format!("Invalid value for '{by}'.")))?;
                relations::take_over(&mut store, resource.kind, id, heir);
                store.erase(resource.kind, id);
            }
        }
        Ok(Reply::no_content())
    }

    /// Refuses what the caller has no right to. Rights that depend on the
    /// record are looked at when it is given.
    fn permit(&self, right: Right, record: Option<&Record>) -> Result<(), Refusal> {
        let system = self.system.as_deref().unwrap_or_default();
        let refusal = match right {
            Right::Nobody => return Err(not_allowed()),
            Right::Admins if self.view != View::Everything => "Only admins can do this.",
            Right::Owner if !self.is_owner => "Only the account owner can do this.",
            Right::Systems if self.system.is_none() => {
                "Only registered systems can do this: X-System and X-System-Key are missing or \
                 invalid."
            }
            Right::ItsSystem
                if record.is_some_and(|record| {
                    record.get("_system").and_then(Value::as_str) != Some(system)
                }) =>
            {
                "Only the system that created this can change it."
            }
            _ => return Ok(()),
        };
        Err(Refusal::forbidden(refusal))
    }

    pub(super) fn draft<'a>(
        &'a self,
        store: &'a Store,
        resource: &'a Resource,
        creating: bool,
    ) -> Draft<'a> {
        Draft {
            store,
            resource,
            author: self.user,
            system: self.system.as_deref(),
            view: self.view,
            creating,
            merge_tags: is_on(&self.params, "mergeTags"),
            settling: self.settling,
        }
    }

    /// A record the caller can see.
    pub(super) fn find<'a>(
        &self,
        store: &'a Store,
        resource: &Resource,
        id: u64,
        gone_too: bool,
    ) -> Result<Cow<'a, Record>, Refusal> {
        store
            .get(resource.kind, id)
            .filter(|record| gone_too || !resource.hides(record))
            .filter(|record| self.sees(store, resource, record))
            .ok_or_else(|| Refusal::not_found(resource.noun))
    }

    fn sees(&self, store: &Store, resource: &Resource, record: &Record) -> bool {
        let restricted = record.get("_restricted").is_some_and(truthy);
        !restricted && self.view.sees(store, resource, record)
    }

    pub(super) fn body_object(&self) -> Result<Record, Refusal> {
        serde_json::from_slice(self.body)
            .map_err(|_| Refusal::bad_request("Invalid JSON in the request body."))
    }

    /// A person who shares an email or a phone with `person`.
    pub(super) fn duplicate_of(&self, store: &Store, person: &Record) -> Option<Record> {
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

fn is_protected(record: &Record) -> bool {
    record.get("isProtected").is_some_and(truthy)
}

fn protected(resource: &Resource) -> Refusal {
    Refusal::bad_request(format!(
        "{} is protected: it cannot be renamed or deleted.",
        resource.noun
    ))
}

fn move_last_activity(store: &mut Store, kind: Kind, id: u64) {
    let person = store
        .get(kind, id)
        .and_then(|record| record.get("personId")?.as_u64());
    let people = store.collection_mut(Kind::People);
    let Some(person) = person.and_then(|id| people.get(id)) else {
        return;
    };
    let mut person = person.into_owned();
    let now = moments::iso(moments::now());
    person.insert("lastActivity".to_owned(), now.into());
    people.insert(person);
}

/// An answer with one record.
pub(super) fn sent(
    status: StatusCode,
    resource: &Resource,
    store: &Store,
    record: &Record,
    selection: &Selection,
) -> Reply {
    let mut out = Vec::with_capacity(2048);
    put_record(
        &mut out,
        resource,
        &derived(resource, store, record),
        selection,
    );
    Reply::json(status, out)
}

/// A record with what is worked out when it is sent.
pub(super) fn derived<'a>(
    resource: &Resource,
    store: &Store,
    record: &'a Record,
) -> Cow<'a, Record> {
    match resource.derive {
        None => Cow::Borrowed(record),
        Some(derive) => {
            let mut record = record.clone();
            derive(store, &mut record);
            Cow::Owned(record)
        }
    }
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
            (Row::Kept(record), _) => {
                put_record(out, resource, &derived(resource, store, record), selection);
            }
            (Row::Formula(id), Some((bulk, columns))) if resource.kind == Kind::People => {
                bulk.write(out, *id, columns);
            }
            (Row::Formula(id), Some((bulk, _))) => {
                let record = bulk.record(*id);
                put_record(out, resource, &derived(resource, store, &record), selection);
            }
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
