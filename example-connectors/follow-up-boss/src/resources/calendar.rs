//! Appointments, their types and their outcomes.

use serde_json::{Map, Value};

use super::{PLAIN, Resource, SHORT, Verbs};
use crate::mapping::{Members, id_of};
use crate::table::{Field, Reads, Writes, field, read, write};

pub(super) static APPOINTMENTS: Resource = Resource {
    entity: "appointments",
    path: "appointments",
    verbs: Verbs::ALL,
    fields: &[
        field(
            "personId",
            "invitees",
            Reads::By(person),
            Writes::Invitee("personId"),
        ),
        field(
            "userId",
            "invitees",
            Reads::By(user),
            Writes::Invitee("userId"),
        ),
        write("appointmentTypeId", "typeId", Writes::Id),
        write("appointmentOutcomeId", "outcomeId", Writes::Id),
        field("title", "title", Reads::Text, Writes::FixedText),
        field("description", "description", Reads::Text, Writes::Text),
        field("location", "location", Reads::Text, Writes::Text),
        field("isAllDay", "allDay", Reads::Flag, Writes::Flag),
        read("type", "type", Reads::Text),
        field("startsAt", "start", Reads::Moment, Writes::Moment),
        field("endsAt", "end", Reads::Moment, Writes::Moment),
        read("invitees", "invitees", Reads::By(invitees)),
        read("created", "created", Reads::Moment),
        read("updated", "updated", Reads::Moment),
    ],
    ..PLAIN
};

/// The first of those invited who has such an id.
fn first(appointment: &Members<'_>, name: &str) -> Option<Value> {
    let invitees = appointment.value("invitees")?;
    let mut invitees = invitees.as_array()?.iter();
    invitees.find_map(|invitee| id_of(invitee.get(name)?))
}

fn person(appointment: &Members<'_>) -> Option<Value> {
    first(appointment, "personId")
}

fn user(appointment: &Members<'_>) -> Option<Value> {
    first(appointment, "userId")
}

fn invitees(appointment: &Members<'_>) -> Option<Value> {
    let invitees = appointment.value("invitees")?;
    let shown = invitees.as_array()?.iter().map(|invitee| {
        let id = |name: &str| id_of(invitee.get(name)?);
        let text = |name: &str| invitee.get(name).filter(|value| value.is_string()).cloned();
        let members = [
            ("personId", id("personId")),
            ("userId", id("userId")),
            ("name", text("name")),
            ("email", text("email")),
        ];
        let known = members
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        Value::Object(known.collect::<Map<_, _>>())
    });
    Some(shown.collect())
}

pub(super) static TYPES: Resource = Resource {
    entity: "appointmentTypes",
    path: "appointmentTypes",
    verbs: Verbs::CREATE_AND_UPDATE,
    fields: CHOICE,
    ..SHORT
};

pub(super) static OUTCOMES: Resource = Resource {
    entity: "appointmentOutcomes",
    path: "appointmentOutcomes",
    verbs: Verbs::CREATE_AND_UPDATE,
    fields: CHOICE,
    ..SHORT
};

/// Something that an appointment can be said to be.
const CHOICE: &[Field] = &[
    field("name", "name", Reads::Text, Writes::FixedText),
    field("orderWeight", "orderWeight", Reads::Number, Writes::Number),
];
