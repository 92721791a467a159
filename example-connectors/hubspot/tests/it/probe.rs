//! Whose token it is.

use hubspot::HubSpot;
use rollout_connector::testing::{FakeApp, Reply};
use rollout_connector::{Account, Auth, Error};
use serde_json::{Value, json};

use crate::CONTACTS;

const DETAILS: &str = "https://api.hubapi.com/account-info/v3/details";

fn probe(details: Reply, contacts: Reply) -> Result<Account, Error> {
    let app = FakeApp::of::<HubSpot>()
        .on(&format!("GET {DETAILS}"), details)
        .on(&format!("GET {CONTACTS}"), contacts)
        .start();
    let account = HubSpot::probe();
    assert!(app.requests().iter().all(|request| request.authenticate));
    account
}

fn empty() -> Reply {
    Reply::json(200, json!({"results": []}))
}

#[test]
fn an_account_is_its_hub() {
    let details = json!({"portalId": 62515, "accountType": "STANDARD", "timeZone": "US/Eastern", "utcOffset": "-05:00", "uiDomain": "app.hubspot.com"});
    let account = probe(Reply::json(200, details), empty()).unwrap();
    assert_eq!(account.external_id, "62515");
    assert_eq!(account.label, "HubSpot account 62515");
    let fields: Vec<(&str, &str)> = account
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(
        fields,
        [
            ("hubId", "62515"),
            ("accountType", "STANDARD"),
            ("timeZone", "US/Eastern"),
        ]
    );
}

#[test]
fn a_bad_token_and_one_without_its_scopes_are_told_apart() {
    let said = |category: &str, message: &str| json!({"status": "error", "category": category, "message": message, "correlationId": "x"});
    let bad = said(
        "INVALID_AUTHENTICATION",
        "Authentication credentials not found.",
    );
    assert_eq!(
        probe(Reply::json(401, &bad), Reply::json(401, &bad)),
        Err(Error::Unauthorized(
            "Authentication credentials not found.".into()
        ))
    );
    let mut narrow = said(
        "MISSING_SCOPES",
        "This app hasn't been granted all required scopes.",
    );
    narrow["errors"] = json!([{"message": "One or more of the following scopes are required.", "context": {"requiredGranularScopes": ["crm.objects.contacts.read"]}}]);
    let details = Reply::json(200, json!({"portalId": 1}));
    assert_eq!(
        probe(details, Reply::json(403, narrow)),
        Err(Error::Forbidden(
            "This app hasn't been granted all required scopes. Scopes needed: crm.objects.contacts.read"
                .into()
        ))
    );
}

#[test]
fn an_answer_that_names_no_account_is_not_believed() {
    for details in [json!({}), json!({"portalId": null}), json!([]), Value::Null] {
        let account = probe(Reply::json(200, &details), empty());
        assert!(
            matches!(account, Err(Error::Upstream(_))),
            "{details}: {account:?}"
        );
    }
}
