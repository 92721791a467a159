//! People, their relatives, and the users who look after them.

use serde_json::json;

use super::super::filters::Test;
use super::super::records::{
    Hidden, Kind, NextForm, Record, Removal, Resource, Right, STAGES, Seen, TRASH,
};
use super::super::shapes::Shape;
use super::super::write::full_name;
use super::{COMMON, PLAIN, filter};

pub(super) static PEOPLE: Resource = Resource {
    kind: Kind::People,
    path: "people",
    collection: "people",
    noun: "Person",
    selectable: true,
    customs: Some(Kind::CustomFields),
    on_request: &["relationships"],
    default_order: ("created", true),
    sortable: &[
        "id",
        "created",
        "updated",
        "name",
        "firstName",
        "lastName",
        "price",
        "stage",
        "lastActivity",
    ],
    filters: &[
        COMMON,
        &[
            filter("name", Test::Like("name")),
            filter("firstName", Test::Like("firstName")),
            filter("lastName", Test::Like("lastName")),
            filter("email", Test::Value("emails")),
            filter("phone", Test::Phone),
            filter("stage", Test::Text("stage")),
            filter("source", Test::Text("source")),
            filter("tags", Test::Tags),
            filter("assignedTo", Test::Text("assignedTo")),
            filter("assignedUserId", Test::Numbers("assignedUserId")),
            filter("assignedPondId", Test::Numbers("assignedPondId")),
            filter("assignedLenderId", Test::Numbers("assignedLenderId")),
            filter("contacted", Test::Flag("contacted")),
            filter("priceAbove", Test::Above("price")),
            filter("priceBelow", Test::Below("price")),
            filter("lastActivityAfter", Test::After("lastActivity")),
            filter("lastActivityBefore", Test::Before("lastActivity")),
        ],
    ],
    hidden: &[Hidden {
        field: "stage",
        value: TRASH,
        unless: "includeTrash",
        named_by: None,
        gone: true,
    }],
    seen: Seen::Assigned,
    creating: Right::Anyone,
    updating: Right::Anyone,
    deleting: Right::Anyone,
    removal: Removal::Trash,
    blank: |birth| {
        json!({
            "id": null, "created": birth.now, "updated": birth.now, "createdVia": "API",
            "lastActivity": birth.now, "name": "", "firstName": "", "lastName": "",
            "stage": STAGES[0].0, "stageId": STAGES[0].1,
            "source": "<unspecified>", "sourceUrl": "", "contacted": 0, "price": null,
            "assignedLenderId": null, "assignedLenderName": null,
            "assignedUserId": birth.author, "assignedPondId": null,
            "assignedTo": birth.author_name,
            "tags": [], "emails": [], "phones": [], "addresses": [],
            "picture": null, "background": null, "collaborators": [],
            "timeframeId": null, "timeframeStatus": null, "timeframeUpdated": null,
            "relationships": [],
        })
    },
    fields: &[
        ("createdAt", Shape::CreatedAt),
        ("firstName", Shape::Text),
        ("lastName", Shape::Text),
        ("stage", Shape::Stage),
        ("source", Shape::OnceText),
        ("sourceUrl", Shape::OnceText),
        ("contacted", Shape::Flag),
        ("price", Shape::Number),
        ("assignedTo", Shape::UserName("assignedTo")),
        ("assignedUserId", Shape::UserId("assignedTo")),
        ("assignedPondId", Shape::Ref(Kind::Ponds, None)),
        ("assignedLenderName", Shape::Text),
        ("assignedLenderId", Shape::Number),
        ("emails", Shape::Emails),
        ("phones", Shape::Phones),
        ("addresses", Shape::Addresses),
        ("tags", Shape::Tags),
        ("background", Shape::Text),
        ("collaborators", Shape::Collaborators),
        (
            "timeframeId",
            Shape::Ref(Kind::Timeframes, Some("timeframeStatus")),
        ),
    ],
    finish: |_, record, _| {
        name_in_full(record);
        Ok(())
    },
    ..PLAIN
};

pub(super) static USERS: Resource = Resource {
    kind: Kind::Users,
    path: "users",
    collection: "users",
    noun: "User",
    selectable: true,
    on_request: &["calling"],
    sortable: &["id", "name", "created"],
    filters: &[
        COMMON,
        &[
            filter("name", Test::Text("name")),
            filter("email", Test::Text("email")),
            filter("role", Test::Text("role")),
        ],
    ],
    hidden: &[Hidden {
        field: "status",
        value: "Deleted",
        unless: "includeDeleted",
        named_by: None,
        gone: true,
    }],
    next: NextForm::Offset,
    ..PLAIN
};

pub(super) static RELATIONSHIPS: Resource = Resource {
    kind: Kind::PeopleRelationships,
    path: "peopleRelationships",
    collection: "peoplerelationships",
    noun: "Relationship",
    sortable: &["id", "created", "updated", "name", "firstName", "lastName"],
    filters: &[
        COMMON,
        &[
            filter("personId", Test::Numbers("personId")),
            filter("name", Test::Like("name")),
            filter("firstName", Test::Like("firstName")),
            filter("lastName", Test::Like("lastName")),
            filter("type", Test::Texts("type")),
        ],
    ],
    seen: Seen::WithPerson,
    creating: Right::Anyone,
    updating: Right::Anyone,
    deleting: Right::Anyone,
    blank: |birth| {
        json!({
            "id": null, "created": birth.now, "updated": birth.now, "createdById": birth.author,
            "personId": 0, "name": "", "firstName": "", "lastName": "", "type": "",
            "isPriority": false, "picture": null, "emails": [], "phones": [], "addresses": [],
        })
    },
    fields: &[
        ("personId", Shape::Person),
        ("firstName", Shape::Text),
        ("lastName", Shape::Text),
        ("type", Shape::Text),
        ("emails", Shape::Emails),
        ("phones", Shape::Phones),
        ("addresses", Shape::Addresses),
    ],
    required: &[&["personId"]],
    finish: |_, record, _| {
        name_in_full(record);
        let kind = record.get("type").and_then(|kind| kind.as_str());
        let spouse = kind.is_some_and(|kind| {
            let kind = kind.to_lowercase();
            ["spouse", "wife", "husband", "partner"].contains(&kind.as_str())
        });
        record.insert("isPriority".to_owned(), spouse.into());
        Ok(())
    },
    ..PLAIN
};

/// `name` is derived from the two others.
fn name_in_full(record: &mut Record) {
    let name = full_name(record);
    record.insert("name".to_owned(), name.into());
}
