//! Hosts die, and nothing is lost: all that was answered to a writer is told, and what is
//! told twice has one event id.

use std::collections::BTreeSet;

use rollout_test_apps::follow_up_boss::Dataset;
use serde_json::json;

use crate::api_writes::ada;
use crate::fixtures::{API_KEY, Client, HostUnderTest, Setup, app, database, until};
use crate::webhooks_receiver::{Receiver, Reply};

/// Deliveries that one receiver is sent at once.
const AT_ONCE: usize = 4;

fn setup(app: &rollout_test_apps::follow_up_boss::Simulator, receiver: &Receiver) -> Setup {
    Setup::against(app)
        .set("sync.poll_interval", "1h")
        .set("work.lease", "2s")
        .set("work.renew", "500ms")
        .set("webhooks.allowed_private", vec![receiver.address()])
        .set("webhooks.schedule", vec!["0s", "100ms"])
}

/// Makes people and notes which; ends with the host.
async fn write(account: &Client, count: usize, made: &mut BTreeSet<String>) {
    for _ in 0..count {
        let person = account.post("/crm/api/people", ada()).await.with(201);
        made.insert(person["id"].as_str().unwrap().to_owned());
    }
}

/// Waits until all that was made is told; each under one event, with few repetitions.
async fn assert_told(receiver: &Receiver, made: &BTreeSet<String>, most_twice: usize) {
    until("all are told", async || {
        let told: BTreeSet<String> = receiver.told("/").into_keys().collect();
        told.is_superset(made).then_some(())
    })
    .await;
    for (id, events) in receiver.told("/") {
        assert_eq!(events.len(), 1, "{id} is told under {events:?}");
    }
    let got = receiver.got();
    let distinct: BTreeSet<String> = got.iter().map(|one| one.event_id()).collect();
    let twice = got.len() - distinct.len();
    assert!(twice <= most_twice, "{twice} of {}", got.len());
}

#[tokio::test]
async fn a_host_that_is_killed_again_and_again_tells_all() {
    const KILLS: usize = 6;
    let (app, receiver) = (app(Dataset::demo()), Receiver::start().await);
    let mut host = HostUnderTest::start(setup(&app, &receiver)).await;
    let account = host.client("killed").connect_synced(API_KEY).await;
    let body = json!({"event": "peopleCreated", "url": receiver.url("/")});
    account.post("/crm/api/webhooks", body).await.with(201);
    let credential = account.credential().to_owned();
    let mut made = BTreeSet::new();
    for round in 0..KILLS {
        let account = host.client("killed").of(&credential);
        // Before the events are numbered, or while they are sent and not answered.
        if round % 2 == 1 {
            receiver.answer((0..AT_ONCE).map(|_| Reply::Silence));
        }
        let before = receiver.got().len();
        write(&account, 8, &mut made).await;
        if round % 2 == 1 {
            until("some are under way", async || {
                (receiver.got().len() > before).then_some(())
            })
            .await;
        }
        host.kill();
        host.restart().await;
    }
    assert_told(&receiver, &made, KILLS * AT_ONCE).await;
    host.client("killed")
        .of(&credential)
        .get("/crm/api/webhooks")
        .await
        .ok();
}

#[tokio::test]
async fn what_a_killed_host_was_at_goes_out_from_another() {
    let (app, receiver) = (app(Dataset::demo()), Receiver::start().await);
    let database = database();
    let config = || setup(&app, &receiver).on(&database);
    let mut one = HostUnderTest::start(config()).await;
    let other = one.beside(config()).await;
    let account = one.client("two").connect_synced(API_KEY).await;
    let body = json!({"event": "peopleCreated", "url": receiver.url("/")});
    account.post("/crm/api/webhooks", body).await.with(201);
    let mut made = BTreeSet::new();
    write(&account, 10, &mut made).await;
    // Both are at work, and one dies with what it has not heard an answer to.
    receiver.answer((0..AT_ONCE).map(|_| Reply::Silence));
    write(&account, 10, &mut made).await;
    let before = receiver.got().len();
    one.kill();
    let account = other.client("two").of(account.credential());
    write(&account, 10, &mut made).await;
    until("it goes on", async || {
        (receiver.got().len() > before).then_some(())
    })
    .await;
    assert_told(&receiver, &made, 2 * AT_ONCE).await;
}
