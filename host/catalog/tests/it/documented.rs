//! The documented fields of the CRM's entities: each is there, with its type and with its rule for POST and PUT.

mod fields;

use rollout_catalog::{Category, Kind};

use crate::{catalog, entity};
use fields::{ENTITIES, EVERY_RECORD, UNDATED};

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
    let all = catalog();
    let mut known: Vec<_> = all
        .entities_of(Category::Crm)
        .map(|entity| entity.name.as_str())
        .collect();
    let mut documented: Vec<_> = ENTITIES.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    documented.sort_unstable();
    assert_eq!(known, documented);
    for (name, own) in ENTITIES {
        let entity = entity(name);
        let dated = !UNDATED.contains(name);
        let common = EVERY_RECORD
            .iter()
            .filter(|(field, ..)| dated || !["created", "updated"].contains(field))
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
    for (name, _) in ENTITIES {
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
    const DOCUMENTED: [&str; 8] = [
        "emailThreads",
        "pipelineStages",
        "ponds",
        "properties",
        "sources",
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
    for name in [
        "tasks",
        "calls",
        "textMessages",
        "emailMessages",
        "appointments",
        "events",
        "relationships",
    ] {
        assert_eq!(
            filters(name),
            [of("personId", "personId", Equals)],
            "{name}"
        );
    }
    assert_eq!(filters("deals"), [of("personId", "peopleIds", AnyItem)]);
}

#[test]
fn paths_collections_verbs_and_flags_are_the_documented_ones() {
    use rollout_catalog::Verb::{Create, Get, List};
    let catalog = catalog();
    for (path, name, collection, flag) in [
        ("smart-lists", "smartLists", "smart-lists", None),
        ("calls", "calls", "calls", Some("calls")),
        ("teams", "teams", "teams", None),
        (
            "textMessages",
            "textMessages",
            "textmessages",
            Some("textMessages"),
        ),
        (
            "emailMessages",
            "emailMessages",
            "emailmessages",
            Some("emailMessages"),
        ),
        (
            "appointments",
            "appointments",
            "appointments",
            Some("appointments"),
        ),
        (
            "appointment-types",
            "appointmentTypes",
            "appointment-types",
            None,
        ),
        (
            "appointment-outcomes",
            "appointmentOutcomes",
            "appointment-outcomes",
            None,
        ),
        ("lists", "lists", "lists", None),
        ("customFields", "customFields", "customfields", None),
        ("events", "events", "events", Some("events")),
        ("offices", "offices", "offices", Some("offices")),
        ("deals", "deals", "deals", None),
        ("pipelines", "pipelines", "pipelines", None),
        ("stages", "stages", "stages", None),
        ("relationships", "relationships", "relationships", None),
    ] {
        let entity = catalog.entity(Category::Crm, path).expect(path);
        assert_eq!(
            (
                entity.name.as_str(),
                entity.collection.as_str(),
                entity.flag.as_deref()
            ),
            (name, collection, flag)
        );
        let ours = ["deals", "pipelines", "stages", "relationships"].contains(&name);
        assert_eq!(entity.extension, ours, "{name}");
    }
    assert_eq!(entity("emailMessages").verbs, [List, Get, Create]);
    assert_eq!(entity("textMessages").table, "rollout_text_messages");
}

#[test]
fn people_are_put_on_lists_and_taken_off() {
    let lists = entity("lists");
    for (name, method) in [("people/add", "POST"), ("people/remove", "DELETE")] {
        let operation = lists.operation(name).unwrap();
        assert_eq!(
            (operation.method.as_str(), operation.path.as_str()),
            (method, "people")
        );
        assert_eq!(operation.removes, method == "DELETE");
        let mut body = serde_json::json!({ "personIds": ["a", "b"] });
        operation.check(&body).unwrap();
        let to = |entity: &str, id: &str| Some(format!("{entity}:{id}"));
        assert_eq!(operation.map_references(&mut body, to), []);
        assert_eq!(body["personIds"][1], "people:b");
    }
}

#[test]
fn ids_inside_lists_and_objects_are_references_in_both_directions() {
    let lists = entity("smartLists");
    let mut body = serde_json::json!({
        "name": "x", "conditions": [], "sharedWith": { "userIds": ["u"], "teamIds": ["t"] }
    });
    let found: Vec<_> = lists
        .references(&body)
        .into_iter()
        .map(|id| (id.pointer, id.entity))
        .collect();
    assert_eq!(
        found,
        [
            ("/sharedWith/userIds/0".to_owned(), "users".to_owned()),
            ("/sharedWith/teamIds/0".to_owned(), "teams".to_owned()),
        ]
    );
    let to = |entity: &str, id: &str| Some(format!("{entity}:{id}"));
    assert_eq!(lists.map_references(&mut body, to), []);
    assert_eq!(
        body["sharedWith"]["teamIds"],
        serde_json::json!(["teams:t"])
    );

    for (name, column, sent, stored) in [
        (
            "smartLists",
            "sharedWith",
            r#"{"userIds":[7],"teamIds":["8"]}"#,
            r#"{"userIds":["users:7"],"teamIds":["teams:8"]}"#,
        ),
        (
            "deals",
            "peopleIds",
            "[1,\"2\"]",
            r#"["people:1","people:2"]"#,
        ),
        (
            "pipelines",
            "stages",
            r#"[{"id":3,"name":"a"}]"#,
            r#"[{"id":"pipelineStages:3","name":"a","description":null,"orderWeight":null,"color":null,"closedStage":null}]"#,
        ),
    ] {
        let entity = entity(name);
        let landed = crate::land(&entity, &format!(r#"{{"{column}":{sent}}}"#)).unwrap();
        let mut out = String::new();
        crate::cell(&entity, &landed, column).push_json(&mut out);
        assert_eq!(out, stored, "{name}");
    }
}
