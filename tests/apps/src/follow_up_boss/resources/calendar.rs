//! Appointments, their types and their outcomes.

use serde_json::{Value, json};

use super::super::filters::Test;
use super::super::moments;
use super::super::records::{Hidden, Kind, Removal, Resource, Right, Seen};
use super::super::reply::Refusal;
use super::super::shapes::Shape;
use super::{COMMON, PLAIN, SMALL, filter};

pub(super) static APPOINTMENTS: Resource = Resource {
    kind: Kind::Appointments,
    path: "appointments",
    collection: "appointments",
    noun: "Appointment",
    sortable: &["id", "created", "updated", "start", "end", "title"],
    filters: &[
        COMMON,
        &[
            filter("personId", Test::Members("invitees", "personId")),
            filter("userId", Test::Members("invitees", "userId")),
            filter("createdById", Test::Numbers("createdById")),
            filter("typeId", Test::Numbers("typeId")),
            filter("outcomeId", Test::Numbers("outcomeId")),
            filter("start", Test::After("end")),
            filter("end", Test::Before("start")),
        ],
    ],
    pair: Some(("start", "end")),
    hidden: &[Hidden {
        field: "_state",
        value: "Deleted",
        unless: "includeDeleted",
        named_by: None,
        gone: true,
    }],
    seen: Seen::ByMembers("invitees", "userId"),
    creating: Right::Anyone,
    updating: Right::Anyone,
    deleting: Right::Anyone,
    removal: Removal::Mark("_state", "Deleted"),
    blank: |birth| {
        json!({
            "id": null, "created": birth.now, "updated": birth.now,
            "createdById": birth.author, "updatedById": birth.author,
            "title": "", "description": "", "start": null, "end": null,
            "timezone": "America/Los_Angeles", "allDay": false, "originFub": true,
            "location": "", "invitees": [], "typeId": null, "outcomeId": null,
            "isEditable": true, "detailsVisible": true, "type": null, "outcome": null,
            "externalEventLink": null, "externalCalendarId": null, "isDeletable": true,
        })
    },
    fields: &[
        ("title", Shape::Text),
        ("description", Shape::Text),
        ("start", Shape::Moment),
        ("end", Shape::Moment),
        ("allDay", Shape::Switch),
        ("location", Shape::Text),
        ("invitees", Shape::Invitees),
        ("typeId", Shape::Ref(Kind::AppointmentTypes, Some("type"))),
        (
            "outcomeId",
            Shape::Ref(Kind::AppointmentOutcomes, Some("outcome")),
        ),
        ("createdById", Shape::ActingUser(None)),
    ],
    required: &[&["title"], &["start"], &["end"]],
    finish: |_, record, _| {
        let moment = |field| record.get(field).and_then(Value::as_str);
        match (moment("start"), moment("end")) {
            (Some(start), Some(end)) if moments::parse(start) <= moments::parse(end) => Ok(()),
            _ => Err(Refusal::bad_request("Invalid value for field 'end'.")),
        }
    },
    ..PLAIN
};

pub(super) static TYPES: Resource = Resource {
    kind: Kind::AppointmentTypes,
    path: "appointmentTypes",
    collection: "appointmenttypes",
    noun: "Appointment type",
    removal: Removal::Replace("assignTypeId"),
    ..CHOICE
};

pub(super) static OUTCOMES: Resource = Resource {
    kind: Kind::AppointmentOutcomes,
    path: "appointmentOutcomes",
    collection: "appointmentoutcomes",
    noun: "Appointment outcome",
    removal: Removal::Replace("assignOutcomeId"),
    ..CHOICE
};

/// Something an appointment can be said to be.
const CHOICE: Resource = Resource {
    sortable: &["id", "name", "orderWeight"],
    creating: Right::Owner,
    updating: Right::Owner,
    deleting: Right::Owner,
    blank: |_| json!({ "id": null, "name": "", "orderWeight": null }),
    fields: &[("name", Shape::Text), ("orderWeight", Shape::Count)],
    required: &[&["name"]],
    finish: |draft, record, _| {
        draft.put_last(record);
        draft.only_one("name", record)
    },
    ..SMALL
};
