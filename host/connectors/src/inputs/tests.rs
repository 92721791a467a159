#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use rollout_catalog::manifest::Input;
use serde_json::{Value, json};

use super::{Inputs, LONGEST};

fn plan() -> Vec<Input> {
    let inputs = json!([
        {"key": "apiKey", "type": "secret", "label": "API key"},
        {"key": "shop", "type": "textfield", "pattern": "[a-z]{2,20}"},
        {"key": "region", "type": "dropdown", "options": ["eu", {"value": "us", "label": "USA"}]},
        {"key": "note", "type": "textfield", "optional": true},
        {"key": "teams", "type": "textfield[]", "optional": true, "pattern": "\\d+"},
        {"key": "tokens", "type": "secret[]", "optional": true},
    ]);
    serde_json::from_value(inputs).unwrap()
}

fn good() -> Value {
    json!({"apiKey": "k", "shop": "acme", "region": "us"})
}

fn check(entered: &Value) -> Result<Inputs, Vec<(String, String)>> {
    let checked = Inputs::check(&plan(), entered.as_object().unwrap());
    checked.map_err(|issues| {
        let told = issues.into_iter().map(|one| (one.pointer, one.message));
        told.collect()
    })
}

#[test]
fn what_fits_is_told_apart_into_fields_and_secrets() {
    let mut entered = good();
    entered["apiKey"] = json!(" \tk \n");
    entered["note"] = json!("");
    entered["teams"] = json!(["1", " 22 ", ""]);
    entered["tokens"] = json!("a");
    let inputs = check(&entered).unwrap();
    let pairs = |map: &std::collections::BTreeMap<String, String>| -> Vec<String> {
        map.iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    };
    assert_eq!(
        pairs(&inputs.fields),
        ["region=us", "shop=acme", "teams=1\n22"]
    );
    assert_eq!(pairs(&inputs.secrets), ["apiKey=k", "tokens=a"]);
}

#[test]
fn what_does_not_fit_is_pointed_at() {
    let longest = "x".repeat(LONGEST);
    let mut entered = good();
    entered["apiKey"] = json!(longest);
    assert!(check(&entered).is_ok());
    let long = json!(format!("{longest}x"));
    for (name, value, word) in [
        ("apiKey", Value::Null, "API key is required"),
        ("apiKey", json!(" \t"), "required"),
        ("apiKey", long.clone(), "longer than 10240 bytes"),
        ("apiKey", json!("a\nb"), "control character"),
        ("apiKey", json!("a\u{0}b"), "control character"),
        ("apiKey", json!(1), "must be a text"),
        ("apiKey", json!(true), "must be a text"),
        ("apiKey", json!(["k"]), "must be a text"),
        ("apiKey", json!({"k": 1}), "must be a text"),
        ("shop", json!("a"), "form"),
        ("shop", json!("acme.example.com"), "form"),
        ("shop", json!("acme\u{202e}"), "form"),
        ("shop", json!("ACME"), "form"),
        ("region", json!("USA"), "must be one of: eu, us"),
        ("region", json!("EU"), "must be one of: eu, us"),
        ("region", json!(["eu"]), "must be a text"),
        ("note", json!(5), "must be a text"),
        ("note", long.clone(), "longer"),
        ("teams", json!({"0": "1"}), "list of texts"),
        ("teams", json!(["1", 2]), "list of texts"),
        ("teams", json!(["1", "x"]), "form"),
        ("tokens", json!(["a", long]), "longer"),
        ("tokens", json!(["a", "b\rc"]), "control character"),
        ("Shop", json!("acme"), "is not an input"),
        ("a/b~c", json!("x"), "is not an input"),
        ("", json!("x"), "is not an input"),
    ] {
        let mut entered = good();
        entered[name] = value.clone();
        let issues = check(&entered).map(drop).unwrap_err();
        let pointer = name.replace('~', "~0").replace('/', "~1");
        let [(place, message)] = issues.as_slice() else {
            panic!("{name} {value}: {issues:?}");
        };
        assert_eq!(*place, format!("/userInputs/{pointer}"));
        assert!(message.contains(word), "{name} {value}: {message}");
    }
}

#[test]
fn all_complaints_come_at_once() {
    let entered = json!({"apiKey": 1, "shop": "A", "region": "x", "more": 1});
    let issues = check(&entered).map(drop).unwrap_err();
    assert_eq!(issues.len(), 4, "{issues:?}");
}
