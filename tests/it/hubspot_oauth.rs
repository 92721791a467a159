//! A HubSpot account that is connected by signing in.

use reqwest::redirect::Policy;
use rollout_test_apps::hubspot::{EMAIL, OAuthApp, PASSWORD, Simulator};
use serde_json::json;

use crate::fixtures::{HostUnderTest, until};
use crate::hubspot_stage::{LOGIN_ORIGIN, assert_shows, connectors, hubspot, setup, shown};
use crate::oauth_stage::{hidden, open, posted};

/// Gives the host's environment the app's client, and the app the host's address.
async fn configure(app: &Simulator, host: &HostUnderTest) {
    let client = OAuthApp::default();
    host.rollout_ok(&[
        "connector",
        "configure",
        "hubspot",
        "--env",
        "dev",
        "--connectors",
        &connectors().display().to_string(),
        &format!("clientId={}", client.client_id),
        &format!("clientSecret={}", client.client_secret),
    ]);
    let redirect = format!("{}/api/oauth/redirect", host.url());
    app.change_oauth(|client| client.redirect_uris.push(redirect));
    let client = host.client("whoever");
    until("the plan is offered", async || {
        let listed = client.get("/api/connectors").await.ok();
        let plan = &listed["hubspot"]["authByPlan"]["oauth"];
        (plan["type"] == "oauth2").then_some(())
    })
    .await;
}

/// Sends a form as browsers do.
async fn submit(app: &Simulator, path: &str, form: &[(String, String)]) -> reqwest::Response {
    let browser = reqwest::Client::builder()
        .redirect(Policy::none())
        .build()
        .unwrap();
    let address = format!("{}{path}", app.url());
    let filled = reqwest::Url::parse_with_params(&address, form).unwrap();
    let body = filled.query().unwrap_or_default().to_owned();
    let kind = "application/x-www-form-urlencoded";
    let request = browser.post(address).header("content-type", kind);
    request.body(body).send().await.unwrap()
}

/// Has the person sign in and agree. Answers where the browser is sent.
async fn agree(app: &Simulator, url: &str) -> String {
    let login = reqwest::get(url.replace(LOGIN_ORIGIN, &app.url()));
    let login = login.await.unwrap().text().await.unwrap();
    let mut form = hidden(&login);
    form.push(("email".to_owned(), EMAIL.to_owned()));
    form.push(("password".to_owned(), PASSWORD.to_owned()));
    let consent = submit(app, "/oauth/login", &form).await;
    let mut form = hidden(&consent.text().await.unwrap());
    form.push(("answer".to_owned(), "approved".to_owned()));
    let sent = submit(app, "/oauth/consent", &form).await;
    assert_eq!(sent.status(), 302);
    sent.headers()["location"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_person_signs_in_and_the_token_is_renewed() {
    let app = hubspot(120);
    let host = HostUnderTest::start(setup(&app).set("sync.poll_interval", "200ms")).await;
    configure(&app, &host).await;
    let client = host.client("alice");
    let begun = client
        .post("/api/oauth/authorize-url", json!({"appKey": "hubspot"}))
        .await
        .ok();
    let back = agree(&app, begun["url"].as_str().unwrap()).await;
    let page = open(&host, &back).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let told = posted(&page).unwrap();
    let account = client.of(told["credential"]["id"].as_str().unwrap());
    let shown_now = account.wait_synced(account.credential()).await;
    assert_eq!(shown_now["plan"], "oauth");
    assert_shows(&shown(&account).await, &app);

    // The access token ends; the refresh token brings another.
    app.end_access();
    let made = app.insert(json!({"firstname": "After", "lastname": "All"}));
    until("the sync goes on", async || {
        shown(&account).await.contains_key(&made).then_some(())
    })
    .await;
    assert!(app.refreshes() >= 1);
    assert_shows(&shown(&account).await, &app);
    let seen = host.log();
    assert!(!seen.contains("refresh-0000"), "a token is in the log");
}
