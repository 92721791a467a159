#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::{Value, json};

use super::*;
use crate::entities::crm::{Person, PersonEmail};
use crate::{Account, Auth, Cursor, Entities, Error, Issue, Item, Manifest, Page, Scope};

fn good() -> Value {
    json!({
        "contract": "0.1.0", "key": "example-crm", "name": "Example CRM", "version": "1.2.0",
        "categories": ["crm"],
        "hosts": ["api.example.com", "{region}.example.com", "*.cdn.example.com"],
        "fields": { "systemName": { "description": "The product's name." } },
        "slots": { "apiKey": { "scope": "credential" }, "hookKey": { "scope": "app", "signing": true } },
        "bindings": [
            { "slot": "apiKey", "host": "api.example.com", "paths": ["/v1"], "place": { "header": "X-Key" } },
            { "slot": "apiKey", "host": "api.example.com", "methods": ["GET"], "place": "basic-user" }
        ],
        "rateLimits": [{ "requests": 10, "seconds": 1, "scope": "account", "path": "/v1" }],
        "plans": [{
            "key": "api-key", "name": "API key",
            "auth": {
                "method": "fields",
                "inputs": [
                    { "key": "apiKey", "type": "secret", "label": "API key", "pattern": "[a-z0-9]{8,}" },
                    { "key": "region", "type": "dropdown", "options": ["eu", { "value": "us", "label": "America" }] }
                ],
                "placements": [{ "slot": "apiKey", "place": { "header": "x-key" }, "optional": true }]
            }
        }],
        "entities": {
            "users": { "categories": ["crm"], "verbs": ["list", "get"] },
            "people": {
                "categories": ["crm"], "verbs": ["list"], "operations": ["tags/apply"],
                "writable": ["firstName", "tags", "custom*"], "resource": "contacts",
                "ids": "integer", "deletions": "reported"
            },
            "notes": { "categories": ["crm"], "verbs": ["list"], "listing": "parent", "parent": "people" }
        },
        "hooks": { "changes": { "delivery": "subscription", "entities": ["people"], "triggers": ["new-person"], "renewEverySeconds": 3600 } },
        "triggers": { "new-person": { "label": "New person", "delivery": "hook", "dedupe": "unique", "payload": { "type": "object" } } },
        "actions": { "send-mail": { "label": "Send a mail", "idempotent": true, "inputs": { "type": "object" } } }
    })
}

/// Puts a value in place of what is at a pointer; null takes it away.
fn changed(pointer: &str, value: Value) -> Value {
    let mut manifest = good();
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match manifest.pointer_mut(parent).unwrap() {
        Value::Object(members) if value.is_null() => drop(members.remove(last)),
        Value::Object(members) => drop(members.insert(last.to_owned(), value)),
        Value::Array(items) => match last.parse::<usize>() {
            Ok(at) => *items.get_mut(at).unwrap() = value,
            Err(_) => items.push(value),
        },
        other => panic!("{other}"),
    }
    manifest
}

fn lines(faults: Vec<Issue>) -> String {
    let lines: Vec<String> = faults.iter().map(Issue::to_string).collect();
    lines.join("\n")
}

#[test]
fn a_good_manifest_has_no_fault() {
    assert_eq!(lines(document_faults(&good())), "");
}

#[test]
fn every_fault_of_a_manifest_says_what_to_fix() {
    let input = |key: &str, kind: &str| json!({ "key": key, "type": kind });
    for (pointer, value, expected) in [
        ("/contract", json!("0.2.0"), "/contract: must be \"0.1.0\""),
        (
            "/name",
            Value::Null,
            "lacks `name`. The app's name as people write it.",
        ),
        ("/name", json!(""), "/name: must not be empty"),
        (
            "/key",
            json!("Example"),
            "/key: `Example` does not fit. The app key: lower-case words joined by hyphens.",
        ),
        (
            "/versoin",
            json!("1"),
            "/versoin: there is no such member; there are contract, key,",
        ),
        ("/versoin", json!("1"), "did you mean `version`?"),
        (
            "/categories",
            json!(["cmr"]),
            "/categories/0: \"cmr\" is none of crm, tms, los, email, calendar; did you mean `crm`?",
        ),
        (
            "/categories",
            json!([]),
            "/categories: must have 1 at least",
        ),
        (
            "/categories",
            json!("crm"),
            "/categories: must be a list, not a text",
        ),
        (
            "/hosts/-",
            json!("api.example.com"),
            "/hosts: has \"api.example.com\" twice",
        ),
        (
            "/hosts/-",
            json!("https://x.example.com"),
            "/hosts/3: `https://x.example.com` does not match",
        ),
        (
            "/rateLimits/0/requests",
            json!(0),
            "/rateLimits/0/requests: 1 at least",
        ),
        (
            "/rateLimits/0/requests",
            json!("5"),
            "/rateLimits/0/requests: must be a whole number, not a text",
        ),
        (
            "/bindings/0/place",
            json!({ "heder": "X-Key" }),
            "/bindings/0/place/heder: there is no such member; there are header, query, form-field, json-pointer; did you mean `header`?",
        ),
        (
            "/bindings/0/place",
            json!("basic-usr"),
            "/bindings/0/place: \"basic-usr\" is none of basic-user, basic-password; did you mean `basic-user`?",
        ),
        (
            "/slots/api key",
            json!({ "scope": "credential" }),
            "/slots/api key: `api key` does not match",
        ),
        (
            "/plans/0/auth/inputs/1/options",
            Value::Null,
            "/plans/0/auth/inputs/1: lacks `options`",
        ),
        (
            "/hooks/changes",
            json!({ "delivery": "shared" }),
            "/hooks/changes: needs one of entities, triggers",
        ),
        (
            "/icon",
            json!("<html>"),
            "/icon: must begin with `<svg` or `<?xml`",
        ),
        (
            "/hosts/-",
            json!("{tenant}.example.net"),
            "/hosts/3: `{tenant}` is no public field; add an input",
        ),
        (
            "/hosts/-",
            json!("{apiKey}.example.net"),
            "/hosts/3: `{apiKey}` is no public field",
        ),
        (
            "/hosts/-",
            json!("{region}.com"),
            "/hosts/3: its last two labels must be literal",
        ),
        (
            "/fields/region",
            json!({}),
            "/hosts/1: `{region}` is both an input and a setting",
        ),
        (
            "/fields/apiKey",
            json!({}),
            "/fields/apiKey: is also a slot",
        ),
        (
            "/bindings/0/slot",
            json!("apikey"),
            "/bindings/0/slot: there is no slot `apikey`; did you mean `apiKey`?",
        ),
        (
            "/bindings/0/slot",
            json!("token"),
            "/bindings/0/slot: there is no slot `token`; add `\"token\": { \"scope\": \"credential\" }` to `slots`",
        ),
        (
            "/bindings/0/host",
            json!("api.example.org"),
            "/bindings/0/host: `api.example.org` is not one of the hosts",
        ),
        (
            "/bindings/0/host",
            json!("*.cdn.example.com"),
            "/bindings/0/host: `*.cdn.example.com` is a wildcard",
        ),
        (
            "/bindings",
            json!([]),
            "/slots/apiKey: nothing may use it; add",
        ),
        (
            "/slots/hookKey/signing",
            json!(false),
            "/slots/hookKey: nothing may use it; add",
        ),
        (
            "/slots/apiKey/scope",
            json!("app"),
            "/plans/0/auth/inputs/0/key: what a person enters belongs to the credential",
        ),
        (
            "/plans/0/auth/inputs/-",
            input("other", "secret[]"),
            "/plans/0/auth/inputs/2/key: a secret needs a slot",
        ),
        (
            "/plans/0/auth/inputs/-",
            input("hookKey", "textfield"),
            "/plans/0/auth/inputs/2/type: `hookKey` is a slot",
        ),
        (
            "/plans/0/auth/inputs/-",
            input("region", "textfield"),
            "/plans/0/auth/inputs/2/key: another input has the key `region`",
        ),
        (
            "/plans/0/auth/method",
            json!("none"),
            "/plans/0/auth/inputs: method `none` asks for nothing",
        ),
        (
            "/plans/-",
            json!({ "key": "api-key", "auth": { "method": "none" } }),
            "/plans/1/key: another plan has the key `api-key`",
        ),
        (
            "/plans/-",
            json!({ "key": "open", "auth": { "method": "fields" } }),
            "/plans/1/auth: method `fields` needs `inputs`",
        ),
        (
            "/plans/0/auth/placements/0/place",
            json!({ "query": "key" }),
            "/plans/0/auth/placements/0: no binding lets `apiKey` go there; add",
        ),
        (
            "/entities/note",
            json!({ "categories": ["crm"], "verbs": ["list"] }),
            "/entities/note: is not an entity of the catalogue; did you mean `notes`?",
        ),
        (
            "/entities/users/categories",
            json!(["crm", "calendar"]),
            "/entities/users/categories/1: the catalogue has no users in calendar",
        ),
        (
            "/categories",
            json!(["email"]),
            "/entities/users/categories/0: the connector is not in crm",
        ),
        (
            "/entities/users/verbs",
            json!(["read"]),
            "/entities/users/verbs/0: \"read\" is none of list, get, create, update, delete",
        ),
        (
            "/entities/people/operations",
            json!(["tags/burn"]),
            "/entities/people/operations/0: people has no `tags/burn`; it has tags/apply, tags/delete",
        ),
        (
            "/entities/users/operations",
            json!(["ban"]),
            "/entities/users/operations/0: users has no operations",
        ),
        (
            "/entities/people/writable/-",
            json!("firstname"),
            "/entities/people/writable/3: `firstname` is no field of people that can be set; did you mean `firstName`?",
        ),
        (
            "/entities/users/writable",
            json!(["custom*"]),
            "/entities/users/writable/0: `custom*` is no field of users that can be set",
        ),
        (
            "/entities/notes/parent",
            Value::Null,
            "/entities/notes: `\"listing\": \"parent\"` needs `parent`",
        ),
        (
            "/entities/notes/parent",
            json!("tasks"),
            "/entities/notes/parent: `tasks` is no entity that this manifest offers",
        ),
        (
            "/entities/users/parent",
            json!("people"),
            "/entities/users/parent: goes with",
        ),
        (
            "/hooks/changes/entities",
            json!(["peple"]),
            "/hooks/changes/entities/0: the manifest's `entities` have no `peple`; did you mean `people`?",
        ),
        (
            "/actions/send-mail/inputs",
            json!({}),
            "/actions/send-mail/inputs: must have `\"type\": \"object\"`",
        ),
        (
            "/hooks/changes/triggers",
            Value::Null,
            "/triggers/new-person/delivery: no hook tells `new-person`",
        ),
    ] {
        let told = lines(document_faults(&changed(pointer, value.clone())));
        assert!(told.contains(expected), "{pointer} = {value}: {told}");
        assert!(!told.contains("does not know the keyword"), "{told}");
    }
}

/// A connector that reads users, and people by nothing.
struct Half;
crate::export!(Half: Entities, Actions);

impl Manifest for Half {
    fn describe() -> String {
        let mut manifest = good();
        for absent in ["hooks", "actions", "triggers"] {
            manifest.as_object_mut().unwrap().remove(absent);
        }
        manifest["triggers"] =
            json!({ "poll": { "label": "Poll", "delivery": "polling", "payload": {} } });
        manifest.to_string()
    }
}
impl Auth for Half {
    fn probe() -> Result<Account, Error> {
        Ok(Account::new(1, "Half"))
    }
}
impl crate::Actions for Half {}
impl Entities for Half {
    fn changes(entity: &str, scope: Scope, _: Cursor, _: u32) -> Result<Page, Error> {
        match (entity, scope) {
            ("users", Scope::Incremental) => Page::last(Vec::new(), &()),
            _ => Err(Error::unsupported(entity, "list")),
        }
    }
}

#[test]
fn what_is_described_must_be_there_and_the_other_way_round() {
    assert_eq!(
        lines(manifest_faults::<Half>()),
        "/entities/users: the connector answers `unsupported` to get; implement it, or take it out of the manifest\n\
         /entities/people: the connector answers `unsupported` to list; implement it, or take it out of the manifest\n\
         /entities/people: the connector answers `unsupported` to tags/apply; implement it, or take it out of the manifest\n\
         /entities/notes: the connector answers `unsupported` to list; implement it, or take it out of the manifest\n\
         /triggers: the connector does not export them; add `Triggers` to `export!`\n\
         `export!` names `Actions`, of which the manifest says nothing; describe them in `actions`, or leave them out there"
    );
    let names: Vec<&str> = Half::CAPABILITIES
        .iter()
        .map(|one: &Capability| one.name)
        .collect();
    assert_eq!(names, ["entities", "actions"]);
}

#[test]
#[should_panic(expected = "the manifest is not right:\n  /entities/users: ")]
fn a_wrong_manifest_fails_the_test() {
    assert_manifest::<Half>();
}

#[test]
fn records_that_the_types_make_have_no_fault() {
    let mut ada = Person {
        first_name: Some("Ada".into()),
        assigned_user_id: Some(7.into()),
        created: Some("2026-03-01T09:00:00Z".into()),
        emails: Some(vec![PersonEmail {
            value: Some("ada@example.com".into()),
            ..Default::default()
        }]),
        ..Default::default()
    };
    ada.custom
        .insert("customBudget", &json!({ "any": [1] }))
        .unwrap();
    let item = Item::new(1).body(&ada).native_raw("{}");
    assert_items("people", &[item, Item::deleted(2)]);
}

#[test]
fn every_fault_of_a_record_says_what_to_fix() {
    for (body, expected) in [
        (
            json!({ "firstname": "Ada" }),
            "/firstname: the catalogue has no such field; did you mean `firstName`?",
        ),
        (
            json!({ "firstName": 7 }),
            "/firstName: must be a text, not a number",
        ),
        (
            json!({ "firstName": null }),
            "/firstName: is null; leave out what the app does not have",
        ),
        (
            json!({ "id": "7" }),
            "/id: is made by the host; leave it out",
        ),
        (
            json!({ "assignedUserId": "0" }),
            "/assignedUserId: `0` is no id of one of users",
        ),
        (
            json!({ "created": "yesterday" }),
            "/created: `yesterday` is no time such as",
        ),
        (
            json!({ "tags": "Buyer" }),
            "/tags: must be a list or null, not a text",
        ),
        (
            json!({ "tags": ["Buyer", 1] }),
            "/tags/1: must be a text, not a number",
        ),
        (
            json!({ "emails": [{ "type": "home" }] }),
            "/emails/0: lacks `value`",
        ),
        (
            json!({ "emails": [{ "value": "a@b.c", "kind": "home" }] }),
            "/emails/0/kind: the catalogue has no such field",
        ),
        (
            json!({ "customerId": 1 }),
            "/customerId: the catalogue has no such field",
        ),
        (json!(["Ada"]), "its body must be an object, not a list"),
    ] {
        let item = Item {
            id: "1".into(),
            body: body.to_string(),
            ..Item::default()
        };
        assert!(
            lines(item_faults("people", &item)).starts_with(expected),
            "{body}: {}",
            lines(item_faults("people", &item))
        );
    }
    let users = Item {
        body: r#"{"password": "x", "customX": 1}"#.into(),
        ..Item::new("")
    };
    assert_eq!(
        lines(item_faults("users", &users)),
        "an id must not be empty\n\
         /password: is for writes only; leave it out\n\
         /customX: the catalogue has no such field"
    );
    let broken = Item {
        body: "{".into(),
        native: Some("[".into()),
        ..Item::new(1)
    };
    let told = lines(item_faults("users", &broken));
    assert!(
        told.starts_with("its native record is not JSON\nits body is not JSON: "),
        "{told}"
    );
    assert_eq!(
        lines(item_faults("poeple", &broken)),
        "`poeple` is no entity of the catalogue; did you mean `people`?"
    );
}

#[test]
#[should_panic(expected = "\n  people 7: /name: must be a text")]
fn a_wrong_record_fails_the_test() {
    let item = Item {
        body: r#"{"name": 7}"#.into(),
        ..Item::new(7)
    };
    assert_items("people", &[item]);
}

#[test]
fn fixtures_are_files_of_the_crate() {
    assert!(fixture("Cargo.toml").contains("rollout-connector"));
    let missing = std::panic::catch_unwind(|| fixture("fixtures/nowhere.json")).unwrap_err();
    let told = missing.downcast_ref::<String>().unwrap();
    assert!(told.contains("fixtures/nowhere.json"), "{told}");
}

/// A connector whose manifest is the good one.
struct Whole;

impl Manifest for Whole {
    fn describe() -> String {
        good().to_string()
    }
}

#[test]
fn what_the_host_would_deny_is_denied() {
    use crate::http::Place;
    let get = |url: &str| crate::Request::get(url);
    let in_header = |url: &str| get(url).secret("apiKey", Place::Header("x-KEY".into()));
    let app = || FakeApp::of::<Whole>().answer(|_| Some(Reply::empty(204)));
    for (request, expected) in [
        (get("https://api.example.com/anything"), None),
        (get("https://API.example.com"), None),
        (get("https://eu.example.com/v1"), None),
        (get("https://a.b.cdn.example.com/x?y"), None),
        (in_header("https://api.example.com/v1?x=1"), None),
        (in_header("https://api.example.com/v1/people"), None),
        (get("https://api.example.com/v1").authenticate(), None),
        (
            get("https://api.example.com").secret("apiKey", Place::BasicUser),
            None,
        ),
        (get("http://api.example.com/v1"), Some("is no https URL")),
        (
            get("https://cdn.example.com"),
            Some("none of the manifest's hosts"),
        ),
        (
            get("https://us.example.com/v1"),
            Some("`us.example.com` is none of the manifest's hosts; add it to `hosts`"),
        ),
        (
            get("https://api.example.com:8443/v1"),
            Some("`api.example.com:8443` is none"),
        ),
        (
            get("https://api.example.com").header("Authorization", "x"),
            Some("the header `Authorization` is not yours"),
        ),
        (
            in_header("https://api.example.com/v10"),
            Some(r#""paths":["/v10"]"#),
        ),
        (
            in_header("https://eu.example.com/v1"),
            Some("no binding lets the slot `apiKey` go there"),
        ),
        (
            get("https://api.example.com/v2").authenticate(),
            Some("no binding lets the slot `apiKey` go there"),
        ),
        (
            crate::Request::post("https://api.example.com").secret("apiKey", Place::BasicUser),
            Some(r#""methods":["POST"]"#),
        ),
        (
            get("https://api.example.com/v1").secret("apiKey", Place::Query("key".into())),
            Some(r#""place":{"query":"key"}"#),
        ),
    ] {
        let _app = app().credential_field("region", "EU").start();
        let asked = format!("{request:?}");
        match (request.send(), expected) {
            (Ok(_), None) => {}
            (Err(Error::Internal(told)), Some(expected)) => {
                assert!(told.contains(expected), "{asked}: {told}");
            }
            (answer, _) => panic!("{asked}: {answer:?}"),
        }
    }
}
