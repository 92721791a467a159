//! The edge: what every request passes before a route sees it, and what every answer passes on its way out.
//!
//! ```text
//! serve  ── connections: limits, slow clients, draining; JSON even where the HTTP library refuses by itself
//!   └ around ── request id ▸ category host ▸ CORS ▸ size of the head ▸ router ▸ panics and bare errors become JSON
//! ```
//!
//! Handlers use [`read_json`] for bodies and [`Query`] for query strings; both refuse in the API's own words. The edge knows no
//! tenant and no entity, and never looks at a token.

mod body;
mod category_host;
mod cors;
mod head;
mod query;
mod request_id;
mod serve;
mod wire;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use tracing::Instrument;

pub use body::{read_bytes, read_json};
pub use category_host::{CategoryHosts, ViaCategoryHost};
pub use cors::{Cors, Origins};
pub use head::HeadLimits;
pub use query::Query;
pub use request_id::RequestId;
pub use serve::{Drained, ServeOptions, serve};

use crate::error::{ApiError, ErrorDetail};
use crate::rate;

/// What the edge is told by the configuration.
#[derive(Debug, Clone, Default)]
pub struct EdgeOptions {
    /// Who may call from a browser.
    pub cors: Cors,
    /// Which host names stand for a category.
    pub category_hosts: CategoryHosts,
    /// How large a request's head may be.
    pub head: HeadLimits,
}

/// Puts the edge around the router. The result routes nothing itself, so paths can be rewritten before they are routed.
pub fn around(router: Router, options: EdgeOptions) -> Router {
    Router::new()
        .fallback_service(router)
        .layer(middleware::from_fn_with_state(Arc::new(options), pass))
}

/// `Router::fallback`: 404.
pub async fn unknown_route() -> ApiError {
    ApiError::unknown_route()
}

/// `Router::method_not_allowed_fallback`: 405; the router adds `Allow`.
pub async fn method_not_allowed() -> ApiError {
    ApiError::method_not_allowed()
}

async fn pass(State(edge): State<Arc<EdgeOptions>>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    edge.category_hosts.rewrite(&mut request);
    let caller = edge.cors.caller(&request);
    let span = tracing::error_span!("request", id = id.as_str(), method = %request.method(), path = request.uri().path());

    let mut response = async {
        let mut response = match edge.head.check(&request) {
            Err(refusal) => refusal.into_response(),
            Ok(()) => match caller.preflight(&edge.cors) {
                Some(answer) => answer,
                None => in_json(rate::told(guarded(next.run(request))).await),
            },
        };
        if let Some(told) = response.extensions_mut().remove::<ErrorDetail>() {
            log(response.status(), &told);
        }
        response
    }
    .instrument(span)
    .await;

    caller.stamp(&edge.cors, response.headers_mut());
    id.stamp(response.headers_mut());
    response
}

/// A panic in a handler ends that request only.
async fn guarded(answer: impl Future<Output = Response>) -> Response {
    match AssertUnwindSafe(answer).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            ApiError::internal(format_args!("panic: {}", panic_text(&*panic))).into_response()
        }
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "without a message",
    }
}

/// Errors that the framework answers by itself (a path that is not UTF-8, a method without a route) are empty or plain text.
fn in_json(response: Response) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || has_format(response.headers()) {
        return response;
    }
    let error = match status {
        StatusCode::NOT_FOUND => ApiError::unknown_route(),
        StatusCode::METHOD_NOT_ALLOWED => ApiError::method_not_allowed(),
        status if status.is_server_error() => ApiError::internal(format_args!("a bare {status}")),
        status => ApiError::invalid_request("The request is malformed.")
            .detail(format_args!("a bare {status}")),
    };
    let mut told = error.into_response();
    if let Some(allow) = response.headers().get(ALLOW) {
        told.headers_mut().insert(ALLOW, allow.clone());
    }
    told
}

fn has_format(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|format| !format.as_bytes().starts_with(b"text/plain"))
}

/// The refusal under the request's span. Faults of ours are errors, faults around us warnings; a caller's mistakes are his.
fn log(status: StatusCode, told: &ErrorDetail) {
    let (code, status) = (told.code.as_str(), status.as_u16());
    let detail = told.detail.as_deref().unwrap_or_default();
    match status {
        500 => tracing::error!(code, status, detail, "refused"),
        501.. => tracing::warn!(code, status, detail, "refused"),
        _ if told.detail.is_some() => tracing::info!(code, status, detail, "refused"),
        _ => tracing::debug!(code, status, "refused"),
    }
}

#[cfg(test)]
mod tests;
