//! A host whose accounts are connected by signing in, and a person who does.

use reqwest::redirect::Policy;
use rollout_test_apps::follow_up_boss::{OAuthApp, PASSWORD, Simulator};
use serde_json::{Value, json};

use crate::fixtures::{Answer, Client, HostUnderTest, Setup, until};

/// Where the connector believes the login pages to be.
pub const LOGIN_ORIGIN: &str = "https://app.followupboss.com";

/// Traffic meant for the app's login pages goes to the simulator, too.
pub fn setup(app: &Simulator) -> Setup {
    let login = format!("dev.upstreams.\"{LOGIN_ORIGIN}\"");
    Setup::against(app)
        .set(&login, app.url())
        .set("sync.poll_interval", "1h")
}

/// Gives a host's environment `dev` the app's client, and the app the host's address.
pub async fn configure(app: &Simulator, host: &HostUnderTest) {
    let client = OAuthApp::default();
    let folder = crate::fixtures::built().connector.display().to_string();
    host.rollout_ok(&[
        "connector",
        "configure",
        "follow-up-boss",
        "--env",
        "dev",
        "--connectors",
        &folder,
        &format!("clientId={}", client.client_id),
        &format!("clientSecret={}", client.client_secret),
    ]);
    know(app, host);
    let client = host.client("whoever");
    until("the plan is offered", async || {
        let listed = client.get("/api/connectors").await.ok();
        let plan = &listed["follow-up-boss"]["authByPlan"]["oauth"];
        (plan["type"] == "oauth2").then_some(())
    })
    .await;
}

/// Has the app send people back to where the host is now.
pub fn know(app: &Simulator, host: &HostUnderTest) {
    let redirect = format!("{}/api/oauth/redirect", host.url());
    app.change_oauth(|client| client.redirect_uris.push(redirect));
}

/// A sign-in that a consumer began.
pub struct Begun {
    pub url: String,
    pub request_id: String,
}

/// Begins a sign-in.
pub async fn begin(client: &Client) -> Begun {
    let body = json!({"appKey": "follow-up-boss", "entitiesToSync": {"notes": true}});
    let begun = client.post("/api/oauth/authorize-url", body).await.ok();
    Begun {
        url: begun["url"].as_str().unwrap().to_owned(),
        request_id: begun["requestId"].as_str().unwrap().to_owned(),
    }
}

/// The value of a parameter of an address.
pub fn parameter(address: &str, name: &str) -> Option<String> {
    let address = reqwest::Url::parse(address).unwrap();
    let mut pairs = address.query_pairs();
    pairs
        .find(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
}

/// Has the owner sign in and answer the consent page: `approved` or `denied`. Answers
/// where the browser is sent.
pub async fn answer_consent(app: &Simulator, url: &str, answer: &str) -> String {
    let browser = reqwest::Client::builder()
        .redirect(Policy::none())
        .build()
        .unwrap();
    let at_simulator = url.replace(LOGIN_ORIGIN, app.url());
    let login = browser.get(&at_simulator).send().await.unwrap();
    let login = login.text().await.unwrap();
    let mut form = hidden(&login);
    assert!(!form.is_empty(), "{login}");
    form.push(("email".to_owned(), owner(app)));
    form.push(("password".to_owned(), PASSWORD.to_owned()));
    let consent = submit(&browser, app, "/oauth/login", &form).await;
    let consent = consent.text().await.unwrap();
    let mut form = hidden(&consent);
    assert!(!form.is_empty(), "{consent}");
    form.push(("answer".to_owned(), answer.to_owned()));
    let sent = submit(&browser, app, "/oauth/consent", &form).await;
    assert_eq!(sent.status(), 302);
    sent.headers()["location"].to_str().unwrap().to_owned()
}

/// Sends a form as browsers do.
async fn submit(
    browser: &reqwest::Client,
    app: &Simulator,
    path: &str,
    form: &[(String, String)],
) -> reqwest::Response {
    let address = format!("{}{path}", app.url());
    let filled = reqwest::Url::parse_with_params(&address, form).unwrap();
    let body = filled.query().unwrap_or_default().to_owned();
    let request = browser
        .post(address)
        .header("content-type", "application/x-www-form-urlencoded");
    request.body(body).send().await.unwrap()
}

fn owner(app: &Simulator) -> String {
    let users = app.all(rollout_test_apps::follow_up_boss::Kind::Users);
    let owner = users.iter().find(|user| user["isOwner"] == true);
    owner.expect("an owner")["email"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The hidden fields of a form.
pub fn hidden(page: &str) -> Vec<(String, String)> {
    let inputs = page.split("<input type=\"hidden\" ").skip(1);
    let value = |input: &str, name: &str| {
        let (_, rest) = input.split_once(&format!("{name}=\"")).unwrap();
        let (value, _) = rest.split_once('"').unwrap();
        value
            .replace("&quot;", "\"")
            .replace("&lt;", "<")
            .replace("&amp;", "&")
    };
    inputs
        .map(|input| (value(input, "name"), value(input, "value")))
        .collect()
}

/// Opens an address of the host as a browser does: without a token.
pub async fn open(host: &HostUnderTest, address: &str) -> Answer {
    let (_, path) = address.split_once("/api/oauth").unwrap();
    host.stranger().get(&format!("/api/oauth{path}")).await
}

/// What the page posts to the one that opened it; none if it posts nothing.
#[track_caller]
pub fn posted(page: &Answer) -> Option<Value> {
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8"),
        "{}",
        page.text
    );
    let (_, rest) = page.text.split_once("postMessage(")?;
    let (message, _) = rest.split_once(", \"*\")").unwrap();
    Some(serde_json::from_str::<Value>(message).unwrap()["_rollout"].clone())
}

/// A refusal of this status, told to the window that began the sign-in; answers the
/// words.
#[track_caller]
pub fn refused(page: &Answer, status: u16, begun: &Begun) -> String {
    assert_eq!(page.status, status, "{}", page.text);
    let posted = posted(page).expect("the window is told");
    assert_eq!(posted["type"], "credential-added");
    assert_eq!(posted["requestId"], begun.request_id);
    assert_eq!(posted["ok"], false);
    posted["error"].as_str().unwrap().to_owned()
}

/// Signs a consumer's account in, from beginning to end.
pub async fn sign_in(app: &Simulator, host: &HostUnderTest, client: &Client) -> Client {
    let begun = begin(client).await;
    let back = answer_consent(app, &begun.url, "approved").await;
    let page = open(host, &back).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let posted = posted(&page).unwrap();
    assert_eq!(posted["requestId"], begun.request_id);
    client.of(posted["credential"]["id"].as_str().unwrap())
}
