//! The raw proxy: the connected app's own API under the credential's name.

use reqwest::Method;
use rollout_test_apps::follow_up_boss::{AccountConfig, Config, Dataset};
use serde_json::{Value, json};

use crate::fixtures::{API_KEY, Answer, Client, Shared, Stage, app_of};

/// A key as long as the app's are: shorter ones are blanked in errors and logs only.
const LONG_KEY: &str = "fka_0123456789abcdefghijklmnopqrstuv";

static STAGE: Shared = Shared::new();

async fn stage() -> &'static Stage {
    STAGE
        .get(|| {
            let config = Config::new(Dataset::demo());
            let other = AccountConfig::new(Dataset::demo()).id(2);
            Stage::set(app_of(config.account(other.key(LONG_KEY, 1))))
        })
        .await
}

/// A bearer of a token with `scope: "proxy"`, and the account of that consumer.
async fn account(consumer: &str) -> (Client, Client) {
    let host = &stage().await.host;
    let account = host.client(consumer).connect(API_KEY).await;
    let mut claims = host.keys().claims(consumer);
    claims["scope"] = json!("proxy");
    (host.client_with_token(&host.keys().sign(&claims)), account)
}

fn through(account: &Client, path: &str) -> String {
    format!("/api/proxy/{}{path}", account.credential())
}

#[tokio::test]
async fn the_apps_own_answers_come_through() {
    let (proxy, account) = account("proxy-reads").await;
    let path = through(&account, "/v1/people?limit=2&sort=id&fields=id%2Cname");
    let answer = proxy.get(&path).await;
    let listed = answer.ok();
    assert_eq!(listed["_metadata"]["limit"], 2, "{listed}");
    assert_eq!(listed["people"].as_array().unwrap().len(), 2);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert!(answer.headers.contains_key("x-request-id"));
    // So do its refusals.
    let missing = proxy.get(&through(&account, "/v1/people/99999999")).await;
    assert_eq!(missing.status, 404, "{}", missing.text);
    assert!(missing.text.contains("errorMessage"), "{}", missing.text);
    // An environment's token will do as well.
    let host = &stage().await.host;
    let admin = host.client_with_token(&host.keys().admin_token());
    admin.get(&through(&account, "/v1/identity")).await.ok();
}

#[tokio::test]
async fn what_is_written_arrives() {
    let (proxy, account) = account("proxy-writes").await;
    let person = json!({"firstName": "Raw", "lastName": "Proxy", "tags": ["From the proxy"]});
    let made = proxy.post(&through(&account, "/v1/people"), person).await;
    let made = made.with(201);
    let id = made["id"].as_u64().unwrap();
    let path = through(&account, &format!("/v1/people/{id}"));
    let changed = proxy.put(&path, json!({"firstName": "Changed"})).await.ok();
    assert_eq!(changed["firstName"], "Changed");
    let stored = stage().await.app.person(id).expect("the person is there");
    assert_eq!(stored["firstName"], "Changed");
    assert_eq!(proxy.delete(&path).await.status, 204);
}

#[tokio::test]
async fn secrets_stay_here() {
    let (proxy, _) = account("proxy-secrets").await;
    let client = stage().await.host.client("proxy-secrets");
    let account = client.connect(LONG_KEY).await;
    // The app tells the key to whoever has it.
    let answer = proxy.get(&through(&account, "/v1/me")).await;
    let me: Value = answer.ok();
    assert!(me.get("apiKey").is_some(), "{me}");
    assert!(!answer.text.contains(LONG_KEY), "{}", answer.text);
    // What the product sends as its own never gets there: its token would be the
    // app's to read, and another credential would be used.
    let request = proxy.request(Method::GET, &through(&account, "/v1/identity"));
    let request = request.header("Cookie", "session=1");
    let request = request.header("X-Forwarded-Host", "evil.example");
    Answer::to(request).await.ok();
}

#[tokio::test]
async fn only_the_apps_host_is_reached() {
    let (proxy, account) = account("proxy-hosts").await;
    for path in [
        "//evil.example/v1/people",
        "/@evil.example/",
        "/..%2f..%2fevil.example/",
        "/:443@evil.example/",
        "/v1/../../people",
        "/",
    ] {
        let answer = proxy.get(&through(&account, path)).await;
        assert!(
            [400, 404].contains(&answer.status),
            "{path}: {} {}",
            answer.status,
            answer.text
        );
        assert!(!answer.text.contains("<html"), "{}", answer.text);
    }
}

#[tokio::test]
async fn others_are_refused() {
    let (proxy, mine) = account("proxy-mine").await;
    let (_, foreign) = account("proxy-foreign").await;
    let path = "/v1/identity";
    let refused = proxy.get(&through(&foreign, path)).await;
    refused.refused(403, "invalid_credential");
    let unknown = "/api/proxy/00000000-0000-8000-8000-000000000000/v1/identity";
    let body = proxy.get(unknown).await.refused(403, "invalid_credential");
    assert_eq!(
        body["errorMessage"],
        refused.refused(403, "invalid_credential")["errorMessage"]
    );
    // A consumer's everyday token reaches normalised records only.
    let host = &stage().await.host;
    let everyday = host.client("proxy-mine");
    let answer = everyday.get(&through(&mine, path)).await;
    answer.refused(403, "forbidden");
    let stranger = host.stranger().get(&through(&mine, path)).await;
    stranger.refused(401, "unauthorized");
    let body = "x".repeat(11 * 1024 * 1024);
    let request = proxy.request(Method::POST, &through(&mine, "/v1/people"));
    let large = Answer::to(request.body(body)).await;
    large.refused(413, "body_too_large");
}
