//! `/api/credentials/{id}/consumers`: who has an account. Its owner connected it; the
//! environment may share it with others.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use http::{HeaderMap, StatusCode};
use rollout_connectors::EnvironmentError;
use rollout_store::{Holder, StoreError};
use serde_json::{Map, Value, json};

use super::{ended, known, object, text, wrong};
use crate::error::ApiError;
use crate::host::Host;
use crate::token::MAX_SUBJECT;

/// A bare array, the owner first.
pub(crate) async fn list(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let asker = host.asker(&headers)?;
    asker.for_environment()?;
    let live = asker.own_credential(&id).await?;
    let holders = asker.environment.store().holders(&live.credential.id).await;
    let holders = holders.map_err(ApiError::store_unavailable)?;
    Ok(Json(holders.iter().map(shown).collect()))
}

/// Shares an account with a consumer; who has it keeps it.
pub(crate) async fn share(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let asker = host.asker(request.headers())?;
    asker.for_environment()?;
    asker.may_change()?;
    let live = asker.own_credential(&id).await?;
    let mut body = object(request, host.settings.body_bytes).await?;
    known(&body, &["consumerKey"])?;
    let key = consumer_key(&mut body)?;
    let environment = &asker.environment;
    let consumer = environment.consumer(&key).await;
    let consumer = consumer.map_err(ApiError::store_unavailable)?;
    let shared = environment.share(&live.credential.id, &consumer).await;
    let live = match shared {
        Ok(live) => live.ok_or_else(ApiError::not_found)?,
        Err(EnvironmentError::Store(StoreError::NotFound(_))) => return Err(ApiError::not_found()),
        Err(error) => return Err(ApiError::store_unavailable(error)),
    };
    Ok(Json(shown(&Holder {
        key,
        shared: !live.is_owned_by(&consumer.id),
    })))
}

/// Takes an account from a consumer that it is shared with.
pub(crate) async fn unshare(
    State(host): State<Arc<Host>>,
    Path((id, key)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    let asker = host.asker(&headers)?;
    asker.for_environment()?;
    asker.may_change()?;
    let live = asker.own_credential(&id).await?;
    let environment = &asker.environment;
    let consumer = environment.known_consumer(&key).await;
    let consumer = consumer.map_err(ApiError::store_unavailable)?;
    let consumer = consumer.filter(|one| live.belongs_to(&one.id));
    let consumer = consumer.ok_or_else(ApiError::not_found)?;
    if live.is_owned_by(&consumer.id) {
        return Err(ApiError::conflict(
            "The account is this consumer's own: DELETE /api/credentials deletes it.",
        ));
    }
    // Somebody else was faster: he does not have it either way.
    ended(environment.unshare(&live.credential.id, &consumer).await)?;
    Ok(StatusCode::NO_CONTENT)
}

fn shown(holder: &Holder) -> Value {
    json!({"consumerKey": holder.key, "owner": !holder.shared})
}

/// The consumer that a body names, as tokens name him in `sub`.
pub(super) fn consumer_key(body: &mut Map<String, Value>) -> Result<String, ApiError> {
    const NAME: &str = "consumerKey";
    let key = text(body, NAME)?.ok_or_else(|| wrong(NAME, "is required"))?;
    if key.is_empty() || key.len() > MAX_SUBJECT {
        let problem = format!("must have from 1 to {MAX_SUBJECT} bytes");
        return Err(wrong(NAME, &problem));
    }
    // No database takes it.
    if key.contains('\0') {
        return Err(wrong(NAME, "holds the character U+0000"));
    }
    Ok(key)
}
