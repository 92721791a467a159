//! What a change of one record changes in others, whoever made it.
//!
//! Chosen where the Follow Up Boss API reference is silent: a new name of a
//! stage, type, outcome or pipeline shows at once where it is used, without
//! moving the `updated` of what uses it; a replacement does move it, as does a
//! new, changed or deleted relationship that of its person.

use serde_json::{Value, json};

use super::records::{Kind, Record, Resource};
use super::store::{Store, touch};

/// A field which repeats the name of a record of another kind.
struct Label {
    of: Kind,
    holder: Kind,
    id: &'static str,
    name: &'static str,
}

static LABELS: [Label; 3] = [
    Label {
        of: Kind::Stages,
        holder: Kind::People,
        id: "stageId",
        name: "stage",
    },
    Label {
        of: Kind::AppointmentTypes,
        holder: Kind::Appointments,
        id: "typeId",
        name: "type",
    },
    Label {
        of: Kind::AppointmentOutcomes,
        holder: Kind::Appointments,
        id: "outcomeId",
        name: "outcome",
    },
];

/// Carries on the change of a record. `before` and `after` are the record
/// where it existed; `known` is false while the first records are loaded.
pub(super) fn follow(
    store: &mut Store,
    kind: Kind,
    before: Option<&Record>,
    after: Option<&Record>,
    known: bool,
) {
    match kind {
        Kind::Stages | Kind::AppointmentTypes | Kind::AppointmentOutcomes => {
            if let (Some(before), Some(after)) = (before, after) {
                rename(store, kind, before, after);
            }
            if kind == Kind::Stages && known {
                renumber(store, kind);
            }
        }
        Kind::Pipelines => {
            if let Some(pipeline) = after {
                rename_deals(store, pipeline);
            }
        }
        Kind::CustomFields => follow_definition(store, before, after),
        Kind::PeopleRelationships => {
            let mut people: Vec<u64> = [before, after]
                .into_iter()
                .flatten()
                .filter_map(|relative| relative.get("personId")?.as_u64())
                .collect();
            people.dedup();
            for person in people {
                relate(store, person, known);
            }
        }
        _ => {}
    }
}

/// Lets one record take over what refers to another of its kind.
pub(super) fn take_over(store: &mut Store, kind: Kind, from: u64, to: u64) {
    let name = store.name_of(kind, to);
    for label in LABELS.iter().filter(|label| label.of == kind) {
        let resource = Resource::of(label.holder);
        change_each(store, label.holder, |record| {
            if record.get(label.id).and_then(Value::as_u64) != Some(from) {
                return false;
            }
            record.insert(label.id.to_owned(), to.into());
            record.insert(label.name.to_owned(), name.clone().into());
            touch(resource, record);
            true
        });
    }
}

fn rename(store: &mut Store, kind: Kind, before: &Record, after: &Record) {
    if before.get("name") == after.get("name") {
        return;
    }
    for label in LABELS.iter().filter(|label| label.of == kind) {
        change_each(store, label.holder, |record| {
            let refers = record.get(label.id) == after.get("id");
            if refers {
                let name = after.get("name").cloned().unwrap_or_default();
                record.insert(label.name.to_owned(), name);
            }
            refers
        });
    }
}

fn rename_deals(store: &mut Store, pipeline: &Record) {
    let id = pipeline.get("id").and_then(Value::as_u64);
    change_each(store, Kind::Deals, |deal| {
        if deal.get("pipelineId").and_then(Value::as_u64) != id {
            return false;
        }
        let stage = deal.get("stageId").and_then(Value::as_u64);
        if let Some(fields) = stage.and_then(|stage| stage_of(pipeline, stage)) {
            deal.extend(fields);
        }
        true
    });
}

/// What a deal says of its stage, if the pipeline has it.
pub(super) fn stage_of(pipeline: &Record, stage: u64) -> Option<Record> {
    let stages = pipeline.get("stages")?.as_array()?;
    let stage = stages
        .iter()
        .find(|other| other.get("id").and_then(Value::as_u64) == Some(stage))?;
    let fields = json!({
        "pipelineId": pipeline.get("id"), "pipelineName": pipeline.get("name"),
        "stageId": stage.get("id"), "stageName": stage.get("name"),
    });
    match fields {
        Value::Object(fields) => Some(fields),
        _ => None,
    }
}

/// Orders in steps of 1000.
fn renumber(store: &mut Store, kind: Kind) {
    let mut order: Vec<(i64, u64)> = store
        .collection(kind)
        .kept()
        .map(|(id, record)| {
            let weight = record.get("orderWeight").and_then(Value::as_i64);
            (weight.unwrap_or(i64::MAX), id)
        })
        .collect();
    order.sort_unstable();
    let places: Vec<u64> = order.into_iter().map(|(_, id)| id).collect();
    change_each(store, kind, |record| {
        let id = record.get("id").and_then(Value::as_u64);
        let place = places.iter().position(|other| Some(*other) == id);
        let weight = place.map(|place| (place + 1) * 1000);
        record.insert("orderWeight".to_owned(), weight.into());
        true
    });
}

/// Renamed choices are renamed in people, values of a deleted field deleted.
fn follow_definition(store: &mut Store, before: Option<&Record>, after: Option<&Record>) {
    let Some(name) = before.and_then(|field| field.get("name")?.as_str()) else {
        return;
    };
    let renamed = after.and_then(|field| field.get("_renamed")?.as_object());
    if after.is_some() && renamed.is_none() {
        return;
    }
    change_each(store, Kind::People, |person| match renamed {
        None => person.shift_remove(name).is_some(),
        Some(renamed) => {
            let old = person.get(name).and_then(Value::as_str);
            let new = old.and_then(|old| renamed.get(old)).cloned();
            new.is_some_and(|new| person.insert(name.to_owned(), new).is_some())
        }
    });
}

/// Makes `relationships` of a person say what the relationships say.
fn relate(store: &mut Store, person: u64, known: bool) {
    let relatives: Value = store
        .collection(Kind::PeopleRelationships)
        .kept()
        .map(|(_, relative)| relative)
        .filter(|relative| relative.get("personId").and_then(Value::as_u64) == Some(person))
        .map(|relative| {
            let shown = [
                "id",
                "name",
                "firstName",
                "lastName",
                "type",
                "emails",
                "phones",
            ];
            let fields = shown
                .into_iter()
                .filter_map(|field| Some((field.to_owned(), relative.get(field)?.clone())));
            Value::Object(fields.collect())
        })
        .collect();
    let Some(record) = store.get(Kind::People, person) else {
        return;
    };
    let mut record = record.into_owned();
    record.insert("relationships".to_owned(), relatives);
    if known {
        touch(Resource::of(Kind::People), &mut record);
    }
    store.collection_mut(Kind::People).insert(record);
}

/// Changes every record of a kind for which `change` says that it did.
fn change_each(store: &mut Store, kind: Kind, change: impl Fn(&mut Record) -> bool) {
    let changed: Vec<Record> = store
        .collection(kind)
        .all()
        .filter_map(|record| {
            let mut record = record.into_owned();
            change(&mut record).then_some(record)
        })
        .collect();
    let collection = store.collection_mut(kind);
    for record in changed {
        collection.insert(record);
    }
}
