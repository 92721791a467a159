//! `POST /api/credentials/import`: accounts that were connected somewhere else.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use rollout_connectors::Import;

use super::consumers::consumer_key;
use super::{answer, known, map, object, text, wrong};
use crate::error::ApiError;
use crate::host::{Host, cause};

/// Connects an account for a consumer with the keys or tokens that another service had.
/// The app has to recognise it.
pub(crate) async fn import(
    State(host): State<Arc<Host>>,
    request: Request,
) -> Result<Response, ApiError> {
    let asker = host.asker(request.headers())?;
    asker.for_environment()?;
    asker.may_change()?;
    let cause = cause(&request);
    let mut body = object(request, host.settings.body_bytes).await?;
    known(
        &body,
        &["consumerKey", "appKey", "plan", "data", "entitiesToSync"],
    )?;
    let key = consumer_key(&mut body)?;
    let import = Import {
        app_key: text(&mut body, "appKey")?.ok_or_else(|| wrong("appKey", "is required"))?,
        plan: text(&mut body, "plan")?,
        data: map(&mut body, "data")?.ok_or_else(|| wrong("data", "is required"))?,
        entities_to_sync: map(&mut body, "entitiesToSync")?,
    };
    let consumer = asker.environment.consumer(&key).await;
    let consumer = consumer.map_err(ApiError::store_unavailable)?;
    // A refresh token may be good once: who hangs up has moved the account all the same.
    let importing = tokio::spawn({
        let (host, environment) = (host.clone(), asker.environment.clone());
        async move {
            let connectors = &host.connectors;
            connectors
                .import(&environment, &consumer, import, &cause)
                .await
        }
    });
    let imported = importing.await.map_err(ApiError::internal)?;
    answer(&asker, imported).await
}
