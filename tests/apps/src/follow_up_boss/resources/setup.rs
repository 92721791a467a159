//! How an account is set up: teams, lists, stages, custom fields and the like.

use serde_json::json;

use super::super::customs;
use super::super::filters::Test;
use super::super::records::{Kind, NextForm, Removal, Resource, Right};
use super::super::shapes::Shape;
use super::{IDS, SMALL, filter};

pub(super) static TEAMS: Resource = Resource {
    kind: Kind::Teams,
    path: "teams",
    collection: "teams",
    noun: "Team",
    next: NextForm::Offset,
    creating: Right::Admins,
    updating: Right::Admins,
    deleting: Right::Admins,
    blank: |_| json!({ "id": null, "name": "", "userIds": [], "leaderIds": [] }),
    fields: &[
        ("name", Shape::Text),
        ("userIds", Shape::Ids(Kind::Users)),
        ("leaderIds", Shape::Ids(Kind::Users)),
    ],
    required: &[&["name"]],
    ..SMALL
};

pub(super) static SMART_LISTS: Resource = Resource {
    kind: Kind::SmartLists,
    path: "smartLists",
    collection: "smartlists",
    noun: "Smart list",
    created: Some("created"),
    ..SMALL
};

pub(super) static CUSTOM_FIELDS: Resource = Resource {
    kind: Kind::CustomFields,
    path: "customFields",
    collection: "customfields",
    noun: "Custom field",
    sortable: &["id", "label", "name", "orderWeight"],
    filters: &[IDS, &[filter("label", Test::Text("label"))]],
    creating: Right::Owner,
    updating: Right::Owner,
    deleting: Right::Owner,
    blank: |_| {
        json!({
            "id": null, "label": "", "name": "", "type": "text", "choices": [],
            "isRecurring": false, "orderWeight": null, "hideIfEmpty": false,
            "readOnly": false,
        })
    },
    fields: &[
        ("label", Shape::Text),
        ("type", Shape::Fixed(customs::TYPES)),
        ("choices", Shape::Texts),
        ("isRecurring", Shape::Switch),
        ("orderWeight", Shape::Count),
        ("hideIfEmpty", Shape::Switch),
        ("readOnly", Shape::Switch),
        ("dropdownChoiceMap", Shape::Unshown),
    ],
    required: &[&["label"], &["type"]],
    finish: customs::define,
    ..SMALL
};

pub(super) static STAGES: Resource = Resource {
    kind: Kind::Stages,
    path: "stages",
    collection: "stages",
    noun: "Stage",
    sortable: &["id", "name", "orderWeight"],
    creating: Right::Admins,
    updating: Right::Admins,
    deleting: Right::Admins,
    removal: Removal::Replace("assignStageId"),
    blank: |_| {
        json!({
            "id": null, "name": "", "orderWeight": null, "isProtected": false, "peopleCount": 0,
        })
    },
    fields: &[("name", Shape::Text), ("orderWeight", Shape::Count)],
    required: &[&["name"]],
    finish: |draft, record, _| {
        draft.put_last(record);
        draft.only_one("name", record)
    },
    derive: Some(|store, record| {
        let count = record.get("id").and_then(|id| id.as_u64());
        let count = count.map_or(0, |id| store.people_in_stage(id));
        record.insert("peopleCount".to_owned(), count.into());
    }),
    ..SMALL
};

pub(super) static PONDS: Resource = Resource {
    kind: Kind::Ponds,
    path: "ponds",
    collection: "ponds",
    noun: "Pond",
    ..SMALL
};

pub(super) static TIMEFRAMES: Resource = Resource {
    kind: Kind::Timeframes,
    path: "timeframes",
    collection: "timeframes",
    noun: "Timeframe",
    label: "timeframe",
    sortable: &["id"],
    ..SMALL
};

pub(super) static GROUPS: Resource = Resource {
    kind: Kind::Groups,
    path: "groups",
    collection: "groups",
    noun: "Group",
    ..SMALL
};
