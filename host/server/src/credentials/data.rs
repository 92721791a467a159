//! What an account is connected with, in clear: for the product's own backend, where the
//! environment's operator allows it.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use rollout_connectors::Live;
use serde_json::{Map, Value};

use super::{answer, known, map, object, wrong};
use crate::asker::Asker;
use crate::edge::Query;
use crate::error::ApiError;
use crate::host::{Host, cause};

/// Whether a request asks for it. 403 if it does, and the environment does not allow it.
pub(super) fn is_wanted(asker: &Asker, query: &Query) -> Result<bool, ApiError> {
    let wanted = query.flag("includeData")?.unwrap_or(false);
    if wanted {
        must_be_allowed(asker)?;
    }
    Ok(wanted)
}

fn must_be_allowed(asker: &Asker) -> Result<(), ApiError> {
    if asker.environment.includes_data() {
        Ok(())
    } else {
        Err(ApiError::include_data_off())
    }
}

/// Adds it to what is shown of a credential. Who asked for it is in the log.
pub(super) fn put(
    host: &Host,
    asker: &Asker,
    live: &Live,
    request: &str,
    shown: &mut Value,
) -> Result<(), ApiError> {
    let data = host.connectors.data(&asker.environment, live);
    let data = data.map_err(ApiError::internal)?;
    if let Some(shown) = shown.as_object_mut() {
        shown.insert("data".to_owned(), Value::Object(data));
    }
    tracing::info!(
        environment = asker.environment.name,
        credential = live.credential.id,
        by = asker.name(),
        request,
        "secrets were handed out"
    );
    Ok(())
}

/// Writes parts of it back: what the product renewed itself. The app has to recognise
/// the same account by it.
pub(crate) async fn write_back(
    State(host): State<Arc<Host>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let asker = host.asker(request.headers())?;
    asker.may_change()?;
    must_be_allowed(&asker)?;
    let live = asker.own_credential(&id).await?;
    let cause = cause(&request);
    let request_id = super::request_id(&request).to_owned();
    let mut body = object(request, host.settings.body_bytes).await?;
    known(&body, &["currentData"])?;
    let data: Map<String, Value> =
        map(&mut body, "currentData")?.ok_or_else(|| wrong("currentData", "is required"))?;
    let writing = tokio::spawn({
        let (host, environment) = (host.clone(), asker.environment.clone());
        async move {
            let connectors = &host.connectors;
            connectors
                .write_back(&environment, &live, data, &cause)
                .await
        }
    });
    let written = writing.await.map_err(ApiError::internal)?;
    let answer = answer(&asker, written).await?;
    tracing::info!(
        environment = asker.environment.name,
        credential = id,
        by = asker.name(),
        request = request_id,
        "secrets were written back"
    );
    Ok(answer)
}
