//! Checking and translating what clients send.

use rollout_catalog::{HostId, Issue, Rule};
use serde_json::{Value, json};

use crate::{entity, made_of};

fn lines(checked: Result<(), Vec<Issue>>) -> Vec<String> {
    checked
        .err()
        .unwrap_or_default()
        .iter()
        .map(Issue::to_string)
        .collect()
}

fn create(name: &str, body: Value) -> Vec<String> {
    lines(entity(name).check_create(&body))
}

fn update(name: &str, body: Value) -> Vec<String> {
    lines(entity(name).check_update(&body))
}

#[test]
fn a_full_person_passes() {
    let body = json!({
        "firstName": "Ada", "lastName": "Lovelace", "emails": [{ "value": "ada@example.com" }],
        "phones": [{ "value": "1", "type": null, "isPrimary": true }], "tags": ["a"], "rating": 4.5,
        "assignedUserId": "0197cba6-834f-7000-b5ed-1813cd6efcbe", "lastActivity": "2025-07-02T15:19:21Z",
        "communicationsConsent": { "email": true }, "stage": null, "customCloseDate": { "any": ["thing"] }
    });
    assert_eq!(create("people", body.clone()), [""; 0]);
    assert_eq!(update("people", body), [""; 0]);
}

#[test]
fn everything_wrong_is_said_at_once_with_its_place() {
    let found = create(
        "people",
        json!({
            "firstname": "Ada", "id": "x", "name": "Ada", "favouriteColour": "red", "lastName": 3,
            "emails": [{ "value": "a" }, { "type": "home" }, { "value": 1, "primary": true }, "b"],
            "tags": "a,b", "averagePrice": "1", "lastActivity": "soon", "assignedUserId": 12,
            "communicationsConsent": { "emial": true }, "customerId": 1
        }),
    );
    assert_eq!(
        found,
        [
            "/firstname: is not a field; did you mean `firstName`?",
            "/id: is made by the host and can't be set; leave it out",
            "/name: is read-only; leave it out",
            "/favouriteColour: is not a field",
            "/lastName: must be a string, not a number",
            "/emails/1/value: is required",
            "/emails/2/value: must be a string, not a number",
            "/emails/2/primary: is not a field; did you mean `isPrimary`?",
            "/emails/3: must be an object, not a string",
            "/tags: must be a list, not a string",
            "/averagePrice: must be a number, not a string",
            "/lastActivity: must be a time like 2025-07-02T15:19:21Z or a date like 2025-07-02",
            "/assignedUserId: must be the id of a record, a string, not a number",
            "/communicationsConsent/emial: is not a field; did you mean `email`?",
            "/customerId: is not a field",
            "/firstName: is required",
        ]
    );
}

#[test]
fn what_may_be_set_differs_between_creating_and_changing() {
    assert_eq!(create("notes", json!({})), ["/personId: is required"]);
    assert_eq!(
        create("notes", json!({ "personId": null })),
        ["/personId: is required, so it can't be null"]
    );
    assert_eq!(
        create("notes", json!({ "personId": "" })),
        ["/personId: must be the id of a record, not an empty string"]
    );
    assert_eq!(update("notes", json!({})), [""; 0]);
    assert_eq!(
        update("users", json!({ "type": "agent" })),
        ["/type: can only be set when the record is created"]
    );
    assert_eq!(
        update("notes", json!({ "createdByUserId": "x" })),
        ["/createdByUserId: is read-only; leave it out"]
    );
    let things = made_of(r#""late": { "type": "string", "x-update": true }"#, false);
    assert_eq!(
        lines(things.check_create(&json!({ "late": "x" }))),
        ["/late: can be changed later, but not set when the record is created"]
    );
}

#[test]
fn null_clears_every_field_that_can_be_changed() {
    for entity in crate::catalog().names() {
        let changeable = entity
            .fields
            .iter()
            .filter(|field| field.update != Rule::No);
        let body: Value = changeable
            .map(|field| match field.update {
                Rule::Required => (field.name.clone(), json!("x")),
                _ => (field.name.clone(), Value::Null),
            })
            .collect::<serde_json::Map<_, _>>()
            .into();
        assert_eq!(
            lines(entity.check_update(&body)),
            [""; 0],
            "{}",
            entity.name
        );
    }
    // But inside of a value null is only what the schema says.
    assert_eq!(
        update("people", json!({ "emails": [{ "value": null }] })),
        ["/emails/0/value: must be a string, not null"]
    );
    assert_eq!(
        update("people", json!({ "tags": [null] })),
        ["/tags/0: must be a string, not null"]
    );
}

#[test]
fn bodies_are_objects() {
    assert_eq!(
        create("people", json!([])),
        ["must be an object, not a list"]
    );
    assert_eq!(
        update("people", json!("x")),
        ["must be an object, not a string"]
    );
}

#[test]
fn custom_fields_pass_only_where_there_are_some() {
    assert_eq!(
        update(
            "people",
            json!({ "customA": 1, "custom_b": [], "custom 3": null })
        ),
        [""; 0]
    );
    assert_eq!(
        update("notes", json!({ "customA": 1 })),
        ["/customA: is not a field"]
    );
    let mut deep = json!(1);
    for _ in 0..64 {
        deep = json!([deep]);
    }
    assert_eq!(
        update("people", json!({ "customA": deep })),
        ["/customA: is nested more than 64 deep"]
    );
}

#[test]
fn operations_check_their_input() {
    let people = entity("people");
    let check = |operation: &str, body: Value| lines(people.check_operation(operation, &body));
    assert_eq!(check("tags/apply", json!({ "tags": ["a"] })), [""; 0]);
    assert_eq!(check("tags/apply", json!({})), ["/tags: is required"]);
    assert_eq!(
        check("tags/delete", json!({ "tags": [1], "tag": "a" })),
        [
            "/tags/0: must be a string, not a number",
            "/tag: is not a field; did you mean `tags`?",
        ]
    );
    assert_eq!(
        check("tags/apply", json!(["a"])),
        ["must be an object, not a list"]
    );
    assert_eq!(
        check("tags/burn", json!({})),
        ["`people` has no operation `tags/burn`"]
    );
}

#[test]
fn whole_numbers_enums_and_either_or() {
    let things = made_of(
        r#""n": { "type": "integer", "x-update": true }, "e": { "type": "string", "enum": ["a", "b"], "x-update": true },
           "v": { "type": "array", "items": { "type": ["string", "number"] }, "x-update": true },
           "m": { "type": "object", "x-update": true }"#,
        false,
    );
    let check = |body: Value| lines(things.check_update(&body));
    assert_eq!(
        check(json!({ "n": 1, "e": "a", "v": [1, "b"], "m": { "x": [{}] } })),
        [""; 0]
    );
    assert_eq!(
        check(json!({ "n": 1.5, "e": "c", "v": [true], "m": [] })),
        [
            "/n: must be a whole number, not a number",
            "/e: must be one of a, b",
            "/v/0: must be a text or a number, not true or false",
            "/m: must be an object, not a list",
        ]
    );
}

#[test]
fn references_are_found_and_translated() {
    let users = entity("users");
    let mut body = json!({ "participatingOfficeIds": ["h1", "h2", "h3"], "email": "h1" });
    let id = |at: usize| HostId {
        pointer: format!("/participatingOfficeIds/{}", at - 1),
        entity: "offices".into(),
        id: format!("h{at}"),
    };
    assert_eq!(users.references(&body), [id(1), id(2), id(3)]);
    let issues = users.map_references(&mut body, |entity, id| {
        (id != "h2").then(|| format!("{entity}-{id}"))
    });
    assert_eq!(
        lines(Err(issues)),
        ["/participatingOfficeIds/1: is not the id of one of this credential's offices"]
    );
    assert_eq!(
        body,
        json!({ "participatingOfficeIds": ["offices-h1", "h2", "offices-h3"], "email": "h1" })
    );

    let mut note = json!({ "personId": "p", "assignedUserId": null, "subject": "p" });
    assert_eq!(
        entity("notes").map_references(&mut note, |_, id| Some(id.to_uppercase())),
        []
    );
    assert_eq!(
        note,
        json!({ "personId": "P", "assignedUserId": null, "subject": "p" })
    );
}

#[test]
fn times_reach_the_connector_in_one_form() {
    let tasks = entity("tasks");
    let due = |value: Value| {
        let mut body = json!({ "dueDateTime": value, "name": "2025-07-02T17:19:21+02:00" });
        assert_eq!(lines(tasks.check_update(&body)), [""; 0]);
        tasks.normalise_times(&mut body);
        assert_eq!(body["name"], "2025-07-02T17:19:21+02:00");
        body["dueDateTime"].clone()
    };
    assert_eq!(
        due(json!("2025-07-02T17:19:21+02:00")),
        "2025-07-02T15:19:21Z"
    );
    assert_eq!(due(json!(1_751_469_561_000_i64)), "2025-07-02T15:19:21Z");
    assert_eq!(due(json!("2025-07-02")), "2025-07-02");
    assert_eq!(due(Value::Null), Value::Null);
    assert_eq!(
        update("tasks", json!({ "dueDateTime": 1.5 })),
        ["/dueDateTime: must be a time: a string, or milliseconds since 1970"]
    );
}

#[test]
fn a_record_of_one_kind_takes_the_fields_of_that_kind() {
    let field = |kind: &str, more: Value| {
        let mut body = json!({ "label": "Close date", "name": "customCloseDate", "type": kind });
        let more = more.as_object().unwrap().clone();
        body.as_object_mut().unwrap().extend(more);
        create("customFields", body)
    };
    assert_eq!(field("text", json!({})), [""; 0]);
    assert_eq!(field("date", json!({ "isRecurring": true })), [""; 0]);
    assert_eq!(field("dropdown", json!({ "choices": ["a"] })), [""; 0]);
    assert_eq!(field("date", json!({})), ["/isRecurring: is required"]);
    assert_eq!(
        field("dropdown", json!({ "choices": null })),
        ["/choices: is required, so it can't be null"]
    );
    assert_eq!(
        field("number", json!({ "choices": [], "isRecurring": null })),
        ["/choices: goes with the type dropdown only; leave it out"]
    );
    assert_eq!(
        field("dates", json!({})),
        ["/type: must be one of text, date, number, dropdown"]
    );
    assert_eq!(
        create("customFields", json!({ "label": "a", "name": "b" })),
        ["/type: is required"]
    );
}

#[test]
fn what_a_change_must_say_is_required() {
    let name = json!({ "label": "a", "name": "customA", "choices": ["x"] });
    assert_eq!(update("customFields", name), [""; 0]);
    assert_eq!(
        update("customFields", json!({ "label": null })),
        [
            "/label: is required, so it can't be null",
            "/name: is required"
        ]
    );
    assert_eq!(
        update(
            "customFields",
            json!({ "label": "a", "name": "b", "type": "text" })
        ),
        ["/type: can only be set when the record is created"]
    );
}

#[test]
fn a_body_of_many_mistakes_is_answered_in_few_words() {
    let people = entity("people");
    let many: serde_json::Map<String, Value> = (0..100_000)
        .map(|one| (format!("x{one}"), json!(1)))
        .collect();
    let issues = people.check_update(&Value::Object(many)).unwrap_err();
    assert_eq!(issues.len(), 100);
    let tags = json!({"tags": vec![1; 100_000]});
    assert_eq!(people.check_update(&tags).unwrap_err().len(), 100);
    let long = json!({"x".repeat(1_000_000): 1});
    let issues = people.check_update(&long).unwrap_err();
    assert_eq!(issues.len(), 1);
    assert!(issues[0].pointer.is_empty() && issues[0].message.len() < 200);
    assert!(
        issues[0].message.contains("1000000 bytes"),
        "{}",
        issues[0].message
    );
}
