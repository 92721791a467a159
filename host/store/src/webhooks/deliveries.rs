//! What became of deliveries.

use super::{DELIVER, Webhook, job_name};
use crate::database::{FromRow, Row, query, statement};
use crate::jobs::{Lease, NewJob};
use crate::outbox::Event;
use crate::{EnvStore, Result, StoreError, now};

/// Rows that are cleared away in one transaction.
const BATCH: i64 = 500;
/// Attempts at one delivery that are kept: the last ones.
const KEPT: i64 = 30;

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is still to be made, or waits until its subscription is enabled.
    Pending,
    /// The receiver has it.
    Delivered,
    /// Its event is no longer kept.
    Expired,
}

impl DeliveryState {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Delivered, Self::Expired];

    /// As it is stored, and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Expired => "expired",
        }
    }
}

/// A delivery as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The event's number.
    pub number: i64,
    /// The event, if it is kept.
    pub event: Option<Event>,
    /// The records among the event's that it is about; none: all.
    pub ids: Option<Vec<String>>,
    /// How far it is.
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: i64,
    /// When it is tried next, in milliseconds since 1970; none: it is not.
    pub next_at: Option<i64>,
}

/// A delivery whose time has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    /// Whose.
    pub webhook: Webhook,
    /// What.
    pub delivery: Delivery,
}

/// One try, and what the receiver said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// From 1.
    pub attempt: i64,
    /// When it began, in milliseconds since 1970.
    pub at: i64,
    /// How long it took.
    pub milliseconds: i64,
    /// The status, if there was an answer.
    pub status: Option<i64>,
    /// Why there was none, or none to its end.
    pub failure: Option<String>,
    /// The beginning of the answer's body.
    pub answer: Vec<u8>,
}

/// What comes after a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing: the receiver has it.
    Delivered,
    /// Another one at this time, in milliseconds since 1970.
    Again(i64),
    /// The subscription is disabled, for this reason; the delivery waits.
    Disabled(String),
}

struct Found {
    number: i64,
    state: DeliveryState,
    ids: Option<Vec<String>>,
    attempts: i64,
    next_at: Option<i64>,
}

impl FromRow for Found {
    fn read(row: &Row<'_>) -> Result<Self> {
        let state = row.text("state")?;
        let state = DeliveryState::ALL
            .into_iter()
            .find(|one| one.as_str() == state);
        let ids: Option<String> = row.get("ids")?;
        Ok(Self {
            number: row.get("number")?,
            state: state.ok_or_else(|| StoreError::Corrupt("a delivery's state".to_owned()))?,
            ids: ids.as_deref().map(serde_json::from_str).transpose()?,
            attempts: row.get("attempts")?,
            next_at: row.get("next_at")?,
        })
    }
}

impl FromRow for Attempt {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            attempt: row.get("attempt")?,
            at: row.get("at")?,
            milliseconds: row.get("milliseconds")?,
            status: row.get("status")?,
            failure: row.get("failure")?,
            answer: row.get("answer")?,
        })
    }
}

/// `$1` is the subscription; `$2` the queue.
const FIND: &str = "SELECT d.number, d.state, d.ids, d.attempts, (SELECT j.due_at FROM host_jobs j \
     WHERE j.queue = $2 AND j.name = d.webhook_id || '/' || d.number) AS next_at \
     FROM host_webhook_deliveries d WHERE d.webhook_id = $1";

impl EnvStore {
    /// A delivery whose time has come; none: its subscription is gone.
    pub async fn due_delivery(&self, webhook_id: &str, number: i64) -> Result<Option<Due>> {
        let webhook = query("SELECT * FROM host_webhooks WHERE id = $1");
        let webhook = webhook.bind(webhook_id).brief().optional(&self.db).await?;
        let delivery = self.delivery(webhook_id, number).await?;
        Ok(webhook
            .zip(delivery)
            .map(|(webhook, delivery)| Due { webhook, delivery }))
    }

    /// A subscription's delivery of an event.
    pub async fn delivery(&self, webhook_id: &str, number: i64) -> Result<Option<Delivery>> {
        let found = statement(format!("{FIND} AND d.number = $3"));
        let found = found.bind(webhook_id).bind(DELIVER.name).bind(number);
        let found: Option<Found> = found.brief().optional(&self.db).await?;
        let found = self.with_events(found.into_iter().collect()).await?;
        Ok(found.into_iter().next())
    }

    /// A subscription's deliveries, newest first: those of a state, before a number.
    pub async fn deliveries(
        &self,
        webhook_id: &str,
        state: Option<DeliveryState>,
        before: i64,
        limit: u32,
    ) -> Result<Vec<Delivery>> {
        let of_state = if state.is_some() {
            " AND d.state = $5"
        } else {
            ""
        };
        let limit_is = self.db.dialect().limit("$4");
        let found = statement(format!(
            "{FIND} AND d.number < $3{of_state} ORDER BY d.number DESC LIMIT {limit_is}"
        ));
        let mut found = found
            .bind(webhook_id)
            .bind(DELIVER.name)
            .bind(before)
            .bind(i64::from(limit));
        if let Some(state) = state {
            found = found.bind(state.as_str());
        }
        let found: Vec<Found> = found.all(&self.db).await?;
        self.with_events(found).await
    }

    async fn with_events(&self, found: Vec<Found>) -> Result<Vec<Delivery>> {
        let numbers: Vec<i64> = found.iter().map(|one| one.number).collect();
        let events = statement(format!(
            "SELECT * FROM host_events WHERE number {}",
            self.db.dialect().in_list("$1")
        ));
        let events: Vec<Event> = events.bind(numbers).brief().all(&self.db).await?;
        let deliveries = found.into_iter().map(|one| Delivery {
            event: events
                .iter()
                .find(|event| event.number == one.number)
                .cloned(),
            number: one.number,
            ids: one.ids,
            state: one.state,
            attempts: one.attempts,
            next_at: one.next_at,
        });
        Ok(deliveries.collect())
    }

    /// How a delivery was tried, the first time first.
    pub async fn attempts(&self, webhook_id: &str, number: i64) -> Result<Vec<Attempt>> {
        let attempts = query(
            "SELECT * FROM host_webhook_attempts WHERE webhook_id = $1 AND number = $2 \
             ORDER BY attempt",
        );
        attempts.bind(webhook_id).bind(number).all(&self.db).await
    }

    /// Notes a try and what comes after it, with the job's end or its next time.
    pub async fn note_attempt(
        &self,
        lease: &Lease,
        due: &Due,
        attempt: &Attempt,
        next: &Next,
    ) -> Result<()> {
        let (id, number) = (&due.webhook.id, due.delivery.number);
        let mut tx = self.db.write().await?;
        lease.check(&mut tx).await?;
        query(
            "INSERT INTO host_webhook_attempts (webhook_id, number, attempt, at, milliseconds, \
             status, failure, answer) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(id)
        .bind(number)
        .bind(attempt.attempt)
        .bind(attempt.at)
        .bind(attempt.milliseconds)
        .bind(attempt.status)
        .bind(&attempt.failure)
        .bind(attempt.answer.as_slice())
        .execute(&mut tx)
        .await?;
        query(
            "DELETE FROM host_webhook_attempts \
             WHERE webhook_id = $1 AND number = $2 AND attempt <= $3",
        )
        .bind(id)
        .bind(number)
        .bind(attempt.attempt - KEPT)
        .execute(&mut tx)
        .await?;
        // Somebody wants it once more, and is not told that it was made already.
        let again = query("SELECT again_at FROM host_jobs WHERE id = $1").bind(lease.id);
        let again: Option<Option<i64>> = again.optional(&mut tx).await?;
        let state = match next {
            Next::Delivered if again.flatten().is_some() => DeliveryState::Pending,
            Next::Delivered => DeliveryState::Delivered,
            Next::Again(_) | Next::Disabled(_) => DeliveryState::Pending,
        };
        query(
            "UPDATE host_webhook_deliveries SET state = $3, attempts = $4 \
             WHERE webhook_id = $1 AND number = $2",
        )
        .bind(id)
        .bind(number)
        .bind(state.as_str())
        .bind(attempt.attempt)
        .execute(&mut tx)
        .await?;
        // The subscription's row is the same for all of its deliveries: it is written
        // only when something of it changes.
        let noted = match next {
            Next::Delivered => query(
                "UPDATE host_webhooks SET failing_since = NULL \
                 WHERE id = $1 AND failing_since IS NOT NULL",
            )
            .bind(id),
            Next::Again(_) => query(
                "UPDATE host_webhooks SET failing_since = $2 \
                 WHERE id = $1 AND failing_since IS NULL",
            )
            .bind(id)
            .bind(attempt.at),
            Next::Disabled(reason) => {
                query("UPDATE host_webhooks SET disabled = $2 WHERE id = $1 AND disabled IS NULL")
                    .bind(id)
                    .bind(reason)
            }
        };
        noted.execute(&mut tx).await?;
        match next {
            Next::Again(due_at) => lease.again(&mut tx, *due_at).await?,
            Next::Delivered | Next::Disabled(_) => lease.finish(&mut tx).await?,
        }
        self.db.commit(tx).await?;
        if matches!(next, Next::Again(_)) {
            self.signal();
        }
        Ok(())
    }

    /// A delivery's event is no longer kept: it ends.
    pub async fn expire_delivery(&self, lease: &Lease, due: &Due) -> Result<()> {
        let mut tx = self.db.write().await?;
        lease.check(&mut tx).await?;
        query(
            "UPDATE host_webhook_deliveries SET state = $3 WHERE webhook_id = $1 AND number = $2",
        )
        .bind(&due.webhook.id)
        .bind(due.delivery.number)
        .bind(DeliveryState::Expired.as_str())
        .execute(&mut tx)
        .await?;
        lease.finish(&mut tx).await?;
        self.db.commit(tx).await
    }

    /// Has a delivery made once more, whatever became of it, now. False: there is none.
    pub async fn resend_delivery(&self, webhook_id: &str, number: i64) -> Result<bool> {
        let mut tx = self.db.write().await?;
        let there = query(
            "SELECT state FROM host_webhook_deliveries WHERE webhook_id = $1 AND number = $2",
        );
        let there: Option<String> = there
            .bind(webhook_id)
            .bind(number)
            .optional(&mut tx)
            .await?;
        if there.is_none() {
            return Ok(false);
        }
        // First the job, as those lock it who note an attempt.
        let job = NewJob {
            lane: webhook_id.to_owned(),
            name: job_name(webhook_id, number),
            due_at: now(),
        };
        self.jobs.enter(&mut tx, DELIVER, vec![job]).await?;
        let again = query(
            "UPDATE host_webhook_deliveries SET state = $3 WHERE webhook_id = $1 AND number = $2",
        );
        let again = again
            .bind(webhook_id)
            .bind(number)
            .bind(DeliveryState::Pending.as_str());
        if again.execute(&mut tx).await? == 0 {
            return Ok(false);
        }
        self.db.commit(tx).await?;
        self.signal();
        Ok(true)
    }

    /// Clears away deliveries from before a time, in milliseconds since 1970, and those of
    /// subscriptions that are gone, each with its attempts.
    pub async fn forget_deliveries(&self, before: i64) -> Result<u64> {
        let mut all = 0;
        loop {
            // Looked for before the transaction, because it may take long.
            let old = statement(format!(
                "SELECT webhook_id, number FROM host_webhook_deliveries \
                 WHERE created_at < $1 OR webhook_id NOT IN (SELECT id FROM host_webhooks) \
                 LIMIT {BATCH}"
            ));
            let old: Vec<(String, i64)> = old.bind(before).long().all(&self.db).await?;
            if old.is_empty() {
                return Ok(all);
            }
            let mut tx = self.db.write().await?;
            for (webhook_id, number) in &old {
                for table in ["host_webhook_attempts", "host_webhook_deliveries"] {
                    let gone = statement(format!(
                        "DELETE FROM {table} WHERE webhook_id = $1 AND number = $2"
                    ));
                    let gone = gone.bind(webhook_id).bind(*number);
                    gone.execute(&mut tx).await?;
                }
            }
            self.db.commit(tx).await?;
            all += u64::try_from(old.len()).unwrap_or_default();
        }
    }
}
