//! From events to deliveries.

use super::{DELIVER, DeliveryState, FAN_OUT, Webhook, ids_text, job_name};
use crate::database::{Value, query, statement};
use crate::dialect::{Insert, Type};
use crate::jobs::{Lease, NewJob};
use crate::outbox::Event;
use crate::{EnvStore, Result, now};

/// Events that are looked at, and deliveries that are taken up, in one transaction.
const BATCH: i64 = 500;

const COLUMNS: [(&str, Type); 6] = [
    ("webhook_id", Type::Text),
    ("number", Type::Integer),
    ("state", Type::Text),
    ("ids", Type::Text),
    ("attempts", Type::Integer),
    ("created_at", Type::Integer),
];

/// Events that nobody was told of yet, and who may want to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Behind this number.
    after: i64,
    /// In the order of their numbers.
    pub events: Vec<Event>,
    /// The subscriptions of these events' credentials and of the environment.
    pub webhooks: Vec<Webhook>,
}

/// A delivery to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery<'a> {
    /// The subscription.
    pub webhook: &'a Webhook,
    /// The event's number.
    pub number: i64,
    /// The records among the event's that it is about; none: all.
    pub ids: Option<Vec<String>>,
    /// When it is due, in milliseconds since 1970.
    pub due_at: i64,
}

impl EnvStore {
    /// Enters the job that follows the events. For when the environment is opened.
    pub async fn enter_fan_out(&self, name: &str) -> Result<()> {
        let job = NewJob {
            lane: name.to_owned(),
            name: name.to_owned(),
            due_at: now(),
        };
        self.enter_jobs(FAN_OUT, vec![job]).await
    }

    /// What happened since the last [`EnvStore::fan_out`], a batch of it.
    pub async fn news(&self) -> Result<News> {
        let after = query("SELECT value FROM host_counters WHERE name = 'webhooks'");
        let after: i64 = after.brief().one(&self.db).await?;
        let events = statement(format!(
            "SELECT * FROM host_events WHERE number > $1 ORDER BY number LIMIT {BATCH}"
        ));
        let events: Vec<Event> = events.bind(after).all(&self.db).await?;
        let mut of: Vec<String> = events.iter().map(|one| one.credential_id.clone()).collect();
        of.sort();
        of.dedup();
        let webhooks = if of.is_empty() {
            Vec::new()
        } else {
            let wanted = statement(format!(
                "SELECT * FROM host_webhooks WHERE credential_id IS NULL OR credential_id {}",
                self.db.dialect().in_list("$1")
            ));
            wanted.bind(of).all(&self.db).await?
        };
        Ok(News {
            after,
            events,
            webhooks,
        })
    }

    /// Notes the deliveries that news lead to, and that they were looked at. For the
    /// worker that follows the events.
    pub async fn fan_out(
        &self,
        lease: &Lease,
        news: &News,
        deliveries: Vec<NewDelivery<'_>>,
    ) -> Result<()> {
        let Some(last) = news.events.last() else {
            return Ok(());
        };
        let mut tx = self.db.write().await?;
        lease.check(&mut tx).await?;
        let moved =
            query("UPDATE host_counters SET value = $1 WHERE name = 'webhooks' AND value = $2");
        let moved = moved.bind(last.number).bind(news.after);
        if moved.execute(&mut tx).await? == 0 {
            // Somebody did it between our look and our lease.
            return Ok(());
        }
        let row = |one: &NewDelivery<'_>| {
            vec![
                Value::from(&one.webhook.id),
                one.number.into(),
                DeliveryState::Pending.as_str().into(),
                ids_text(one.ids.as_deref()),
                0.into(),
                now().into(),
            ]
        };
        let rows = deliveries.iter().map(row).collect();
        let enter = Insert::new(
            tx.dialect(),
            "host_webhook_deliveries",
            &COLUMNS,
            "ON CONFLICT DO NOTHING",
        );
        enter.run(&mut tx, rows).await?;
        // Of disabled ones too: they end at once, and one that is enabled now is not missed.
        let jobs: Vec<NewJob> = deliveries
            .iter()
            .map(|one| NewJob {
                lane: one.webhook.id.clone(),
                name: job_name(&one.webhook.id, one.number),
                due_at: one.due_at,
            })
            .collect();
        let some = !jobs.is_empty();
        self.jobs.enter(&mut tx, DELIVER, jobs).await?;
        self.db.commit(tx).await?;
        if some {
            self.signal();
        }
        Ok(())
    }

    /// Enters what waits for a subscription, a batch of it behind a number; answers the
    /// last one's. For the worker that holds the job named like the subscription.
    pub async fn take_up_deliveries(
        &self,
        lease: &Lease,
        webhook_id: &str,
        after: i64,
    ) -> Result<Option<i64>> {
        let mut tx = self.db.write().await?;
        lease.check(&mut tx).await?;
        let waiting = statement(format!(
            "SELECT number FROM host_webhook_deliveries WHERE webhook_id = $1 AND state = $2 \
             AND number > $3 ORDER BY number LIMIT {BATCH}"
        ));
        let waiting = waiting
            .bind(webhook_id)
            .bind(DeliveryState::Pending.as_str())
            .bind(after);
        let waiting: Vec<i64> = waiting.all(&mut tx).await?;
        let jobs = waiting.iter().map(|number| NewJob {
            lane: webhook_id.to_owned(),
            name: job_name(webhook_id, *number),
            due_at: now(),
        });
        let jobs = jobs.collect();
        self.jobs.enter(&mut tx, DELIVER, jobs).await?;
        self.db.commit(tx).await?;
        self.signal();
        Ok(waiting.last().copied())
    }
}
