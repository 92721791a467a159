//! What one account holds.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bulk::Bulk;
use super::data::Dataset;
use super::filters::truthy;
use super::moments;
use super::records::{Kind, Record};

/// The records of one kind: kept ones, and formula people under them.
#[derive(Debug, Default)]
pub(super) struct Collection {
    records: BTreeMap<u64, Record>,
    erased: BTreeSet<u64>,
    formula: Option<Bulk>,
    last_id: u64,
}

impl Collection {
    pub(super) fn get(&self, id: u64) -> Option<Cow<'_, Record>> {
        let kept = self.records.get(&id).map(Cow::Borrowed);
        kept.or_else(|| {
            let bulk = self.formula.as_ref()?;
            let made = bulk.holds(id) && !self.overrides(id);
            made.then(|| Cow::Owned(bulk.record(id)))
        })
    }

    /// Adds a record, under its own id or the next free one.
    pub(super) fn insert(&mut self, mut record: Record) -> u64 {
        let id = record
            .get("id")
            .and_then(Value::as_u64)
            .unwrap_or(self.last_id + 1);
        self.last_id = self.last_id.max(id);
        if !record.contains_key("id") {
            record.shift_insert(0, "id".to_owned(), Value::Null);
        }
        record.insert("id".to_owned(), id.into());
        self.erased.remove(&id);
        self.records.insert(id, record);
        id
    }

    pub(super) fn remove(&mut self, id: u64) -> bool {
        let known = self.get(id).is_some();
        self.records.remove(&id);
        if self.formula.as_ref().is_some_and(|bulk| bulk.holds(id)) {
            self.erased.insert(id);
        }
        known
    }

    pub(super) fn kept(&self) -> impl Iterator<Item = (u64, &Record)> {
        self.records.iter().map(|(id, record)| (*id, record))
    }

    /// Every record, formula people made one by one.
    pub(super) fn all(&self) -> impl Iterator<Item = Cow<'_, Record>> {
        let made = self.formula.iter().flat_map(|bulk| {
            bulk.ids()
                .filter(|id| !self.overrides(*id))
                .map(|id| Cow::Owned(bulk.record(id)))
        });
        made.chain(self.records.values().map(Cow::Borrowed))
    }

    pub(super) fn formula(&self) -> Option<&Bulk> {
        self.formula.as_ref()
    }

    /// Whether the formula person `id` was changed or erased since.
    pub(super) fn overrides(&self, id: u64) -> bool {
        self.records.contains_key(&id) || self.erased.contains(&id)
    }

    /// How many formula people between two ids were changed or erased.
    pub(super) fn overridden(&self, first: u64, last: u64) -> usize {
        if first > last {
            return 0;
        }
        self.records.range(first..=last).count() + self.erased.range(first..=last).count()
    }
}

/// All collections of an account.
#[derive(Debug, Default)]
pub(super) struct Store {
    people: Collection,
    users: Collection,
    notes: Collection,
    tasks: Collection,
    custom_fields: Collection,
    /// When people created by request came in, for the settling time.
    arrivals: HashMap<u64, Instant>,
}

impl Store {
    pub(super) fn new(dataset: Dataset) -> Self {
        let mut store = Self::default();
        if let Some(bulk) = dataset.bulk {
            store.people.last_id = bulk.last_id();
            store.people.formula = Some(bulk);
        }
        for (kind, record) in dataset.records {
            store.collection_mut(kind).insert(record);
        }
        store
    }

    pub(super) fn collection(&self, kind: Kind) -> &Collection {
        match kind {
            Kind::People => &self.people,
            Kind::Users => &self.users,
            Kind::Notes => &self.notes,
            Kind::Tasks => &self.tasks,
            Kind::CustomFields => &self.custom_fields,
        }
    }

    pub(super) fn collection_mut(&mut self, kind: Kind) -> &mut Collection {
        match kind {
            Kind::People => &mut self.people,
            Kind::Users => &mut self.users,
            Kind::Notes => &mut self.notes,
            Kind::Tasks => &mut self.tasks,
            Kind::CustomFields => &mut self.custom_fields,
        }
    }

    pub(super) fn get(&self, kind: Kind, id: u64) -> Option<Cow<'_, Record>> {
        self.collection(kind).get(id)
    }

    /// Merges `changes` into a record; `updated` moves unless they set it.
    pub(super) fn change(&mut self, kind: Kind, id: u64, changes: Record) -> bool {
        let collection = self.collection_mut(kind);
        let Some(record) = collection.get(id) else {
            return false;
        };
        let mut record = record.into_owned();
        touch(&mut record);
        record.extend(changes);
        collection.insert(record);
        true
    }

    /// The user with this name, with its id.
    pub(super) fn user_named(&self, name: &str) -> Option<u64> {
        self.users
            .kept()
            .find(|(_, user)| user.get("name").and_then(Value::as_str) == Some(name))
            .map(|(id, _)| id)
    }

    pub(super) fn name_of(&self, kind: Kind, id: u64) -> Option<String> {
        let record = self.get(kind, id)?;
        record.get("name")?.as_str().map(str::to_owned)
    }

    pub(super) fn defines_custom_field(&self, name: &str) -> bool {
        self.custom_fields
            .kept()
            .any(|(_, field)| field.get("name").and_then(Value::as_str) == Some(name))
    }

    pub(super) fn arrived(&mut self, person: u64) {
        self.arrivals.insert(person, Instant::now());
    }

    /// Whether a person was created so lately that notes and tasks cannot
    /// find it yet.
    pub(super) fn is_settling(&self, person: u64, settling: Duration) -> bool {
        !settling.is_zero()
            && self
                .arrivals
                .get(&person)
                .is_some_and(|arrival| arrival.elapsed() < settling)
    }
}

/// Moves `updated` to the present second.
pub(super) fn touch(record: &mut Record) {
    record.insert("updated".to_owned(), moments::iso(moments::now()).into());
}

/// Whose eyes records are seen with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// Owners and admins see everything.
    Everything,
    /// Agents and lenders see the people they look after, and what belongs
    /// to these.
    Own(u64),
}

impl View {
    pub(super) fn of(user: u64, record: &Record) -> Self {
        let role = record.get("role").and_then(Value::as_str);
        let owner = record.get("isOwner").is_some_and(truthy);
        if owner || role == Some("Broker") {
            Self::Everything
        } else {
            Self::Own(user)
        }
    }

    pub(super) fn sees(self, store: &Store, kind: Kind, record: &Record) -> bool {
        let Self::Own(user) = self else {
            return true;
        };
        let is_user = |field: &str| record.get(field).and_then(Value::as_u64) == Some(user);
        match kind {
            Kind::Users | Kind::CustomFields => true,
            Kind::People => {
                is_user("assignedUserId")
                    || is_user("assignedLenderId")
                    || record
                        .get("collaborators")
                        .and_then(Value::as_array)
                        .into_iter()
                        .flatten()
                        .any(|other| other.get("id").and_then(Value::as_u64) == Some(user))
            }
            Kind::Notes | Kind::Tasks => {
                let person = record.get("personId").and_then(Value::as_u64).unwrap_or(0);
                match store.get(Kind::People, person) {
                    Some(person) => self.sees(store, Kind::People, &person),
                    None => is_user("createdById") || is_user("assignedUserId"),
                }
            }
        }
    }
}
