//! An account: its keys, its users' rights, and a test's direct access to
//! what it holds.

use parking_lot::RwLock;
use serde_json::{Value, json};

use super::data::Dataset;
use super::filters::truthy;
use super::moments;
use super::paging::Selection;
use super::records::{Kind, Record, Resource};
use super::routes::derived;
use super::store::{Store, View};
use super::write::full_name;

/// An account to simulate.
#[derive(Debug, Clone)]
pub struct AccountConfig {
    /// Shown in `FUB-Account-ID` and by `/identity`.
    pub id: u64,
    /// The account's own subdomain.
    pub domain: String,
    /// The account's name.
    pub name: String,
    /// An unpaid account: its keys work, but every endpoint answers 403.
    pub expired: bool,
    /// API keys and the id of the user each belongs to.
    pub keys: Vec<(String, u64)>,
    /// What the account holds at first.
    pub dataset: Dataset,
}

impl AccountConfig {
    /// Account 1, without keys yet.
    pub fn new(dataset: Dataset) -> Self {
        Self {
            id: 1,
            domain: "sunrise-realty".to_owned(),
            name: "Sunrise Realty".to_owned(),
            expired: false,
            keys: Vec::new(),
            dataset,
        }
    }

    /// The same with another id.
    pub fn id(self, id: u64) -> Self {
        Self { id, ..self }
    }

    /// The same with one more key; the user's role decides what it may see.
    /// In every built-in data set user 1 is the owner and user 3 an agent.
    pub fn key(mut self, key: impl Into<String>, user: u64) -> Self {
        self.keys.push((key.into(), user));
        self
    }

    /// The same, expired.
    pub fn expired(self) -> Self {
        Self {
            expired: true,
            ..self
        }
    }
}

/// A running account. Methods which take a record expect a JSON object and
/// store it as it is, so that a test can make records as odd as it likes.
#[derive(Debug)]
pub struct Account {
    pub(super) id: u64,
    pub(super) expired: bool,
    domain: String,
    name: String,
    keys: Vec<(String, u64)>,
    pub(super) store: RwLock<Store>,
}

impl Account {
    pub(super) fn new(config: AccountConfig) -> Self {
        Self {
            id: config.id,
            expired: config.expired,
            domain: config.domain,
            name: config.name,
            keys: config.keys,
            store: RwLock::new(Store::new(config.dataset)),
        }
    }

    /// The user a key belongs to.
    pub(super) fn user_of(&self, key: &str) -> Option<u64> {
        self.keys
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, user)| *user)
    }

    /// What a user may see; one without a record sees only its own.
    pub(super) fn view_of(&self, user: u64) -> View {
        match self.store.read().get(Kind::Users, user) {
            Some(record) => View::of(user, &record),
            None => View::Own(user),
        }
    }

    /// Whether a user is the owner.
    pub(super) fn is_owner(&self, user: u64) -> bool {
        is_owner(self.store.read().get(Kind::Users, user).as_deref())
    }

    /// The body of `GET /identity`.
    pub(super) fn identity(&self, user: u64) -> Value {
        let store = self.store.read();
        let owner = store
            .collection(Kind::Users)
            .kept()
            .map(|(_, user)| user)
            .find(|user| user.get("isOwner").is_some_and(truthy));
        let user = store.get(Kind::Users, user);
        let user = user.as_deref();
        let role = text(user, "role");
        json!({
            "account": {
                "id": self.id, "domain": self.domain, "name": self.name,
                "owner": { "name": text(owner, "name"), "email": text(owner, "email") },
            },
            "user": {
                "id": user.and_then(|user| user.get("id")),
                "name": text(user, "name"), "email": text(user, "email"), "role": role,
                "isOwner": is_owner(user),
                "isAdmin": role == Some("Broker"), "isLender": role == Some("Lender"),
            },
        })
    }

    /// The body of `GET /me`, which does contain the key.
    pub(super) fn me(&self, user: u64, key: &str) -> Value {
        let store = self.store.read();
        let user = store.get(Kind::Users, user);
        let user = user.as_deref();
        json!({
            "id": user.and_then(|user| user.get("id")),
            "name": text(user, "name"), "role": text(user, "role"),
            "email": text(user, "email"), "phone": text(user, "phone"),
            "timeZone": text(user, "timezone"), "signature": "", "apiKey": key,
            "account": self.id, "isOwner": is_owner(user),
        })
    }

    /// All records of a kind, trashed ones included, as `fields=allFields`
    /// sends them. On bulk data this makes every person: think first.
    pub fn all(&self, kind: Kind) -> Vec<Value> {
        let store = self.store.read();
        store
            .collection(kind)
            .all()
            .map(|record| shown(&store, kind, &record))
            .collect()
    }

    /// One record, as [`Account::all`] shows it.
    pub fn get(&self, kind: Kind, id: u64) -> Option<Value> {
        let store = self.store.read();
        store
            .get(kind, id)
            .map(|record| shown(&store, kind, &record))
    }

    /// Stores a record and tells its id. `id` and the times that its kind has,
    /// such as `created` and `updated`, are filled in when absent; nothing else
    /// is checked or changed.
    pub fn insert(&self, kind: Kind, record: Value) -> u64 {
        let now = moments::iso(moments::now());
        let mut record = object(record);
        let resource = Resource::of(kind);
        for field in [resource.created, resource.updated].into_iter().flatten() {
            record
                .entry(field)
                .or_insert_with(|| Value::from(now.as_str()));
        }
        self.store.write().put(kind, record)
    }

    /// Overwrites some fields of a record; `updated` moves unless given.
    /// False if there is no such record.
    pub fn update(&self, kind: Kind, id: u64, changes: Value) -> bool {
        self.store.write().change(kind, id, object(changes))
    }

    /// Erases a record without a trace. False if there is no such record.
    pub fn remove(&self, kind: Kind, id: u64) -> bool {
        self.store.write().erase(kind, id)
    }

    /// How many people there are, trashed ones included.
    pub fn people_count(&self) -> usize {
        let store = self.store.read();
        let people = store.collection(Kind::People);
        let made = people.formula().map_or(0, |bulk| {
            bulk.last_id() as usize - people.overridden(1, bulk.last_id())
        });
        made + people.kept().count()
    }

    /// All people, trashed ones included.
    pub fn people(&self) -> Vec<Value> {
        self.all(Kind::People)
    }

    /// One person, even when trashed.
    pub fn person(&self, id: u64) -> Option<Value> {
        self.get(Kind::People, id)
    }

    /// All notes, restricted ones included.
    pub fn notes(&self) -> Vec<Value> {
        self.all(Kind::Notes)
    }

    /// One note.
    pub fn note(&self, id: u64) -> Option<Value> {
        self.get(Kind::Notes, id)
    }

    /// All tasks.
    pub fn tasks(&self) -> Vec<Value> {
        self.all(Kind::Tasks)
    }

    /// One task.
    pub fn task(&self, id: u64) -> Option<Value> {
        self.get(Kind::Tasks, id)
    }

    /// All users, deleted ones included.
    pub fn users(&self) -> Vec<Value> {
        self.all(Kind::Users)
    }

    /// Stores a person; its `name` is derived when absent.
    pub fn insert_person(&self, person: Value) -> u64 {
        let mut person = object(person);
        if !person.contains_key("name") {
            let name = full_name(&person);
            person.insert("name".to_owned(), name.into());
        }
        self.insert(Kind::People, person.into())
    }

    /// Overwrites some fields of a person and moves its `updated`.
    pub fn update_person(&self, id: u64, changes: Value) -> bool {
        self.update(Kind::People, id, changes)
    }

    /// Does what `DELETE /people/{id}` does.
    pub fn trash_person(&self, id: u64) -> bool {
        self.store.write().trash_person(id)
    }

    /// Merges a person into another one: the first is erased, what belongs to it is the
    /// other's, who has its tags too. False if there are not both.
    pub fn merge_people(&self, merged: u64, into: u64) -> bool {
        let mut store = self.store.write();
        let tags = |store: &Store, id: u64| {
            let person = store.get(Kind::People, id)?;
            let tags = person.get("tags").and_then(Value::as_array).cloned();
            Some(tags.unwrap_or_default())
        };
        let (Some(theirs), Some(mut all)) = (tags(&store, merged), tags(&store, into)) else {
            return false;
        };
        if merged == into {
            return false;
        }
        for tag in theirs {
            if !all.contains(&tag) {
                all.push(tag);
            }
        }
        for kind in [Kind::Notes, Kind::Tasks] {
            let belongs =
                |record: &Record| record.get("personId").and_then(Value::as_u64) == Some(merged);
            let ids = store.collection(kind).kept();
            let ids: Vec<u64> = ids
                .filter(|(_, record)| belongs(record))
                .map(|(id, _)| id)
                .collect();
            for id in ids {
                store.change(kind, id, object(json!({ "personId": into })));
            }
        }
        store.erase(Kind::People, merged);
        store.change(Kind::People, into, object(json!({ "tags": all })))
    }

    /// Leaves a record out of lists from now on, or shows it there again; by its id it is
    /// found all the same. A list that shifts while it is read does this to its readers.
    /// Its `updated` stays. False if there is no such record.
    pub fn unlist(&self, kind: Kind, id: u64, unlisted: bool) -> bool {
        let mut store = self.store.write();
        let Some(record) = store.get(kind, id) else {
            return false;
        };
        let mut record = record.into_owned();
        record.insert("_unlisted".to_owned(), unlisted.into());
        store.put(kind, record);
        true
    }

    /// Archives a lead flow: from now on `POST /events` with this source is
    /// answered with 204 and changes nothing.
    pub fn archive_source(&self, source: &str) {
        self.store.write().archive_source(source);
    }

    /// Adds a plain note by the account's first user and tells its id.
    pub fn add_note(&self, person: u64, body: &str) -> u64 {
        let author = self.store.read().name_of(Kind::Users, 1);
        self.insert(
            Kind::Notes,
            json!({
                "createdBy": author, "updatedBy": author, "createdById": 1,
                "personId": person, "subject": "", "body": body,
                "type": "Note", "isHtml": false,
            }),
        )
    }

    /// Hides a note: from now on `GET` answers 404 although the id is valid.
    pub fn restrict_note(&self, id: u64) -> bool {
        self.update(Kind::Notes, id, json!({ "_restricted": true }))
    }
}

fn shown(store: &Store, kind: Kind, record: &Record) -> Value {
    let resource = Resource::of(kind);
    let record = derived(resource, store, record);
    Selection::everything(resource).of(resource, &record).into()
}

fn object(value: Value) -> Record {
    match value {
        Value::Object(record) => record,
        _ => Record::new(),
    }
}

fn text<'a>(record: Option<&'a Record>, field: &str) -> Option<&'a str> {
    record?.get(field)?.as_str()
}

fn is_owner(user: Option<&Record>) -> bool {
    user.and_then(|user| user.get("isOwner"))
        .is_some_and(truthy)
}
