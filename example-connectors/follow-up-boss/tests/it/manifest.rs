//! The manifest fits the crate and the catalogue.

use follow_up_boss::FollowUpBoss;
use rollout_connector::testing::{FakeApp, Reply, assert_manifest};
use rollout_connector::{CONTRACT, Entities, Error, Manifest, Write};
use serde_json::{Value, json};

pub(crate) fn manifest() -> Value {
    serde_json::from_str(&FollowUpBoss::describe()).unwrap()
}

#[test]
fn the_manifest_is_right() {
    assert_manifest::<FollowUpBoss>();
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

/// A verb that the manifest does not name is refused without asking the app, and
/// one that it names is not.
#[test]
fn the_manifest_names_the_verbs_that_there_are() {
    for (entity, offer) in manifest()["entities"].as_object().unwrap() {
        let app = FakeApp::new()
            .answer(|_| Some(Reply::json(200, json!({"id": 1}))))
            .credential_field("userId", "7")
            .start();
        let write = || Write::of(json!({}));
        let answers = [
            ("get", FollowUpBoss::get(entity, &["1".into()]).map(|_| ())),
            ("create", FollowUpBoss::create(entity, write()).map(|_| ())),
            (
                "update",
                FollowUpBoss::update(entity, "1", write()).map(|_| ()),
            ),
            ("delete", FollowUpBoss::delete(entity, "1", "key")),
        ];
        let verbs = offer["verbs"].as_array().unwrap();
        let mut asked = 0;
        for (verb, answer) in answers {
            let refused = matches!(answer, Err(Error::Unsupported(_)));
            assert_eq!(refused, !verbs.contains(&json!(verb)), "{verb} of {entity}");
            asked += usize::from(!refused);
        }
        assert!(app.requests().len() >= asked, "{entity}");
        assert!(verbs.contains(&json!("list")), "{entity}");
    }
}
