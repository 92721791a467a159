//! Deals, the pipelines they go through, and their custom fields.

use serde_json::{Value, json};

use super::super::filters::Test;
use super::super::records::{Hidden, Kind, Removal, Resource, Right, Seen};
use super::super::shapes::Shape;
use super::{IDS, PLAIN, SMALL, filter};

pub(super) static DEALS: Resource = Resource {
    kind: Kind::Deals,
    path: "deals",
    collection: "deals",
    noun: "Deal",
    customs: Some(Kind::DealCustomFields),
    created: Some("createdAt"),
    updated: None,
    sortable: &[
        "id",
        "createdAt",
        "name",
        "price",
        "orderWeight",
        "projectedCloseDate",
        "enteredStageAt",
    ],
    filters: &[
        IDS,
        &[
            filter("createdAfter", Test::After("createdAt")),
            filter("createdBefore", Test::Before("createdAt")),
            filter("pipelineId", Test::Numbers("pipelineId")),
            filter("stageId", Test::Numbers("stageId")),
            filter("userId", Test::Members("users", "id")),
            filter("personId", Test::Members("people", "id")),
            filter("status", Test::Text("status")),
        ],
    ],
    hidden: &[
        Hidden {
            field: "status",
            value: "Deleted",
            unless: "includeDeleted",
            named_by: Some("status"),
            gone: true,
        },
        Hidden {
            field: "status",
            value: "Archived",
            unless: "includeArchived",
            named_by: Some("status"),
            gone: false,
        },
    ],
    seen: Seen::ByMembers("users", "id"),
    creating: Right::Anyone,
    updating: Right::Anyone,
    deleting: Right::Anyone,
    removal: Removal::Mark("status", "Deleted"),
    blank: |birth| {
        json!({
            "id": null, "name": "", "type": 0, "status": "Active", "price": 0,
            "createdAt": birth.now, "orderWeight": 1000, "description": "",
            "projectedCloseDate": null, "pipelineId": null, "pipelineName": null,
            "stageId": null, "stageName": null, "enteredStageAt": null,
            "commissionValue": 0, "agentCommission": 0, "teamCommission": 0,
            "earnestMoneyDueDate": null, "mutualAcceptanceDate": null,
            "dueDiligenceDate": null, "finalWalkThroughDate": null, "possessionDate": null,
            "people": [], "users": [],
        })
    },
    fields: &[
        ("name", Shape::Text),
        ("stageId", Shape::DealStage),
        ("description", Shape::Text),
        ("peopleIds", Shape::Links(Kind::People, "people", "avatar")),
        ("userIds", Shape::Links(Kind::Users, "users", "picture")),
        ("price", Shape::Count),
        ("projectedCloseDate", Shape::Date),
        ("orderWeight", Shape::Count),
        ("commissionValue", Shape::Number),
        ("agentCommission", Shape::Number),
        ("teamCommission", Shape::Number),
        ("earnestMoneyDueDate", Shape::Date),
        ("mutualAcceptanceDate", Shape::Date),
        ("dueDiligenceDate", Shape::Date),
        ("finalWalkThroughDate", Shape::Date),
        ("possessionDate", Shape::Date),
    ],
    required: &[&["name"], &["stageId"]],
    derive: Some(|store, record| {
        for name in store.custom_names(Kind::DealCustomFields) {
            record.entry(name).or_insert(Value::Null);
        }
    }),
    ..PLAIN
};

pub(super) static PIPELINES: Resource = Resource {
    kind: Kind::Pipelines,
    path: "pipelines",
    collection: "pipelines",
    noun: "Pipeline",
    sortable: &["id", "name", "orderWeight"],
    filters: &[IDS, &[filter("name", Test::Text("name"))]],
    creating: Right::Owner,
    updating: Right::Owner,
    deleting: Right::Owner,
    blank: |_| json!({ "id": null, "name": "", "description": "", "orderWeight": null, "stages": [] }),
    fields: &[
        ("name", Shape::Text),
        ("description", Shape::Text),
        ("orderWeight", Shape::Count),
        ("stages", Shape::DealStages),
    ],
    required: &[&["name"]],
    finish: |draft, record, _| {
        draft.put_last(record);
        Ok(())
    },
    ..SMALL
};

pub(super) static CUSTOM_FIELDS: Resource = Resource {
    kind: Kind::DealCustomFields,
    path: "dealCustomFields",
    collection: "dealCustomfields",
    noun: "Deal custom field",
    sortable: &["id", "label", "name", "orderWeight"],
    filters: &[IDS, &[filter("label", Test::Text("label"))]],
    ..SMALL
};
