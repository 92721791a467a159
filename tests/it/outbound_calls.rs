//! What connectors asked of their apps can be looked up afterwards.

use reqwest::Method;
use rollout_test_apps::follow_up_boss::{Config, Dataset, Fault};
use serde_json::{Value, json};

use crate::api_writes::{ada, path};
use crate::fixtures::{Answer, Client, HostUnderTest, Setup, app_of, on_postgres, until};

/// A key that is long enough to be blanked everywhere.
const PLANTED: &str = "fka_0a1B2c3D4e5F6g7H8i9J";
const CALLS: &str = "/api/outbound-calls";

/// The request with an id of its own.
async fn named(client: &Client, method: Method, path: &str, id: &str, body: &Value) -> Answer {
    let request = client.request(method, path).header("X-Request-Id", id);
    let answer = match body {
        Value::Null => Answer::to(request).await,
        body => Answer::to(request.json(body)).await,
    };
    assert_eq!(answer.header("x-request-id"), Some(id));
    answer
}

/// The calls that a query finds, when there are so many; oldest first.
async fn calls(admin: &Client, query: &str, count: usize) -> Vec<Value> {
    until("the calls are recorded", async || {
        let found = admin.get(&format!("{CALLS}?{query}")).await.ok();
        let mut found = found["outbound-calls"].as_array().unwrap().clone();
        found.reverse();
        (found.len() >= count).then_some(found)
    })
    .await
}

async fn look_back(start: impl AsyncFnOnce(Setup) -> HostUnderTest) {
    let app = app_of(Config::of(
        rollout_test_apps::follow_up_boss::AccountConfig::new(Dataset::demo()).key(PLANTED, 1),
    ));
    let host = start(Setup::against(&app).set("sync.poll_interval", "1h")).await;
    let (client, admin) = (host.client("calls"), host.admin());
    let body = json!({"appKey": "follow-up-boss", "userInputs": {"apiKey": PLANTED}});
    let connected = named(
        &client,
        Method::POST,
        "/api/credentials",
        "connecting",
        &body,
    )
    .await;
    let account = client.of(connected.ok()["id"].as_str().unwrap());
    account.wait_synced(account.credential()).await;

    // An account that is being connected has no credential yet.
    let proving = calls(&admin, "requestId=connecting", 1).await;
    assert!(proving.iter().all(|call| call["credentialId"].is_null()));
    assert_eq!(proving[0]["host"], "api.followupboss.com");
    // Syncs are the work of jobs.
    let of_account = format!("credentialId={}", account.credential());
    let synced = calls(&admin, &of_account, 2).await;
    for call in &synced {
        assert!(
            call["requestId"].as_str().unwrap().starts_with("job-"),
            "{call}"
        );
        assert_eq!(call["credentialId"], account.credential());
    }

    let created = named(
        &account,
        Method::POST,
        "/crm/api/people",
        "creating",
        &ada(),
    )
    .await;
    let person = created.with(201);
    let created = calls(&admin, "requestId=creating", 1).await;
    let post = created
        .iter()
        .find(|call| call["method"] == "POST")
        .unwrap();
    for (field, value) in [
        ("requestId", json!("creating")),
        ("credentialId", json!(account.credential())),
        ("appKey", json!("follow-up-boss")),
        ("host", json!("api.followupboss.com")),
        ("path", json!("/v1/people")),
        ("failure", Value::Null),
        ("attempt", json!(1)),
    ] {
        assert_eq!(post[field], value, "{post}");
    }
    assert!(post["status"].as_u64().unwrap() < 300, "{post}");
    for bytes in ["bytesSent", "bytesReceived"] {
        assert!(post[bytes].as_u64().unwrap() > 10, "{post}");
    }
    assert!(post["milliseconds"].is_u64() && post["at"].is_string());

    // A write whose answer is lost: the app got it once, nobody tries again, and what
    // the caller is told is that it may have happened.
    app.fail_next(1, Fault::Lost);
    let at = path("people", &person);
    let change = json!({"lastName": "King"});
    let lost = named(&account, Method::PUT, &at, "losing", &change).await;
    lost.refused(502, "maybe_applied");
    let lost = calls(&admin, "requestId=losing", 1).await;
    let puts: Vec<&Value> = lost.iter().filter(|call| call["method"] == "PUT").collect();
    assert_eq!(puts.len(), 1, "{lost:?}");
    assert_eq!(puts[0]["failure"], "connection");

    // The proxy, with a key where none belongs.
    let target = format!(
        "/api/proxy/{}/v1/people/{PLANTED}?q={PLANTED}",
        account.credential()
    );
    named(&admin, Method::GET, &target, "proxying", &Value::Null).await;
    let proxied = calls(&admin, "requestId=proxying", 1).await;
    assert_eq!(proxied[0]["path"], "/v1/people/[redacted]");
    assert_eq!(proxied[0]["status"], 404);
    // A read is tried again.
    app.fail_next(1, Fault::Cut);
    let target = format!("/api/proxy/{}/v1/identity", account.credential());
    named(&admin, Method::GET, &target, "retrying", &Value::Null)
        .await
        .ok();
    let tries = calls(&admin, "requestId=retrying", 2).await;
    assert_eq!(
        (&tries[0]["attempt"], &tries[1]["attempt"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(
        (&tries[0]["failure"], &tries[1]["status"]),
        (&json!("connection"), &json!(200))
    );

    // All of them, page by page, newest first; no secret anywhere.
    let all = calls(&admin, "limit=1000", 5).await;
    let mut paged = Vec::new();
    let mut next = String::new();
    loop {
        let page = admin
            .get(&format!("{CALLS}?limit=2&next={next}"))
            .await
            .ok();
        let found = page["outbound-calls"].as_array().unwrap();
        assert!(found.len() <= 2 && page["_metadata"]["limit"] == 2);
        paged.extend(found.iter().cloned());
        match page["_metadata"]["next"].as_str() {
            Some(cursor) => next = cursor.to_owned(),
            None => break,
        }
    }
    paged.reverse();
    assert_eq!(paged[..all.len()], all);
    let shown = serde_json::to_string(&paged).unwrap();
    assert!(!shown.contains(PLANTED));
    // A cursor is good for the list that it was given for.
    let foreign = admin.get(&format!("{CALLS}?requestId=x&next={next}")).await;
    foreign.refused(400, "invalid_cursor");
    for consumer in [&client, &account] {
        consumer.get(CALLS).await.refused(403, "forbidden");
    }
    host.stranger()
        .get(CALLS)
        .await
        .refused(401, "unauthorized");
}

#[tokio::test]
async fn outbound_calls_are_found_by_the_request_that_made_them() {
    look_back(HostUnderTest::start).await;
}

#[tokio::test]
async fn on_postgres_too() {
    look_back(on_postgres).await;
}

#[tokio::test]
async fn what_was_asked_last_is_recorded_before_the_host_ends() {
    let app = app_of(Config::new(Dataset::demo()));
    let setup = Setup::against(&app).set("sync.poll_interval", "1h");
    let mut host = HostUnderTest::start(setup).await;
    let account = host
        .client("last")
        .connect_synced(crate::fixtures::API_KEY)
        .await;
    let created = named(
        &account,
        Method::POST,
        "/crm/api/people",
        "the-last",
        &ada(),
    )
    .await;
    created.with(201);
    host.stop();
    let mut sql = host.sql().await;
    let paths = "SELECT path FROM host_outbound_calls WHERE request_id = 'the-last'";
    let paths: Vec<String> = sql.column(paths).await;
    assert!(paths.contains(&"/v1/people".to_owned()), "{paths:?}");
}
