//! `GET /healthz`: the process answers. `GET /readyz`: so do its databases, and
//! its connectors are loaded. As long as one environment's database answers there
//! is somebody to serve; those that don't are named.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use crate::error::ApiError;
use crate::host::Host;

pub(crate) async fn alive() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

pub(crate) async fn ready(State(host): State<Arc<Host>>) -> Result<Json<Value>, ApiError> {
    let environments = host.environments.all();
    let pings = environments.iter().map(|environment| async move {
        let answered = environment.store().ping().await;
        answered
            .err()
            .map(|error| (environment.name.clone(), error))
    });
    let failed = futures_util::future::join_all(pings).await;
    let failed: Vec<_> = failed.into_iter().flatten().collect();
    if failed.len() == environments.len()
        && let Some((name, error)) = failed.first()
    {
        return Err(ApiError::store_unavailable(format_args!("{name}: {error}")));
    }
    let failed: Vec<&str> = failed.iter().map(|(name, _)| name.as_str()).collect();
    let of_each = environments.iter().map(|one| host.connectors.all(one));
    let connectors: BTreeSet<String> = of_each
        .flatten()
        .map(|connector| connector.key().to_owned())
        .collect();
    let mut shown = json!({"status": "ok", "connectors": connectors});
    if let (false, Some(shown)) = (failed.is_empty(), shown.as_object_mut()) {
        shown.insert("unavailableEnvironments".to_owned(), json!(failed));
    }
    Ok(Json(shown))
}
