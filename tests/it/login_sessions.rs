//! Accounts that a connector signs in to: with a password, with a client, with a token of
//! the product. Their sessions end, and are replaced unnoticed while that is possible.

use std::time::Duration;

use rollout_test_apps::codes_by_mail::{ANNA, CLIENT, OTTO, PASSWORD, PRODUCT, Simulator};
use serde_json::{Value, json};

use crate::fixtures::{Client, HostUnderTest, until};
use crate::login_stage::{KEY, Page, by_password, challenge, connect_anna, stage};

const LONG: Duration = Duration::from_secs(3600);

async fn users(account: &Client) -> usize {
    account.all("users", "").await.len()
}

/// Has the account read now, however that ends.
async fn sync(account: &Client) {
    let path = format!("/api/credentials/{}/sync", account.credential());
    account.post(&path, json!({})).await.with(202);
}

async fn shown(account: &Client) -> Value {
    let path = format!("/api/credentials/{}", account.credential());
    account.get(&path).await.ok()
}

#[tokio::test]
async fn who_signs_in_with_a_password_is_connected() {
    let (app, host) = stage(LONG).await;
    let client = host.client("alice");
    let listed = client.get("/api/connectors").await.ok();
    let plan = &listed[KEY]["authByPlan"]["password"];
    assert_eq!(plan["type"], "apiToken");
    assert_eq!(plan["userInputsSchema"][1]["type"], "secret");
    let account = connect_anna(&client).await;
    let done = account.wait_synced(account.credential()).await;
    assert_eq!(done["label"], ANNA);
    assert_eq!(users(&account).await, 3);
    assert_eq!(app.given(), 1, "one session for probe and sync");
    // The same person again is the same account.
    assert_eq!(
        connect_anna(&client).await.credential(),
        account.credential()
    );

    let wrong = json!({"appKey": KEY, "userInputs": {"email": ANNA, "password": "guessed"}});
    let said = client.post("/api/credentials", wrong).await;
    said.refused(400, "invalid_credentials");
    assert!(!said.text.contains("guessed"), "{}", said.text);
    let path = format!("/api/credentials/{}", account.credential());
    let other = json!({"userInputs": {"email": ANNA, "password": "guessed"}});
    client
        .put(&path, other)
        .await
        .refused(400, "invalid_credentials");
}

#[tokio::test]
async fn a_session_that_ends_is_replaced_unnoticed() {
    let (app, host) = stage(LONG).await;
    let account = connect_anna(&host.client("alice")).await;
    account.wait_synced(account.credential()).await;
    let read = app.read();
    app.end_sessions();
    sync(&account).await;
    until("it signed in again", async || {
        (app.given() == 2 && app.read() > read).then_some(())
    })
    .await;
    assert_eq!(shown(&account).await["status"], "ok");

    // One that says when it ends is replaced before.
    let (app, host) = stage(Duration::from_secs(2)).await;
    let account = connect_anna(&host.client("alice")).await;
    until("it signed in three times more", async || {
        sync(&account).await;
        (app.given() >= 4).then_some(())
    })
    .await;
    assert_eq!(shown(&account).await["status"], "ok");
}

#[tokio::test]
async fn who_changed_the_password_connects_again() {
    let (app, host) = stage(LONG).await;
    let client = host.client("alice");
    let account = connect_anna(&client).await;
    account.wait_synced(account.credential()).await;
    app.change_password("another one that nobody told us");
    app.end_sessions();
    sync(&account).await;
    let broken = until("it is broken", async || {
        let shown = shown(&account).await;
        (shown["status"] == "broken").then_some(shown)
    })
    .await;
    let reason = broken["statusReason"].as_str().unwrap();
    assert!(reason.contains("Connect the account again"), "{reason}");
    assert_eq!(users(&account).await, 3, "what was read stays readable");
    app.change_password(PASSWORD);
    assert_eq!(
        connect_anna(&client).await.credential(),
        account.credential()
    );
    assert_eq!(shown(&account).await["status"], "ok");
}

#[tokio::test]
async fn a_device_that_is_known_needs_no_second_code() {
    let (app, host) = stage(LONG).await;
    let client = host.client("alice");
    let asked = client
        .post("/api/credentials", by_password(OTTO))
        .await
        .ok();
    let mut page = Page::open(&host, &challenge(&asked)).await;
    page.enter(&app.mailed().unwrap()).await;
    page.result().await.unwrap();
    let account = client.of(&page.credential().await.unwrap());
    account.wait_synced(account.credential()).await;
    let read = app.read();
    app.end_sessions();
    sync(&account).await;
    until("it signed in again", async || {
        (app.given() == 2 && app.read() > read).then_some(())
    })
    .await;
    assert_eq!(shown(&account).await["status"], "ok");

    // Where a code is asked for, nobody is there to enter it.
    app.forget_devices();
    app.end_sessions();
    until("it is broken", async || {
        sync(&account).await;
        let shown = shown(&account).await;
        let reason = shown["statusReason"].as_str()?.to_owned();
        reason.contains("code").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_client_gets_its_tokens_itself() {
    let (app, host) = stage(Duration::from_secs(3)).await;
    let client = host.client("alice");
    let (id, secret) = CLIENT;
    let with = |secret: &str| {
        let inputs = json!({"clientId": id, "clientSecret": secret});
        json!({"appKey": KEY, "plan": "client", "userInputs": inputs})
    };
    let refused = client.post("/api/credentials", with("wrong")).await;
    refused.refused(400, "invalid_credentials");
    let connected = client.post("/api/credentials", with(secret)).await.ok();
    let account = client.of(connected["id"].as_str().unwrap());
    account.wait_synced(account.credential()).await;
    assert_eq!(users(&account).await, 3);
    let given = app.given();
    until("it got more tokens", async || {
        sync(&account).await;
        (app.given() > given + 1).then_some(())
    })
    .await;
    assert_eq!(shown(&account).await["status"], "ok");
}

#[tokio::test]
async fn a_product_connects_its_own_app_by_its_token() {
    let (_app, host) = stage(LONG).await;
    let token = |data: Value| {
        let mut claims = host.keys().claims("alice");
        claims["rollout.com"] = json!({ "authData": data });
        host.client_with_token(&host.keys().sign(&claims))
    };
    let connect = json!({"appKey": KEY, "plan": "product"});
    let ada = token(json!({"productToken": format!("{PRODUCT}ada"), "of-another-app": 1}));
    let listed = ada.get("/api/connectors").await.ok();
    let plan = &listed[KEY]["authByPlan"]["product"];
    assert_eq!(*plan, json!({"type": "apiToken", "userInputsSchema": []}));
    let connected = ada.post("/api/credentials", connect.clone()).await.ok();
    assert_eq!(connected["label"], "ada");
    let account = ada.of(connected["id"].as_str().unwrap());
    account.wait_synced(account.credential()).await;
    // Another token of the same person takes the place of the first.
    let again = ada.post("/api/credentials", connect.clone()).await.ok();
    assert_eq!(again["id"], connected["id"]);

    for data in [
        json!({}),
        json!({"productToken": 7}),
        json!("text"),
        Value::Null,
    ] {
        let said = token(data).post("/api/credentials", connect.clone()).await;
        let said = said.refused_at("invalid_inputs", "/appKey");
        assert!(said.contains("rollout.com"), "{said}");
    }
    let without = host.client("alice");
    let said = without.post("/api/credentials", connect.clone()).await;
    said.refused_at("invalid_inputs", "/appKey");
    let bad = token(json!({"productToken": "made-up"}));
    let said = bad.post("/api/credentials", connect.clone()).await;
    said.refused(400, "invalid_credentials");
    let mut typed = connect;
    typed["userInputs"] = json!({"productToken": format!("{PRODUCT}eve")});
    let said = ada.post("/api/credentials", typed).await;
    said.refused_at("invalid_inputs", "/userInputs");
}

#[tokio::test]
async fn nothing_of_it_lies_about() {
    let (app, host) = stage(LONG).await;
    let client = host.client("alice");
    connect_anna(&client).await;
    let asked = client
        .post("/api/credentials", by_password(OTTO))
        .await
        .ok();
    let challenge = challenge(&asked);
    let mut page = Page::open(&host, &challenge).await;
    page.enter("000000").await;
    page.result().await.unwrap_err();
    let code = app.mailed().unwrap();
    page.enter(&code).await;
    page.result().await.unwrap();
    let id = page.credential().await.unwrap();
    client.wait_synced(&id).await;
    let mut planted = app.secrets();
    planted.extend([PASSWORD.to_owned(), challenge]);
    assert!(planted.len() >= 5, "{planted:?}");
    found_nowhere(&app, &host, &planted);
}

fn found_nowhere(_app: &Simulator, host: &HostUnderTest, planted: &[String]) {
    let mut places = vec![("the log".to_owned(), host.log().into_bytes())];
    for file in std::fs::read_dir(host.data().join("env")).unwrap() {
        let path = file.unwrap().path();
        places.push((path.display().to_string(), std::fs::read(&path).unwrap()));
    }
    for (place, bytes) in places {
        for secret in planted {
            let found = bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "{secret} is in {place}");
        }
    }
}
