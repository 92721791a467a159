//! `…/webhooks/{webhook}/deliveries`: what was sent, what the receiver said, and sending
//! it again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use http::{HeaderMap, StatusCode};
use rollout_store::{Attempt, Delivery, DeliveryState, Place, api_time};
use serde_json::{Value, json};

use super::{In, Owner};
use crate::asker::seconds;
use crate::cursor::Binding;
use crate::edge::Query;
use crate::error::ApiError;
use crate::host::Host;

const COLLECTION: &str = "deliveries";
const DEFAULT_LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1000;

/// Those of a subscription, newest first; `state` narrows them.
pub(crate) async fn deliveries(
    State(host): State<Arc<Host>>,
    category: In,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let owner = Owner::of(&host, category, request.headers()).await?;
    let webhook = owner.webhook(&id).await?;
    let query = Query::of(request.uri())?;
    let limit = query.number("limit", 1..)?.unwrap_or(DEFAULT_LIMIT.into());
    let limit = u32::try_from(limit).unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
    let state = match query.text("state") {
        None => None,
        Some(text) => {
            let mut states = DeliveryState::ALL.into_iter();
            let state = states.find(|one| one.as_str() == text);
            Some(state.ok_or_else(|| {
                let states = DeliveryState::ALL.map(DeliveryState::as_str).join(", ");
                ApiError::invalid_query("state", format_args!("must be one of {states}"))
            })?)
        }
    };
    let secrets = owner.environment().secrets();
    let now = seconds(rollout_store::now());
    let binding = Binding {
        key: secrets.current(),
        credential: &webhook.id,
        entity: COLLECTION,
        filters: state.map(DeliveryState::as_str).unwrap_or_default(),
    };
    let before = match query.text("next").filter(|next| !next.is_empty()) {
        None => i64::MAX,
        Some(next) => {
            let place = binding.place(next, now);
            place.map_err(ApiError::invalid_cursor)?.seq
        }
    };
    let store = owner.environment().store();
    // One more tells whether there is a next page.
    let found = store
        .deliveries(&webhook.id, state, before, limit + 1)
        .await;
    let mut found = found.map_err(ApiError::store_unavailable)?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last = found.last().filter(|_| more);
    let next = last.map(|last| {
        let seq = last.number;
        binding.cursor(&Place { seq, value: None }, now)
    });
    let shown: Vec<Value> = found.iter().map(shown).collect();
    Ok(Json(json!({
        "_metadata": { "collection": COLLECTION, "limit": limit, "next": next },
        COLLECTION: shown,
    })))
}

/// One, with every attempt.
pub(crate) async fn delivery(
    State(host): State<Arc<Host>>,
    category: In,
    Path((id, number)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let owner = Owner::of(&host, category, &headers).await?;
    let webhook = owner.webhook(&id).await?;
    let number = parse(&number)?;
    let store = owner.environment().store();
    let found = store.delivery(&webhook.id, number).await;
    let found = found.map_err(ApiError::store_unavailable)?;
    let mut shown = shown(&found.ok_or_else(ApiError::not_found)?);
    let attempts = store.attempts(&webhook.id, number).await;
    let attempts = attempts.map_err(ApiError::store_unavailable)?;
    if let Some(shown) = shown.as_object_mut() {
        let attempts = attempts.iter().map(shown_attempt).collect();
        shown.insert("attempts".to_owned(), Value::Array(attempts));
    }
    Ok(Json(shown))
}

/// Sends one again, whatever became of it; under the same event id.
pub(crate) async fn resend(
    State(host): State<Arc<Host>>,
    category: In,
    Path((id, number)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let owner = Owner::of(&host, category, &headers).await?;
    owner.asker.may_change()?;
    let webhook = owner.webhook(&id).await?;
    let number = parse(&number)?;
    let resent = owner
        .environment()
        .store()
        .resend_delivery(&webhook.id, number)
        .await;
    match resent.map_err(ApiError::store_unavailable)? {
        true => Ok(StatusCode::ACCEPTED),
        false => Err(ApiError::not_found()),
    }
}

/// What is no number names no delivery.
fn parse(number: &str) -> Result<i64, ApiError> {
    number.parse().map_err(|_| ApiError::not_found())
}

fn shown(delivery: &Delivery) -> Value {
    let event = delivery.event.as_ref();
    let ids = delivery.ids.as_ref().or(event.map(|event| &event.ids));
    json!({
        "number": delivery.number,
        "eventId": event.map(|event| &event.id),
        "event": event.map(rollout_store::Event::name),
        "eventCreated": event.map(rollout_store::Event::time),
        "credentialId": event.map(|event| &event.credential_id),
        "resourceIds": ids,
        "state": delivery.state.as_str(),
        "tries": delivery.attempts,
        "nextAt": delivery.next_at.and_then(|at| api_time(at).ok()),
    })
}

fn shown_attempt(attempt: &Attempt) -> Value {
    json!({
        "attempt": attempt.attempt,
        "at": api_time(attempt.at).ok(),
        "milliseconds": attempt.milliseconds,
        "status": attempt.status,
        "failure": attempt.failure,
        "answer": String::from_utf8_lossy(&attempt.answer),
    })
}
