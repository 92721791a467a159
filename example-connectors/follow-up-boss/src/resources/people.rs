//! People, those close to them, and users.

use super::{PLAIN, Pass, Record, Resource, Verbs};
use crate::table::{Field, Reads, Writes, field, read, write};

pub(crate) static PEOPLE: Resource = Resource {
    entity: "people",
    path: "people",
    shows: &[("fields", "allFields"), ("includeTrash", "true")],
    record: Record::Person,
    fields: PERSON,
    custom: true,
    verbs: Verbs::ALL,
    ..PLAIN
};

/// What is read is in `mapping/people.rs`.
const PERSON: &[Field] = &[
    write("firstName", "firstName", Writes::Text),
    write("lastName", "lastName", Writes::Text),
    write("stage", "stage", Writes::FixedText),
    // After `stage`: the id is the exact one and wins.
    write("stageId", "stage", Writes::StageId),
    write("source", "source", Writes::Text),
    write("averagePrice", "price", Writes::Number),
    write("assignedUserId", "assignedUserId", Writes::Id),
    write("assignedPondId", "assignedPondId", Writes::Id),
    write("timeframeId", "timeframeId", Writes::Id),
    write("tags", "tags", Writes::Texts),
    write("emails", "emails", Writes::Contacts),
    write("phones", "phones", Writes::Contacts),
    write("addresses", "addresses", Writes::Addresses),
];

pub(super) static USERS: Resource = Resource {
    entity: "users",
    path: "users",
    pass: Pass::Filtered,
    shows: &[("includeDeleted", "true")],
    record: Record::User,
    ..PLAIN
};

pub(super) static RELATIONSHIPS: Resource = Resource {
    entity: "relationships",
    path: "peopleRelationships",
    verbs: Verbs::ALL,
    fields: &[
        field("personId", "personId", Reads::Id, Writes::RequiredId),
        read("name", "name", Reads::Text),
        field("firstName", "firstName", Reads::Text, Writes::Text),
        field("lastName", "lastName", Reads::Text, Writes::Text),
        field("type", "type", Reads::Text, Writes::Text),
        field("emails", "emails", Reads::Contacts, Writes::Contacts),
        field("phones", "phones", Reads::Contacts, Writes::Contacts),
        field(
            "addresses",
            "addresses",
            Reads::Addresses,
            Writes::Addresses,
        ),
        read("created", "created", Reads::Moment),
        read("updated", "updated", Reads::Moment),
    ],
    ..PLAIN
};
