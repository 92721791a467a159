use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use rollout_test_apps::hubspot::{Config, EMAIL, OAuthApp, PASSWORD, Simulator};
use serde_json::{Value, json};

use super::{Api, CONTACTS};

const BACK: &str = "http://127.0.0.1:8080/api/oauth/redirect";

fn browser() -> Client {
    Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .build()
        .unwrap()
}

async fn submit(simulator: &Simulator, path: &str, form: &[(&str, &str)]) -> Response {
    let address = format!("{}{path}", simulator.url());
    let filled = Url::parse_with_params(&address, form).unwrap();
    let body = filled.query().unwrap_or_default().to_owned();
    let request = browser()
        .post(address)
        .header("content-type", "application/x-www-form-urlencoded");
    request.body(body).send().await.unwrap()
}

fn hidden(page: &str) -> Vec<(String, String)> {
    let value = |input: &str, name: &str| {
        let (_, rest) = input.split_once(&format!("{name}=\"")).unwrap();
        rest.split_once('"').unwrap().0.replace("&amp;", "&")
    };
    page.split("<input type=\"hidden\" ")
        .skip(1)
        .map(|input| (value(input, "name"), value(input, "value")))
        .collect()
}

/// The parameters of the address that a person is sent back to.
async fn signed_in(
    simulator: &Simulator,
    more: &[(&str, &str)],
    answer: &str,
) -> Vec<(String, String)> {
    let app = OAuthApp::default();
    let mut query = vec![
        ("client_id", app.client_id.as_str()),
        ("redirect_uri", BACK),
        (
            "scope",
            "oauth crm.objects.contacts.read crm.objects.contacts.write",
        ),
        ("state", "a b&c"),
    ];
    query.extend(more);
    let address = format!("{}/oauth/authorize", simulator.url());
    let address = Url::parse_with_params(&address, &query).unwrap();
    let login = browser().get(address).send().await.unwrap();
    assert_eq!(login.status(), 200);
    let login = hidden(&login.text().await.unwrap());
    let mut form: Vec<(&str, &str)> = login
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    form.extend([("email", EMAIL), ("password", PASSWORD)]);
    let consent = submit(simulator, "/oauth/login", &form).await;
    let consent = hidden(&consent.text().await.unwrap());
    let mut form: Vec<(&str, &str)> = consent
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    form.push(("answer", answer));
    let sent = submit(simulator, "/oauth/consent", &form).await;
    assert_eq!(sent.status(), 302);
    // The page is good for one answer.
    assert_eq!(
        submit(simulator, "/oauth/consent", &form).await.status(),
        400
    );
    let location = sent.headers()["location"].to_str().unwrap();
    assert!(location.starts_with(BACK), "{location}");
    let location = Url::parse(location).unwrap();
    location.query_pairs().into_owned().collect()
}

async fn code(simulator: &Simulator, more: &[(&str, &str)]) -> String {
    let parameters = signed_in(simulator, more, "approved").await;
    assert_eq!(parameters[1], ("state".into(), "a b&c".into()));
    assert_eq!(parameters[0].0, "code");
    parameters[0].1.clone()
}

async fn token(simulator: &Simulator, more: &[(&str, &str)]) -> (u16, Value) {
    let app = OAuthApp::default();
    let mut form = vec![
        ("client_id", app.client_id.as_str()),
        ("client_secret", app.client_secret.as_str()),
        ("redirect_uri", BACK),
    ];
    form.retain(|(name, _)| more.iter().all(|(other, _)| other != name));
    form.extend(more);
    let answer = submit(simulator, "/oauth/v1/token", &form).await;
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_person_signs_in_and_the_refresh_token_stays() {
    let simulator = Simulator::start(Config::default().contacts(2)).unwrap();
    let code = code(&simulator, &[]).await;
    let grant = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
    ];
    let (status, first) = token(&simulator, &grant).await;
    assert_eq!(status, 200, "{first}");
    assert_eq!(
        (&first["token_type"], &first["expires_in"], &first["hub_id"]),
        (&json!("bearer"), &json!(1800), &json!(62515))
    );
    let access = first["access_token"].as_str().unwrap();
    let answer = Api::with_token(&simulator, Some(access))
        .get(CONTACTS)
        .await;
    answer.ok();
    // Who signed in is not told of the day.
    assert_eq!(answer.header("x-hubspot-ratelimit-daily"), None);
    let info = Api::with_token(&simulator, None);
    let info = info
        .get(&format!("/oauth/v1/access-tokens/{access}"))
        .await
        .ok();
    assert_eq!(
        (&info["user"], &info["hub_id"]),
        (&json!(EMAIL), &json!(62515))
    );

    // A code is good once.
    let (status, refused) = token(&simulator, &grant).await;
    assert_eq!((status, &refused["status"]), (400, &json!("BAD_AUTH_CODE")));

    let refresh = first["refresh_token"].as_str().unwrap();
    let grant = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    for _ in 0..2 {
        let (status, next) = token(&simulator, &grant).await;
        assert_eq!(
            (status, &next["refresh_token"]),
            (200, &first["refresh_token"])
        );
        assert_ne!(next["access_token"], first["access_token"]);
    }
    simulator.uninstall();
    let (status, refused) = token(&simulator, &grant).await;
    assert_eq!(
        (status, &refused["status"]),
        (400, &json!("BAD_REFRESH_TOKEN"))
    );
    assert_eq!(simulator.refreshes(), 3);
}

#[tokio::test]
async fn access_tokens_end() {
    let simulator = Simulator::start(Config::default()).unwrap();
    simulator.change_oauth(|app| app.life = Duration::from_secs(600));
    let code = code(&simulator, &[]).await;
    let grant = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
    ];
    let (_, first) = token(&simulator, &grant).await;
    assert_eq!(first["expires_in"], 600);
    let api = Api::with_token(&simulator, first["access_token"].as_str());
    api.get(CONTACTS).await.ok();
    simulator.end_access();
    let refused = api.get(CONTACTS).await.refused(401);
    assert_eq!(refused.0, "EXPIRED_AUTHENTICATION");
}

#[tokio::test]
async fn a_challenge_that_was_sent_must_be_met() {
    let simulator = Simulator::start(Config::default()).unwrap();
    // The example of RFC 7636.
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let challenge = [
        (
            "code_challenge",
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        ),
        ("code_challenge_method", "S256"),
    ];
    for (sent, expected) in [("wrong", 400), (verifier, 200)] {
        let code = code(&simulator, &challenge).await;
        let grant = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("code_verifier", sent),
        ];
        assert_eq!(token(&simulator, &grant).await.0, expected, "{sent}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let simulator = Simulator::start(Config::default()).unwrap();
    let denied = signed_in(&simulator, &[], "denied").await;
    assert_eq!(denied[0], ("error".into(), "access_denied".into()));

    let app = OAuthApp::default();
    for (client, back, scope) in [
        ("other", BACK, "oauth"),
        (app.client_id.as_str(), "http://elsewhere.example/", "oauth"),
        (app.client_id.as_str(), BACK, "oauth crm.objects.deals.read"),
        (app.client_id.as_str(), BACK, ""),
    ] {
        let address = format!("{}/oauth/authorize", simulator.url());
        let query = [
            ("client_id", client),
            ("redirect_uri", back),
            ("scope", scope),
        ];
        let address = Url::parse_with_params(&address, query).unwrap();
        let page = browser().get(address).send().await.unwrap();
        assert_eq!(page.status(), 400, "{client} {back} {scope}");
    }

    let code = code(&simulator, &[]).await;
    let grant = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
    ];
    let wrong = [("client_secret", "wrong")];
    let (status, refused) = token(&simulator, &[&grant[..], &wrong[..]].concat()).await;
    assert_eq!((status, &refused["status"]), (401, &json!("BAD_CLIENT_ID")));
    let elsewhere = [("redirect_uri", "http://elsewhere.example/")];
    let (status, _) = token(&simulator, &[&grant[..], &elsewhere[..]].concat()).await;
    assert_eq!(status, 400);
    assert_eq!(
        token(&simulator, &[("grant_type", "password")]).await.0,
        400
    );
    // JSON is no form.
    let body = json!({"grant_type": "refresh_token"});
    let answer = Api::with_token(&simulator, None)
        .post("/oauth/v1/token", body)
        .await;
    assert_eq!(answer.status, 415);
}
