//! From events to deliveries.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rollout_connectors::{Connectors, Environment};
use rollout_store::{
    CREDENTIAL, EnvStore, Event, Lease, NewDelivery, News, StoreError, Webhook, after,
};
use rollout_work::Handler;
use tokio::sync::watch;

use crate::filters::Filters;
use crate::names::names_event;
use crate::schedule::Schedule;

/// The job that follows the events, for as long as it holds its lease. All others are
/// named like a subscription, and take up what waits for it.
const FOLLOW: &str = "follow";
/// How long it waits without a signal before looking anyway.
const LOOK: Duration = Duration::from_secs(1);

/// Finds out who is to be told of what.
pub struct FanOut {
    connectors: Arc<Connectors>,
    schedule: Schedule,
}

impl FanOut {
    /// First deliveries are due by the schedule.
    pub fn new(connectors: Arc<Connectors>, schedule: Schedule) -> Self {
        Self {
            connectors,
            schedule,
        }
    }

    /// Enters what an environment needs done. For when it is opened.
    pub async fn enter(store: &EnvStore) -> Result<(), StoreError> {
        store.enter_fan_out(FOLLOW).await
    }

    /// Notes what the next events lead to. Answers whether there were any.
    async fn step(&self, environment: &Environment, lease: &Lease) -> Result<bool, StoreError> {
        let store = environment.store();
        let news = store.news().await?;
        let deliveries = self.deliveries(environment, &news).await?;
        store.fan_out(lease, &news, deliveries).await?;
        Ok(!news.events.is_empty())
    }

    async fn deliveries<'a>(
        &self,
        environment: &Environment,
        news: &'a News,
    ) -> Result<Vec<NewDelivery<'a>>, StoreError> {
        let mut deliveries = Vec::new();
        for event in &news.events {
            for webhook in news.webhooks.iter().filter(|one| is_told(one, event)) {
                let filters = Filters::stored(&webhook.wanted.filters)?;
                let entity = self.connectors.catalog().by_name(&event.kind);
                let entity = entity.map(AsRef::as_ref);
                let ids = filters.narrow(environment, entity, event).await?;
                if ids.as_ref().is_some_and(Vec::is_empty) {
                    continue;
                }
                deliveries.push(NewDelivery {
                    webhook,
                    number: event.number,
                    ids,
                    due_at: after(self.schedule.wait(0, None)),
                });
            }
        }
        Ok(deliveries)
    }

    async fn follow(
        &self,
        environment: &Environment,
        lease: &Lease,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        let mut work = environment.store().work();
        let mut stop = stop.clone();
        while !*stop.borrow() {
            work.mark_unchanged();
            while !*stop.borrow() && self.step(environment, lease).await? {}
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                _ = work.changed() => {}
                _ = stop.changed() => {}
            }
        }
        Ok(())
    }
}

/// Whether a subscription is to an event, its records aside.
fn is_told(webhook: &Webhook, event: &Event) -> bool {
    let own = webhook.credential_id.as_ref();
    event.number > webhook.after
        && own.is_none_or(|own| *own == event.credential_id && event.kind != CREDENTIAL)
        && (webhook.wanted.initial || !event.initial)
        && names_event(&webhook.wanted.event, event)
}

#[async_trait]
impl Handler for FanOut {
    async fn run(
        &self,
        environment: &Arc<Environment>,
        lease: &Lease,
        stop: &watch::Receiver<bool>,
    ) -> Result<(), StoreError> {
        if lease.name == FOLLOW {
            return self.follow(environment, lease, stop).await;
        }
        let store = environment.store();
        let mut behind = 0;
        while let Some(last) = store.take_up_deliveries(lease, &lease.name, behind).await? {
            behind = last;
            if *stop.borrow() {
                return Ok(());
            }
        }
        store.finish_job(lease).await
    }
}
