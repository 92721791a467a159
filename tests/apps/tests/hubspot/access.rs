use rollout_test_apps::hubspot::{Config, PrivateApp, READ, RateLimits, Simulator};
use serde_json::json;

use super::{Api, CONTACTS, unlimited};

#[tokio::test]
async fn a_token_is_needed_and_sees_what_its_scopes_allow() {
    let reader = PrivateApp::new("pat-reader", &["oauth", READ]);
    let other = PrivateApp::new("pat-other", &["oauth"]);
    let config = Config::default().private_app(reader).private_app(other);
    let simulator = Simulator::start(config.contacts(3)).unwrap();
    for token in [None, Some("pat-wrong")] {
        let answer = Api::with_token(&simulator, token).get(CONTACTS).await;
        assert_eq!(answer.refused(401).0, "INVALID_AUTHENTICATION");
        assert_eq!(answer.header("x-hubspot-ratelimit-max"), None);
    }
    let reader = Api::with_token(&simulator, Some("pat-reader"));
    reader.get(CONTACTS).await.ok();
    reader.search(json!({})).await.ok();
    let refused = reader.create(json!({"firstname": "A"})).await;
    assert_eq!(refused.refused(403).0, "MISSING_SCOPES");
    let scopes = &refused.json()["errors"][0]["context"]["requiredGranularScopes"];
    assert_eq!(*scopes, json!(["crm.objects.contacts.write"]));
    let other = Api::with_token(&simulator, Some("pat-other"));
    other.get(CONTACTS).await.refused(403);
    let details = other.get("/account-info/v3/details").await.ok();
    assert_eq!(details["portalId"], 62515);
}

#[tokio::test]
async fn requests_and_searches_have_windows_of_their_own() {
    let limits = RateLimits {
        burst: Some(2),
        search: Some(1),
        daily: Some(250_000),
    };
    let simulator = Simulator::start(Config::default().limits(limits)).unwrap();
    let api = Api::new(&simulator);
    for remaining in ["1", "0"] {
        let answer = api.get(CONTACTS).await;
        assert_eq!(answer.header("x-hubspot-ratelimit-max"), Some("2"));
        assert_eq!(
            answer.header("x-hubspot-ratelimit-remaining"),
            Some(remaining)
        );
        let interval = answer.header("x-hubspot-ratelimit-interval-milliseconds");
        assert_eq!(interval, Some("10000"));
        assert!(
            answer
                .header("x-hubspot-ratelimit-daily-remaining")
                .is_some()
        );
    }
    let refused = api.create(json!({"firstname": "A"})).await;
    refused.refused(429);
    assert_eq!(refused.json()["policyName"], "TEN_SECONDLY_ROLLING");
    assert_eq!(refused.header("retry-after"), None);
    assert!(simulator.contacts().is_empty(), "it was not processed");

    let found = api.search(json!({})).await;
    found.ok();
    assert_eq!(found.header("x-hubspot-ratelimit-max"), None);
    let refused = api.search(json!({})).await;
    refused.refused(429);
    assert_eq!(refused.json()["policyName"], "SECONDLY");
}

#[tokio::test]
async fn a_day_can_be_used_up() {
    let limits = RateLimits {
        daily: Some(1),
        ..RateLimits::off()
    };
    let simulator = Simulator::start(Config::default().limits(limits)).unwrap();
    let api = Api::new(&simulator);
    api.get(CONTACTS).await.ok();
    let refused = api.get(CONTACTS).await;
    refused.refused(429);
    assert_eq!(refused.json()["policyName"], "DAILY");
}

#[tokio::test]
async fn faults_are_served_once_and_everything_is_logged() {
    let simulator = unlimited(1);
    let api = Api::new(&simulator);
    simulator.fail_next(1, 423, &json!({"status": "error", "message": "locked"}));
    assert_eq!(api.get(CONTACTS).await.status, 423);
    api.get(&format!("{CONTACTS}?limit=1")).await.ok();
    let requests = simulator.requests();
    let statuses: Vec<u16> = requests.iter().map(|request| request.status).collect();
    assert_eq!(statuses, [423, 200]);
    assert!(requests.iter().all(|request| request.path == CONTACTS));
    // Done, and not told.
    simulator.lose_next(502);
    let lost = api.create(json!({"firstname": "Lost"})).await;
    assert_eq!((lost.status, simulator.contacts().len()), (502, 2));
}

#[tokio::test]
async fn unknown_places_and_bodies_are_refused() {
    let simulator = unlimited(1);
    let api = Api::new(&simulator);
    for path in [
        "/crm/v3/objects/deals",
        "/crm/v3/objects/contactsx",
        "/nothing",
    ] {
        assert_eq!(api.get(path).await.refused(404).0, "OBJECT_NOT_FOUND");
    }
    assert_eq!(
        api.post("/crm/v3/objects/contacts/x", json!({}))
            .await
            .status,
        405
    );
    api.post(CONTACTS, json!([])).await.refused(400);
    api.post(CONTACTS, json!({})).await.refused(400);
    let properties = api.get("/crm/v3/properties/contacts").await.ok();
    assert!(properties["results"].as_array().unwrap().len() > 20);
}
