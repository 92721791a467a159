//! Connecting an account by signing in: what the window ends on, however it ends.

use rollout_test_apps::follow_up_boss::{Dataset, Fault, OAuthApp, Simulator};
use serde_json::json;
use sqlx::{ConnectOptions, Connection};

use crate::fixtures::{API_KEY, HostUnderTest, Setup, app};
use crate::oauth_stage::{
    answer_consent, begin, configure, open, parameter, posted, refused, setup, sign_in,
};

async fn stage(change: impl FnOnce(Setup) -> Setup) -> (Simulator, HostUnderTest) {
    let app = app(Dataset::demo());
    let host = HostUnderTest::start(change(setup(&app))).await;
    configure(&app, &host).await;
    (app, host)
}

#[tokio::test]
async fn an_account_is_connected_by_signing_in() {
    let (app, host) = stage(|setup| setup.set("log.level", "debug")).await;
    let client = host.client("alice");
    let begun = begin(&client).await;
    let redirect = format!("{}/api/oauth/redirect", host.url());
    let asked = |name: &str| parameter(&begun.url, name);
    assert_eq!(asked("response_type").as_deref(), Some("auth_code"));
    assert_eq!(asked("redirect_uri"), Some(redirect));
    assert_eq!(asked("prompt").as_deref(), Some("login"));
    assert_eq!(asked("client_secret"), None);
    let back = answer_consent(&app, &begun.url, "approved").await;
    let page = open(&host, &back).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("cross-origin-opener-policy"), None);
    let told = posted(&page).unwrap();
    assert_eq!(told["type"], "credential-added");
    assert_eq!(told["requestId"], begun.request_id);
    assert_eq!(told["ok"], true);
    let id = told["credential"]["id"].as_str().unwrap();

    let shown = client.wait_synced(id).await;
    assert_eq!(shown["plan"], "oauth");
    assert_eq!(shown["entitiesToSync"], json!({"notes": true}));
    let requests = app.requests();
    let of_api = requests
        .iter()
        .filter(|request| request.path.starts_with("/v1"));
    for request in of_api {
        let sent = request.authorization.as_deref().unwrap();
        assert!(sent.starts_with("Bearer access-"), "{sent}");
    }
    // Signing in again is how the account is connected again.
    let again = sign_in(&app, &host, &client).await;
    assert_eq!(again.credential(), id);
    // So is an API key of the same user, and back.
    let by_key = client.connect(API_KEY).await;
    assert_eq!(by_key.credential(), id);
    let mut sql = host.sql().await;
    assert_eq!(sql.count("host_tokens").await, 0);
    let again = sign_in(&app, &host, &client).await;
    assert_eq!(again.credential(), id);
    assert_eq!(sql.count("host_tokens").await, 1);
    // Another consumer's is another credential.
    let other = sign_in(&app, &host, &host.client("bob")).await;
    assert_ne!(other.credential(), id);

    // Nothing of it is lying about.
    let code = parameter(&back, "code").unwrap();
    let mut planted = vec![code, OAuthApp::default().client_secret];
    planted.push(parameter(&begun.url, "state").unwrap());
    let given = ["access-", "refresh-"];
    planted.extend(given.map(|kind| format!("{kind}0000000000")));
    let mut places = vec![("the log".to_owned(), host.log().into_bytes())];
    for file in std::fs::read_dir(host.data().join("env")).unwrap() {
        let path = file.unwrap().path();
        places.push((path.display().to_string(), std::fs::read(&path).unwrap()));
    }
    for (place, bytes) in places {
        for secret in &planted {
            let found = bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} is in {place}");
        }
    }
}

#[tokio::test]
async fn the_plan_is_offered_once_its_client_is_set() {
    let app = app(Dataset::demo());
    let host = HostUnderTest::start(setup(&app)).await;
    let client = host.client("alice");
    let listed = client.get("/api/connectors").await.ok();
    let plans = |listed: &serde_json::Value| {
        let plans = listed["follow-up-boss"]["authByPlan"].as_object().unwrap();
        plans.keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(plans(&listed), ["api-key"]);
    let begin_without = json!({"appKey": "follow-up-boss"});
    let refused = client
        .post("/api/oauth/authorize-url", begin_without.clone())
        .await
        .refused_at("invalid_inputs", "/appKey");
    assert!(refused.contains("connector configure"), "{refused}");
    configure(&app, &host).await;
    let listed = client.get("/api/connectors").await.ok();
    assert_eq!(plans(&listed), ["api-key", "oauth"]);
    let connector = &listed["follow-up-boss"];
    assert_eq!(connector["auth"]["type"], "apiToken");
    assert_eq!(
        connector["authByPlan"]["oauth"],
        json!({"type": "oauth2", "userInputsSchema": [], "name": "Sign in"})
    );

    // What does not fit is refused before anybody is sent anywhere.
    let post = async |body| client.post("/api/oauth/authorize-url", body).await;
    post(json!({"appKey": "nothing"}))
        .await
        .refused(400, "unknown_connector");
    post(json!({"appKey": "follow-up-boss", "plan": "nothing"}))
        .await
        .refused(400, "unknown_plan");
    post(json!({"appKey": "follow-up-boss", "plan": "api-key"}))
        .await
        .refused_at("invalid_inputs", "/plan");
    post(json!({"appKey": "follow-up-boss", "customParams": {"a": "b"}}))
        .await
        .refused_at("invalid_inputs", "/customParams/a");
    post(json!({"appKey": "follow-up-boss", "entitiesToSync": {"nothing": true}}))
        .await
        .refused(400, "invalid_inputs");
    let by_inputs = json!({"appKey": "follow-up-boss", "plan": "oauth", "userInputs": {}});
    let said = client
        .post("/api/credentials", by_inputs)
        .await
        .refused_at("invalid_inputs", "/plan");
    assert!(said.contains("/api/oauth/authorize-url"), "{said}");
    let admin = host.admin();
    let answer = admin.post("/api/oauth/authorize-url", begin_without.clone());
    answer.await.refused(403, "forbidden");
    let stranger = host.stranger();
    let answer = stranger.post("/api/oauth/authorize-url", begin_without);
    answer.await.refused(401, "unauthorized");
}

#[tokio::test]
async fn who_refuses_is_not_connected() {
    let (app, host) = stage(|setup| setup).await;
    let client = host.client("alice");
    let begun = begin(&client).await;
    let back = answer_consent(&app, &begun.url, "denied").await;
    assert_eq!(parameter(&back, "error"), None, "it says so in its own way");
    let said = refused(&open(&host, &back).await, 403, &begun);
    assert!(said.contains("Follow Up Boss"), "{said}");

    // The standard's ways.
    for (answer, status) in [
        ("error=access_denied", 403),
        (
            "error=server_error&error_description=%3Cb%3Eoops%3C/b%3E",
            400,
        ),
        ("", 400),
        ("code=", 400),
        ("code=a&code=b", 400),
    ] {
        let begun = begin(&client).await;
        let state = parameter(&begun.url, "state").unwrap();
        let back = format!("/api/oauth/redirect?{answer}&state={state}");
        let page = open(&host, &back).await;
        refused(&page, status, &begun);
        assert!(!page.text.contains("<b>"), "{}", page.text);
    }
    assert_eq!(client.get("/api/credentials").await.ok(), json!([]));
}

#[tokio::test]
async fn whatever_the_token_endpoint_answers_ends_on_a_page() {
    let (app, host) = stage(|setup| setup.set("egress.timeout", "2s")).await;
    let client = host.client("alice");
    let answer = |status, body: &str| Fault::Answer(status, body.to_owned());
    let large = format!("{{\"access_token\":\"{}\"}}", "x".repeat(10 << 20));
    let cases = [
        (answer(400, r#"{"error":"invalid_grant"}"#), 400),
        (answer(401, r#"{"error":"invalid_client"}"#), 502),
        (answer(429, r#"{"error":"slow_down"}"#), 503),
        (answer(500, ""), 502),
        (answer(200, "<html><script>alert(1)</script>"), 502),
        (answer(200, ""), 502),
        (answer(200, "{}"), 502),
        (answer(200, r#"{"access_token":""}"#), 502),
        (answer(200, r#"{"ok":false,"error":"invalid_code"}"#), 502),
        (answer(200, &large), 502),
        (Fault::Truncated, 502),
        (Fault::Lost, 502),
        (Fault::Cut, 502),
        (Fault::Delay(std::time::Duration::from_secs(5)), 504),
    ];
    for (fault, status) in cases {
        let begun = begin(&client).await;
        let back = answer_consent(&app, &begun.url, "approved").await;
        app.fail_next_at("/oauth/token", 1, fault.clone());
        let page = open(&host, &back).await;
        let said = refused(&page, status, &begun);
        let code = parameter(&back, "code").unwrap();
        assert!(!said.contains(&code), "{said}");
        assert!(page.text.len() < 3000, "{fault:?}");
        app.clear_faults();
    }
    assert_eq!(client.get("/api/credentials").await.ok(), json!([]));
    // A token that the app's API does not take connects nothing either.
    let begun = begin(&client).await;
    let back = answer_consent(&app, &begun.url, "approved").await;
    app.fail_next_at("/oauth/token", 1, answer(200, r#"{"access_token":"bad"}"#));
    refused(&open(&host, &back).await, 400, &begun);
    assert_eq!(client.get("/api/credentials").await.ok(), json!([]));
    // And after all that one signs in as ever.
    sign_in(&app, &host, &client).await;
}

#[tokio::test]
async fn a_state_is_good_once_for_ten_minutes_where_it_was_made() {
    let (app, host) = stage(|setup| setup).await;
    let client = host.client("alice");
    let begun = begin(&client).await;
    let back = answer_consent(&app, &begun.url, "approved").await;
    // Whoever only looks uses nothing up.
    let (_, path) = back.split_once("/api/oauth").unwrap();
    let look = host.stranger();
    let look = look.request(reqwest::Method::HEAD, &format!("/api/oauth{path}"));
    assert_eq!(look.send().await.unwrap().status(), 405);
    assert_eq!(open(&host, &back).await.status, 200);
    refused(&open(&host, &back).await, 410, &begun);
    let requests = app.requests();
    let tokens = requests.iter().filter(|one| one.path == "/oauth/token");
    assert_eq!(tokens.count(), 1, "the app is not asked again");

    // One that ran out.
    let begun = begin(&client).await;
    let back = answer_consent(&app, &begun.url, "approved").await;
    let file = host.data().join("env/dev.sqlite");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut database = options.connect().await.unwrap();
    sqlx::query("UPDATE host_oauth_states SET expires_at = expires_at - 601000")
        .execute(&mut database)
        .await
        .unwrap();
    database.close().await.unwrap();
    let said = refused(&open(&host, &back).await, 410, &begun);
    assert!(said.contains("ten minutes"), "{said}");

    // One of another environment, or of nobody.
    let other = host.create_environment("other");
    let there = host.client_with_token(&other.token("alice"));
    there.served().await;
    let begun = begin(&client).await;
    let back = answer_consent(&app, &begun.url, "approved").await;
    let state = parameter(&back, "state").unwrap();
    let (random, client_id) = state.split_once('.').unwrap();
    assert_eq!(client_id, host.keys().client_id);
    let bad = [
        format!("{random}.{}", other.client_id),
        format!("{random}.nobody"),
        random.to_owned(),
        format!("A{random}.{client_id}"),
        String::new(),
    ];
    for bad in bad {
        let page = open(&host, &format!("/api/oauth/redirect?code=a&state={bad}")).await;
        assert_eq!(page.status, 400, "{bad}: {}", page.text);
        assert_eq!(posted(&page), None, "nobody is told");
    }
    let twice = format!("/api/oauth/redirect?code=a&state={state}&state={state}");
    assert_eq!(open(&host, &twice).await.status, 400);
    // The real one still is.
    assert_eq!(open(&host, &back).await.status, 200);
    assert_eq!(there.get("/api/credentials").await.ok(), json!([]));
}

#[tokio::test]
async fn two_windows_do_not_get_into_each_others_way() {
    let (app, host) = stage(|setup| setup).await;
    let (alice, bob) = (host.client("alice"), host.client("bob"));
    let (first, second, third) = (begin(&alice).await, begin(&alice).await, begin(&bob).await);
    let mut ids = Vec::new();
    for begun in [&third, &second, &first] {
        let back = answer_consent(&app, &begun.url, "approved").await;
        let page = open(&host, &back).await;
        assert_eq!(page.status, 200, "{}", page.text);
        let told = posted(&page).unwrap();
        assert_eq!(told["requestId"], begun.request_id);
        ids.push(told["credential"]["id"].clone());
    }
    assert_eq!(ids[1], ids[2]);
    assert_ne!(ids[0], ids[1]);
    let of_bob = bob.get("/api/credentials").await.ok();
    assert_eq!(of_bob[0]["id"], ids[0]);
    assert_eq!(of_bob.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn people_may_be_sent_back_to_an_address_of_the_operators() {
    let app = app(Dataset::demo());
    let white = "https://connect.product.example/done";
    let own = "https://dev.product.example/done";
    let setup = setup(&app)
        .set("oauth.redirect_url", white)
        .set("oauth.redirect_urls.dev", own);
    let host = HostUnderTest::start(setup).await;
    configure(&app, &host).await;
    app.change_oauth(|client| client.redirect_uris = vec![own.to_owned()]);
    let client = host.client("alice");
    let begun = begin(&client).await;
    let back = answer_consent(&app, &begun.url, "approved").await;
    assert!(back.starts_with(own), "{back}");
    // What is there passes the request on.
    let passed_on = back.replace(own, "/api/oauth/redirect");
    assert_eq!(open(&host, &passed_on).await.status, 200);
}
