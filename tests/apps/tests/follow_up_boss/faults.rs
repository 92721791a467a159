use std::time::{Duration, Instant};

use rollout_test_apps::follow_up_boss::{Config, Dataset, Fault, Hold, Simulator};
use serde_json::json;

use super::{Api, unlimited};

#[tokio::test]
async fn faults_are_served_in_order_and_then_end() {
    let simulator = Simulator::start(Config::default()).unwrap();
    let api = Api::new(&simulator);
    simulator.fail_next(2, Fault::RateLimited { retry_after: 3 });
    simulator.fail_next(1, Fault::Status(500));
    simulator.fail_next(1, Fault::Truncated);
    for _ in 0..2 {
        let answer = api.get("/people").await;
        assert_eq!(answer.status, 429);
        assert_eq!(answer.header("retry-after"), Some("3"));
        assert_ne!(answer.header("x-ratelimit-remaining"), Some("0"));
    }
    let answer = api.get("/people").await;
    assert_eq!(answer.status, 500);
    assert!(!answer.error().is_empty());
    let truncated = api.get("/people").await;
    assert_eq!(truncated.status, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&truncated.text).is_err());
    let statuses: Vec<u16> = simulator.requests().iter().map(|one| one.status).collect();
    assert_eq!(statuses, [429, 429, 500, 200]);
    assert_eq!(api.get("/people").await.ids().len(), 10);
}

#[tokio::test]
async fn faults_can_be_bound_to_a_path() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    simulator.fail_next_at("/v1/notes", usize::MAX, Fault::Status(503));
    assert_eq!(api.get("/people").await.status, 200);
    assert_eq!(api.get("/notes").await.status, 503);
    assert_eq!(api.get("/notes/1").await.status, 503);
    simulator.clear_faults();
    assert_eq!(api.get("/notes").await.status, 200);
}

#[tokio::test]
async fn answers_can_be_late() {
    let simulator = unlimited(Dataset::demo());
    simulator.fail_next(1, Fault::Delay(Duration::from_millis(80)));
    let start = Instant::now();
    assert_eq!(Api::new(&simulator).get("/people").await.status, 200);
    assert!(start.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn new_people_settle_before_notes_find_them() {
    let simulator = unlimited(Dataset::empty());
    let api = Api::new(&simulator);
    simulator.set_settling(Duration::from_secs(60));
    let id = api
        .post("/people", json!({"firstName": "New"}))
        .await
        .json()["id"]
        .clone();
    let note = json!({"personId": id, "body": "hello"});
    assert_eq!(api.post("/notes", note.clone()).await.status, 404);
    assert_eq!(api.get(&format!("/people/{id}")).await.status, 200);
    simulator.set_settling(Duration::ZERO);
    assert_eq!(api.post("/notes", note).await.status, 201);
}

#[tokio::test]
async fn requests_are_logged() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    let waiting = async {
        let wait = simulator.wait_for_requests(2);
        tokio::time::timeout(Duration::from_secs(5), wait)
            .await
            .unwrap()
    };
    let asking = async {
        api.get("/people?limit=3&tags=Buyer").await;
        api.post("/notes", json!({"body": "nobody's"})).await;
    };
    let (log, ()) = tokio::join!(waiting, asking);
    assert_eq!(log[0].method, "GET");
    assert_eq!(log[0].path, "/v1/people");
    assert_eq!(log[0].query, "limit=3&tags=Buyer");
    assert_eq!(log[0].status, 200);
    assert_eq!(log[0].authorization.as_deref(), Some("Basic ZmthX2RlbW86"));
    assert_eq!((log[1].method.as_str(), log[1].status), ("POST", 400));
    assert_eq!(log[1].body, r#"{"body":"nobody's"}"#);
    simulator.clear_requests();
    assert!(simulator.requests().is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_is_logged_too() {
    let simulator = unlimited(Dataset::demo());
    simulator.fail_next(1, Fault::Delay(Duration::from_secs(30)));
    let api = Api::new(&simulator);
    let asking = api.get("/people");
    assert!(
        tokio::time::timeout(Duration::from_millis(100), asking)
            .await
            .is_err()
    );
    drop(api);
    let wait = simulator.wait_for_requests(1);
    let log = tokio::time::timeout(Duration::from_secs(5), wait)
        .await
        .unwrap();
    assert_eq!(log[0].status, 0);
}

#[tokio::test]
async fn a_simulator_can_go_away_and_come_back() {
    let simulator = unlimited(Dataset::demo());
    let (api, address) = (Api::new(&simulator), simulator.address());
    assert_eq!(api.get("/people").await.status, 200);
    simulator.shutdown();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    let _again = Simulator::start(Config::default().listen(address)).unwrap();
    assert_eq!(api.get("/people").await.status, 200);
}

#[tokio::test]
async fn answers_get_lost_before_and_after_the_app_has_done_it() {
    let simulator = unlimited(Dataset::empty());
    let address = format!("{}/v1/people", simulator.url());
    let http = reqwest::Client::new();
    let post = async |name: &str| {
        let sent = http
            .post(&address)
            .basic_auth(Config::API_KEY, Some(""))
            .json(&json!({"firstName": name}))
            .send()
            .await;
        match sent {
            Ok(answer) => (answer.status().as_u16(), answer.bytes().await.is_ok()),
            Err(_) => (0, false),
        }
    };
    for (fault, arrives, applied) in [
        (Fault::Cut, false, 0),
        (Fault::Lost, false, 1),
        (Fault::StatusAfter(500), true, 2),
    ] {
        simulator.fail_next(1, fault.clone());
        let (status, read) = post("Lost").await;
        assert_eq!(read, arrives, "{fault:?}");
        assert_eq!(simulator.people_count(), applied, "{fault:?}");
        assert_eq!(status == 500, arrives, "{fault:?}");
    }
    let statuses: Vec<u16> = simulator.requests().iter().map(|one| one.status).collect();
    assert_eq!(statuses, [0, 0, 500]);

    let hold = Hold::new();
    simulator.fail_next(1, Fault::Held(hold.clone()));
    let held = async {
        hold.reached().await;
        assert_eq!(simulator.people_count(), 3);
        assert_eq!(simulator.requests().len(), 3);
        hold.release();
    };
    let (answer, ()) = tokio::join!(post("Held"), held);
    assert_eq!(answer, (201, true));
}
