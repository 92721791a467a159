//! The manifest fits the crate, the catalogue and the code.

use hubspot::HubSpot;
use rollout_connector::testing::assert_manifest;
use rollout_connector::{CONTRACT, Cursor, Entities, Error, Manifest, Scope, Write};
use serde_json::{Value, json};

pub(crate) fn manifest() -> Value {
    serde_json::from_str(&HubSpot::describe()).unwrap()
}

#[test]
fn the_manifest_is_right() {
    assert_manifest::<HubSpot>();
}

#[test]
fn versions_are_those_of_the_crate_and_the_sdk() {
    let manifest = manifest();
    assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest["contract"], CONTRACT);
    assert_eq!(manifest["key"], "hubspot");
}

#[test]
fn both_plans_place_a_bearer_that_is_bound() {
    let manifest = manifest();
    let bindings = manifest["bindings"].as_array().unwrap();
    let plans = manifest["plans"].as_array().unwrap();
    assert_eq!(plans.len(), 2);
    for plan in plans {
        let placement = &plan["auth"]["placements"][0];
        assert_eq!(placement["prefix"], "Bearer ");
        let bound = |binding: &&Value| {
            binding["slot"] == placement["slot"] && binding["place"] == placement["place"]
        };
        assert_eq!(
            bindings.iter().find(bound).unwrap()["host"],
            "api.hubapi.com"
        );
    }
    // Who renews the access token needs the refresh token; requests never do.
    assert!(
        bindings
            .iter()
            .all(|binding| binding["slot"] != "refreshToken")
    );
}

#[test]
fn other_entities_and_parents_are_not_offered() {
    let unsupported = |error| matches!(error, Error::Unsupported(_));
    let write = || Write::of(json!({"firstName": "Ada"}));
    let changes = |entity, scope| HubSpot::changes(entity, scope, Cursor::START, 100);
    assert!(unsupported(changes("notes", Scope::Full).unwrap_err()));
    let parents = Scope::Parents(vec!["1".into()]);
    assert!(unsupported(changes("people", parents).unwrap_err()));
    assert!(unsupported(
        HubSpot::get("notes", &["1".into()]).unwrap_err()
    ));
    assert!(unsupported(HubSpot::create("notes", write()).unwrap_err()));
    assert!(unsupported(
        HubSpot::update("notes", "1", write()).unwrap_err()
    ));
    assert!(unsupported(
        HubSpot::delete("notes", "1", "key").unwrap_err()
    ));
    let tags = HubSpot::perform("people", "1", "tags/apply", write());
    assert!(unsupported(tags.unwrap_err()));
}
