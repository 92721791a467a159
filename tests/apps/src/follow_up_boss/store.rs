//! What one account holds.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bulk::Bulk;
use super::data::Dataset;
use super::filters::truthy;
use super::moments;
use super::records::{Kind, Record, Resource, STAGES, Seen, TRASH};
use super::relations;

/// The records of one kind: kept ones, and formula ones under them.
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
            .unwrap_or_else(|| self.next_id());
        self.last_id = self.last_id.max(id);
        if !record.contains_key("id") {
            record.shift_insert(0, "id".to_owned(), Value::Null);
        }
        record.insert("id".to_owned(), id.into());
        self.erased.remove(&id);
        self.records.insert(id, record);
        id
    }

    /// The id of the next record without one.
    pub(super) fn next_id(&self) -> u64 {
        self.last_id + 1
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
    collections: BTreeMap<Kind, Collection>,
    /// What a kind without records looks like.
    none: Collection,
    /// When people created by request came in, for the settling time.
    arrivals: HashMap<u64, Instant>,
    /// Sources whose events are ignored.
    archived_sources: BTreeSet<String>,
}

impl Store {
    pub(super) fn new(dataset: Dataset) -> Self {
        let mut store = Self::default();
        for bulk in dataset.bulk {
            let collection = store.collection_mut(bulk.kind());
            collection.last_id = bulk.last_id();
            collection.formula = Some(bulk);
        }
        for (kind, record) in dataset.records {
            store.put_first(kind, record);
        }
        store
    }

    pub(super) fn collection(&self, kind: Kind) -> &Collection {
        self.collections.get(&kind).unwrap_or(&self.none)
    }

    pub(super) fn collection_mut(&mut self, kind: Kind) -> &mut Collection {
        self.collections.entry(kind).or_default()
    }

    /// Stores a record, with all that follows from it, and tells its id.
    pub(super) fn put(&mut self, kind: Kind, record: Record) -> u64 {
        self.keep(kind, record, true)
    }

    /// Stores one of the records an account begins with.
    fn put_first(&mut self, kind: Kind, record: Record) -> u64 {
        self.keep(kind, record, false)
    }

    fn keep(&mut self, kind: Kind, record: Record, known: bool) -> u64 {
        let id = record.get("id").and_then(Value::as_u64);
        let before = id.and_then(|id| self.get(kind, id).map(Cow::into_owned));
        let id = self.collection_mut(kind).insert(record);
        let after = self.get(kind, id).map(Cow::into_owned);
        relations::follow(self, kind, before.as_ref(), after.as_ref(), known);
        id
    }

    /// Erases a record, with all that follows from it. False if there is none.
    pub(super) fn erase(&mut self, kind: Kind, id: u64) -> bool {
        let before = self.get(kind, id).map(Cow::into_owned);
        let erased = self.collection_mut(kind).remove(id);
        relations::follow(self, kind, before.as_ref(), None, true);
        erased
    }

    pub(super) fn get(&self, kind: Kind, id: u64) -> Option<Cow<'_, Record>> {
        self.collection(kind).get(id)
    }

    /// Merges `changes` into a record; `updated` moves unless they set it.
    pub(super) fn change(&mut self, kind: Kind, id: u64, changes: Record) -> bool {
        let Some(record) = self.get(kind, id) else {
            return false;
        };
        let mut record = record.into_owned();
        touch(Resource::of(kind), &mut record);
        record.extend(changes);
        self.put(kind, record);
        true
    }

    /// Moves a person to the stage of deleted ones. False if there is none.
    pub(super) fn trash_person(&mut self, id: u64) -> bool {
        let stage = STAGES.into_iter().find(|(stage, _)| *stage == TRASH);
        let stage_id = stage.map(|(_, id)| id);
        let changes = [
            ("stage".to_owned(), TRASH.into()),
            ("stageId".to_owned(), stage_id.into()),
        ];
        self.change(Kind::People, id, changes.into_iter().collect())
    }

    /// The id of the user with this name.
    pub(super) fn user_named(&self, name: &str) -> Option<u64> {
        self.collection(Kind::Users)
            .kept()
            .find(|(_, user)| user.get("name").and_then(Value::as_str) == Some(name))
            .map(|(id, _)| id)
    }

    /// What a record is called where others refer to it.
    pub(super) fn name_of(&self, kind: Kind, id: u64) -> Option<String> {
        let record = self.get(kind, id)?;
        let name = record.get(Resource::of(kind).label)?;
        name.as_str().map(str::to_owned)
    }

    /// The stage of people with this name, by id and name; the default one if
    /// there is none.
    pub(super) fn stage_named(&self, name: &str) -> (u64, String) {
        let stages = self.collection(Kind::Stages);
        let named = |(id, stage): (u64, &Record)| {
            let own = stage.get("name")?.as_str()?;
            (own == name).then(|| (id, own.to_owned()))
        };
        let (default, id) = STAGES[0];
        stages.kept().find_map(named).unwrap_or_else(|| {
            let renamed = self.name_of(Kind::Stages, id);
            (id, renamed.unwrap_or_else(|| default.to_owned()))
        })
    }

    /// How many people are in a stage.
    pub(super) fn people_in_stage(&self, id: u64) -> usize {
        let people = self.collection(Kind::People);
        let is_in = |record: &Record| record.get("stageId").and_then(Value::as_u64) == Some(id);
        let kept = people.kept().filter(|(_, person)| is_in(person)).count();
        let made = people.formula.iter().flat_map(|bulk| {
            let ids = bulk.ids().filter(|id| !people.overrides(*id));
            ids.filter(|person| bulk.stage(*person) == id)
        });
        kept + made.count()
    }

    /// What a deal in this stage of a pipeline says of it.
    pub(super) fn deal_stage(&self, id: u64) -> Option<Record> {
        self.collection(Kind::Pipelines)
            .kept()
            .find_map(|(_, pipeline)| relations::stage_of(pipeline, id))
    }

    /// The highest id of a deal stage.
    pub(super) fn last_deal_stage(&self) -> u64 {
        self.collection(Kind::Pipelines)
            .kept()
            .filter_map(|(_, pipeline)| pipeline.get("stages")?.as_array())
            .flatten()
            .filter_map(|stage| stage.get("id")?.as_u64())
            .max()
            .unwrap_or_default()
    }

    /// Whether a deal that is not deleted has this id in a field.
    pub(super) fn holds_deals(&self, field: &str, id: u64) -> bool {
        let deals = Resource::of(Kind::Deals);
        self.collection(Kind::Deals)
            .all()
            .any(|deal| !deals.hides(&deal) && deal.get(field).and_then(Value::as_u64) == Some(id))
    }

    /// The definition of a custom field by its name.
    pub(super) fn custom_field(&self, kind: Kind, name: &str) -> Option<&Record> {
        self.collection(kind)
            .kept()
            .map(|(_, field)| field)
            .find(|field| field.get("name").and_then(Value::as_str) == Some(name))
    }

    /// The names of all custom fields.
    pub(super) fn custom_names(&self, kind: Kind) -> impl Iterator<Item = String> {
        self.collection(kind)
            .kept()
            .filter_map(|(_, field)| field.get("name")?.as_str().map(str::to_owned))
    }

    /// Has the events of a source ignored from now on.
    pub(super) fn archive_source(&mut self, source: &str) {
        self.archived_sources.insert(source.to_owned());
    }

    pub(super) fn ignores_source(&self, source: &str) -> bool {
        self.archived_sources.contains(source)
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

/// Moves the time of the last change to the present second, in records that
/// tell it.
pub(super) fn touch(resource: &Resource, record: &mut Record) {
    if let Some(updated) = resource.updated {
        record.insert(updated.to_owned(), moments::iso(moments::now()).into());
    }
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

    pub(super) fn sees(self, store: &Store, resource: &Resource, record: &Record) -> bool {
        let Self::Own(user) = self else {
            return true;
        };
        let is_user = |field: &str| record.get(field).and_then(Value::as_u64) == Some(user);
        let is_member = |list: &str, field: &str| {
            let members = record.get(list).and_then(Value::as_array);
            let mut members = members.into_iter().flatten();
            members.any(|member| member.get(field).and_then(Value::as_u64) == Some(user))
        };
        match resource.seen {
            Seen::ByAll => true,
            Seen::Assigned => {
                is_user("assignedUserId")
                    || is_user("assignedLenderId")
                    || is_member("collaborators", "id")
            }
            Seen::WithPerson => {
                let person = record.get("personId").and_then(Value::as_u64).unwrap_or(0);
                match store.get(Kind::People, person) {
                    Some(person) => self.sees(store, Resource::of(Kind::People), &person),
                    None => {
                        is_user("createdById") || is_user("assignedUserId") || is_user("userId")
                    }
                }
            }
            Seen::ByMembers(list, field) => is_user("createdById") || is_member(list, field),
        }
    }
}
