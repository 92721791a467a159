//! Hooks, triggers and actions of a manifest, and what the component must export for them.

use rollout_catalog::Manifest;
use rollout_catalog::manifest::{Dedupe, Dynamic, HookDelivery, TriggerDelivery};
use serde_json::{Value, json};

use crate::catalog;

fn good() -> Value {
    json!({
        "contract": "0.1.0",
        "key": "example-crm",
        "name": "Example CRM",
        "version": "1.0.0",
        "categories": ["crm"],
        "hosts": ["api.example.com"],
        "plans": [{ "key": "open", "auth": { "method": "none" } }],
        "entities": { "people": { "categories": ["crm"], "verbs": ["list"] } },
        "hooks": {
            "contacts": {
                "delivery": "shared", "entities": ["people"], "triggers": ["contact-created"],
                "renewEverySeconds": 3600
            }
        },
        "triggers": {
            "message": {
                "label": "New message", "delivery": "polling", "dedupe": "greatest",
                "inputs": { "type": "object", "properties": { "channel": { "type": "string" } } },
                "payload": { "type": "object", "required": ["text"], "properties": { "text": { "type": "string", "pattern": "^[a-z]+$" } } },
                "sample": { "text": "hello" }
            },
            "contact-created": { "label": "New contact", "delivery": "hook", "payload": {} }
        },
        "actions": {
            "send": { "label": "Send", "idempotent": true, "output": { "type": ["object", "null"] }, "sample": null, "dynamic": ["inputs", "output"] },
            "forget": { "label": "Forget" }
        }
    })
}

fn parse(manifest: &Value) -> Result<Manifest, String> {
    Manifest::parse(&manifest.to_string(), &catalog()).map_err(|error| error.to_string())
}

/// Puts a value in place of what is at a pointer; null takes it away.
fn changed(pointer: &str, value: Value) -> Value {
    let mut manifest = good();
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match (manifest.pointer_mut(parent).unwrap(), value) {
        (Value::Object(members), Value::Null) => drop(members.shift_remove(last)),
        (Value::Object(members), value) => drop(members.insert(last.to_owned(), value)),
        (Value::Array(items), value) => items[last.parse::<usize>().unwrap()] = value,
        (other, _) => panic!("{other}"),
    }
    manifest
}

#[test]
fn hooks_triggers_and_actions_are_read_in_order() {
    let manifest = parse(&good()).unwrap();
    let (key, hook) = &manifest.hooks[0];
    assert_eq!(
        (key.as_str(), hook.delivery),
        ("contacts", HookDelivery::Shared)
    );
    assert_eq!(hook.renew_every_seconds, Some(3600));
    let keys: Vec<_> = manifest
        .triggers
        .iter()
        .map(|(key, _)| key.as_str())
        .collect();
    assert_eq!(keys, ["message", "contact-created"]);
    let (message, contact) = (&manifest.triggers[0].1, &manifest.triggers[1].1);
    assert_eq!(message.delivery, TriggerDelivery::Polling);
    assert_eq!(
        (message.dedupe, contact.dedupe),
        (Dedupe::Greatest, Dedupe::Unique)
    );
    assert_eq!(
        contact.inputs,
        json!({ "type": "object", "additionalProperties": false })
    );
    assert_eq!(
        (&message.sample, &contact.sample),
        (&Some(json!({ "text": "hello" })), &None)
    );
    let (send, forget) = (&manifest.actions[0].1, &manifest.actions[1].1);
    assert_eq!(send.dynamic, [Dynamic::Inputs, Dynamic::Output]);
    assert!(send.idempotent && !forget.idempotent);
    assert_eq!((&send.sample, &forget.sample), (&Some(Value::Null), &None));
}

#[test]
fn whatever_is_wrong_is_said_with_the_place_and_the_remedy() {
    for (pointer, value, expected) in [
        (
            "/hooks/contacts/entities/0",
            json!("peple"),
            "manifest: /hooks/contacts/entities/0: the manifest's `entities` have no `peple`; did you mean `people`?",
        ),
        (
            "/hooks/contacts/entities/0",
            json!("deals"),
            "manifest: /hooks/contacts/entities/0: the manifest's `entities` have no `deals`; add it to `entities`",
        ),
        (
            "/hooks/contacts/triggers",
            json!(["message"]),
            "manifest: /triggers/contact-created/delivery: no hook tells `contact-created`; add it to the `triggers` of one of `hooks`",
        ),
        (
            "/hooks/contacts/triggers",
            json!(["contact-created", "x"]),
            "manifest: /hooks/contacts/triggers/1: the manifest's `triggers` have no `x`; add it to `triggers`",
        ),
        (
            "/triggers/message/inputs/type",
            json!("array"),
            "manifest: /triggers/message/inputs: must have `\"type\": \"object\"`: inputs are one",
        ),
        (
            "/triggers/message/sample",
            json!({ "text": 7 }),
            "manifest: /triggers/message/sample/text: is not what `payload` says: value is not of type \"string\"",
        ),
        (
            "/triggers/message/sample",
            json!({}),
            "manifest: /triggers/message/sample: is not what `payload` says: \"text\" is a required property",
        ),
        (
            "/actions/send/output/type",
            json!("objekt"),
            "manifest: /actions/send/output/type: is not a JSON Schema: value is not valid under any of the schemas listed in the 'anyOf' keyword",
        ),
        (
            "/actions/send/sample",
            json!(7),
            "manifest: /actions/send/sample: is not what `output` says: value is not of types \"null\", \"object\"",
        ),
    ] {
        let error = parse(&changed(pointer, value.clone())).unwrap_err();
        assert_eq!(error, expected, "{pointer} = {value}");
    }
    for (pointer, value) in [
        ("/hooks/contacts", json!({ "delivery": "shared" })),
        ("/hooks/contacts/renewEverySeconds", json!(1)),
        ("/hooks/contacts/delivery", json!("post")),
        (
            "/hooks/Contacts",
            json!({ "delivery": "shared", "entities": ["people"] }),
        ),
        ("/triggers/message/payload", Value::Null),
        ("/triggers/message/label", json!("")),
        ("/triggers/message/dynamic", json!(["output"])),
        ("/triggers/message/dedupe", json!("id")),
        ("/actions/send/dynamic", json!(["payload"])),
        ("/actions/send/payload", json!({})),
        // Other documents are not fetched, and patterns that need backtracking not taken.
        (
            "/triggers/message/payload/properties/text",
            json!({ "$ref": "https://example.com/text.json" }),
        ),
        (
            "/triggers/message/payload/properties/text/pattern",
            json!("^(a+)\\1$"),
        ),
    ] {
        assert!(
            parse(&changed(pointer, value.clone())).is_err(),
            "{pointer} = {value}"
        );
    }
}

#[test]
fn what_is_described_is_exported_and_the_other_way_round() {
    let exports =
        |names: &'static str| move |name: &str| names.split(' ').any(|known| known == name);
    let all = "entities hooks triggers actions forms";
    let full = parse(&good()).unwrap();
    assert_eq!(full.check_exports(exports(all)), Ok(()));
    for (lacking, names) in [
        ("entities", "hooks triggers actions forms"),
        ("hooks", "entities triggers actions forms"),
        ("triggers", "entities hooks actions forms"),
        ("actions", "entities hooks triggers forms"),
        ("forms", "entities hooks triggers actions"),
    ] {
        let error = full.check_exports(exports(names)).unwrap_err().to_string();
        let expected = format!(
            "manifest: it describes {lacking}, but the component does not export `rollout:connector/{lacking}@0.1.0`; \
             export it, or leave them out"
        );
        assert_eq!(error, expected);
    }

    let bare = ["entities", "hooks", "triggers", "actions"].iter().fold(
        good(),
        |mut manifest, section| {
            manifest.as_object_mut().unwrap().shift_remove(*section);
            manifest
        },
    );
    let bare = parse(&bare).unwrap();
    assert_eq!(bare.check_exports(exports("")), Ok(()));
    for extra in ["entities", "hooks", "triggers", "actions", "forms"] {
        let error = bare
            .check_exports(|name| name == extra)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&format!("exports `rollout:connector/{extra}@0.1.0`")),
            "{error}"
        );
    }

    // Triggers that a hook tells need no polling; an input whose choices are asked for needs forms.
    let told = parse(&changed("/triggers/message", Value::Null)).unwrap();
    assert_eq!(
        told.check_exports(exports("entities hooks actions forms")),
        Ok(())
    );
    assert_eq!(told.check_exports(exports(all)), Ok(()));
    let mut asking = changed("/actions/send/dynamic", Value::Null);
    assert!(parse(&asking).unwrap().check_exports(exports(all)).is_err());
    asking["triggers"]["message"]["inputs"]["properties"]["channel"]["x-options"] = json!(true);
    assert_eq!(parse(&asking).unwrap().check_exports(exports(all)), Ok(()));
}
