//! `GET /{category}/api/openapi.json`: the document that clients are made from.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use rollout_catalog::Category;

use crate::host::Host;

pub(crate) async fn document(
    State(host): State<Arc<Host>>,
    Extension(category): Extension<Category>,
) -> Response {
    let headers = [(CONTENT_TYPE, "application/json")];
    (headers, host.openapi(category)).into_response()
}
