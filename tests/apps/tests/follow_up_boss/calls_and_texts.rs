use std::time::Duration;

use rollout_test_apps::follow_up_boss::{AccountConfig, Config, Dataset, Kind, Simulator};
use serde_json::{Value, json};

use super::{Api, unlimited};

fn call() -> Value {
    json!({"personId": 1, "phone": "555-020-1037", "isIncoming": true})
}

fn text() -> Value {
    json!({"personId": 1, "message": "Hi", "toNumber": "1", "fromNumber": "2"})
}

#[tokio::test]
async fn calls_are_logged_changed_and_never_deleted() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let created = api.post("/calls", call()).await;
    assert_eq!(created.status, 201);
    let logged = created.json();
    for (field, value) in [
        ("name", json!("Olivia Bennett")),
        ("userName", json!("Tom Minch")),
        ("createdById", json!(1)),
        ("isIncoming", json!(true)),
        ("duration", json!(0)),
        ("outcome", json!(null)),
    ] {
        assert_eq!(logged[field], value, "{field}");
    }
    assert_eq!(logged.get("_system"), None);
    let path = format!("/calls/{}", logged["id"]);
    let changed = api
        .put(&path, json!({"outcome": "Busy", "duration": 61.0}))
        .await
        .json();
    assert_eq!(
        (&changed["outcome"], &changed["duration"]),
        (&json!("Busy"), &json!(61))
    );
    assert_eq!(api.get(&path).await.json(), changed);
    assert_eq!(api.delete(&path).await.status, 405);
    let person = api.get("/people/1").await.json();
    assert_eq!(person["lastActivity"], logged["created"]);
}

#[tokio::test]
async fn calls_are_refused_where_the_app_refuses_them() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    for field in ["personId", "phone", "isIncoming"] {
        let mut body = call();
        body.as_object_mut().unwrap().remove(field);
        let refused = api.post("/calls", body).await;
        assert_eq!(
            (refused.status, refused.error()),
            (400, format!("Missing required field '{field}'"))
        );
    }
    for (field, value, status) in [
        ("outcome", json!("Chatted"), 400),
        ("duration", json!(1.5), 400),
        ("userId", json!(99), 400),
        ("text", json!("x"), 400),
        ("personId", json!(99), 404),
        ("personId", json!(0), 201),
    ] {
        let mut body = call();
        body[field] = value;
        assert_eq!(api.post("/calls", body).await.status, status, "{field}");
    }
    assert_eq!(simulator.all(Kind::Calls).len(), 9, "one of them was fine");
}

#[tokio::test]
async fn a_call_belongs_to_the_system_that_logged_it() {
    let account = AccountConfig::new(Dataset::demo())
        .key("fka_owner", 1)
        .key("fka_agent", 3);
    let config = Config::of(account).system("One", "1").system("Two", "2");
    let simulator = Simulator::start(config).unwrap();
    let one = Api::with_key(&simulator, "fka_owner").system("One", "1");
    let two = Api::with_key(&simulator, "fka_owner").system("Two", "2");
    let id = one.post("/calls", call()).await.json()["id"].clone();
    let path = format!("/calls/{id}");
    let change = json!({"note": "changed"});
    assert_eq!(two.put(&path, change.clone()).await.status, 403);
    assert_eq!(one.put(&path, change.clone()).await.status, 200);
    assert_eq!(
        one.put("/calls/1", change).await.status,
        403,
        "made in the app"
    );

    let agent = Api::with_key(&simulator, "fka_agent");
    let mut mine = call();
    mine["personId"] = json!(2);
    mine["userId"] = json!(3);
    assert_eq!(agent.post("/calls", mine.clone()).await.status, 201);
    mine["userId"] = json!(1);
    assert_eq!(agent.post("/calls", mine.clone()).await.status, 403);
    assert_eq!(
        one.post("/calls", mine).await.json()["userName"],
        "Tom Minch"
    );
}

#[tokio::test]
async fn calls_are_found_by_person_user_number_and_time() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    for (query, expected) in [
        ("personId=6", vec![6, 7]),
        ("personId=0", vec![8]),
        ("userId=1", vec![3, 6]),
        ("phone=(555)%20020-1037", vec![1]),
        ("toNumber=5550201037", vec![1]),
        ("fromNumber=5550201111", vec![3]),
        ("createdAfter=2025-05-17T12:00:00Z", vec![7, 8]),
    ] {
        let answer = api.get(&format!("/calls?sort=id&{query}")).await;
        assert_eq!(answer.ids(), expected, "{query}");
    }
    let (ids, pages) = api.walk("/calls?limit=3").await;
    assert_eq!((ids, pages), (vec![8, 7, 6, 5, 4, 3, 2, 1], 3));
    let unknown = api.get("/calls/8").await.json();
    assert_eq!(
        (&unknown["createdById"], &unknown["name"]),
        (&json!(-1), &json!(""))
    );
}

#[tokio::test]
async fn text_messages_are_listed_in_a_scope_only() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let refused = api.get("/textMessages?updatedAfter=2025-01-01").await;
    assert_eq!(refused.status, 400);
    assert!(refused.error().starts_with("personId, threadId, phone"));
    let page = api.get("/textMessages?personId=7&sort=id").await;
    assert_eq!(page.json()["_metadata"]["collection"], "textmessages");
    assert_eq!(page.ids(), [5, 6]);
    for (query, expected) in [
        ("threadId=1", vec![1, 2]),
        ("phone=555-020-1037", vec![1, 2]),
        ("toNumber=555-020-1037", vec![1]),
        ("fromNumber=555-020-1037", vec![2]),
        ("ids=3,4", vec![3, 4]),
    ] {
        let answer = api.get(&format!("/textMessages?sort=id&{query}")).await;
        assert_eq!(answer.ids(), expected, "{query}");
    }
    let hidden = api.get("/textMessages/3").await.json();
    assert_eq!(hidden["message"], "* Body is hidden for privacy reasons *");
    assert_eq!(hidden.get("_threadId"), None);
}

#[tokio::test]
async fn text_messages_are_logged_by_registered_systems() {
    let config = Config::default().system("Rollout", "secret");
    let simulator = Simulator::start(config).unwrap();
    let api = Api::new(&simulator).system("Rollout", "secret");
    let refused = Api::new(&simulator).post("/textMessages", text()).await;
    assert_eq!(refused.status, 403);
    let logged = api.post("/textMessages", text()).await;
    assert_eq!(logged.status, 201);
    let logged = logged.json();
    assert_eq!(
        (&logged["name"], &logged["status"], &logged["systemName"]),
        (&json!("Olivia Bennett"), &json!("Sent"), &json!("Rollout"))
    );
    let path = format!("/textMessages/{}", logged["id"]);
    assert_eq!(api.put(&path, json!({"message": "x"})).await.status, 405);
    assert_eq!(api.delete(&path).await.status, 405);
    let mut short = text();
    short["message"] = json!(null);
    assert_eq!(
        api.post("/textMessages", short).await.error(),
        "Missing required field 'message'"
    );

    simulator.set_settling(Duration::from_secs(60));
    let person = api
        .post("/people", json!({"firstName": "New"}))
        .await
        .json();
    for (path, mut body) in [("/textMessages", text()), ("/calls", call())] {
        body["personId"] = person["id"].clone();
        assert_eq!(api.post(path, body.clone()).await.status, 404, "{path}");
        simulator.set_settling(Duration::ZERO);
        assert_eq!(api.post(path, body).await.status, 201, "{path}");
        simulator.set_settling(Duration::from_secs(60));
    }
}

#[tokio::test]
async fn emails_are_read_by_person() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    assert_eq!(api.get("/emails").await.status, 400);
    assert_eq!(api.get("/emails?threadId=thread-3").await.status, 400);
    assert_eq!(api.get("/emails?personId=3").await.ids(), [3, 2]);
    assert_eq!(
        api.get("/emails?personId=3&threadId=thread-2")
            .await
            .ids()
            .len(),
        0
    );
    let email = api.get("/emails/2").await.json();
    assert_eq!(email["subject"], "[CONTENT HIDDEN]");
    assert_eq!(
        email["relatedPeople"],
        json!([{"personId": 3, "sentByPerson": true}])
    );
    assert_eq!(api.post("/emails", json!({})).await.status, 405);
    assert_eq!(api.delete("/emails/2").await.status, 405);
    let id = simulator.insert(
        Kind::Emails,
        json!({"personId": 1, "relatedPeople": [{"personId": 1, "sentByPerson": false}]}),
    );
    assert_eq!(api.get("/emails?personId=1").await.ids(), [id]);
}
