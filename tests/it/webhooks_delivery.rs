//! What happens is told: once it is taken, signed, and as often as it needs.

use std::collections::BTreeSet;
use std::time::Duration;

use rollout_test_apps::follow_up_boss::Dataset;
use serde_json::{Value, json};

use crate::api_writes::ada;
use crate::fixtures::{API_KEY, Client, HostUnderTest, Setup, app, until};
use crate::webhooks_receiver::{Receiver, Reply};

const WEBHOOKS: &str = "/crm/api/webhooks";
const ALL: &str = "/api/webhooks";

fn setup(app: &rollout_test_apps::follow_up_boss::Simulator, receiver: &Receiver) -> Setup {
    Setup::against(app)
        .set("sync.poll_interval", "200ms")
        .set("webhooks.allowed_private", vec![receiver.address()])
        .set("webhooks.schedule", vec!["0s", "100ms", "200ms"])
        .set("webhooks.head_timeout", "1s")
        .set("webhooks.body_timeout", "500ms")
}

async fn subscribe(client: &Client, at: &str, event: &str, url: String) -> Value {
    let body = json!({"event": event, "url": url});
    client.post(at, body).await.with(201)
}

/// A delivery with its attempts, once it is in this state.
async fn delivery_in(client: &Client, at: &str, webhook: &Value, state: &str) -> Value {
    let list = format!("{at}/{}/deliveries", webhook["id"].as_str().unwrap());
    until(&format!("a delivery is {state}"), async || {
        let page = client.get(&format!("{list}?state={state}")).await.ok();
        let number = page["deliveries"][0]["number"].as_i64()?;
        Some(client.get(&format!("{list}/{number}")).await.ok())
    })
    .await
}

#[tokio::test]
async fn a_change_at_the_app_is_told_signed_and_can_be_read() {
    let (app, receiver) = (app(Dataset::demo()), Receiver::start().await);
    let host = HostUnderTest::start(setup(&app, &receiver)).await;
    let account = host.client("told").connect_synced(API_KEY).await;
    let webhook = subscribe(&account, WEBHOOKS, "peopleUpdated", receiver.url("/own")).await;
    assert_eq!(
        webhook,
        json!({"id": webhook["id"], "status": "Active", "event": "peopleUpdated",
            "url": receiver.url("/own"), "filters": {}})
    );
    subscribe(&host.admin(), ALL, "*", receiver.url("/all")).await;

    let made = app.insert_person(json!({"firstName": "At", "lastName": "App", "stage": "Lead"}));
    receiver.wait("/all", 1).await;
    assert!(app.update_person(made, json!({"firstName": "Changed"})));
    let own = receiver.wait("/own", 1).await.remove(0);
    let all = receiver.wait("/all", 2).await;

    own.assert_signed(host.keys());
    assert_eq!(own.header("x-rollout-credential-id"), account.credential());
    assert_eq!(own.header("content-type"), "application/json");
    let told = own.body();
    let names: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert_eq!(
        names,
        ["eventId", "eventCreated", "event", "resourceIds", "uri"]
    );
    assert_eq!(told["event"], "peopleUpdated");
    assert!(told["eventCreated"].as_str().unwrap().ends_with("+00:00"));
    let read = account.get(told["uri"].as_str().unwrap()).await.ok();
    assert_eq!(read["people"][0]["firstName"], "Changed");
    assert_eq!(read["people"][0]["id"], told["resourceIds"][0]);

    for (one, event) in all.iter().zip(["peopleCreated", "peopleUpdated"]) {
        one.assert_signed(host.keys());
        let body = one.body();
        assert_eq!(body["event"], event);
        assert_eq!(body["credentialId"], account.credential());
        assert_eq!(
            (&body["appKey"], &body["consumerKey"]),
            (&json!("follow-up-boss"), &json!("told"))
        );
    }
    // One event, however many are told of it.
    assert_eq!(all[1].event_id(), own.event_id());

    let done = delivery_in(&account, WEBHOOKS, &webhook, "delivered").await;
    assert_eq!((&done["tries"], &done["nextAt"]), (&json!(1), &Value::Null));
    assert_eq!(done["attempts"][0]["status"], 200);

    // A ping is sent on request, once, and so is what was sent already.
    let one = format!("{WEBHOOKS}/{}", webhook["id"].as_str().unwrap());
    let pinged = account.post(&format!("{one}/ping"), json!({})).await.ok();
    assert_eq!(
        (&pinged["delivered"], &pinged["status"]),
        (&json!(true), &json!(200))
    );
    let ping = receiver.wait("/own", 2).await.remove(1);
    ping.assert_signed(host.keys());
    assert_eq!(ping.body()["event"], "ping");
    let again = format!("{one}/deliveries/{}/resend", done["number"]);
    assert_eq!(account.post(&again, json!({})).await.status, 202);
    assert_eq!(receiver.wait("/own", 3).await[2].event_id(), own.event_id());

    // Nothing more is told after the end.
    assert_eq!(account.delete(&one).await.ok(), json!([]));
    account.get(&one).await.refused(404, "not_found");
    assert!(app.update_person(made, json!({"firstName": "Once more"})));
    receiver.wait("/all", 3).await;
    assert_eq!(receiver.wait("/own", 3).await.len(), 3);
}

#[tokio::test]
async fn what_fails_is_tried_again_until_it_is_taken() {
    let (app, receiver) = (app(Dataset::demo()), Receiver::start().await);
    let host = HostUnderTest::start(setup(&app, &receiver)).await;
    let account = host.client("again").connect_synced(API_KEY).await;
    let webhook = subscribe(&account, WEBHOOKS, "peopleCreated", receiver.url("/")).await;
    receiver.answer([
        Reply::Status(500),
        Reply::With(429, "retry-after: 1", "later".into()),
        Reply::Status(404),
        Reply::With(302, "location: http://127.0.0.1:1/", String::new()),
    ]);
    account.post("/crm/api/people", ada()).await.with(201);
    let got = receiver.wait("/", 5).await;
    let ids: BTreeSet<String> = got.iter().map(|one| one.event_id()).collect();
    assert_eq!(ids.len(), 1, "{ids:?}");
    got[4].assert_signed(host.keys());
    // As long as the receiver asked for, not as the schedule says.
    assert!(got[2].at - got[1].at >= Duration::from_secs(1));
    assert!(got[1].at - got[0].at >= Duration::from_millis(100));
    let done = delivery_in(&account, WEBHOOKS, &webhook, "delivered").await;
    let statuses: Vec<i64> = done["attempts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["status"].as_i64().unwrap())
        .collect();
    assert_eq!(statuses, [500, 429, 404, 302, 200]);
    assert_eq!(done["attempts"][1]["answer"], "later");

    // What is gone is left alone; what happens meanwhile waits.
    receiver.answer([Reply::Status(410)]);
    account.post("/crm/api/people", ada()).await.with(201);
    let one = format!("{WEBHOOKS}/{}", webhook["id"].as_str().unwrap());
    let shown = until("it is disabled", async || {
        let shown = account.get(&one).await.ok();
        (shown["status"] == "Disabled").then_some(shown)
    })
    .await;
    assert!(
        shown["statusReason"].as_str().unwrap().contains("410"),
        "{shown}"
    );
    account.post("/crm/api/people", ada()).await.with(201);
    let waiting = async || {
        let list = format!("{one}/deliveries?state=pending");
        account.get(&list).await.ok()["deliveries"]
            .as_array()
            .unwrap()
            .len()
    };
    until("both wait", async || (waiting().await == 2).then_some(())).await;
    assert_eq!(receiver.got().len(), 6);
    let shown = account.put(&one, json!({"status": "Active"})).await.ok();
    assert_eq!(
        (&shown["status"], shown.get("statusReason")),
        (&json!("Active"), None)
    );
    receiver.wait("/", 8).await;
    until("nothing waits", async || {
        (waiting().await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn filters_choose_records() {
    let (app, receiver) = (app(Dataset::demo()), Receiver::start().await);
    let host = HostUnderTest::start(setup(&app, &receiver)).await;
    let account = host.client("filters").connect_synced(API_KEY).await;
    let body =
        json!({"event": "peopleCreated", "url": receiver.url("/hot"), "filters": {"tags": "Hot"}});
    let webhook = account.post(WEBHOOKS, body).await.with(201);
    assert_eq!(webhook["filters"], json!({"tags": "Hot"}));
    subscribe(&account, WEBHOOKS, "peopleCreated", receiver.url("/any")).await;
    let mut hot = Vec::new();
    for tags in [
        json!(["Cold"]),
        json!(["Warm", "Hot"]),
        json!([]),
        json!(["Hot"]),
    ] {
        let person = json!({"firstName": "A", "lastName": "B", "tags": tags});
        let made = account.post("/crm/api/people", person).await.with(201);
        if tags.as_array().unwrap().contains(&json!("Hot")) {
            hot.push(made["id"].as_str().unwrap().to_owned());
        }
    }
    until("all are told", async || {
        (receiver.told("/any").len() == 4 && receiver.told("/hot").len() >= 2).then_some(())
    })
    .await;
    hot.sort();
    let told: Vec<String> = receiver.told("/hot").into_keys().collect();
    assert_eq!(told, hot);
}

#[tokio::test]
async fn hostile_receivers_hold_nobody_up() {
    let (app, receiver) = (app(Dataset::demo()), Receiver::start().await);
    let host = HostUnderTest::start(setup(&app, &receiver)).await;
    let account = host.client("hostile").connect_synced(API_KEY).await;
    let hostile = [
        ("/silence", Reply::Silence, "no answer within 1s"),
        ("/slow-head", Reply::SlowHead, "no answer within 1s"),
        ("/slow-body", Reply::SlowBody(500), "longer than 500ms"),
        ("/endless", Reply::EndlessBody(500), ""),
        ("/huge-head", Reply::HugeHead, "broke"),
        ("/reset", Reply::Reset, "broke"),
    ];
    let mut webhooks = Vec::new();
    for (path, reply, failure) in hostile {
        receiver.answer_at(path, reply);
        let webhook = subscribe(&account, WEBHOOKS, "peopleCreated", receiver.url(path)).await;
        webhooks.push((path, webhook, failure));
    }
    subscribe(&account, WEBHOOKS, "peopleCreated", receiver.url("/good")).await;
    // As many as take up all the places that a receiver has, and more.
    let mut made = BTreeSet::new();
    for _ in 0..20 {
        let person = account.post("/crm/api/people", ada()).await.with(201);
        made.insert(person["id"].as_str().unwrap().to_owned());
    }
    until("the good one has all", async || {
        let told: BTreeSet<String> = receiver.told("/good").into_keys().collect();
        (told == made).then_some(())
    })
    .await;
    // By then most of what the others were told first was not answered once.
    let silent = receiver.wait("/silence", 1).await;
    assert!(silent.len() < 20, "{}", silent.len());
    for (path, webhook, failure) in &webhooks {
        let id = webhook["id"].as_str().unwrap();
        let list = format!("{WEBHOOKS}/{id}/deliveries?state=pending");
        let tried = until(&format!("{path} is tried"), async || {
            let page = account.get(&list).await.ok();
            let all = page["deliveries"].as_array().unwrap().clone();
            let tried = all.into_iter().find(|one| one["tries"] != 0)?;
            let one = format!("{WEBHOOKS}/{id}/deliveries/{}", tried["number"]);
            Some(account.get(&one).await.ok()["attempts"][0].clone())
        })
        .await;
        let said = tried["failure"].as_str().unwrap_or_default();
        assert!(said.contains(failure), "{path}: {tried}");
        let kept = tried["answer"].as_str().unwrap().len();
        assert!(kept <= 64 * 1024, "{path}: {kept}");
        if *path == "/endless" {
            assert_eq!((kept, &tried["status"]), (64 * 1024, &json!(500)));
        }
    }
}

#[tokio::test]
async fn what_cannot_be_told_is_refused_with_what_to_do() {
    let (app, receiver) = (app(Dataset::demo()), Receiver::start().await);
    let host = HostUnderTest::start(setup(&app, &receiver)).await;
    let account = host.client("refused").connect_synced(API_KEY).await;
    for (url, says) in [
        (
            "http://10.0.0.7:3000/x",
            "webhooks.allowed_private = [\"10.0.0.7:3000\"]",
        ),
        (
            "https://10.0.0.7/x",
            "webhooks.allowed_private = [\"10.0.0.7:443\"]",
        ),
        (
            "http://127.0.0.1:1/x",
            "webhooks.allowed_private = [\"127.0.0.1:1\"]",
        ),
        (
            "http://[::1]:3000/x",
            "webhooks.allowed_private = [\"[::1]:3000\"]",
        ),
        (
            "http://localhost:3000/",
            "webhooks.allowed_private = [\"localhost:3000\"]",
        ),
        ("https://169.254.169.254/latest", "own network"),
        ("https://0x7f.1/", "127.0.0.1:443"),
        ("http://example.com/x", "https"),
        ("https://u:p@example.com/x", "user name"),
        ("ftp://example.com/x", "https://example.com/hooks"),
        ("example.com", "https://example.com/hooks"),
        ("https://example.com/#x", "fragment"),
        ("https://example.com/a b", "space"),
    ] {
        let body = json!({"event": "peopleCreated", "url": url});
        let answer = account.post(WEBHOOKS, body).await;
        let message = answer.refused_at("invalid_body", "/url");
        assert!(message.contains(says), "{url}: {message}");
    }
    let url = "https://example.com/x";
    for event in ["peopleMoved", "people", "*", "credentialBroken", ""] {
        let body = json!({"event": event, "url": url});
        let answer = account.post(WEBHOOKS, body).await;
        let message = answer.refused_at("invalid_body", "/event");
        assert!(
            message.contains("peopleCreated, peopleUpdated"),
            "{message}"
        );
    }
    let refused = async |body: Value, place: &str| {
        account
            .post(WEBHOOKS, body)
            .await
            .refused_at("invalid_body", place)
    };
    refused(json!({"event": "peopleCreated"}), "/url").await;
    refused(json!({"url": url}), "/event").await;
    refused(json!({"url": url, "event": "peopleCreated", "x": 1}), "/x").await;
    let filters = json!({"url": url, "event": "peopleCreated", "filters": {"stages": 1}});
    refused(filters, "/filters/stages").await;
    let webhook = subscribe(&account, WEBHOOKS, "peopleCreated", url.into()).await;
    let same = json!({"event": "peopleCreated", "url": url});
    account.post(WEBHOOKS, same).await.refused(409, "conflict");
    let one = format!("{WEBHOOKS}/{}", webhook["id"].as_str().unwrap());
    let bad = json!({"status": "Paused"});
    account
        .put(&one, bad)
        .await
        .refused_at("invalid_body", "/status");
    let changed = account
        .put(&one, json!({"event": "emailsCreated"}))
        .await
        .ok();
    assert_eq!(changed["event"], "emailsCreated");

    // A page of the list leads to the next.
    for event in ["notesCreated", "tasksCreated"] {
        subscribe(&account, WEBHOOKS, event, url.into()).await;
    }
    let first = account.get(&format!("{WEBHOOKS}?limit=2")).await.ok();
    assert_eq!(first["_metadata"]["total"], 3);
    let next = first["_metadata"]["nextLink"].as_str().unwrap();
    let second = account.get(next).await.ok();
    assert_eq!(second["_metadata"]["next"], Value::Null);
    let of = |page: &Value| page["webhooks"].as_array().unwrap().clone();
    let events: Vec<Value> = of(&first).into_iter().chain(of(&second)).collect();
    let events: Vec<&str> = events
        .iter()
        .map(|one| one["event"].as_str().unwrap())
        .collect();
    assert_eq!(events, ["emailsCreated", "notesCreated", "tasksCreated"]);

    // A consumer has no say in what the environment is told.
    account.get(ALL).await.refused(403, "forbidden");
    let other = host.client("other").of(account.credential());
    other.get(WEBHOOKS).await.refused(403, "invalid_credential");
}
