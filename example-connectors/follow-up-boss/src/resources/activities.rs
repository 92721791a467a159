//! What was done with people and by them.

use rollout_connector::json::Scalar;
use serde_json::{Value, json};

use super::{PLAIN, Pass, Resource, Verbs};
use crate::mapping::{Members, NO_SOURCE, id_of};
use crate::table::{Reads, Writes, field, read, write};

pub(super) static NOTES: Resource = Resource {
    entity: "notes",
    path: "notes",
    verbs: Verbs::ALL,
    fields: &[
        field("personId", "personId", Reads::Id, Writes::RequiredId),
        read("createdByUserId", "createdById", Reads::Id),
        read("updatedByUserId", "updatedById", Reads::Id),
        field("subject", "subject", Reads::Text, Writes::Text),
        field("body", "body", Reads::Text, Writes::Text),
        field("isHtml", "isHtml", Reads::Flag, Writes::Flag),
        read("created", "created", Reads::Moment),
        read("updated", "updated", Reads::Moment),
    ],
    ..PLAIN
};

pub(super) static TASKS: Resource = Resource {
    entity: "tasks",
    path: "tasks",
    verbs: Verbs::ALL,
    fields: &[
        field("name", "name", Reads::Text, Writes::Text),
        field("type", "type", Reads::Text, Writes::FixedText),
        field("personId", "personId", Reads::Id, Writes::RequiredId),
        field(
            "assignedUserId",
            "assignedUserId",
            Reads::Id,
            Writes::RequiredId,
        ),
        field("dueDateTime", "dueDateTime", Reads::By(due), Writes::Due),
        field("isCompleted", "isCompleted", Reads::Flag, Writes::Flag),
        read("created", "created", Reads::Moment),
        read("updated", "updated", Reads::Moment),
    ],
    ..PLAIN
};

/// The moment, or the day where there is no moment.
fn due(task: &Members<'_>) -> Option<Value> {
    let moment = |name| task.scalar(name).moment();
    let due = moment("dueDateTime").or_else(|| moment("dueDate"))?;
    Some(due.into_owned().into())
}

pub(super) static CALLS: Resource = Resource {
    entity: "calls",
    path: "calls",
    verbs: Verbs::CREATE_AND_UPDATE,
    fields: &[
        field("personId", "personId", Reads::Id, Writes::RequiredId),
        field("userId", "userId", Reads::Id, Writes::RequiredId),
        field("phone", "phone", Reads::Text, Writes::FixedText),
        field("note", "note", Reads::Text, Writes::Text),
        field("isIncoming", "isIncoming", Reads::Flag, Writes::Flag),
        field("outcome", "outcome", Reads::Text, Writes::TextOrNull),
        field("duration", "duration", Reads::Number, Writes::Number),
        field("toNumber", "toNumber", Reads::Text, Writes::TextOrNull),
        field("fromNumber", "fromNumber", Reads::Text, Writes::TextOrNull),
        field(
            "recordingUrl",
            "recordingUrl",
            Reads::Text,
            Writes::TextOrNull,
        ),
        read("created", "created", Reads::Moment),
        read("updated", "updated", Reads::Moment),
    ],
    ..PLAIN
};

pub(super) static TEXT_MESSAGES: Resource = Resource {
    entity: "textMessages",
    path: "textMessages",
    pass: Pass::PerPerson,
    verbs: Verbs::CREATE,
    fields: &[
        field("personId", "personId", Reads::Id, Writes::RequiredId),
        read("userId", "userId", Reads::Id),
        field("message", "message", Reads::Text, Writes::FixedText),
        field("isIncoming", "isIncoming", Reads::Flag, Writes::Flag),
        read("status", "status", Reads::Text),
        field("toNumber", "toNumber", Reads::Text, Writes::FixedText),
        field("fromNumber", "fromNumber", Reads::Text, Writes::FixedText),
        field(
            "externalLabel",
            "externalLabel",
            Reads::Text,
            Writes::TextOrNull,
        ),
        field(
            "externalUrl",
            "externalUrl",
            Reads::Text,
            Writes::TextOrNull,
        ),
        read("sent", "sent", Reads::Moment),
        read("created", "created", Reads::Moment),
        read("updated", "updated", Reads::Moment),
    ],
    ..PLAIN
};

pub(super) static EMAILS: Resource = Resource {
    entity: "emailMessages",
    path: "emails",
    pass: Pass::PerPerson,
    fields: &[
        read("personId", "relatedPeople", Reads::By(person_of_email)),
        read("userId", "userId", Reads::Id),
        read("threadId", "threadId", Reads::Id),
        read("subject", "subject", Reads::Text),
        read("body", "body", Reads::Text),
        read("sender", "from", Reads::By(sender)),
        read("recipients", "to", Reads::By(recipients)),
        read("isRead", "isRead", Reads::Flag),
        read("isStarred", "isStarred", Reads::Flag),
        read("isIncoming", "isIncoming", Reads::By(incoming)),
        read("sent", "date", Reads::Moment),
        read("received", "date", Reads::By(received)),
        read("created", "created", Reads::Moment),
        read("updated", "updated", Reads::Moment),
    ],
    ..PLAIN
};

fn person_of_email(email: &Members<'_>) -> Option<Value> {
    let related = email.value("relatedPeople").unwrap_or_default();
    let mut people = related.as_array().into_iter().flatten();
    people
        .find_map(|person| id_of(person.get("personId")?))
        .or_else(|| id_of(&email.value("personId")?))
}

/// When it came in, which the app says of incoming ones only.
fn received(email: &Members<'_>) -> Option<Value> {
    let moment = match incoming(email) {
        Some(Value::Bool(true)) => email.scalar("date").moment()?,
        _ => return None,
    };
    Some(moment.into_owned().into())
}

/// Whether it came from a person, which is said of the email or of its people.
fn incoming(email: &Members<'_>) -> Option<Value> {
    if let Some(incoming) = email.scalar("isIncoming").flag() {
        return Some(incoming.into());
    }
    let related = email.value("relatedPeople")?;
    let mut people = related.as_array()?.iter();
    let sent_by_one = people.any(|one| one.get("sentByPerson") == Some(&Value::Bool(true)));
    Some(sent_by_one.into())
}

fn sender(email: &Members<'_>) -> Option<Value> {
    match email.value("from")? {
        Value::Array(parties) => parties.iter().find_map(party),
        one => party(&one),
    }
}

fn recipients(email: &Members<'_>) -> Option<Value> {
    let parties = match email.value("to")? {
        Value::Array(parties) => parties.iter().filter_map(party).collect(),
        one => party(&one).into_iter().collect(),
    };
    Some(Value::Array(parties))
}

/// `{name, email}` of an object or of an address alone.
fn party(value: &Value) -> Option<Value> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let email = value
        .as_str()
        .or_else(|| text("email"))
        .or_else(|| text("address"));
    match (text("name"), email) {
        (None, None) => None,
        (name, email) => Some(json!({ "name": name, "email": email })),
    }
}

pub(super) static EVENTS: Resource = Resource {
    entity: "events",
    path: "events",
    pass: Pass::Made,
    verbs: Verbs::CREATE,
    fields: &[
        read("personId", "personId", Reads::Id),
        write("personId", "person", Writes::Person),
        read("noteId", "noteId", Reads::Id),
        read("propertyId", "property", Reads::By(property)),
        field(
            "occurredAt",
            "occurredAt",
            Reads::By(occurred),
            Writes::Moment,
        ),
        field("message", "message", Reads::Text, Writes::Text),
        field("description", "description", Reads::Text, Writes::Text),
        field("source", "source", Reads::By(source), Writes::Text),
        write("system", "system", Writes::Text),
        field("type", "type", Reads::Text, Writes::FixedText),
        field("pageTitle", "pageTitle", Reads::Text, Writes::Text),
        field("pageUrl", "pageUrl", Reads::Text, Writes::Text),
        write("pageReferrer", "pageReferrer", Writes::Text),
        field(
            "pageDuration",
            "pageDuration",
            Reads::Number,
            Writes::Number,
        ),
        read("created", "created", Reads::Moment),
        read("updated", "updated", Reads::Moment),
    ],
    ..PLAIN
};

fn property(event: &Members<'_>) -> Option<Value> {
    id_of(event.value("property")?.get("id")?)
}

fn occurred(event: &Members<'_>) -> Option<Value> {
    let moment = |name| event.scalar(name).moment();
    let occurred = moment("occurred").or_else(|| moment("occurredAt"))?;
    Some(occurred.into_owned().into())
}

fn source(event: &Members<'_>) -> Option<Value> {
    match event.scalar("source") {
        Scalar::Text(source) if source == NO_SOURCE => Some("".into()),
        source => Some(source.text()?.into_owned().into()),
    }
}
