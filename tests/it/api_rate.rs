//! The limit of requests that an operator may set for each environment.

use reqwest::header::RETRY_AFTER;
use rollout_test_apps::follow_up_boss::Dataset;

use crate::fixtures::{API_KEY, Answer, HostUnderTest, Setup, app};

fn number(answer: &Answer, name: &str) -> u32 {
    let value = answer.headers.get(name);
    let value = value.unwrap_or_else(|| panic!("no {name}: {:?}", answer.headers));
    value.to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_environment_that_asks_too_often_is_told_to_wait() {
    let app = app(Dataset::demo());
    let setup = Setup::against(&app).set("api.requests_per_second", 20);
    let host = HostUnderTest::start(setup).await;
    let client = host.client("hurried");
    let first = client.get("/api/credentials").await;
    assert_eq!(number(&first, "x-ratelimit-limit"), 20);
    assert!(number(&first, "x-ratelimit-remaining") < 20);
    assert_eq!(number(&first, "x-ratelimit-reset"), 1);

    // More than twice a second's worth at once.
    let all = (0..50).map(|_| client.get("/api/credentials"));
    let answers = futures_util::future::join_all(all).await;
    let (let_in, refused): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|answer| answer.status == 200);
    assert!(let_in.len() >= 19, "{} were let in", let_in.len());
    assert!(!refused.is_empty());
    for answer in refused {
        assert_eq!(number(&answer, "x-ratelimit-remaining"), 0);
        assert_eq!(answer.headers[RETRY_AFTER], "1");
        answer.refused(429, "rate_limited");
    }

    // Errors say it too; what needs no token, or has none that is valid, spends nothing.
    let stranger = host.client_with_token("not a token");
    for _ in 0..50 {
        let answer = stranger.get("/api/credentials").await;
        assert!(!answer.headers.contains_key("x-ratelimit-limit"));
        answer.refused(401, "unauthorized");
    }
    assert_eq!(host.stranger().get("/healthz").await.status, 200);

    // After as long as it was told to wait, it may ask again.
    let mut answer = client.get("/crm/api/people").await;
    while answer.status == 429 {
        let wait = number(&answer, "retry-after");
        tokio::time::sleep(std::time::Duration::from_secs(wait.into())).await;
        answer = client.get("/crm/api/people").await;
    }
    assert!(number(&answer, "x-ratelimit-remaining") < 20);
    answer.refused(400, "credential_header_missing");
    client.connect(API_KEY).await;
}

#[tokio::test]
async fn without_a_limit_nothing_is_said_of_it() {
    let host = HostUnderTest::start(Setup::plain()).await;
    let answer = host.client("calm").get("/api/credentials").await;
    assert!(!answer.headers.contains_key("x-ratelimit-limit"));
}
