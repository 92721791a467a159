//! Who is told of what: from numbered events to deliveries, and what becomes of those.

use rollout_store::{
    Attempt, DELIVER, DeliveryState, EnvStore, FAN_OUT, HOUSE, Lease, NewDelivery, NewJob, Next,
    Queue, StoreError, Subscriber, Wanted, Webhook, WebhookChange, now,
};
use serde_json::json;

use super::fixture::{Fixture, LONG, land_one};

const ALL: Subscriber<'static> = Subscriber {
    credential_id: None,
    category: "",
};

fn wanted(event: &str) -> Wanted {
    Wanted {
        event: event.to_owned(),
        url: "https://example.com/hooks".to_owned(),
        filters: "{}".to_owned(),
        initial: true,
    }
}

async fn claim(store: &EnvStore, queue: Queue) -> Lease {
    let leases = store.claim_jobs(queue, "test", 1, LONG).await.unwrap();
    leases.into_iter().next().expect("there is something to do")
}

/// Makes events of these people, and numbers them.
async fn happen(fixture: &Fixture, people: &[&str]) {
    for id in people {
        let person = fixture.person(id, json!({"firstName": id}));
        land_one(&fixture.store, &fixture.credential, person).await;
    }
    let job = NewJob {
        lane: "events".to_owned(),
        name: "events".to_owned(),
        due_at: 0,
    };
    fixture.store.enter_jobs(HOUSE, vec![job]).await.unwrap();
    let lease = claim(&fixture.store, HOUSE).await;
    while fixture.store.number_events(&lease).await.unwrap() > 0 {}
    fixture.store.finish_job(&lease).await.unwrap();
}

/// Hands all news out to everybody.
async fn fan_out(store: &EnvStore, lease: &Lease) -> Result<usize, StoreError> {
    let news = store.news().await.unwrap();
    let mut deliveries = Vec::new();
    for event in &news.events {
        for webhook in news.webhooks.iter().filter(|one| one.after < event.number) {
            deliveries.push(NewDelivery {
                webhook,
                number: event.number,
                ids: None,
                due_at: now(),
            });
        }
    }
    let count = deliveries.len();
    store.fan_out(lease, &news, deliveries).await?;
    Ok(count)
}

async fn follower(store: &EnvStore) -> Lease {
    store.enter_fan_out("follow").await.unwrap();
    claim(store, FAN_OUT).await
}

async fn states(store: &EnvStore, webhook: &Webhook) -> Vec<DeliveryState> {
    let all = store.deliveries(&webhook.id, None, i64::MAX, 100).await;
    all.unwrap().into_iter().map(|one| one.state).collect()
}

fn attempt(number: i64, status: i64) -> Attempt {
    Attempt {
        attempt: number,
        at: now(),
        milliseconds: 7,
        status: Some(status),
        failure: None,
        answer: b"\xff said".to_vec(),
    }
}

/// Claims the next delivery and settles it.
async fn deliver(store: &EnvStore, status: i64, next: &Next) -> i64 {
    let lease = claim(store, DELIVER).await;
    let (id, number) = lease.name.split_once('/').unwrap();
    let number = number.parse().unwrap();
    let due = store.due_delivery(id, number).await.unwrap().unwrap();
    let attempt = attempt(due.delivery.attempts + 1, status);
    store
        .note_attempt(&lease, &due, &attempt, next)
        .await
        .unwrap();
    number
}

#[tokio::test]
async fn what_happens_is_handed_out_once() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    happen(&fixture, &["before"]).await;
    let lease = follower(store).await;
    assert_eq!(fan_out(store, &lease).await.unwrap(), 0);
    let webhook = store.create_webhook(ALL, &wanted("*")).await.unwrap();
    happen(&fixture, &["1", "2", "3"]).await;

    // Looked at twice, handed out once.
    let news = store.news().await.unwrap();
    assert_eq!(fan_out(store, &lease).await.unwrap(), 3);
    let late = NewDelivery {
        webhook: &webhook,
        number: 1,
        ids: None,
        due_at: now(),
    };
    store.fan_out(&lease, &news, vec![late]).await.unwrap();
    assert_eq!(states(store, &webhook).await, [DeliveryState::Pending; 3]);
    assert_eq!(fan_out(store, &lease).await.unwrap(), 0);

    // Without the lease nothing moves.
    store.finish_job(&lease).await.unwrap();
    happen(&fixture, &["4"]).await;
    let lost = fan_out(store, &lease).await.unwrap_err();
    assert!(matches!(lost, StoreError::LeaseLost), "{lost}");
    assert_eq!(states(store, &webhook).await.len(), 3);
    let lease = follower(store).await;
    assert_eq!(fan_out(store, &lease).await.unwrap(), 1);
}

#[tokio::test]
async fn deliveries_are_kept_until_they_are_taken() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let webhook = store.create_webhook(ALL, &wanted("*")).await.unwrap();
    happen(&fixture, &["1", "2"]).await;
    let lease = follower(store).await;
    while fan_out(store, &lease).await.unwrap() > 0 {}
    let all = states(store, &webhook).await.len();
    assert!(all >= 2);

    let first = deliver(store, 500, &Next::Again(0)).await;
    let failing = store.webhook(ALL, &webhook.id).await.unwrap().unwrap();
    assert!(failing.failing_since.is_some());
    while states(store, &webhook)
        .await
        .contains(&DeliveryState::Pending)
    {
        deliver(store, 200, &Next::Delivered).await;
    }
    let taken = store.webhook(ALL, &webhook.id).await.unwrap().unwrap();
    assert_eq!(taken.failing_since, None);
    let tries = store.attempts(&webhook.id, first).await.unwrap();
    let statuses: Vec<_> = tries.iter().map(|one| (one.attempt, one.status)).collect();
    assert_eq!(statuses, [(1, Some(500)), (2, Some(200))]);
    assert_eq!(tries[0].answer, b"\xff said");
    assert!(store.next_job_in(DELIVER).await.unwrap().is_none());

    // Once more, and then the receiver is gone.
    assert!(store.resend_delivery(&webhook.id, first).await.unwrap());
    assert!(!store.resend_delivery(&webhook.id, i64::MAX).await.unwrap());
    let gone = Next::Disabled("gone".to_owned());
    assert_eq!(deliver(store, 410, &gone).await, first);
    let shown = store.webhook(ALL, &webhook.id).await.unwrap().unwrap();
    assert_eq!(shown.disabled.as_deref(), Some("gone"));
    happen(&fixture, &["3"]).await;
    fan_out(store, &lease).await.unwrap();
    // It may have been enabled just now: whoever delivers looks.
    assert!(store.next_job_in(DELIVER).await.unwrap().is_some());
    // What waited is taken up with its end.
    let enable = WebhookChange {
        disabled: Some(None),
        ..WebhookChange::default()
    };
    store
        .change_webhook(ALL, &webhook.id, &enable)
        .await
        .unwrap();
    let resuming = claim(store, FAN_OUT).await;
    assert_eq!(resuming.name, webhook.id);
    let last = store
        .take_up_deliveries(&resuming, &webhook.id, 0)
        .await
        .unwrap();
    let end = store
        .take_up_deliveries(&resuming, &webhook.id, last.unwrap())
        .await;
    assert_eq!(end.unwrap(), None);
    for _ in 0..2 {
        deliver(store, 200, &Next::Delivered).await;
    }
    assert_eq!(
        states(store, &webhook).await,
        vec![DeliveryState::Delivered; all + 1]
    );

    // Old ones go, and with a subscription all of its own.
    assert_eq!(store.forget_deliveries(0).await.unwrap(), 0);
    store.delete_webhook(ALL, &webhook.id).await.unwrap();
    let gone = store.forget_deliveries(0).await.unwrap();
    assert_eq!(usize::try_from(gone).unwrap(), all + 1);
    assert!(store.attempts(&webhook.id, first).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_subscription_belongs_to_one_and_is_there_once() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let own = Subscriber {
        credential_id: Some(&fixture.credential.id),
        category: "crm",
    };
    let webhook = store
        .create_webhook(own, &wanted("peopleCreated"))
        .await
        .unwrap();
    let same = store.create_webhook(own, &wanted("peopleCreated")).await;
    assert!(matches!(same, Err(StoreError::Conflict(_))), "{same:?}");
    let second = store
        .create_webhook(own, &wanted("peopleDeleted"))
        .await
        .unwrap();
    let change = WebhookChange {
        wanted: Some(wanted("peopleCreated")),
        ..WebhookChange::default()
    };
    let same = store.change_webhook(own, &second.id, &change).await;
    assert!(matches!(same, Err(StoreError::Conflict(_))), "{same:?}");
    let elsewhere = Subscriber {
        category: "tms",
        ..own
    };
    for other in [ALL, elsewhere] {
        assert_eq!(store.webhook(other, &webhook.id).await.unwrap(), None);
        let changed = store.change_webhook(other, &webhook.id, &change).await;
        assert!(
            matches!(changed, Err(StoreError::NotFound(_))),
            "{changed:?}"
        );
        let deleted = store.delete_webhook(other, &webhook.id).await;
        assert!(
            matches!(deleted, Err(StoreError::NotFound(_))),
            "{deleted:?}"
        );
    }
    assert_eq!(store.webhooks(own).await.unwrap().len(), 2);
    for _ in 2..rollout_store::WEBHOOKS_MAX {
        let one = wanted(&format!("x{}", now()));
        let url = format!("https://example.com/{}", store.next_stamp().await.unwrap());
        store
            .create_webhook(own, &Wanted { url, ..one })
            .await
            .unwrap();
    }
    let more = store.create_webhook(own, &wanted("more")).await;
    assert!(matches!(more, Err(StoreError::Limit(_))), "{more:?}");
    // They go with the credential.
    store
        .delete_credential(&fixture.credential.id)
        .await
        .unwrap();
    assert_eq!(store.webhooks(own).await.unwrap(), []);
    let late = store.create_webhook(own, &wanted("late")).await;
    assert!(matches!(late, Err(StoreError::NotFound(_))), "{late:?}");
}
