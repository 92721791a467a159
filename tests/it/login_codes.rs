//! Codes that an app asks for while an account is being connected, entered on a page that
//! may lose its connection.

use std::time::Duration;

use futures_util::future::join_all;
use rollout_test_apps::codes_by_mail::{OTTO, PASSWORD};
use serde_json::json;
use sqlx::{ConnectOptions, Connection};

use crate::fixtures::{HostUnderTest, until};
use crate::login_stage::{KEY, Page, by_password, challenge, stage};

const LONG: Duration = Duration::from_secs(3600);

async fn asked(host: &HostUnderTest) -> String {
    let client = host.client("alice");
    let answer = client
        .post("/api/credentials", by_password(OTTO))
        .await
        .ok();
    challenge(&answer)
}

#[tokio::test]
async fn a_code_is_asked_for_and_entered() {
    let (app, host) = stage(LONG).await;
    let client = host.client("alice");
    let asked = client
        .post("/api/credentials", by_password(OTTO))
        .await
        .ok();
    assert_eq!(asked["titleHTML"], "Check your mail");
    let message = asked["messageHTML"].as_str().unwrap();
    assert!(message.contains("<b>otto@codes.example</b>"), "{message}");
    assert_eq!(client.get("/api/credentials").await.ok(), json!([]));
    let id = challenge(&asked);
    let mut page = Page::open(&host, &id).await;
    page.say(r#"{"event": "SOMETHING_NEW"}"#).await;
    page.enter("000000").await;
    let said = page.result().await.unwrap_err();
    assert!(said.contains("that is not the code"), "{said}");
    // A wrong code may be followed by another, white space and all.
    page.enter(&format!(" {} ", app.mailed().unwrap())).await;
    page.result().await.unwrap();
    let credential = page.credential().await.unwrap();
    let shown = client.wait_synced(&credential).await;
    assert_eq!(shown["label"], OTTO);
    assert_eq!(shown["plan"], "password");
    // The page comes back although all is done, and is told again.
    drop(page);
    let mut page = Page::open(&host, &id).await;
    page.result().await.unwrap();
    assert_eq!(page.credential().await.unwrap(), credential);
    page.enter("123456").await;
    page.result().await.unwrap();
    assert_eq!(page.credential().await.unwrap(), credential);
    assert_eq!(app.given(), 1, "it is entered once");

    // The account gets another password in the same way.
    app.forget_devices();
    let path = format!("/api/credentials/{credential}");
    let inputs = json!({"userInputs": {"email": OTTO, "password": PASSWORD}, "label": "Otto's"});
    let asked = client.put(&path, inputs).await.ok();
    let mut page = Page::open(&host, &challenge(&asked)).await;
    page.enter(&app.mailed().unwrap()).await;
    page.result().await.unwrap();
    assert_eq!(page.credential().await.unwrap(), credential);
    assert_eq!(client.get(&path).await.ok()["label"], "Otto's");
}

#[tokio::test]
async fn a_page_that_lost_its_connection_is_told_when_it_comes_back() {
    let (app, host) = stage(LONG).await;
    let id = asked(&host).await;
    app.slow_down(Duration::from_millis(700));
    let mut page = Page::open(&host, &id).await;
    page.enter(&app.mailed().unwrap()).await;
    // It asks whether there is an answer before there is one.
    until("the answer is on its way", async || {
        let mut sql = host.sql().await;
        let answers: i64 = sql.value("SELECT answers FROM host_challenges").await;
        (answers == 1).then_some(())
    })
    .await;
    drop(page);
    let mut page = Page::open(&host, &id).await;
    page.result().await.unwrap();
    page.credential().await.unwrap();
    // After a wrong one, too, and only once.
    let id = asked_again(&host, &app).await;
    let mut page = Page::open(&host, &id).await;
    page.enter("000000").await;
    let mut other = Page::open(&host, &id).await;
    let told = tokio::select! {
        said = page.result() => said,
        said = other.result() => said,
    };
    told.unwrap_err();
}

async fn asked_again(
    host: &HostUnderTest,
    app: &rollout_test_apps::codes_by_mail::Simulator,
) -> String {
    app.forget_devices();
    asked(host).await
}

#[tokio::test]
async fn a_code_is_entered_once_however_many_pages_send_it() {
    let (app, host) = stage(LONG).await;
    let id = asked(&host).await;
    app.slow_down(Duration::from_millis(300));
    let code = app.mailed().unwrap();
    let pages = (0..5).map(|_| async {
        let mut page = Page::open(&host, &id).await;
        page.enter(&code).await;
        page.result().await.unwrap();
        page.credential().await.unwrap()
    });
    let told = join_all(pages).await;
    assert!(told.iter().all(|one| *one == told[0]), "{told:?}");
    assert_eq!(app.given(), 1);
}

#[tokio::test]
async fn nobody_guesses_for_long() {
    let (app, host) = stage(LONG).await;
    let id = asked(&host).await;
    let mut page = Page::open(&host, &id).await;
    for code in ["", "  ", "000001", "a\u{7}b", "000002"] {
        page.enter(code).await;
        page.result().await.unwrap_err();
    }
    page.enter(&app.mailed().unwrap()).await;
    let said = page.result().await.unwrap_err();
    assert!(said.to_lowercase().contains("begin again"), "{said}");
    assert_eq!(app.given(), 0);
    let client = host.client("alice");
    assert_eq!(client.get("/api/credentials").await.ok(), json!([]));
}

#[tokio::test]
async fn a_challenge_ends_and_unknown_ones_are_like_it() {
    let (app, host) = stage(LONG).await;
    let id = asked(&host).await;
    let file = host.data().join("env/dev.sqlite");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(file);
    let mut sql = options.connect().await.unwrap();
    let late = "UPDATE host_challenges SET expires_at = expires_at - 601000";
    sqlx::query(late).execute(&mut sql).await.unwrap();
    sql.close().await.unwrap();
    let (random, environment) = id.split_once('.').unwrap();
    let unknown = [
        id.clone(),
        format!("{}.{environment}", "a".repeat(random.len())),
        format!("{random}.nobody"),
        random.to_owned(),
        "x".repeat(2000),
    ];
    let mut answers = Vec::new();
    for id in unknown {
        let mut page = Page::open(&host, &id).await;
        page.enter(&app.mailed().unwrap()).await;
        answers.push(page.result().await.unwrap_err());
    }
    assert!(answers.iter().all(|one| *one == answers[0]), "{answers:?}");
    // What is no frame is said to be none.
    let mut page = Page::open(&host, &asked(&host).await).await;
    page.say("{").await;
    page.result().await.unwrap_err();
    // What is no WebSocket, too.
    let answer = host.stranger().get("/api/auth/otp/abc").await;
    answer.refused(426, "websocket_expected");
    let answer = host.stranger().post("/api/auth/otp/abc", json!({})).await;
    answer.refused(405, "method_not_allowed");
    assert_eq!(KEY, "codes-by-mail");
}
