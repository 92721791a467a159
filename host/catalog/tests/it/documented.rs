//! The documented fields of the CRM's entities: each is there, with its type and with its rule for POST and PUT.

use rollout_catalog::Rule::{No, Optional, Required};
use rollout_catalog::{Kind, Rule};

use crate::entity;

/// name, type (`|null` where it may be null), POST, PUT
type Documented = (&'static str, &'static str, Rule, bool);

const EVERY_RECORD: &[Documented] = &[
    ("id", "text", No, false),
    ("created", "time", No, false),
    ("updated", "time|null", No, false),
    ("rolloutUpdated", "time", No, false),
    ("originalIds", "object", No, false),
    ("original", "object", No, false),
];

const PEOPLE: &[Documented] = &[
    ("name", "text", No, false),
    ("firstName", "text", Required, true),
    ("lastName", "text", Required, true),
    ("assignedUserId", "text|null", Optional, true),
    ("assignedPondId", "text|null", Optional, true),
    ("officeId", "text|null", Optional, true),
    ("timeframeId", "text|null", Optional, true),
    ("stage", "text", Optional, true),
    ("stageId", "text|null", Optional, true),
    ("tags", "list|null", Optional, true),
    ("created", "time|null", No, false),
    ("addresses", "list", Optional, true),
    ("emails", "list", Optional, true),
    ("phones", "list", Optional, true),
    ("source", "text", Optional, true),
    ("sourceId", "text|null", Optional, true),
    ("systemSource", "text|null", Optional, true),
    ("averageBeds", "number|null", Optional, true),
    ("averagePrice", "number|null", Optional, true),
    ("birthday", "text|null", Optional, true),
    ("rating", "number", Optional, true),
    ("lastActivity", "time|null", Optional, true),
    ("lastActivityType", "text", Optional, true),
    ("contactTypes", "list", Optional, true),
    ("jobTitle", "text", Optional, true),
    ("companyName", "text", Optional, true),
    ("communicationsConsent", "object", Optional, true),
];

const NOTES: &[Documented] = &[
    ("personId", "text|null", Required, true),
    ("assignedUserId", "text|null", Optional, true),
    ("createdByUserId", "text|null", No, false),
    ("updatedByUserId", "text|null", No, false),
    ("subject", "text", Optional, true),
    ("body", "text", Optional, true),
    ("isHtml", "boolean", Optional, true),
];

const USERS: &[Documented] = &[
    ("firstName", "text", Required, true),
    ("lastName", "text", Required, true),
    ("email", "text", Required, true),
    ("phone", "text", Required, true),
    ("role", "text", Required, true),
    ("status", "text", Required, true),
    ("timezone", "text", Optional, true),
    ("created", "time|null", No, false),
    ("teamId", "text|null", No, false),
    ("address", "object|null", Required, false),
    ("username", "text", Required, true),
    ("type", "text", Required, false),
    ("offices", "list", No, false),
    ("participatingOfficeIds", "list", Optional, true),
    ("password", "text", Optional, false),
];

const TASKS: &[Documented] = &[
    ("name", "text", Optional, true),
    ("type", "text", Optional, true),
    ("personId", "text|null", Required, true),
    ("assignedUserId", "text|null", Optional, true),
    ("dueDateTime", "time|null", Optional, true),
    ("isCompleted", "boolean|null", Optional, true),
];

/// The type of a field in the words of the tables above.
fn kind(field: &rollout_catalog::Field) -> String {
    let kind = match field.kind {
        Kind::Text => "text",
        Kind::DateTime => "time",
        Kind::Number => "number",
        Kind::Integer => "integer",
        Kind::Boolean => "boolean",
        Kind::Json
            if field.schema.to_string().contains(r#""array""#)
                && field.schema.get("items").is_some() =>
        {
            "list"
        }
        Kind::Json => "object",
    };
    format!("{kind}{}", if field.nullable { "|null" } else { "" })
}

#[test]
fn every_documented_field_is_there_and_no_other() {
    for (name, own) in [
        ("people", PEOPLE),
        ("notes", NOTES),
        ("users", USERS),
        ("tasks", TASKS),
    ] {
        let entity = entity(name);
        let common = EVERY_RECORD
            .iter()
            .filter(|(field, ..)| !own.iter().any(|(known, ..)| known == field));
        let mut expected: Vec<_> = own
            .iter()
            .chain(common)
            .map(|(field, kind, post, put)| (field.to_string(), kind.to_string(), *post, *put))
            .collect();
        let mut found: Vec<_> = entity
            .fields
            .iter()
            .map(|field| (field.name.clone(), kind(field), field.create, field.update))
            .collect();
        expected.sort_by(|a, b| a.0.cmp(&b.0));
        found.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn the_host_makes_what_the_connector_cannot_know() {
    for name in ["people", "notes", "users", "tasks"] {
        let entity = entity(name);
        let host: Vec<_> = entity
            .fields
            .iter()
            .filter(|field| field.host)
            .map(|field| &field.name)
            .collect();
        assert_eq!(host.len(), 4, "{name}: {host:?}");
        for made in ["id", "rolloutUpdated", "originalIds", "original"] {
            assert!(entity.field(made).unwrap().host, "{name}.{made}");
            assert!(
                !entity.columns().iter().any(|column| column.name == made),
                "{name}.{made}"
            );
        }
    }
}

#[test]
fn entries_have_the_documented_members() {
    let people = entity("people");
    let members = |field: &str| -> Vec<String> {
        let schema = &people.field(field).unwrap().schema;
        let object = schema.get("items").unwrap_or(schema);
        object["properties"]
            .as_object()
            .unwrap()
            .keys()
            .cloned()
            .collect()
    };
    assert_eq!(
        members("addresses"),
        ["type", "street", "city", "state", "code", "country"]
    );
    assert_eq!(members("emails"), ["value", "type", "status", "isPrimary"]);
    assert_eq!(members("phones"), ["value", "type", "status", "isPrimary"]);
    assert_eq!(
        members("communicationsConsent"),
        ["email", "call", "text", "massEmail", "postalMail", "visit"]
    );
}

#[test]
fn references_name_their_entity() {
    let reference = |entity_name: &str, field: &str| {
        entity(entity_name).field(field).unwrap().reference.clone()
    };
    assert_eq!(
        reference("people", "assignedUserId").as_deref(),
        Some("users")
    );
    assert_eq!(
        reference("people", "assignedPondId").as_deref(),
        Some("ponds")
    );
    assert_eq!(reference("notes", "personId").as_deref(), Some("people"));
    assert_eq!(
        reference("notes", "createdByUserId").as_deref(),
        Some("users")
    );
    assert_eq!(reference("tasks", "personId").as_deref(), Some("people"));
    assert_eq!(reference("users", "teamId").as_deref(), Some("teams"));
    assert_eq!(reference("people", "stage"), None);
}

#[test]
fn every_reference_is_to_an_entity_that_exists_or_is_documented() {
    /// Documented by name, without an entity of their own here yet.
    const DOCUMENTED: [&str; 12] = [
        "calls",
        "emailThreads",
        "events",
        "offices",
        "ponds",
        "properties",
        "sources",
        "stages",
        "teams",
        "timeframes",
        "calendars",
        "loans",
    ];
    fn names(schema: &serde_json::Value, found: &mut Vec<String>) {
        match schema {
            serde_json::Value::Object(members) => {
                found.extend(
                    members
                        .get("x-reference")
                        .and_then(|name| name.as_str())
                        .map(str::to_owned),
                );
                members.values().for_each(|member| names(member, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| names(item, found)),
            _ => {}
        }
    }
    let catalog = crate::catalog();
    for entity in catalog.entities() {
        let mut found = Vec::new();
        entity
            .fields
            .iter()
            .for_each(|field| names(&field.schema, &mut found));
        for name in found {
            assert!(
                catalog.by_name(&name).is_some() || DOCUMENTED.contains(&name.as_str()),
                "{}: {name}",
                entity.name
            );
        }
    }
}

#[test]
fn lists_have_the_documented_filters() {
    use rollout_catalog::Match::{AnyItem, Digits, EntryDigits, EntryValue, Equals};
    let filters = |name: &str| -> Vec<_> {
        entity(name)
            .filters()
            .map(|filter| (filter.param.clone(), filter.field.clone(), filter.matches))
            .collect()
    };
    let of = |param: &str, field: &str, matches| (param.to_owned(), field.to_owned(), matches);
    assert_eq!(
        filters("people"),
        [
            of("tags", "tags", AnyItem),
            of("email", "emails", EntryValue),
            of("phone", "phones", EntryDigits)
        ]
    );
    assert_eq!(
        filters("users"),
        [of("email", "email", Equals), of("phone", "phone", Digits)]
    );
    assert_eq!(filters("notes"), [of("personId", "personId", Equals)]);
    assert_eq!(filters("tasks"), [of("personId", "personId", Equals)]);
}
