//! What the SDK's test kit says of a manifest is what the host says when it is installed.

use rollout_catalog::Manifest;
use rollout_connector::testing::document_faults;
use serde_json::{Value, json};

use crate::catalog;

/// The manifest that new connectors begin with, and one of everything that it lacks.
fn good() -> Value {
    let template = include_str!("../../../../guest-sdk/template/manifest.json");
    let mut manifest: Value = serde_json::from_str(template).unwrap();
    let more = json!({
        "icon": "<svg/>",
        "fields": { "region": {} },
        "hooks": { "all": { "delivery": "shared", "entities": ["people"], "triggers": ["made"] } },
        "triggers": { "made": { "label": "Made", "delivery": "hook", "payload": {} } },
        "actions": { "make": { "label": "Make", "inputs": { "type": "object" } } }
    });
    let members = manifest.as_object_mut().unwrap();
    members.extend(more.as_object().unwrap().clone());
    let notes = json!({ "categories": ["crm"], "verbs": ["list"], "listing": "parent", "parent": "people" });
    manifest["entities"]["notes"] = notes;
    manifest["entities"]["people"]["operations"] = json!(["tags/apply"]);
    manifest["hosts"] = json!([
        "api.tinycrm.example",
        "{region}.tinycrm.example",
        "*.tinycrm.example",
        "{instance}.tinycrm.example"
    ]);
    let slots = json!({ "clientSecret": { "scope": "app" }, "access": { "scope": "credential" }, "refresh": { "scope": "credential" } });
    let members = manifest["slots"].as_object_mut().unwrap();
    members.extend(slots.as_object().unwrap().clone());
    let placement =
        json!({ "slot": "access", "prefix": "Bearer ", "place": { "header": "Authorization" } });
    let mut binding = placement.clone();
    binding["host"] = json!("api.tinycrm.example");
    binding.as_object_mut().unwrap().shift_remove("prefix");
    manifest["bindings"].as_array_mut().unwrap().push(binding);
    manifest["fields"]["clientId"] = json!({});
    let plan = json!({ "key": "oauth", "auth": {
        "method": "oauth2",
        "inputs": [{ "key": "shop", "type": "textfield" }],
        "placements": [placement],
        "oauth2": {
            "authorizeUrl": "https://{shop}.tinycrm.example/authorize",
            "tokenUrl": "https://api.tinycrm.example/token",
            "revokeUrl": "https://{region}.tinycrm.example/revoke",
            "clientId": "clientId", "clientSecret": "clientSecret", "clientAuth": "body",
            "responseType": "code", "scopes": ["read"], "separator": ",", "pkce": true,
            "authorizeParameters": { "prompt": "login" }, "tokenParameters": { "expiring": "1" },
            "tokenState": true, "deniedWhen": { "response": "denied" }, "issuer": "https://tinycrm.example",
            "callbackMac": { "parameter": "hmac", "slot": "clientSecret" },
            "captures": {
                "accessToken": { "slot": "access", "pointer": "/access_token" },
                "refreshToken": { "slot": "refresh", "pointer": "/refresh_token" },
                "expiresIn": "/expires_in",
                "fields": { "instance": { "pointer": "/instance_url", "pattern": "https://([a-z]+)[.]example" } }
            },
            "expiresIn": 3600, "refresh": "rotates", "refreshIdleDays": 90,
            "errorPointer": "/error", "refusedErrors": ["invalid_grant"]
        }
    } });
    manifest["plans"].as_array_mut().unwrap().push(plan);
    more_methods(&mut manifest);
    manifest
}

/// Plans of the methods that are left.
fn more_methods(manifest: &mut Value) {
    let slots = json!({
        "password": { "scope": "credential" },
        "answer": { "scope": "credential" },
        "session": { "scope": "credential", "captured": ["sign-in", "answer"] },
        "machineSecret": { "scope": "credential" },
        "machineToken": { "scope": "credential" }
    });
    let members = manifest["slots"].as_object_mut().unwrap();
    members.extend(slots.as_object().unwrap().clone());
    for slot in ["password", "answer", "session", "machineToken"] {
        let binding = json!({ "slot": slot, "host": "api.tinycrm.example", "place": { "header": format!("X-{slot}") } });
        manifest["bindings"].as_array_mut().unwrap().push(binding);
    }
    let secret = |key: &str| json!({ "key": key, "type": "secret" });
    let plans = json!([
        { "key": "login", "auth": { "method": "sign-in", "inputs": [secret("password")] } },
        { "key": "machine", "auth": {
            "method": "client-credentials",
            "inputs": [{ "key": "machineId", "type": "textfield" }, secret("machineSecret")],
            "oauth2": {
                "tokenUrl": "https://api.tinycrm.example/token",
                "clientId": "machineId", "clientSecret": "machineSecret",
                "captures": { "accessToken": { "slot": "machineToken", "pointer": "/access_token" } }
            }
        } },
        { "key": "product", "auth": { "method": "consumer-token", "inputs": [secret("machineSecret")] } }
    ]);
    let own = manifest["plans"].as_array_mut().unwrap();
    own.extend(plans.as_array().unwrap().clone());
}

/// The pointers to everything in a document.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                pointers(value, &format!("{at}/{}", name.replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            for (place, value) in items.iter().enumerate() {
                pointers(value, &format!("{at}/{place}"), found);
            }
        }
        _ => {}
    }
}

/// The document with each of its parts taken out, doubled, renamed, or replaced by
/// something of every type.
fn changes(good: &Value) -> Vec<(String, Value)> {
    let mut places = Vec::new();
    pointers(good, "", &mut places);
    let mut changed = Vec::new();
    for place in places.iter().filter(|place| !place.is_empty()) {
        for other in [
            Value::Null,
            json!("other"),
            json!("*.example.com"),
            json!([]),
            json!({}),
            json!({ "header": "X-Other" }),
        ] {
            let mut bad = good.clone();
            *bad.pointer_mut(place).unwrap() = other.clone();
            changed.push((format!("{place} = {other}"), bad));
        }
        let (parent, last) = place.rsplit_once('/').unwrap();
        let mut without = good.clone();
        match without.pointer_mut(parent).unwrap() {
            Value::Object(members) => {
                let name = last.replace("~1", "/");
                let value = members.shift_remove(&name).unwrap();
                let mut renamed = good.clone();
                let members = renamed
                    .pointer_mut(parent)
                    .unwrap()
                    .as_object_mut()
                    .unwrap();
                members.shift_remove(&name);
                members.insert(format!("{name}s"), value);
                changed.push((format!("{place} renamed"), renamed));
            }
            Value::Array(items) => {
                let item = items.remove(last.parse().unwrap());
                let mut doubled = good.clone();
                let items = doubled.pointer_mut(parent).unwrap().as_array_mut().unwrap();
                items.push(item);
                changed.push((format!("{place} doubled"), doubled));
            }
            other => panic!("{other}"),
        }
        changed.push((format!("{place} taken out"), without));
    }
    changed
}

#[test]
fn the_test_kit_refuses_what_the_host_refuses_and_nothing_else() {
    let (good, catalog) = (good(), catalog());
    assert_eq!(document_faults(&good), []);
    let mut refused = 0;
    for (change, manifest) in changes(&good) {
        let host = Manifest::parse(&manifest.to_string(), &catalog);
        // The kit alone asks that every slot be of use.
        let mut kit = document_faults(&manifest);
        kit.retain(|fault| !fault.message.starts_with("nothing may use it"));
        assert_eq!(
            kit.is_empty(),
            host.is_ok(),
            "{change}: the kit says {kit:?}, the host {:?}",
            host.err()
        );
        refused += usize::from(!kit.is_empty());
    }
    assert!(refused > 400, "{refused} were refused");
}
