//! Makes, signs and sends.

use std::sync::Arc;

use bytes::Bytes;
use rollout_connectors::{Connectors, Environment};
use rollout_egress::{Call, Received, Receivers, RefusedUrl};
use rollout_store::{Delivery, Event, StoreError, Webhook, now, utc_time};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::payload::payload;
use crate::sign::{Message, headers};

/// Sends to receivers. One per process.
pub struct Sender {
    receivers: Receivers,
    connectors: Arc<Connectors>,
    public_url: String,
}

impl Sender {
    /// `public_url` is how the outside reaches this host, without a slash at the end.
    pub fn new(receivers: Receivers, connectors: Arc<Connectors>, public_url: String) -> Self {
        Self {
            receivers,
            connectors,
            public_url,
        }
    }

    /// Judges a receiver's address by its text.
    pub fn admit(&self, url: &str) -> Result<(), RefusedUrl> {
        self.receivers.admit(url).map(drop)
    }

    /// Sends a test, once, signed like everything else.
    pub async fn ping(&self, environment: &Environment, webhook: &Webhook) -> Received {
        let id = Uuid::now_v7().to_string();
        let body = json!({
            "eventId": id,
            "eventCreated": utc_time(now()),
            "event": "ping",
            "resourceIds": [],
        });
        let credential = webhook.credential_id.as_deref();
        self.post(environment, &webhook.wanted.url, &id, credential, &body)
            .await
    }

    /// Makes one delivery.
    pub(crate) async fn deliver(
        &self,
        environment: &Environment,
        webhook: &Webhook,
        delivery: &Delivery,
        event: &Event,
    ) -> Result<Received, StoreError> {
        let what = (webhook, delivery, event);
        let catalog = self.connectors.catalog();
        let body = payload(&self.public_url, catalog, environment, what).await?;
        let credential = Some(event.credential_id.as_str());
        let (url, id) = (&webhook.wanted.url, &event.id);
        Ok(self.post(environment, url, id, credential, &body).await)
    }

    async fn post(
        &self,
        environment: &Environment,
        url: &str,
        id: &str,
        credential_id: Option<&str>,
        body: &Value,
    ) -> Received {
        let body = Bytes::from(body.to_string());
        let now = now();
        let message = Message {
            id,
            timestamp: now.div_euclid(1000),
            body: &body,
            credential_id,
        };
        let headers = headers(&message, &environment.secrets().valid(now));
        let url = url.to_owned();
        self.receivers.call(Call { url, headers, body }).await
    }
}
