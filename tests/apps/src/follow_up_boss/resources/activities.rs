//! What was done with people: notes, tasks, calls, text messages, emails, and
//! the events that websites report.

use serde_json::json;

use super::super::filters::Test;
use super::super::records::{Kind, Resource, Right, Scope, Seen};
use super::super::shapes::Shape;
use super::{COMMON, PLAIN, filter};

/// The types a task can have.
const TASK_TYPES: &[&str] = &[
    "Follow Up",
    "Call",
    "Text",
    "Email",
    "Appointment",
    "Showing",
    "Closing",
    "Open House",
    "Thank You",
];

/// What can come of a call.
const CALL_OUTCOMES: &[&str] = &[
    "Interested",
    "Not Interested",
    "Left Message",
    "No Answer",
    "Busy",
    "Bad Number",
];

pub(super) static NOTES: Resource = Resource {
    kind: Kind::Notes,
    path: "notes",
    collection: "notes",
    noun: "Note",
    filters: &[
        COMMON,
        &[
            filter("personId", Test::Numbers("personId")),
            filter("createdById", Test::Numbers("createdById")),
        ],
    ],
    seen: Seen::WithPerson,
    creating: Right::Anyone,
    updating: Right::Anyone,
    deleting: Right::Anyone,
    blank: |birth| {
        json!({
            "id": null, "created": birth.now, "updated": birth.now,
            "createdBy": birth.author_name, "updatedBy": birth.author_name,
            "createdById": birth.author,
            "personId": 0, "subject": "", "body": "", "type": "Note", "isHtml": false,
        })
    },
    fields: &[
        ("personId", Shape::Person),
        ("subject", Shape::Text),
        ("body", Shape::Text),
        ("isHtml", Shape::Switch),
    ],
    required: &[&["personId"]],
    activity: true,
    ..PLAIN
};

pub(super) static TASKS: Resource = Resource {
    kind: Kind::Tasks,
    path: "tasks",
    collection: "tasks",
    noun: "Task",
    sortable: &["id", "created", "updated", "name", "dueDate"],
    filters: &[
        COMMON,
        &[
            filter("personId", Test::Numbers("personId")),
            filter("assignedTo", Test::Text("AssignedTo")),
            filter("assignedUserId", Test::Numbers("assignedUserId")),
            filter("name", Test::Like("name")),
            filter("type", Test::Texts("type")),
            filter("isCompleted", Test::Flag("isCompleted")),
        ],
    ],
    seen: Seen::WithPerson,
    creating: Right::Anyone,
    updating: Right::Anyone,
    deleting: Right::Anyone,
    blank: |birth| {
        json!({
            "id": null, "created": birth.now, "updated": birth.now, "completed": null,
            "createdBy": birth.author_name, "updatedBy": birth.author_name,
            "createdById": birth.author,
            "personId": 0, "AssignedTo": null, "assignedUserId": null,
            "name": "", "type": "Follow Up", "isCompleted": 0,
            "dueDate": null, "dueDateTime": null, "person": null,
        })
    },
    fields: &[
        ("personId", Shape::Person),
        ("assignedTo", Shape::UserName("AssignedTo")),
        ("assignedUserId", Shape::UserId("AssignedTo")),
        ("name", Shape::Text),
        ("type", Shape::OneOf(TASK_TYPES)),
        ("isCompleted", Shape::Completion),
        ("dueDate", Shape::Date),
        ("dueDateTime", Shape::Moment),
        ("remindSecondsBefore", Shape::Unshown),
    ],
    required: &[&["personId"], &["assignedUserId", "assignedTo"]],
    ..PLAIN
};

pub(super) static CALLS: Resource = Resource {
    kind: Kind::Calls,
    path: "calls",
    collection: "calls",
    noun: "Call",
    sortable: &["id", "created", "updated", "duration"],
    filters: &[
        COMMON,
        &[
            filter("personId", Test::Numbers("personId")),
            filter("userId", Test::Numbers("userId")),
            filter("phone", Test::Digits(&["phone"])),
            filter("toNumber", Test::Digits(&["toNumber"])),
            filter("fromNumber", Test::Digits(&["fromNumber"])),
        ],
    ],
    seen: Seen::WithPerson,
    creating: Right::Anyone,
    updating: Right::ItsSystem,
    blank: |birth| {
        json!({
            "id": null, "relationshipId": 0, "created": birth.now, "updated": birth.now,
            "createdById": birth.author, "updatedById": birth.author,
            "personId": 0, "name": "", "firstName": "", "lastName": "",
            "userId": birth.author, "userName": birth.author_name, "phone": null,
            "fromNumber": null, "toNumber": null, "note": null, "outcome": null,
            "isIncoming": false, "duration": 0, "ringDuration": null, "recordingUrl": null,
            "startedAt": null, "_system": birth.system,
        })
    },
    fields: &[
        ("personId", Shape::Person),
        ("phone", Shape::Text),
        ("isIncoming", Shape::Switch),
        ("note", Shape::Text),
        ("outcome", Shape::OneOf(CALL_OUTCOMES)),
        ("duration", Shape::Count),
        ("toNumber", Shape::Text),
        ("fromNumber", Shape::Text),
        ("userId", Shape::ActingUser(Some("userName"))),
        ("recordingUrl", Shape::Text),
    ],
    required: &[&["personId"], &["phone"], &["isIncoming"]],
    activity: true,
    ..PLAIN
};

pub(super) static TEXT_MESSAGES: Resource = Resource {
    kind: Kind::TextMessages,
    path: "textMessages",
    collection: "textmessages",
    noun: "Text message",
    filters: &[
        COMMON,
        &[
            filter("personId", Test::Numbers("personId")),
            filter("threadId", Test::Numbers("_threadId")),
            filter("sharedInboxId", Test::Numbers("sharedInboxId")),
            filter("groupTextId", Test::Numbers("groupTextId")),
            filter("phone", Test::Digits(&["fromNumber", "toNumber"])),
            filter("toNumber", Test::Digits(&["toNumber"])),
            filter("fromNumber", Test::Digits(&["fromNumber"])),
        ],
    ],
    scope: Some(Scope {
        any: &[
            "personId",
            "threadId",
            "phone",
            "toNumber",
            "fromNumber",
            "sharedInboxId",
            "groupTextId",
            "id",
            "ids",
        ],
        refusal: "personId, threadId, phone, toNumber, fromNumber, sharedInboxId, groupTextId, \
                  participants, or id list must be specified for GET /v1/textMessages.",
    }),
    seen: Seen::WithPerson,
    creating: Right::Systems,
    blank: |birth| {
        json!({
            "id": null, "created": birth.now, "updated": birth.now,
            "createdById": birth.author, "updatedById": birth.author,
            "personId": 0, "name": "", "firstName": "", "lastName": "", "picture": null,
            "userId": birth.author, "userName": birth.author_name, "status": "Sent",
            "message": "", "fromNumber": "", "toNumber": "", "sent": birth.now,
            "isIncoming": false, "archived": false, "read": true, "sharedInboxId": 0,
            "actionPlanId": null, "groupTextId": null, "isExternal": true,
            "externalUrl": null, "externalLabel": null, "systemId": null, "media": [],
            "systemName": birth.system,
        })
    },
    fields: &[
        ("personId", Shape::Person),
        ("message", Shape::Text),
        ("toNumber", Shape::Text),
        ("fromNumber", Shape::Text),
        ("isIncoming", Shape::Switch),
        ("externalLabel", Shape::Text),
        ("externalUrl", Shape::Text),
    ],
    required: &[&["personId"], &["message"], &["toNumber"], &["fromNumber"]],
    finish: |_, record, _| {
        if record.get("isIncoming").is_some_and(|way| *way == true) {
            record.insert("status".to_owned(), "Received".into());
        }
        Ok(())
    },
    activity: true,
    ..PLAIN
};

pub(super) static EMAILS: Resource = Resource {
    kind: Kind::Emails,
    path: "emails",
    collection: "emails",
    noun: "Email",
    sortable: &["id", "created", "updated", "date"],
    filters: &[
        COMMON,
        &[
            filter("personId", Test::Members("relatedPeople", "personId")),
            filter("threadId", Test::Texts("threadId")),
            filter("inboxThreadId", Test::Texts("threadId")),
            filter("userId", Test::Numbers("userId")),
        ],
    ],
    scope: Some(Scope {
        any: &["personId", "inboxThreadId", "id", "ids"],
        refusal: "id list, inboxThreadId, personId or personId and threadId arguments must be \
                  specified for GET /v1/emails.",
    }),
    seen: Seen::WithPerson,
    ..PLAIN
};

pub(super) static EVENTS: Resource = Resource {
    kind: Kind::Events,
    path: "events",
    collection: "events",
    noun: "Event",
    filters: &[
        COMMON,
        &[
            filter("personId", Test::Numbers("personId")),
            filter("type", Test::Texts("type")),
            filter("hasProperty", Test::Given("property")),
            filter("propertyAddress", Test::Like("property.street")),
        ],
    ],
    seen: Seen::WithPerson,
    activity: true,
    ..PLAIN
};
