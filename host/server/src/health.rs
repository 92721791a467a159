//! `GET /healthz`: the process answers. `GET /readyz`: so do its databases, and
//! its connectors are loaded.

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
    for environment in host.environments.all() {
        let answered = environment.store().ping().await;
        answered.map_err(|error| {
            ApiError::store_unavailable(format_args!("{}: {error}", environment.name))
        })?;
    }
    let connectors: Vec<String> = host
        .connectors
        .registry()
        .all()
        .iter()
        .map(|connector| connector.key().to_owned())
        .collect();
    Ok(Json(json!({"status": "ok", "connectors": connectors})))
}
