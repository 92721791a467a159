//! Makes deliveries until they are taken.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollout_connectors::Environment;
use rollout_egress::Received;
use rollout_store::{Attempt, DeliveryState, Due, Lease, Next, StoreError, after, millis, now};
use rollout_work::Handler;
use tokio::sync::watch;

use crate::schedule::Schedule;
use crate::sender::Sender;

/// A receiver's word that it is gone for good.
const GONE: u16 = 410;
/// How long a host that stops waits for answers.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Makes deliveries.
pub struct Deliver {
    sender: Arc<Sender>,
    schedule: Schedule,
}

impl Deliver {
    /// What fails is tried again by the schedule.
    pub fn new(sender: Arc<Sender>, schedule: Schedule) -> Self {
        Self { sender, schedule }
    }

    /// What comes after a try.
    fn next(&self, due: &Due, attempt: i64, at: i64, received: &Received) -> Next {
        if received.is_accepted() {
            return Next::Delivered;
        }
        if received.status == Some(GONE) {
            return Next::Disabled("The receiver answered 410 (Gone).".to_owned());
        }
        let failing = due.webhook.failing_since.map(|since| at - since);
        let longest = millis(self.schedule.disable_after);
        if failing.is_some_and(|failing| failing >= longest) {
            return Next::Disabled(format!(
                "The receiver took nothing for {:?}; last it said: {}.",
                self.schedule.disable_after,
                said(received)
            ));
        }
        Next::Again(after(self.schedule.wait(attempt, received.retry_after)))
    }
}

/// What a receiver said, in a few words.
fn said(received: &Received) -> String {
    match (received.status, &received.failure) {
        (Some(status), _) => status.to_string(),
        (None, failure) => failure.clone().unwrap_or_default(),
    }
}

#[async_trait]
impl Handler for Deliver {
    async fn run(
        &self,
        environment: &Arc<Environment>,
        lease: &Lease,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        let store = environment.store();
        let named = lease.name.rsplit_once('/');
        let named = named.and_then(|(id, number)| Some((id, number.parse().ok()?)));
        let Some((webhook_id, number)) = named else {
            return store.finish_job(lease).await;
        };
        let due = store.due_delivery(webhook_id, number).await?;
        let waits = |due: &Due| {
            due.webhook.disabled.is_none() && due.delivery.state == DeliveryState::Pending
        };
        // One that is gone, is made, or waits until its subscription is enabled.
        let Some(due) = due.filter(waits) else {
            return store.finish_job(lease).await;
        };
        let Some(event) = &due.delivery.event else {
            return store.expire_delivery(lease, &due).await;
        };
        let at = now();
        let delivering = self
            .sender
            .deliver(environment, &due.webhook, &due.delivery, event);
        let mut stop = stop.clone();
        let stopped = async {
            if stop.wait_for(|stop| *stop).await.is_err() {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(LAST_ANSWERS).await;
        };
        let received = tokio::select! {
            received = delivering => received?,
            // Another host asks again, under the same id.
            () = stopped => return Ok(()),
        };
        let attempt = due.delivery.attempts + 1;
        let next = self.next(&due, attempt, at, &received);
        if let Next::Disabled(reason) = &next {
            let (environment, webhook) = (&environment.name, &due.webhook.id);
            tracing::warn!(environment, webhook, reason, "a webhook is disabled");
        }
        let attempt = Attempt {
            attempt,
            at,
            milliseconds: millis(received.took),
            status: received.status.map(i64::from),
            failure: received.failure,
            answer: received.body,
        };
        store.note_attempt(lease, &due, &attempt, &next).await
    }
}
