//! `GET /api/outbound-calls`: the requests that connectors made, for the operator who
//! wants to know what became of one. They are kept for some days.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use rollout_store::{OutboundCall, OutboundQuery, Place, api_time};
use serde_json::{Value, json};

use crate::asker::seconds;
use crate::cursor::Binding;
use crate::edge::Query;
use crate::error::ApiError;
use crate::host::Host;

const COLLECTION: &str = "outbound-calls";
const DEFAULT_LIMIT: u32 = 100;
const LIMIT_MAX: u32 = 1000;

/// Those of the environment, newest first; `requestId` and `credentialId` narrow them.
pub(crate) async fn list(
    State(host): State<Arc<Host>>,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let asker = host.asker(request.headers())?;
    asker.for_environment()?;
    let query = Query::of(request.uri())?;
    let limit = query.number("limit", 1..)?.unwrap_or(DEFAULT_LIMIT.into());
    let limit = u32::try_from(limit).unwrap_or(LIMIT_MAX).min(LIMIT_MAX);
    let (request_id, credential) = (query.text("requestId"), query.text("credentialId"));
    let secrets = asker.environment.secrets();
    let now = seconds(rollout_store::now());
    let binding = Binding {
        key: secrets.current(),
        credential: credential.unwrap_or_default(),
        entity: COLLECTION,
        filters: request_id.unwrap_or_default(),
    };
    let before = match query.text("next").filter(|next| !next.is_empty()) {
        None => None,
        Some(next) => {
            let place = binding.place(next, now);
            Some(place.map_err(ApiError::invalid_cursor)?.seq)
        }
    };
    let wanted = OutboundQuery {
        request_id,
        credential_id: credential,
        before,
        // One more tells whether there is a next page.
        limit: limit + 1,
    };
    let found = asker.environment.store().outbound_calls(&wanted).await;
    let mut found = found.map_err(ApiError::store_unavailable)?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let last = found.last().filter(|_| more);
    let next = last.map(|(number, _)| {
        let place = Place {
            seq: *number,
            value: None,
        };
        binding.cursor(&place, now)
    });
    let shown: Vec<Value> = found
        .iter()
        .map(|(_, call)| shown(call, asker.environment.shown_key(&call.connector)))
        .collect();
    Ok(Json(json!({
        "_metadata": { "collection": COLLECTION, "limit": limit, "next": next },
        COLLECTION: shown,
    })))
}

fn shown(call: &OutboundCall, app_key: String) -> Value {
    json!({
        "at": api_time(call.at).ok(),
        "requestId": call.request_id,
        "credentialId": call.credential_id,
        "appKey": app_key,
        "method": call.method,
        "host": call.host,
        "path": call.path,
        "status": call.status,
        "failure": call.failure,
        "bytesSent": call.sent,
        "bytesReceived": call.received,
        "milliseconds": call.milliseconds,
        "attempt": call.attempt,
    })
}
