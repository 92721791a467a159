//! Tokens that end: they are replaced unnoticed, and when they can't be it is said.

use std::time::Duration;

use rollout_test_apps::follow_up_boss::{Dataset, Fault, Hold, LoggedRequest, Simulator};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::fixtures::{Answer, Client, HostUnderTest, app, until, within};
use crate::oauth_stage::{answer_consent, begin, configure, know, open, posted, setup, sign_in};

const PEOPLE: &str = "/crm/api/people";

/// A host with an account that is connected by signing in and synced.
async fn stage() -> (Simulator, HostUnderTest, Client) {
    let app = app(Dataset::demo());
    let host = HostUnderTest::start(setup(&app)).await;
    configure(&app, &host).await;
    let account = sign_in(&app, &host, &host.client("alice")).await;
    account.wait_synced(account.credential()).await;
    app.clear_requests();
    (app, host, account)
}

async fn write(account: &Client, name: &str) -> Answer {
    account
        .post(PEOPLE, json!({"firstName": name, "lastName": "Byron"}))
        .await
}

async fn status(account: &Client) -> Value {
    let path = format!("/api/credentials/{}", account.credential());
    account.get(&path).await.ok()
}

/// Waits until the environment is told of something about a credential.
async fn told(host: &HostUnderTest, name: &str) {
    let admin = host.admin();
    until(name, async || {
        let events = admin.events("/api/events-feed", "").await;
        let found = events.iter().filter(|event| event["event"] == name).count();
        assert!(found < 2, "it is told once");
        (found == 1).then_some(())
    })
    .await;
}

fn token_requests(app: &Simulator) -> Vec<LoggedRequest> {
    let requests = app.requests().into_iter();
    requests.filter(|one| one.path == "/oauth/token").collect()
}

/// What was asked of the app's API, with the tokens and statuses.
fn api_requests(app: &Simulator) -> Vec<(String, String, String, u16)> {
    let requests = app.requests().into_iter();
    let of_api = requests.filter(|one| one.path.starts_with("/v1"));
    of_api
        .map(|one| {
            let token = one.authorization.unwrap_or_default();
            (one.method, one.path, token, one.status)
        })
        .collect()
}

#[tokio::test]
async fn a_refused_token_is_replaced_and_that_one_request_sent_again() {
    let (app, _host, account) = stage().await;
    app.end_access();
    write(&account, "Ada").await.with(201);
    assert_eq!(token_requests(&app).len(), 1);
    let asked = api_requests(&app);
    let posts: Vec<_> = asked.iter().filter(|one| one.0 == "POST").collect();
    let statuses: Vec<u16> = posts.iter().map(|one| one.3).collect();
    assert_eq!(statuses, [401, 201], "{asked:?}");
    assert_ne!(posts[0].2, posts[1].2);
    let refused = asked.iter().filter(|one| one.3 == 401).count();
    assert_eq!(refused, 1, "nothing else was sent twice: {asked:?}");
    // What was stored is used.
    write(&account, "Bob").await.with(201);
    assert_eq!(token_requests(&app).len(), 1);
}

#[tokio::test]
async fn a_token_is_replaced_before_it_ends() {
    let (app, _host, account) = stage().await;
    app.change_oauth(|client| client.life = Duration::from_secs(2));
    app.end_access();
    write(&account, "Ada").await.with(201);
    for round in 2..=4 {
        // It ends by the clock.
        tokio::time::sleep(Duration::from_secs(2)).await;
        write(&account, "Bob").await.with(201);
        assert_eq!(token_requests(&app).len(), round);
    }
    let refused = api_requests(&app).into_iter().filter(|one| one.3 == 401);
    assert_eq!(refused.count(), 1, "only the first was refused");
    // An app may leave the refresh token as it is.
    app.change_oauth(|client| client.rotates = false);
    for round in 5..=6 {
        tokio::time::sleep(Duration::from_secs(2)).await;
        write(&account, "Cyd").await.with(201);
        assert_eq!(token_requests(&app).len(), round);
    }
}

#[tokio::test]
async fn a_sign_in_that_ended_breaks_the_credential_and_signing_in_mends_it() {
    let (app, host, account) = stage().await;
    app.end_sign_ins();
    write(&account, "Ada")
        .await
        .refused(403, "credential_broken");
    let shown = status(&account).await;
    assert_eq!(shown["status"], "broken");
    let reason = shown["statusReason"].as_str().unwrap();
    assert!(reason.contains("Connect the account again"), "{reason}");
    // Reads go on, and the app is left alone.
    assert_eq!(token_requests(&app).len(), 1);
    account.get(PEOPLE).await.ok();
    write(&account, "Ada")
        .await
        .refused(403, "credential_broken");
    let sync = json!({"entitiesToSync": {"notes": true, "tasks": true}});
    let path = format!("/api/credentials/{}", account.credential());
    account.put(&path, sync).await.ok();
    told(&host, "credentialBroken").await;
    assert_eq!(token_requests(&app).len(), 1, "never in a loop");

    let again = sign_in(&app, &host, &host.client("alice")).await;
    assert_eq!(again.credential(), account.credential());
    assert_eq!(status(&account).await["status"], "ok");
    write(&account, "Ada").await.with(201);
    told(&host, "credentialRestored").await;
}

#[tokio::test]
async fn troubles_that_pass_break_nothing() {
    let (app, _host, account) = stage().await;
    let answer = |status, body: &str| Fault::Answer(status, body.to_owned());
    let troubles = [
        answer(500, ""),
        answer(429, "{}"),
        answer(200, "<html>"),
        answer(401, r#"{"error":"invalid_client"}"#),
        Fault::Cut,
    ];
    app.end_access();
    for trouble in troubles {
        app.fail_next_at("/oauth/token", 1, trouble.clone());
        let seen = token_requests(&app).len();
        // The host waits between attempts; until then it does not ask.
        let refusal = until("the app was asked for tokens again", async || {
            let answer = write(&account, "Ada").await;
            assert!(
                [429, 502, 504].contains(&answer.status),
                "{trouble:?}: {} {}",
                answer.status,
                answer.text
            );
            (token_requests(&app).len() > seen).then_some(answer.text)
        })
        .await;
        let shown = status(&account).await;
        assert_eq!(shown["status"], "ok", "{trouble:?}: {refusal} {shown}");
    }
    until("it passes", async || {
        let answer = write(&account, "Ada").await;
        (answer.status == 201).then_some(())
    })
    .await;
    assert_eq!(token_requests(&app).len(), 6);
    let made = app.all(rollout_test_apps::follow_up_boss::Kind::People);
    let made = made.iter().filter(|one| one["firstName"] == "Ada");
    assert_eq!(made.count(), 1);
}

/// Has the app give out new tokens, and the host killed before it hears of them.
async fn killed_in_between(rotates: bool) -> (Simulator, HostUnderTest, Client) {
    let (app, mut host, account) = stage().await;
    app.change_oauth(|client| client.rotates = rotates);
    app.end_access();
    let hold = Hold::new();
    app.fail_next_at("/oauth/token", 1, Fault::Held(hold.clone()));
    let writing = tokio::spawn({
        let account = account.clone();
        async move {
            let body = json!({"firstName": "Ada", "lastName": "Byron"});
            let request = account.request(reqwest::Method::POST, PEOPLE).json(&body);
            request.send().await.is_ok()
        }
    });
    within(Duration::from_secs(30), "the app is asked", hold.reached()).await;
    host.kill();
    hold.release();
    assert!(!writing.await.unwrap(), "the host was killed");
    host.restart().await;
    know(&app, &host);
    let account = host.client("alice").of(account.credential());
    (app, host, account)
}

#[tokio::test]
async fn a_host_killed_in_between_goes_on_where_the_app_allows_it() {
    let (_app, _host, account) = killed_in_between(false).await;
    until("the lease of the killed one is over", async || {
        (write(&account, "Ada").await.status == 201).then_some(())
    })
    .await;
    assert_eq!(status(&account).await["status"], "ok");
}

#[tokio::test]
async fn a_host_killed_in_between_says_so_where_the_app_does_not() {
    let (app, host, account) = killed_in_between(true).await;
    until("the lease of the killed one is over", async || {
        let answer = write(&account, "Ada").await;
        assert_ne!(answer.status, 201);
        (answer.status == 403).then_some(())
    })
    .await;
    assert_eq!(status(&account).await["status"], "broken");
    let asked = token_requests(&app).len();
    told(&host, "credentialBroken").await;
    write(&account, "Ada")
        .await
        .refused(403, "credential_broken");
    assert_eq!(token_requests(&app).len(), asked);
    let client = host.client("alice");
    let begun = begin(&client).await;
    let back = answer_consent(&app, &begun.url, "approved").await;
    let told = posted(&open(&host, &back).await).unwrap();
    assert_eq!(told["credential"]["id"], account.credential());
    write(&account, "Ada").await.with(201);
}

/// Changes the host's databases behind its back.
async fn set(host: &HostUnderTest, file: &str, statements: &[&'static str]) {
    let options = SqliteConnectOptions::new().filename(host.data().join(file));
    let mut database = options.connect().await.unwrap();
    for statement in statements {
        let done = sqlx::query(AssertSqlSafe(*statement))
            .execute(&mut database)
            .await;
        assert!(done.unwrap().rows_affected() > 0, "{statement}");
    }
    database.close().await.unwrap();
}

#[tokio::test]
async fn a_sign_in_that_nobody_uses_is_kept_alive() {
    let (app, mut host, account) = stage().await;
    host.stop();
    // Half of the ninety days after which the app forgets it.
    let statements = [
        "UPDATE host_tokens SET issued_at = issued_at - 46 * 86400000",
        "UPDATE host_jobs SET due_at = 0 WHERE queue = 'house' AND name = 'tokens'",
        "UPDATE host_lanes SET due_at = 0 WHERE queue = 'house' AND lane = 'tokens'",
    ];
    set(&host, "env/dev.sqlite", &statements).await;
    app.clear_requests();
    host.restart().await;
    until("the tokens are new", async || {
        (app.refreshes() == 1).then_some(())
    })
    .await;
    let account = host.client("alice").of(account.credential());
    write(&account, "Ada").await.with(201);
    assert_eq!(app.refreshes(), 1);
}

#[tokio::test]
async fn a_client_secret_goes_nowhere_but_where_it_was_entered_for() {
    let (app, host, account) = stage().await;
    let elsewhere = "UPDATE host_app_settings SET value = 'https://elsewhere.example' \
                     WHERE name = 'clientSecret@origin'";
    set(&host, "control.sqlite", &[elsewhere]).await;
    let client = host.client("alice");
    until("the plan is no longer offered", async || {
        let listed = client.get("/api/connectors").await.ok();
        let plans = &listed["follow-up-boss"]["authByPlan"];
        plans.get("oauth").is_none().then_some(())
    })
    .await;
    app.end_access();
    let answer = write(&account, "Ada").await;
    assert_eq!(answer.status / 100, 5, "{}", answer.text);
    assert_eq!(token_requests(&app).len(), 0);
    assert_eq!(status(&account).await["status"], "ok");
    // Whoever sets it again says that it may.
    configure(&app, &host).await;
    until("it is tried again", async || {
        (write(&account, "Ada").await.status == 201).then_some(())
    })
    .await;
}
