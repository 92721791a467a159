//! Manifests: a good one, and every way to get one wrong.

use rollout_catalog::manifest::{Deletions, IdStyle, InputKind, Listing, SlotScope, fold_key};
use rollout_catalog::{Category, Manifest, Place, Verb};
use serde_json::{Value, json};

use crate::catalog;

fn good() -> Value {
    json!({
        "contract": "0.1.0",
        "key": "example-crm",
        "name": "Example CRM",
        "version": "1.2.0",
        "icon": "\n<svg xmlns=\"http://www.w3.org/2000/svg\"/>",
        "categories": ["crm"],
        "hosts": ["api.example.com", "{region}.example.com", "*.cdn.example.com"],
        "fields": { "systemName": { "description": "The product's name." } },
        "slots": {
            "apiKey": { "scope": "credential" },
            "systemKey": { "scope": "app", "signing": true }
        },
        "bindings": [
            { "slot": "apiKey", "host": "api.example.com", "place": "basic-user" },
            { "slot": "systemKey", "host": "api.example.com", "methods": ["GET"], "paths": ["/v1"], "place": { "header": "X-System-Key" } }
        ],
        "rateLimits": [{ "requests": 10, "seconds": 1, "scope": "account", "path": "/v1" }],
        "plans": [{
            "key": "api-key", "name": "API key",
            "auth": {
                "method": "fields",
                "inputs": [
                    { "key": "apiKey", "type": "secret", "label": "API key", "infoHTML": "<b>Here</b>", "pattern": "[a-z0-9]{8,}" },
                    { "key": "region", "type": "dropdown", "options": ["eu", { "value": "us", "label": "America" }] }
                ],
                "placements": [
                    { "slot": "apiKey", "place": "basic-user" },
                    { "slot": "systemKey", "place": { "header": "x-system-key" }, "optional": true }
                ]
            }
        }],
        "entities": {
            "users": { "categories": ["crm"], "verbs": ["list", "get"] },
            "people": {
                "categories": ["crm"], "verbs": ["list", "get", "create", "update", "delete"],
                "operations": ["tags/apply"], "writable": ["firstName", "lastName", "tags", "custom*"],
                "resource": "contacts", "ids": "integer", "deletions": "reported"
            },
            "notes": { "categories": ["crm"], "verbs": ["list"], "listing": "parent", "parent": "people" }
        }
    })
}

fn parse(manifest: &Value) -> Result<Manifest, String> {
    Manifest::parse(&manifest.to_string(), &catalog()).map_err(|error| error.to_string())
}

#[test]
fn a_good_manifest_is_read() {
    let manifest = parse(&good()).unwrap();
    assert_eq!(manifest.key, "example-crm");
    assert_eq!(manifest.version.to_string(), "1.2.0");
    assert_eq!(manifest.categories, [Category::Crm]);
    let order: Vec<_> = manifest
        .entities
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(order, ["users", "people", "notes"]);
    let people = manifest.entity("people").unwrap();
    assert!(
        people.has(Verb::Create)
            && people.accepts("tags")
            && people.accepts("customX")
            && !people.accepts("stage")
    );
    assert_eq!(
        (people.ids, people.deletions, people.listing),
        (IdStyle::Integer, Deletions::Reported, Listing::Account)
    );
    assert_eq!(
        (manifest.resource("people"), manifest.resource("users")),
        ("contacts", "users")
    );
    let users = manifest.entity("users").unwrap();
    assert!(users.accepts("anything") && users.deletions == Deletions::FullPass);
    let plan = manifest.plan("api-key").unwrap();
    assert!(
        plan.auth.placements[1]
            .place
            .is(&Place::Header("X-SYSTEM-KEY".into()))
            && plan.auth.placements[1].optional
    );
    assert_eq!(plan.auth.inputs[1].kind, InputKind::Dropdown);
    assert_eq!(plan.auth.inputs[1].options[1].label(), "America");
    assert_eq!(manifest.slots["systemKey"].scope, SlotScope::App);
    assert!(manifest.slots["systemKey"].signing);
    assert_eq!(manifest.hosts[1].fields().collect::<Vec<_>>(), ["region"]);
}

#[test]
fn inputs_accept_what_matches_as_a_whole() {
    let manifest = parse(&good()).unwrap();
    let inputs = &manifest.plans[0].auth.inputs;
    assert!(inputs[0].accepts("abcdef12"));
    assert!(
        !inputs[0].accepts("abcdef12 ")
            && !inputs[0].accepts("short")
            && !inputs[0].accepts("x-abcdef12")
    );
    assert!(inputs[1].accepts("us") && !inputs[1].accepts("America"));
}

#[test]
fn keys_are_compared_without_case_and_hyphens() {
    for key in [
        "follow-up-boss",
        "followupboss",
        "Follow_Up_Boss",
        "FOLLOWUPBOSS",
    ] {
        assert_eq!(fold_key(key), "followupboss");
    }
}

/// Puts a value in place of what is at a pointer; null takes it away. The last segment may be new.
fn change(manifest: &mut Value, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match manifest.pointer_mut(parent).unwrap() {
        Value::Object(members) if value.is_null() => drop(members.shift_remove(last)),
        Value::Object(members) => drop(members.insert(last.to_owned(), value)),
        Value::Array(items) => match last.parse::<usize>() {
            Ok(at) => items[at] = value,
            Err(_) => items.push(value),
        },
        other => panic!("{other}"),
    }
}

#[test]
fn whatever_is_wrong_is_said_in_one_line_with_the_place_and_the_remedy() {
    let input = |key: &str, kind: &str| json!({ "key": key, "type": kind });
    for (pointer, value, expected) in [
        (
            "/contract",
            json!("0.2.0"),
            r#"manifest: /contract: "0.1.0" was expected"#,
        ),
        (
            "/name",
            Value::Null,
            r#"manifest: "name" is a required property"#,
        ),
        (
            "/colour",
            json!("red"),
            "manifest: Additional properties are not allowed ('colour' was unexpected)",
        ),
        (
            "/key",
            json!("Example"),
            r#"manifest: /key: value does not match "^[a-z][a-z0-9]*(-[a-z0-9]+)*$""#,
        ),
        (
            "/bindings/0/host",
            json!("api.example.org"),
            "manifest: /bindings/0/host: `api.example.org` is not one of the hosts; add it to `hosts`, spelled alike",
        ),
        (
            "/bindings/0/host",
            json!("*.cdn.example.com"),
            "manifest: /bindings/0/host: `*.cdn.example.com` is a wildcard, which never receives a secret; name the host",
        ),
        (
            "/bindings/-",
            json!({ "slot": "apikey", "host": "api.example.com", "place": "basic-user" }),
            "manifest: /bindings/2/slot: there is no slot `apikey`; did you mean `apiKey`?",
        ),
        (
            "/bindings/-",
            json!({ "slot": "token", "host": "api.example.com", "place": "basic-user" }),
            r#"manifest: /bindings/2/slot: there is no slot `token`; add `"token": { "scope": "credential" }` to `slots`"#,
        ),
        (
            "/icon",
            json!("<html>"),
            "manifest: /icon: is not an SVG document; it must begin with `<svg` or `<?xml`",
        ),
        (
            "/hosts/-",
            json!("{tenant}.example.net"),
            "manifest: /hosts/3: `{tenant}` is no public field; add an input of type textfield or dropdown with the key `tenant`, a setting in `fields`, or a field that the token endpoint tells",
        ),
        (
            "/hosts/-",
            json!("{apiKey}.example.net"),
            "manifest: /hosts/3: `{apiKey}` is no public field; add an input of type textfield or dropdown with the key `apiKey`, a setting in `fields`, or a field that the token endpoint tells",
        ),
        (
            "/hosts/-",
            json!("{region}.com"),
            "manifest: /hosts/3: `{region}.com` is refused: the last two labels must be literal, so that the one who enters a field cannot choose whose host it is",
        ),
        (
            "/fields/region",
            json!({}),
            "manifest: /hosts/1: `{region}` is both an input and a setting in `fields`; rename one of them",
        ),
        (
            "/fields/apiKey",
            json!({}),
            "manifest: /fields/apiKey: is also a slot, and `rollout connector configure` could not tell them apart; rename one of them",
        ),
        (
            "/slots/apiKey/scope",
            json!("app"),
            "manifest: /plans/0/auth/inputs/0/key: what a person enters belongs to the credential; give the slot `apiKey` the scope credential",
        ),
        (
            "/plans/0/auth/inputs/-",
            input("secret2", "secret[]"),
            r#"manifest: /plans/0/auth/inputs/2/key: a secret needs a slot; add `"secret2": { "scope": "credential" }` to `slots`"#,
        ),
        (
            "/plans/0/auth/inputs/-",
            input("systemKey", "textfield"),
            "manifest: /plans/0/auth/inputs/2/type: `systemKey` is a slot, so the input must be of type secret; otherwise rename one of them",
        ),
        (
            "/plans/0/auth/inputs/-",
            input("region", "textfield"),
            "manifest: /plans/0/auth/inputs/2/key: another input has the key `region`",
        ),
        (
            "/plans/0/auth/inputs/0/pattern",
            json!("[a-"),
            "manifest: /plans/0/auth/inputs/0/pattern: is not a regular expression: unclosed character class",
        ),
        (
            "/plans/0/auth/method",
            json!("none"),
            "manifest: /plans/0/auth/inputs: method `none` asks for nothing; use method `fields`",
        ),
        (
            "/plans/0/auth/inputs/1/options",
            Value::Null,
            r#"manifest: /plans/0/auth/inputs/1: "options" is a required property"#,
        ),
        (
            "/plans/-",
            json!({ "key": "api-key", "auth": { "method": "none" } }),
            "manifest: /plans/1/key: another plan has the key `api-key`",
        ),
        (
            "/plans/-",
            json!({ "key": "open", "auth": { "method": "fields" } }),
            "manifest: /plans/1/auth: method `fields` needs `inputs`; without any use method `none`",
        ),
        (
            "/plans/0/auth/placements/-",
            json!({ "slot": "apiKey", "place": { "query": "key" } }),
            r#"manifest: /plans/0/auth/placements/2: no binding lets `apiKey` go there; add `{ "slot": "apiKey", "host": …, "place": {"query":"key"} }` to `bindings`"#,
        ),
        (
            "/plans/0/auth/placements/-",
            json!({ "slot": "nothing", "place": "basic-password" }),
            r#"manifest: /plans/0/auth/placements/2/slot: there is no slot `nothing`; add `"nothing": { "scope": "credential" }` to `slots`"#,
        ),
        (
            "/entities/person",
            json!({ "categories": ["crm"], "verbs": ["list"] }),
            "manifest: /entities/person: is not an entity of the catalogue",
        ),
        (
            "/entities/note",
            json!({ "categories": ["crm"], "verbs": ["list"] }),
            "manifest: /entities/note: is not an entity of the catalogue; did you mean `notes`?",
        ),
        (
            "/entities/users/categories",
            json!(["crm", "calendar"]),
            "manifest: /entities/users/categories/1: the catalogue has no users in calendar",
        ),
        (
            "/categories",
            json!(["email"]),
            "manifest: /entities/users/categories/0: the connector is not in crm; add it to the manifest's `categories` (and 2 more)",
        ),
        (
            "/entities/people/operations/-",
            json!("tags/burn"),
            "manifest: /entities/people/operations/1: people has no operation `tags/burn`; it has tags/apply, tags/delete",
        ),
        (
            "/entities/users/operations",
            json!(["ban"]),
            "manifest: /entities/users/operations/0: users has no operations",
        ),
        (
            "/entities/people/writable/-",
            json!("firstname"),
            "manifest: /entities/people/writable/4: `firstname` is no field of people that can be set; did you mean `firstName`?",
        ),
        (
            "/entities/people/writable/-",
            json!("id"),
            "manifest: /entities/people/writable/4: `id` is no field of people that can be set",
        ),
        (
            "/entities/users/writable",
            json!(["custom*"]),
            "manifest: /entities/users/writable/0: `custom*` is no field of users that can be set",
        ),
        (
            "/entities/notes/parent",
            Value::Null,
            r#"manifest: /entities/notes: `"listing": "parent"` needs `parent`, the entity of the parents"#,
        ),
        (
            "/entities/notes/parent",
            json!("tasks"),
            "manifest: /entities/notes/parent: `tasks` is no entity that this manifest offers with the verb list",
        ),
        (
            "/entities/users/parent",
            json!("people"),
            r#"manifest: /entities/users/parent: goes with `"listing": "parent"` only; leave it out"#,
        ),
    ] {
        let mut manifest = good();
        change(&mut manifest, pointer, value.clone());
        assert_eq!(
            parse(&manifest).unwrap_err(),
            expected,
            "{pointer} = {value}"
        );
    }
    assert!(
        Manifest::parse("{", &catalog())
            .unwrap_err()
            .to_string()
            .starts_with("manifest: is not JSON: ")
    );
}

#[test]
fn writable_may_name_several_fields_at_once() {
    let mut manifest = good();
    change(
        &mut manifest,
        "/entities/people/writable",
        json!(["first*", "customCloseDate"]),
    );
    let people = parse(&manifest).unwrap();
    let people = people.entity("people").unwrap();
    assert!(
        people.accepts("firstName")
            && people.accepts("customCloseDate")
            && !people.accepts("lastName")
    );
}

#[test]
fn all_faults_are_there_though_one_is_shown() {
    let mut manifest = good();
    change(&mut manifest, "/bindings/0/slot", json!("a"));
    change(&mut manifest, "/bindings/1/host", json!("b.example.com"));
    let error = Manifest::parse(&manifest.to_string(), &catalog()).unwrap_err();
    let pointers: Vec<_> = error
        .faults
        .iter()
        .map(|fault| fault.pointer.as_str())
        .collect();
    assert_eq!(
        pointers,
        [
            "/bindings/0/slot",
            "/bindings/1/host",
            "/plans/0/auth/placements/0"
        ]
    );
    assert!(error.to_string().ends_with("(and 2 more)"));
}

#[test]
fn an_icon_of_any_size_is_not_repeated_in_the_message() {
    let mut manifest = good();
    change(
        &mut manifest,
        "/icon",
        json!(format!("not an icon {}", "x".repeat(1000))),
    );
    assert_eq!(
        parse(&manifest).unwrap_err(),
        r#"manifest: /icon: value does not match "^\s*<""#
    );
}

/// A plan that signs in, and what it needs.
fn with_login() -> serde_json::Value {
    let mut manifest: serde_json::Value =
        serde_json::from_str(include_str!("../../../../guest-sdk/template/manifest.json")).unwrap();
    manifest["slots"]["password"] = serde_json::json!({ "scope": "credential" });
    manifest["slots"]["answer"] = serde_json::json!({ "scope": "credential" });
    manifest["slots"]["session"] =
        serde_json::json!({ "scope": "credential", "captured": ["sign-in", "answer"] });
    manifest["plans"] = serde_json::json!([{ "key": "login", "auth": {
        "method": "sign-in", "inputs": [{ "key": "password", "type": "secret" }]
    } }]);
    manifest
}

#[test]
fn a_login_needs_something_to_enter_a_session_and_a_slot_for_answers() {
    let catalog = catalog();
    let good = Manifest::parse(&with_login().to_string(), &catalog).unwrap();
    let plan = good.plan("login").unwrap();
    assert!(plan.has_login() && plan.withholds("password") && plan.withholds("answer"));
    assert!(!plan.withholds("session"));
    assert_eq!(good.session_slots().collect::<Vec<_>>(), ["session"]);
    let faults = good.check_exports(|one| one == "entities").unwrap_err();
    assert!(faults.to_string().contains("login"), "{faults}");
    for (place, value, expected) in [
        (
            "/plans/0/auth/inputs",
            serde_json::json!([]),
            "needs `inputs`",
        ),
        (
            "/plans/0/auth/inputs/0/key",
            "session".into(),
            "rename the input",
        ),
        (
            "/plans/0/auth/inputs/0/key",
            "answer".into(),
            "rename the input",
        ),
        (
            "/slots/session/captured",
            serde_json::json!([]),
            "for what it gets",
        ),
        ("/slots/answer/scope", "app".into(), "the slot `answer`"),
    ] {
        let mut manifest = with_login();
        *manifest.pointer_mut(place).unwrap() = value;
        let refused = Manifest::parse(&manifest.to_string(), &catalog).unwrap_err();
        let mut all = refused.faults.iter().map(ToString::to_string);
        assert!(
            all.any(|fault| fault.contains(expected)),
            "{place}: {refused:?}"
        );
    }
}
