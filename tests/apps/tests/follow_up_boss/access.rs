use rollout_test_apps::follow_up_boss::{
    AccountConfig, Allowances, Config, Dataset, RateLimits, Simulator,
};
use serde_json::json;

use super::{Api, unlimited};

fn narrow() -> RateLimits {
    let registered = Allowances {
        global: 6,
        events: 4,
        put_people: 2,
        notes: 1,
    };
    let unregistered = Allowances {
        global: 3,
        events: 2,
        put_people: 1,
        notes: 1,
    };
    RateLimits {
        registered,
        unregistered,
        ..RateLimits::default()
    }
}

#[tokio::test]
async fn credentials_are_needed_and_a_401_has_no_limits() {
    let simulator = Simulator::start(Config::default()).unwrap();
    for api in [
        Api::anonymous(&simulator),
        Api::with_key(&simulator, "fka_wrong"),
    ] {
        let answer = api.get("/people").await;
        assert_eq!(answer.status, 401);
        assert!(!answer.error().is_empty());
        assert_eq!(answer.header("x-ratelimit-limit"), None);
        assert_eq!(answer.header("fub-account-id"), None);
    }
}

#[tokio::test]
async fn identity_and_me_describe_the_caller() {
    let simulator = Simulator::start(Config::default()).unwrap();
    let api = Api::new(&simulator);
    let identity = api.get("/identity").await;
    assert_eq!(identity.header("fub-account-id"), Some("1"));
    assert_eq!(identity.header("fub-user-id"), Some("1"));
    assert_eq!(identity.json()["user"]["isOwner"], true);
    assert_eq!(identity.json()["account"]["owner"]["name"], "Tom Minch");
    let me = api.get("/me").await.json();
    assert_eq!(me["apiKey"], Config::API_KEY);
    assert_eq!(me["id"], 1);
}

#[tokio::test]
async fn answers_come_whole() {
    let simulator = Simulator::start(Config::default()).unwrap();
    let answer = Api::new(&simulator).get("/people?limit=100").await;
    let length = answer.text.len().to_string();
    assert_eq!(answer.header("content-length"), Some(length.as_str()));
    assert_eq!(answer.header("transfer-encoding"), None);
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn accounts_are_apart_and_agents_see_their_own() {
    let demo = AccountConfig::new(Dataset::demo())
        .key("fka_owner", 1)
        .key("fka_agent", 3);
    let other = AccountConfig::new(Dataset::empty())
        .id(2)
        .key("fka_other", 1);
    let simulator = Simulator::start(Config::of(demo).account(other)).unwrap();

    let other = Api::with_key(&simulator, "fka_other");
    assert_eq!(other.get("/people").await.json()["_metadata"]["total"], 0);
    assert_eq!(
        other.get("/users").await.header("fub-account-id"),
        Some("2")
    );
    assert_eq!(
        other
            .post("/people", json!({"firstName": "X"}))
            .await
            .status,
        201
    );
    assert_eq!(simulator.account(2).unwrap().people().len(), 1);
    assert_eq!(simulator.people().len(), 12);

    let owner = Api::with_key(&simulator, "fka_owner");
    let agent = Api::with_key(&simulator, "fka_agent");
    assert_eq!(owner.get("/people").await.json()["_metadata"]["total"], 12);
    assert_eq!(agent.get("/people?sort=id").await.ids(), [2, 5, 8, 11]);
    assert_eq!(agent.get("/people/1").await.status, 404);
    assert_eq!(
        agent
            .put("/people/1", json!({"firstName": "X"}))
            .await
            .status,
        404
    );
    assert_eq!(agent.delete("/people/1").await.status, 404);
    assert_eq!(agent.get("/people/2").await.status, 200);
    assert_eq!(agent.get("/notes?sort=id").await.ids(), [2, 5]);
    assert_eq!(
        agent
            .post("/notes", json!({"personId": 1, "body": "x"}))
            .await
            .status,
        404
    );
    assert_eq!(
        agent.get("/identity").await.json()["user"]["isAdmin"],
        false
    );
}

#[tokio::test]
async fn an_expired_account_is_forbidden() {
    let account = AccountConfig::new(Dataset::demo())
        .key("fka_old", 1)
        .expired();
    let simulator = Simulator::start(Config::of(account)).unwrap();
    let answer = Api::with_key(&simulator, "fka_old").get("/people").await;
    assert_eq!(answer.status, 403);
    assert!(!answer.error().is_empty());
    assert_eq!(answer.header("x-ratelimit-limit"), Some("125"));
}

#[tokio::test]
async fn registered_systems_have_twice_the_room() {
    let config = Config::default()
        .system("Rollout", "secret")
        .limits(narrow());
    let simulator = Simulator::start(config).unwrap();
    let nobody = Api::new(&simulator).system("Rollout", "wrong");
    let system = Api::new(&simulator).system("Rollout", "secret");
    for remaining in ["2", "1", "0"] {
        let answer = nobody.get("/people").await;
        assert_eq!(answer.header("x-ratelimit-limit"), Some("3"));
        assert_eq!(answer.header("x-ratelimit-remaining"), Some(remaining));
        assert_eq!(answer.header("x-ratelimit-window"), Some("10"));
        assert_eq!(answer.header("x-ratelimit-context"), Some("global"));
    }
    let refused = nobody.get("/people").await;
    assert_eq!(refused.status, 429);
    assert!(!refused.error().is_empty());
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait));
    let answer = system.get("/people").await;
    assert_eq!(answer.header("x-ratelimit-limit"), Some("6"));
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("5"));
}

#[tokio::test]
async fn contexts_have_windows_of_their_own() {
    let config = Config::default().limits(narrow());
    let simulator = Simulator::start(config).unwrap();
    let api = Api::new(&simulator);
    assert_eq!(
        api.get("/notes").await.header("x-ratelimit-context"),
        Some("notes")
    );
    let refused = api.post("/notes", json!({"personId": 1})).await;
    assert_eq!(refused.status, 429);
    assert_eq!(
        simulator.notes().len(),
        8,
        "a refused request is not processed"
    );
    let change = json!({"firstName": "Ann"});
    let put = api.put("/people/1", change.clone()).await;
    assert_eq!(put.header("x-ratelimit-context"), Some("PUT.people"));
    assert_eq!(api.put("/people/1", change).await.status, 429);
    assert_eq!(api.get("/people/1").await.status, 200);
}

#[tokio::test]
async fn limiting_can_be_off() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    for _ in 0..30 {
        let answer = api.get("/notes").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit"), None);
    }
    simulator.set_rate_limits(RateLimits::default());
    assert_eq!(
        api.get("/notes").await.header("x-ratelimit-remaining"),
        Some("4")
    );
}

#[tokio::test]
async fn unknown_places_and_methods_are_refused() {
    let simulator = unlimited(Dataset::demo());
    let api = Api::new(&simulator);
    assert_eq!(api.get("/nothing").await.status, 404);
    assert_eq!(
        api.get(&format!("{}/people", simulator.url())).await.status,
        404
    );
    assert_eq!(api.get("/people/abc").await.status, 404);
    assert_eq!(api.delete("/users/1").await.status, 405);
    assert_eq!(api.post("/users", json!({})).await.status, 405);
}
