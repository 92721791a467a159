//! The served document, taken at its word.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use reqwest::Method;
use rollout_test_apps::follow_up_boss::Dataset;
use serde_json::{Value, json};

use crate::fixtures::{API_KEY, Answer, Client, HostUnderTest, Setup, app};

/// Follows `$ref`s within the document.
fn resolved<'a>(document: &'a Value, mut place: &'a Value) -> &'a Value {
    while let Some(target) = place["$ref"].as_str() {
        let pointer = target
            .strip_prefix('#')
            .expect("a reference within the document");
        place = document
            .pointer(pointer)
            .unwrap_or_else(|| panic!("{target}"));
    }
    place
}

/// Ids of records that bodies name.
struct Known {
    person: String,
    user: String,
    kind: String,
    deal_stage: String,
}

impl Known {
    async fn of(account: &Client) -> Self {
        let id = |record: &Value| record["id"].as_str().unwrap().to_owned();
        let first = async |path: &str| account.all(path, "limit=1").await[0].clone();
        let person = json!({"firstName": "A", "lastName": "B"});
        let person = account.post("/crm/api/people", person).await.with(201);
        Self {
            person: id(&person),
            user: id(&first("users").await),
            kind: id(&first("appointment-types").await),
            deal_stage: id(&first("pipelines").await["stages"][0]),
        }
    }
}

/// A body for a documented operation.
fn body(entity: &str, verb: &str, path: &str, known: &Known) -> Option<Value> {
    let Known {
        person,
        user,
        kind,
        deal_stage,
    } = known;
    match (entity, verb) {
        ("people", "post") if path.contains("/tags/") => Some(json!({"tags": ["documented"]})),
        ("lists", "post" | "delete") if path.ends_with("/people") => {
            Some(json!({"personIds": [person]}))
        }
        ("people", "post") => Some(json!({"firstName": "A", "lastName": "B"})),
        ("notes", "post") => Some(json!({"personId": person, "body": "x"})),
        ("tasks", "post") => Some(json!({"personId": person, "name": "x"})),
        ("users", "post") => Some(json!({
            "email": "a@example.com", "firstName": "A", "lastName": "B", "phone": "1", "role": "Agent",
            "status": "Active", "username": "a", "type": "x", "address": "y",
        })),
        ("calls", "post") => Some(json!({"personId": person, "phone": "555", "isIncoming": true})),
        ("textMessages", "post") => Some(json!({
            "personId": person, "message": "x", "isIncoming": true, "toNumber": "1", "fromNumber": "2",
        })),
        ("emailMessages", "post") => Some(json!({
            "subject": "x", "body": "y", "sender": {"email": "a@example.com"}, "recipients": [],
        })),
        ("appointments", "post") => Some(json!({
            "personId": person, "userId": user, "appointmentTypeId": kind, "title": "x", "location": "y",
            "startsAt": "2026-03-01T10:00:00Z", "endsAt": "2026-03-01T11:00:00Z",
        })),
        ("appointment-types" | "appointment-outcomes", "post") => {
            let name = NAMES.fetch_add(1, Ordering::Relaxed);
            Some(json!({"name": format!("Choice {name}"), "orderWeight": 7}))
        }
        ("stages", "post") => {
            let name = NAMES.fetch_add(1, Ordering::Relaxed);
            Some(json!({"name": format!("Stage {name}")}))
        }
        ("customFields", "post") => {
            let label = format!("Field {}", NAMES.fetch_add(1, Ordering::Relaxed));
            let name = format!("custom{}", label.replace(' ', ""));
            Some(json!({"label": label, "name": name, "type": "dropdown", "choices": ["a"]}))
        }
        ("events", "post") => {
            Some(json!({"personId": person, "type": "Registration", "source": "x"}))
        }
        ("deals", "post") => Some(json!({
            "name": "x", "stageId": deal_stage, "peopleIds": [person], "userIds": [user], "price": 5,
        })),
        ("pipelines", "post") => Some(json!({"name": "x", "stages": [{"name": "y"}]})),
        ("relationships", "post") => Some(json!({"personId": person, "firstName": "x"})),
        ("smart-lists", "post") => Some(json!({"name": "x", "conditions": []})),
        ("teams" | "lists" | "offices", "post") => Some(json!({"name": "x"})),
        ("people" | "users", "put") => Some(json!({"firstName": "C"})),
        ("notes", "put") => Some(json!({"body": "y"})),
        ("calls", "put") => Some(json!({"note": "y"})),
        ("textMessages", "put") => Some(json!({"message": "y"})),
        ("appointments", "put") => Some(json!({"title": "y", "personId": person})),
        ("events", "put") => Some(json!({"message": "y"})),
        ("relationships", "put") => Some(json!({"lastName": "y"})),
        ("customFields", "put") => Some(json!({
            "label": "Renamed", "name": "customRenamed", "choices": ["a", "b"],
        })),
        ("appointment-types" | "appointment-outcomes" | "stages", "put") => {
            Some(json!({"orderWeight": 8}))
        }
        (_, "put") => Some(json!({"name": "y"})),
        _ => None,
    }
}

/// Names that must differ.
static NAMES: AtomicU32 = AtomicU32::new(1);

/// What the connected app lets be done with an entity, by the path of its records.
fn offered(connectors: &Value, path: &str, verb: &str, of_record: bool) -> bool {
    let mut words = path.split('-');
    let mut name = words.next().unwrap().to_owned();
    for word in words {
        name.push_str(&word[..1].to_uppercase());
        name.push_str(&word[1..]);
    }
    let verb = match (verb, of_record) {
        ("get", false) => "list",
        ("get", true) => "get",
        ("post", _) => "create",
        ("put", _) => "update",
        (verb, _) => verb,
    };
    connectors["follow-up-boss"]["entities"]["crm"][name][verb] == true
}

/// A record to act on: a new one where there can be one, else any, else one that
/// does not exist. A new event is answered with its person.
async fn subject(account: &Client, connectors: &Value, entity: &str, known: &Known) -> String {
    let create = offered(connectors, entity, "post", false);
    let record = match body(entity, "post", "", known) {
        Some(body) if create && !["events", "textMessages"].contains(&entity) => account
            .post(&format!("/crm/api/{entity}"), body)
            .await
            .with(201),
        _ if !offered(connectors, entity, "get", false) => Value::Null,
        _ => account
            .all(entity, "limit=1")
            .await
            .first()
            .cloned()
            .unwrap_or_default(),
    };
    let id = record["id"]
        .as_str()
        .unwrap_or("01000000-0000-8000-8000-000000000000");
    id.to_owned()
}

#[tokio::test]
async fn every_documented_operation_answers_as_documented() {
    let app = app(Dataset::demo());
    let host = HostUnderTest::start(Setup::against(&app)).await;
    let flags = [
        "notes",
        "tasks",
        "calls",
        "textMessages",
        "emailMessages",
        "appointments",
        "events",
    ];
    let flags: Value = flags
        .map(|flag| (flag.to_owned(), json!(true)))
        .into_iter()
        .collect();
    let client = host.client("openapi");
    let connectors = client.get("/api/connectors").await.ok();
    let account = client.connect_with(API_KEY, flags).await;
    account.wait_synced(account.credential()).await;
    let document = host.stranger().get("/crm/api/openapi.json").await;
    assert_eq!(document.header("content-type"), Some("application/json"));
    let document = document.ok();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let server = document["servers"][0]["url"].as_str().unwrap();
    assert_eq!(server, format!("{}/crm/api", host.url()));
    let schemes = document["components"]["securitySchemes"]
        .as_object()
        .unwrap();
    assert!(schemes.values().any(|one| one["scheme"] == "bearer"));
    assert!(schemes.values().any(|one| {
        let name = one["name"].as_str().unwrap_or_default();
        name.eq_ignore_ascii_case("x-rollout-credential-id")
    }));

    let known = Known::of(&account).await;
    let mut operation_ids = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        let entity = path.trim_start_matches('/').split('/').next().unwrap();
        for verb in ["get", "post", "put", "delete", "patch"] {
            let operation = &item[verb];
            if operation.is_null() {
                continue;
            }
            let name = operation["operationId"].as_str().expect("an operationId");
            assert!(operation_ids.insert(name.to_owned()), "{name} twice");
            seen.insert(format!("{verb} {path}"));
            let of_record = path.contains('{');
            let id = if of_record {
                subject(&account, &connectors, entity, &known).await
            } else {
                String::new()
            };
            let target = format!("{server}{}", path.replace("{id}", &id));
            let method: Method = verb.to_uppercase().parse().unwrap();
            let mut request = account.request(method.clone(), &target);
            if let Some(body) = body(entity, verb, path, &known) {
                assert!(operation["requestBody"].is_object(), "{verb} {path}");
                request = request.json(&body);
            }
            let answer = Answer::to(request).await;
            let responses = &operation["responses"];
            let documented = resolved(&document, &responses[answer.status.to_string()]);
            assert!(
                documented.is_object(),
                "{verb} {path}: {} is not documented: {}",
                answer.status,
                answer.text
            );
            let operation_of_record = path.matches('/').count() > 2;
            let does = match operation_of_record {
                true => entity == "people",
                false => entity == "events-feed" || offered(&connectors, entity, verb, of_record),
            };
            let expected = match (entity, verb, of_record) {
                // What the connector does not offer, it says.
                _ if !does => 405,
                _ if id.starts_with("01000000-0000-8000") => 404,
                // The app takes them from registered systems only.
                ("textMessages", "post", _) => 403,
                ("events", "post", _) => 202,
                (_, "post", false) => 201,
                _ => 200,
            };
            assert_eq!(answer.status, expected, "{verb} {path}: {}", answer.text);
            if expected > 201 {
                continue;
            }
            let schema = resolved(
                &document,
                &documented["content"]["application/json"]["schema"],
            );
            fits(&document, schema, &answer.json(), &format!("{verb} {path}"));

            // The same without a token, as documented too.
            assert!(responses["401"].is_object(), "{verb} {path}");
            let refused = host.stranger().request(method, &target);
            Answer::to(refused).await.refused(401, "unauthorized");
        }
    }
    for operation in [
        "get /people",
        "post /people",
        "get /people/{id}",
        "put /people/{id}",
        "delete /people/{id}",
        "post /people/{id}/tags/apply",
        "post /people/{id}/tags/delete",
        "get /users",
        "get /users/{id}",
        "get /notes",
        "post /notes",
        "put /notes/{id}",
        "delete /notes/{id}",
        "get /tasks",
        "post /tasks",
        "get /events-feed",
        "get /smart-lists/{id}",
        "put /appointment-types/{id}",
        "post /lists/{id}/people",
        "delete /lists/{id}/people",
        "get /emailMessages/{id}",
        "delete /deals/{id}",
    ] {
        assert!(seen.contains(operation), "{operation} is not documented");
    }
}

/// Types, required members and, of closed objects, names: enough to catch a
/// document that tells something else than the host.
fn fits(document: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = resolved(document, schema);
    if let Some(teller) = schema["discriminator"]["propertyName"].as_str() {
        let kind = value[teller].as_str().unwrap_or_default();
        let schema = json!({"$ref": schema["discriminator"]["mapping"][kind]});
        assert!(
            schema["$ref"].is_string(),
            "{at}: `{kind}` is not documented"
        );
        let schema = resolved(document, &schema);
        for name in value.as_object().unwrap().keys() {
            assert!(
                schema["properties"][name].is_object(),
                "{at}: {name} of {kind}"
            );
        }
        return fits(document, schema, value, at);
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().map(|one| one.as_str().unwrap()).collect(),
        _ => return,
    };
    let fitting = types.iter().any(|name| match *name {
        "null" => value.is_null(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("{at}: type {other}"),
    });
    assert!(fitting, "{at}: {types:?}, but it is {value}");
    if let Some(items) = value.as_array() {
        for (index, item) in items.iter().enumerate() {
            fits(document, &schema["items"], item, &format!("{at}/{index}"));
        }
    }
    if let Some(members) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap();
            assert!(members.contains_key(name), "{at}: {name} is missing");
        }
        for (name, member) in members {
            match schema["properties"].get(name) {
                Some(property) => fits(document, property, member, &format!("{at}/{name}")),
                None => assert_ne!(schema["additionalProperties"], false, "{at}: {name}"),
            }
        }
    }
}
