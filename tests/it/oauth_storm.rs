//! Many callers in several processes when a token ends: one of them asks for the next.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use rollout_test_apps::follow_up_boss::{Dataset, Fault};
use serde_json::json;

use crate::fixtures::{HostUnderTest, app, database, until};
use crate::oauth_stage::{configure, setup, sign_in};

const CALLERS: usize = 200;
const ROUNDS: usize = 4;
/// How long tokens are good.
const LIFE: Duration = Duration::from_secs(2);

/// The app takes a refresh token once, and ends the whole sign-in if one comes again: who
/// asked twice, or lost an answer, would have ended it.
#[tokio::test]
async fn of_200_callers_in_three_processes_one_asks_for_the_next_token() {
    let app = app(Dataset::demo());
    let database = database();
    let first = HostUnderTest::start(setup(&app).on(&database)).await;
    configure(&app, &first).await;
    let account = sign_in(&app, &first, &first.client("alice")).await;
    account.wait_synced(account.credential()).await;
    let second = first.beside(setup(&app).on(&database)).await;
    let third = first.beside(setup(&app).on(&database)).await;
    let hosts = [&first, &second, &third];

    let mut claims = first.keys().claims("alice");
    claims["scope"] = json!("proxy");
    let token = first.keys().sign(&claims);
    let clients = hosts.map(|host| host.client_with_token(&token));
    let path = format!("/api/proxy/{}/v1/identity", account.credential());
    for client in &clients {
        until("the host answers", async || {
            (client.get(&path).await.status == 200).then_some(())
        })
        .await;
    }
    // Up to this one tokens were good for an hour.
    app.change_oauth(|client| client.life = LIFE);
    app.end_access();
    clients[0].get(&path).await.ok();
    let before = app.refreshes();
    app.clear_requests();

    for round in 1..=ROUNDS {
        // The token ends by the clock.
        tokio::time::sleep(LIFE).await;
        let slowness = Duration::from_millis([100, 300, 1000, 1500][round - 1]);
        app.fail_next_at("/oauth/token", 1, Fault::Delay(slowness));
        let calls = clients.iter().cycle().take(CALLERS);
        let answers = join_all(calls.map(|client| client.get(&path))).await;
        for answer in answers {
            assert_eq!(answer.status, 200, "round {round}: {}", answer.text);
        }
        app.clear_faults();
    }

    // Every token that was given out was asked for once, and used.
    let requests = app.requests();
    let of_api = requests.iter().filter(|one| one.path.starts_with("/v1"));
    let used: BTreeSet<_> = of_api.map(|one| one.authorization.clone()).collect();
    let refreshes = app.refreshes() - before;
    assert_eq!(used.len(), refreshes, "{refreshes} were asked for");
    assert!(refreshes >= ROUNDS, "{refreshes}");
    let asked: Vec<_> = requests
        .iter()
        .filter(|one| one.path == "/oauth/token")
        .map(|one| one.body.clone())
        .collect();
    let different: BTreeSet<_> = asked.iter().collect();
    assert_eq!(different.len(), asked.len(), "no refresh token came twice");
    let shown = format!("/api/credentials/{}", account.credential());
    assert_eq!(account.get(&shown).await.ok()["status"], "ok");
}
