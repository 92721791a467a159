//! Who is told of what, and what is still to be told.
//!
//! A subscription belongs to a credential and a category, or to the environment. One
//! worker per environment follows the numbered events and notes, in the transaction that
//! moves its place on, a delivery for each event and subscription that belong together;
//! a delivery that is to be made is a job as well, in the lane of its subscription. What
//! is sent is made when it is due, so a delivery is a few numbers until then.

mod deliveries;
mod follow;

use std::fmt::Write as _;

use uuid::Uuid;

use crate::database::{FromRow, Query, Row, Value, query, statement};
use crate::jobs::{self, NewJob, Queue};
use crate::{EnvStore, Result, StoreError, now};

pub use deliveries::{Attempt, Delivery, DeliveryState, Due, Next};
pub use follow::{NewDelivery, News};

/// One delivery of one subscription: a lane is a subscription, a name
/// `SUBSCRIPTION/EVENT`. So many are made to one receiver at once.
pub const DELIVER: Queue = Queue {
    name: "deliver",
    per_lane: 4,
};
/// Following the events, and taking up what waits for a subscription.
pub const FAN_OUT: Queue = Queue {
    name: "fan-out",
    per_lane: 1,
};
/// Subscriptions that one credential has in a category, or the environment.
pub const WEBHOOKS_MAX: usize = 100;

/// What an environment's subscription to everything says as its event.
pub const ANY_EVENT: &str = "*";

/// `disabled` holds why, and is null while it is enabled. `after` is the number of the
/// last event before it was made. `failing_since` is when the first delivery since the last
/// success failed.
pub(crate) const TABLES: &str = "
CREATE TABLE host_webhooks (
    id {key} PRIMARY KEY,
    credential_id {key} REFERENCES host_credentials (id) ON DELETE CASCADE,
    category TEXT NOT NULL,
    event TEXT NOT NULL,
    url TEXT NOT NULL,
    filters TEXT NOT NULL,
    initial BIGINT NOT NULL,
    disabled TEXT,
    created_at BIGINT NOT NULL,
    after BIGINT NOT NULL,
    failing_since BIGINT
);
CREATE INDEX host_webhooks_credential ON host_webhooks (credential_id);
CREATE UNIQUE INDEX host_webhooks_same
    ON host_webhooks (coalesce(credential_id, ''), category, event, url);
CREATE TABLE host_webhook_deliveries (
    webhook_id {key} NOT NULL,
    number BIGINT NOT NULL,
    state TEXT NOT NULL,
    ids TEXT,
    attempts BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (webhook_id, number)
) {clustered};
CREATE INDEX host_webhook_deliveries_state ON host_webhook_deliveries (webhook_id, state, number);
CREATE INDEX host_webhook_deliveries_created ON host_webhook_deliveries (created_at);
CREATE TABLE host_webhook_attempts (
    webhook_id {key} NOT NULL,
    number BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    at BIGINT NOT NULL,
    milliseconds BIGINT NOT NULL,
    status BIGINT,
    failure TEXT,
    answer {bytes} NOT NULL,
    PRIMARY KEY (webhook_id, number, attempt)
) {clustered};
INSERT INTO host_counters (name, value)
    SELECT 'webhooks', value FROM host_counters WHERE name = 'event';
";

/// Whose subscriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscriber<'a> {
    /// A credential's; none: the environment's.
    pub credential_id: Option<&'a str>,
    /// The category in which it was made; empty for the environment.
    pub category: &'a str,
}

impl Subscriber<'_> {
    const IS: &'static str = "coalesce(credential_id, '') = $1 AND category = $2";

    fn bind(&self, query: Query) -> Query {
        query
            .bind(self.credential_id.unwrap_or_default())
            .bind(self.category)
    }
}

/// What a subscription asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The event's name in the API, or [`ANY_EVENT`].
    pub event: String,
    /// Where to.
    pub url: String,
    /// Fields and the values that a record must have in them, as a JSON object.
    pub filters: String,
    /// What an entity's first pass brings is told, too.
    pub initial: bool,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// UUIDv7.
    pub id: String,
    /// A credential's; none: the environment's.
    pub credential_id: Option<String>,
    /// The category in which it was made; empty for the environment.
    pub category: String,
    /// What it asks for.
    pub wanted: Wanted,
    /// Why nothing is sent; none: it is enabled.
    pub disabled: Option<String>,
    /// The last event before it was made.
    pub after: i64,
    /// When the first delivery since the last success failed, in milliseconds since 1970.
    pub failing_since: Option<i64>,
}

impl FromRow for Webhook {
    fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            id: row.get("id")?,
            credential_id: row.get("credential_id")?,
            category: row.get("category")?,
            wanted: Wanted {
                event: row.get("event")?,
                url: row.get("url")?,
                filters: row.get("filters")?,
                initial: row.get::<i64>("initial")? != 0,
            },
            disabled: row.get("disabled")?,
            after: row.get("after")?,
            failing_since: row.get("failing_since")?,
        })
    }
}

/// What is to be changed of a subscription.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WebhookChange {
    /// What it asks for from now on.
    pub wanted: Option<Wanted>,
    /// Nothing is sent from now on, for this reason; or (none) what waits is sent, too.
    pub disabled: Option<Option<String>>,
}

impl EnvStore {
    /// Makes a subscription. [`StoreError::Conflict`] if there is the same already,
    /// [`StoreError::Limit`] beyond [`WEBHOOKS_MAX`], [`StoreError::NotFound`] if the
    /// credential is gone.
    pub async fn create_webhook(
        &self,
        subscriber: Subscriber<'_>,
        wanted: &Wanted,
    ) -> Result<Webhook> {
        let mut tx = self.db.write().await?;
        let there = format!("SELECT * FROM host_webhooks WHERE {}", Subscriber::IS);
        let there: Vec<Webhook> = subscriber.bind(statement(there)).all(&mut tx).await?;
        if there.len() >= WEBHOOKS_MAX {
            return Err(StoreError::Limit("there are at most 100 webhooks"));
        }
        refuse_same(&there, None, wanted)?;
        let after = "SELECT value FROM host_counters WHERE name = 'event'";
        let webhook = Webhook {
            id: Uuid::now_v7().to_string(),
            credential_id: subscriber.credential_id.map(str::to_owned),
            category: subscriber.category.to_owned(),
            wanted: wanted.clone(),
            disabled: None,
            after: query(after).one(&mut tx).await?,
            failing_since: None,
        };
        let made = query(
            "INSERT INTO host_webhooks (id, credential_id, category, event, url, filters, \
             initial, created_at, after) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(&webhook.id)
        .bind(&webhook.credential_id)
        .bind(&webhook.category)
        .bind(&wanted.event)
        .bind(&wanted.url)
        .bind(&wanted.filters)
        .bind(i64::from(wanted.initial))
        .bind(now())
        .bind(webhook.after)
        .execute(&mut tx)
        .await;
        made.map_err(|error| crate::credentials::missing(error, "credential"))?;
        self.db.commit(tx).await?;
        Ok(webhook)
    }

    /// A subscriber's subscriptions, oldest first.
    pub async fn webhooks(&self, subscriber: Subscriber<'_>) -> Result<Vec<Webhook>> {
        let all = format!(
            "SELECT * FROM host_webhooks WHERE {} ORDER BY id",
            Subscriber::IS
        );
        subscriber.bind(statement(all)).all(&self.db).await
    }

    /// One of a subscriber's subscriptions.
    pub async fn webhook(&self, subscriber: Subscriber<'_>, id: &str) -> Result<Option<Webhook>> {
        let one = format!(
            "SELECT * FROM host_webhooks WHERE {} AND id = $3",
            Subscriber::IS
        );
        let one = subscriber.bind(statement(one)).bind(id);
        one.brief().optional(&self.db).await
    }

    /// Changes a subscription. [`StoreError::NotFound`] if the subscriber has none of
    /// this id, [`StoreError::Conflict`] if there is the same already.
    pub async fn change_webhook(
        &self,
        subscriber: Subscriber<'_>,
        id: &str,
        change: &WebhookChange,
    ) -> Result<Webhook> {
        let mut tx = self.db.write().await?;
        let there = tx.dialect().text(&format!(
            "SELECT * FROM host_webhooks WHERE {} ORDER BY id {{held}}",
            Subscriber::IS
        ));
        let mut there: Vec<Webhook> = subscriber.bind(statement(there)).all(&mut tx).await?;
        let missing = StoreError::NotFound("webhook");
        let at = there.iter().position(|one| one.id == id).ok_or(missing)?;
        let mut webhook = there.swap_remove(at);
        if let Some(wanted) = &change.wanted {
            refuse_same(&there, Some(id), wanted)?;
            if webhook.wanted.url != wanted.url {
                // Another receiver, that has failed at nothing yet.
                webhook.failing_since = None;
            }
            webhook.wanted = wanted.clone();
        }
        if let Some(disabled) = &change.disabled {
            if disabled.is_none() && webhook.disabled.is_some() {
                let job = NewJob {
                    lane: webhook.id.clone(),
                    name: webhook.id.clone(),
                    due_at: now(),
                };
                self.jobs.enter(&mut tx, FAN_OUT, vec![job]).await?;
                webhook.failing_since = None;
            }
            webhook.disabled = disabled.clone();
        }
        let Wanted {
            event,
            url,
            filters,
            initial,
        } = &webhook.wanted;
        query(
            "UPDATE host_webhooks SET event = $2, url = $3, filters = $4, initial = $5, \
             disabled = $6, failing_since = $7 WHERE id = $1",
        )
        .bind(id)
        .bind(event)
        .bind(url)
        .bind(filters)
        .bind(i64::from(*initial))
        .bind(&webhook.disabled)
        .bind(webhook.failing_since)
        .execute(&mut tx)
        .await?;
        self.db.commit(tx).await?;
        self.signal();
        Ok(webhook)
    }

    /// Ends a subscription; what was still to be told is not. [`StoreError::NotFound`] if
    /// the subscriber has none of this id.
    pub async fn delete_webhook(&self, subscriber: Subscriber<'_>, id: &str) -> Result<()> {
        let missing = || StoreError::NotFound("webhook");
        self.webhook(subscriber, id).await?.ok_or_else(missing)?;
        let mut tx = self.db.write().await?;
        // In the order of those who deliver: the job first.
        jobs::cancel_lane(&mut tx, DELIVER, id).await?;
        jobs::cancel_lane(&mut tx, FAN_OUT, id).await?;
        let gone = query("DELETE FROM host_webhooks WHERE id = $1").bind(id);
        if gone.execute(&mut tx).await? == 0 {
            return Err(missing());
        }
        self.db.commit(tx).await
    }
}

/// A receiver is told of the same once.
fn refuse_same(there: &[Webhook], but: Option<&str>, wanted: &Wanted) -> Result<()> {
    let mut others = there.iter().filter(|one| Some(one.id.as_str()) != but);
    let same = |one: &Webhook| one.wanted.event == wanted.event && one.wanted.url == wanted.url;
    if others.any(same) {
        return Err(StoreError::Conflict("a webhook of this event and url"));
    }
    Ok(())
}

/// The job of a delivery.
fn job_name(webhook_id: &str, number: i64) -> String {
    let mut name = webhook_id.to_owned();
    // Writing to a String can't fail.
    let _ = write!(name, "/{number}");
    name
}

/// Ids as they are stored; none: all of the event's.
fn ids_text(ids: Option<&[String]>) -> Value {
    ids.map(|ids| serde_json::Value::from(ids).to_string())
        .into()
}
