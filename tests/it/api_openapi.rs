//! The served document, taken at its word.

use std::collections::BTreeSet;

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

/// A body for a documented operation on an account with this person.
fn body(entity: &str, verb: &str, path: &str, person: &str) -> Option<Value> {
    match (entity, verb) {
        (_, "post") if path.contains("/tags/") => Some(json!({"tags": ["documented"]})),
        ("people", "post") => Some(json!({"firstName": "A", "lastName": "B"})),
        ("notes", "post") => Some(json!({"personId": person, "body": "x"})),
        ("tasks", "post") => Some(json!({"personId": person, "name": "x"})),
        ("people", "put") => Some(json!({"firstName": "C"})),
        ("notes", "put") => Some(json!({"body": "y"})),
        ("tasks", "put") => Some(json!({"name": "y"})),
        ("users", "post") => Some(json!({
            "email": "a@example.com", "firstName": "A", "lastName": "B", "phone": "1", "role": "Agent",
            "status": "Active", "username": "a", "type": "x", "address": "y",
        })),
        ("users", "put") => Some(json!({"firstName": "C"})),
        _ => None,
    }
}

/// A record to act on: a new one where there can be one.
async fn subject(account: &Client, entity: &str, person: &str) -> String {
    let record = match body(entity, "post", "", person) {
        Some(body) if entity != "users" => account
            .post(&format!("/crm/api/{entity}"), body)
            .await
            .with(201),
        _ => account.all(entity, "limit=1").await[0].clone(),
    };
    record["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_documented_operation_answers_as_documented() {
    let app = app(Dataset::demo());
    let host = HostUnderTest::start(Setup::against(&app)).await;
    let account = host.client("openapi").connect_synced(API_KEY).await;
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

    let person = subject(&account, "people", "").await;
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
            let id = if path.contains('{') {
                subject(&account, entity, &person).await
            } else {
                String::new()
            };
            let target = format!("{server}{}", path.replace("{id}", &id));
            let method: Method = verb.to_uppercase().parse().unwrap();
            let mut request = account.request(method.clone(), &target);
            if let Some(body) = body(entity, verb, path, &person) {
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
            // Follow Up Boss offers no writing of users, and says so.
            let expected = match (entity, verb, path.contains('{')) {
                ("users", "post" | "put" | "delete", _) => 405,
                (_, "post", false) => 201,
                _ => 200,
            };
            assert_eq!(answer.status, expected, "{verb} {path}: {}", answer.text);
            if expected == 405 {
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
    ] {
        assert!(seen.contains(operation), "{operation} is not documented");
    }
}

/// Types, required members and, of closed objects, names: enough to catch a
/// document that tells something else than the host.
fn fits(document: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = resolved(document, schema);
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
