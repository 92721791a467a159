//! The manifest fits the crate and the catalogue.

use follow_up_boss::FollowUpBoss;
use rollout_connector::{CONTRACT, Manifest};
use serde_json::Value;

fn manifest() -> Value {
    serde_json::from_str(&FollowUpBoss::describe()).unwrap()
}

#[test]
fn versions_are_those_of_the_crate_and_the_sdk() {
    assert_eq!(manifest()["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(manifest()["contract"], CONTRACT);
    assert_eq!(manifest()["key"], "follow-up-boss");
}

#[test]
fn every_placement_is_bound_to_the_one_host() {
    let manifest = manifest();
    let bindings = manifest["bindings"].as_array().unwrap();
    for placement in manifest["plans"][0]["auth"]["placements"]
        .as_array()
        .unwrap()
    {
        let bound = |binding: &&Value| {
            binding["slot"] == placement["slot"] && binding["place"] == placement["place"]
        };
        let binding = bindings.iter().find(bound).unwrap();
        assert_eq!(binding["host"], manifest["hosts"][0]);
        assert_eq!(binding["paths"][0], "/v1");
    }
}
