//! What accounts are connected with, in clear: handed out where the environment allows
//! it, written back, and taken over from elsewhere.

use std::time::Duration;

use reqwest::Method;
use rollout_test_apps::follow_up_boss::{
    AccountConfig, Config, Dataset, Fault, Hold, OAuthApp, Simulator,
};
use serde_json::{Value, json};

use crate::fixtures::{
    API_KEY, Answer, Client, HostUnderTest, PATIENCE, Setup, app, app_of, until, within,
};
use crate::oauth_stage::{configure, setup as oauth_setup, sign_in};

/// A second key of the owner, and that of another account's.
const SECOND_KEY: &str = "fka_owner_again";
const OTHER_KEY: &str = "fka_other_account";
/// What serving hosts may take to notice.
const SOON: Duration = Duration::from_secs(2);

/// A host with two accounts at the app; the owner of the first has two keys.
async fn with_keys() -> (Simulator, HostUnderTest) {
    let first = AccountConfig::new(Dataset::demo())
        .key(API_KEY, 1)
        .key(SECOND_KEY, 1);
    let other = AccountConfig::new(Dataset::demo()).id(2).key(OTHER_KEY, 1);
    let app = app_of(Config::of(first).account(other));
    let host = HostUnderTest::start(Setup::against(&app)).await;
    (app, host)
}

/// A host with an account that is connected by signing in.
async fn signed_in(change: impl FnOnce(Setup) -> Setup) -> (Simulator, HostUnderTest, Client) {
    let app = app(Dataset::demo());
    let host = HostUnderTest::start(change(oauth_setup(&app))).await;
    configure(&app, &host).await;
    allow(&host, "on").await;
    let account = sign_in(&app, &host, &host.client("alice")).await;
    (app, host, account)
}

/// The same, synced.
async fn with_tokens() -> (Simulator, HostUnderTest, Client) {
    let (app, host, account) = signed_in(|setup| setup).await;
    account.wait_synced(account.credential()).await;
    app.clear_requests();
    (app, host, account)
}

/// Allows it or not, and waits until the host knows.
async fn allow(host: &HostUnderTest, switch: &str) {
    host.rollout_ok(&["env", "set", "dev", "--include-data", switch]);
    let status = if switch == "on" { 200 } else { 403 };
    let client = host.client("whoever");
    let known = until("the host knows", async || {
        let answer = client.get("/api/credentials?includeData=true").await;
        (answer.status == status).then_some(())
    });
    within(SOON, "the host knows", known).await;
}

fn path_of(account: &Client) -> String {
    format!("/api/credentials/{}", account.credential())
}

async fn data(account: &Client) -> Value {
    let path = format!("{}?includeData=true", path_of(account));
    account.get(&path).await.ok()["data"].clone()
}

async fn patch(account: &Client, data: Value) -> Answer {
    let body = json!({ "currentData": data });
    let request = account.request(Method::PATCH, &path_of(account));
    Answer::to(request.json(&body)).await
}

/// New tokens, as a product gets them that asks the app by itself.
async fn refreshed(app: &Simulator, refresh: &Value) -> Value {
    let client = OAuthApp::default();
    let refresh = refresh.as_str().unwrap();
    let answer = reqwest::Client::new()
        .post(format!("{}/oauth/token", app.url()))
        .basic_auth(client.client_id, Some(client.client_secret))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("grant_type=refresh_token&refresh_token={refresh}"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

async fn write(account: &Client) -> Answer {
    let person = json!({"firstName": "Ada", "lastName": "Byron"});
    account.post("/crm/api/people", person).await
}

#[tokio::test]
async fn keys_are_shown_only_where_that_is_allowed() {
    let (_app, host) = with_keys().await;
    let account = host.client("alice").connect(API_KEY).await;
    let list = "/api/credentials?includeData=true";
    let one = format!("{}?includeData=true", path_of(&account));
    for client in [&account, &host.admin()] {
        for path in [list, one.as_str()] {
            let body = client.get(path).await.refused(403, "include_data_off");
            let words = body["errorMessage"].as_str().unwrap();
            assert!(words.contains("rollout env set"), "{words}");
        }
        let shown = client.get(&path_of(&account)).await;
        assert!(!shown.text.contains(API_KEY), "{}", shown.text);
    }
    patch(&account, json!({"apiKey": SECOND_KEY}))
        .await
        .refused(403, "include_data_off");

    allow(&host, "on").await;
    for client in [&account, &host.admin()] {
        for path in [list, one.as_str()] {
            let answer = client.get(path).await;
            let shown = answer.ok();
            let shown = shown.get(0).unwrap_or(&shown);
            assert_eq!(shown["data"]["apiKey"], API_KEY);
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            let id = answer.header("x-request-id").unwrap().to_owned();
            let told = until("it is in the log", async || {
                let log = host.log();
                let mut lines = log.lines();
                let told = |line: &&str| line.contains("handed out") && line.contains(&id);
                lines.find(told).map(str::to_owned)
            })
            .await;
            assert!(told.contains(account.credential()), "{told}");
        }
    }
    let plain = account.get(&path_of(&account)).await.ok();
    assert!(plain.get("data").is_none());
    account
        .get("/api/credentials?includeData=yes")
        .await
        .refused(400, "invalid_query");
    assert!(!host.log().contains(API_KEY));
    let listed = host.rollout_ok(&["env", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["includeData"], true);

    allow(&host, "off").await;
    account.get(list).await.refused(403, "include_data_off");
}

#[tokio::test]
async fn a_key_is_written_back_for_the_same_account_only() {
    let (_app, host) = with_keys().await;
    allow(&host, "on").await;
    let account = host.client("alice").connect_synced(API_KEY).await;
    for (value, pointer) in [
        (json!({"apikey": "x"}), "/currentData/apikey"),
        (json!({"apiKey": ""}), "/currentData/apiKey"),
        (json!({"apiKey": 5}), "/currentData/apiKey"),
        (
            json!({"apiKey": "x".repeat(10 * 1024 + 1)}),
            "/currentData/apiKey",
        ),
        (json!({"apiKey": "a\nb"}), "/currentData/apiKey"),
    ] {
        let answer = patch(&account, value).await;
        answer.refused_at("invalid_inputs", pointer);
    }
    let request = account.request(Method::PATCH, &path_of(&account));
    for (body, pointer) in [
        (json!({}), "/currentData"),
        (json!({"currentData": "x"}), "/currentData"),
        (json!({"currentData": {}, "data": {}}), "/data"),
    ] {
        let request = request.try_clone().unwrap().json(&body);
        Answer::to(request)
            .await
            .refused_at("invalid_body", pointer);
    }
    patch(&account, json!({"apiKey": OTHER_KEY}))
        .await
        .refused(409, "conflict");
    patch(&account, json!({"apiKey": "fka_wrong"}))
        .await
        .refused(400, "invalid_credentials");
    assert_eq!(data(&account).await["apiKey"], API_KEY);

    let written = patch(&account, json!({"apiKey": SECOND_KEY})).await.ok();
    assert_eq!(written["id"], account.credential());
    assert!(written.get("data").is_none());
    assert_eq!(data(&account).await["apiKey"], SECOND_KEY);
    write(&account).await.with(201);
}

#[tokio::test]
async fn tokens_that_the_product_got_itself_are_used_from_then_on() {
    let (app, host, account) = with_tokens().await;
    let shown = data(&account).await;
    for name in ["accessToken", "refreshToken", "expiresAt"] {
        assert!(shown[name].is_string(), "{shown}");
    }
    assert_eq!(shown.as_object().unwrap().len(), 3, "{shown}");
    let new = refreshed(&app, &shown["refreshToken"]).await;
    app.end_access();
    let new = refreshed(&app, &new["refresh_token"]).await;
    app.clear_requests();
    let sent = json!({
        "accessToken": new["access_token"],
        "refreshToken": new["refresh_token"],
        "expiresAt": "2999-01-01T00:00:00Z",
    });
    let written = patch(&account, sent.clone()).await.ok();
    assert_eq!(written["status"], "ok");
    let shown = data(&account).await;
    for (name, value) in sent.as_object().unwrap() {
        assert_eq!(shown[name], *value);
    }
    // All that was told may be sent back, and changes nothing.
    patch(&account, shown).await.ok();
    write(&account).await.with(201);
    let asked = app.requests();
    assert!(
        asked.iter().all(|one| one.path != "/oauth/token"),
        "{asked:?}"
    );
    // And the host goes on from there by itself.
    app.end_access();
    write(&account).await.with(201);
    assert_ne!(data(&account).await["accessToken"], sent["accessToken"]);
    for (value, pointer) in [
        (json!({"expiresAt": "tomorrow"}), "/currentData/expiresAt"),
        (json!({"accessToken": 5}), "/currentData/accessToken"),
        (json!({"clientSecret": "x"}), "/currentData/clientSecret"),
    ] {
        let answer = patch(&account, value).await;
        answer.refused_at("invalid_inputs", pointer);
    }
    patch(&account, json!({"accessToken": "stale"}))
        .await
        .refused(400, "invalid_credentials");
    drop(host);
}

#[tokio::test]
async fn what_was_made_from_tokens_that_were_replaced_meanwhile_is_refused() {
    let (app, _host, account) = with_tokens().await;
    let before = data(&account).await;
    // Its proof is under way while the host replaces the tokens.
    let hold = Hold::new();
    app.fail_next_at("/v1/identity", 1, Fault::Held(hold.clone()));
    let patching = tokio::spawn({
        let account = account.clone();
        let sent = json!({
            "accessToken": before["accessToken"],
            "expiresAt": "2999-01-01T00:00:00Z",
        });
        async move { patch(&account, sent).await }
    });
    within(PATIENCE, "the app's turn", hold.reached()).await;
    app.fail_next_at("/v1/people", 1, Fault::Status(401));
    write(&account).await.with(201);
    hold.release();
    patching.await.unwrap().refused(409, "conflict");
    let after = data(&account).await;
    assert_ne!(after["accessToken"], before["accessToken"]);
    assert_ne!(after["expiresAt"], "2999-01-01T00:00:00Z");
    write(&account).await.with(201);
}

fn importing(data: Value) -> Value {
    json!({
        "consumerKey": "moved",
        "appKey": "followupboss",
        "data": data,
        "entitiesToSync": {"notes": true},
    })
}

#[tokio::test]
async fn keys_are_taken_over_from_another_service() {
    let (_app, host) = with_keys().await;
    let admin = host.admin();
    let import = "/api/credentials/import";
    let mut good = importing(json!({"apiKey": API_KEY}));
    host.client("moved")
        .post(import, good.clone())
        .await
        .refused(403, "forbidden");
    for (data, pointer) in [
        (json!({}), "/data/apiKey"),
        (json!({"apiKey": 5}), "/data/apiKey"),
        (
            json!({"apiKey": API_KEY, "accessToken": "x"}),
            "/data/accessToken",
        ),
    ] {
        let answer = admin.post(import, importing(data)).await;
        answer.refused_at("invalid_inputs", pointer);
    }
    for (field, value) in [
        ("consumerKey", Value::Null),
        ("consumerKey", json!("")),
        ("consumerKey", json!("x".repeat(513))),
        ("consumerKey", json!("a\0b")),
        ("appKey", Value::Null),
        ("data", Value::Null),
        ("data", json!([])),
        ("plan", json!(1)),
        ("id", json!("01")),
    ] {
        let mut bad = good.clone();
        bad[field] = value;
        let answer = admin.post(import, bad).await;
        answer.refused_at("invalid_body", &format!("/{field}"));
    }
    let wrong = importing(json!({"apiKey": "fka_wrong"}));
    admin
        .post(import, wrong)
        .await
        .refused(400, "invalid_credentials");
    let moved = host.client("moved");
    assert_eq!(moved.get("/api/credentials").await.ok(), json!([]));

    good["plan"] = json!("api-key");
    let shown = admin.post(import, good.clone()).await.ok();
    let account = moved.of(shown["id"].as_str().unwrap());
    account.wait_synced(account.credential()).await;
    write(&account).await.with(201);
    assert!(!account.all("notes", "").await.is_empty());
    // Once more changes nothing.
    let again = admin.post(import, good).await.ok();
    assert_eq!(again["id"], shown["id"]);
}

#[tokio::test]
async fn tokens_are_taken_over_and_renewed_if_they_have_ended() {
    // It only answers: no sync asks for tokens.
    let (app, host, account) = signed_in(|setup| setup.argument("--role=api")).await;
    let (admin, moved) = (host.admin(), host.client("moved"));
    let works = async |account: &Client| {
        let path = format!("/api/proxy/{}/v1/identity", account.credential());
        admin.get(&path).await.ok();
    };
    let import = async |data: Value| {
        let mut body = importing(data);
        body["plan"] = json!("oauth");
        admin.post("/api/credentials/import", body).await
    };
    for (data, pointer) in [
        (json!({}), "/data/accessToken"),
        (json!({"accessToken": ""}), "/data/accessToken"),
        (
            json!({"accessToken": "a", "expiresAt": 7}),
            "/data/expiresAt",
        ),
        (json!({"accessToken": "a", "token": "b"}), "/data/token"),
    ] {
        import(data).await.refused_at("invalid_inputs", pointer);
    }
    for data in [
        json!({"accessToken": "stale"}),
        json!({"accessToken": "stale", "refreshToken": "stale"}),
        json!({"refreshToken": "stale"}),
    ] {
        import(data).await.refused(400, "invalid_credentials");
    }
    assert_eq!(moved.get("/api/credentials").await.ok(), json!([]));

    // What one service hands out another takes over.
    let data = data(&account).await;
    app.clear_requests();
    let shown = import(data.clone()).await.ok();
    let taken = moved.of(shown["id"].as_str().unwrap());
    assert_ne!(taken.credential(), account.credential());
    works(&taken).await;
    let tokens = |app: &Simulator| {
        let requests = app.requests().into_iter();
        requests.filter(|one| one.path == "/oauth/token").count()
    };
    assert_eq!(tokens(&app), 0);

    // One that has ended is replaced first, whether that was said or not.
    let mut refresh = data["refreshToken"].clone();
    for expires in [json!("2020-01-01T00:00:00Z"), Value::Null] {
        app.end_access();
        let ended = json!({
            "accessToken": "ended",
            "refreshToken": refresh,
            "expiresAt": expires,
        });
        app.clear_requests();
        let shown = import(ended).await.ok();
        assert_eq!(shown["id"], taken.credential());
        assert_eq!(tokens(&app), 1);
        works(&taken).await;
        assert_eq!(tokens(&app), 1);
        let path = format!("{}?includeData=true", path_of(&taken));
        let data = taken.get(&path).await.ok()["data"].clone();
        assert_ne!(data["refreshToken"], refresh);
        refresh = data["refreshToken"].clone();
    }
}
