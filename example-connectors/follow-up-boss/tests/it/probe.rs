//! Whose key it is.

use follow_up_boss::FollowUpBoss;
use rollout_connector::testing::{FakeApp, Reply};
use rollout_connector::{Account, Auth, Error};
use serde_json::{Value, json};

use crate::API;

fn probe(status: u16, body: &Value) -> Result<Account, Error> {
    let app = FakeApp::new()
        .on(&format!("GET {API}/identity"), Reply::json(status, body))
        .start();
    let account = FollowUpBoss::probe();
    assert!(app.requests()[0].authenticate);
    account
}

#[test]
fn an_account_is_named_by_user_and_company() {
    let account = probe(
        200,
        &json!({
            "account": {"id": 1, "domain": "sunrise", "name": "Sunrise Realty", "owner": {"name": "Tom Minch", "email": "tom@sunrise.example"}},
            "user": {"id": 7, "name": "Ana Souza", "email": "ana@sunrise.example", "role": "Agent", "isOwner": false, "isAdmin": false},
        }),
    )
    .unwrap();
    assert_eq!(account.label, "Ana Souza (Sunrise Realty)");
    assert_eq!(account.external_id, "1:7");
    let fields: Vec<(&str, &str)> = account
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        fields,
        [
            ("accountId", "1"),
            ("userId", "7"),
            ("accountName", "Sunrise Realty"),
            ("domain", "sunrise"),
            ("userName", "Ana Souza"),
            ("userEmail", "ana@sunrise.example"),
            ("userRole", "Agent"),
            ("isOwner", "false"),
        ]
    );
}

#[test]
fn two_users_of_one_account_are_two_credentials() {
    let identity = |user| probe(200, &json!({"account": {"id": 1}, "user": {"id": user}})).unwrap();
    assert_ne!(identity(1).external_id, identity(2).external_id);
    assert_eq!(identity(1).label, "Account 1");
}

#[test]
fn label_falls_back_to_what_there_is() {
    let labelled = |account: Value, user: Value| {
        let mut body = json!({"account": {"id": 1}, "user": {"id": 2}});
        body["account"]["domain"] = account;
        body["user"]["email"] = user;
        probe(200, &body).unwrap().label
    };
    assert_eq!(
        labelled(json!("sunrise"), json!("a@x.example")),
        "a@x.example (sunrise)"
    );
    assert_eq!(labelled(json!(" "), json!("a@x.example")), "a@x.example");
}

#[test]
fn a_bad_key_is_unauthorized() {
    let said = json!({"errorMessage": "Missing or invalid API credentials."});
    assert_eq!(
        probe(401, &said),
        Err(Error::Unauthorized(
            "Missing or invalid API credentials.".into()
        ))
    );
    assert!(matches!(probe(403, &said), Err(Error::Forbidden(_))));
}

#[test]
fn an_answer_without_ids_is_not_believed() {
    for body in [
        json!({}),
        json!({"account": {"id": 1}}),
        json!({"account": [], "user": {"id": 7}}),
        json!("hello"),
    ] {
        assert!(matches!(probe(200, &body), Err(Error::Upstream(_))));
    }
}
