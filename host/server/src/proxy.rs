//! `ANY /api/proxy/{credentialId}/{path}`: a connected app's own API, with the
//! credential's authentication.
//!
//! The product says what; where to and as whom is fixed. What is changed at the app
//! this way is in the store with the next sync.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{OriginalUri, Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use rollout_connectors::{ProxyError, ProxyFailure, ProxyRequest};

use crate::asker::Purpose;
use crate::edge::read_bytes;
use crate::error::ApiError;
use crate::host::{Host, cause};

/// The part of a target before the app's path, apart from the credential's id.
const PREFIX: &str = "/api/proxy/";
/// Headers that are ours, or the browser's business with us.
const OURS: [&str; 6] = [
    "accept-encoding",
    "origin",
    "referer",
    "user-agent",
    "via",
    "x-request-id",
];
/// Headers of the app's answer that speak of its connection, or that would make a
/// browser act on our origin.
const THEIRS: [&str; 7] = [
    "clear-site-data",
    "content-encoding",
    "content-length",
    "content-security-policy",
    "set-cookie",
    "strict-transport-security",
    "x-request-id",
];

/// Passes a request on.
pub(crate) async fn pass(
    State(host): State<Arc<Host>>,
    Path((credential, _)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
    request: Request,
) -> Result<Response, ApiError> {
    let asker = host.asker_for(Purpose::Proxy, request.headers())?;
    let live = asker.credential(&credential).await?;
    let live = live.ok_or_else(|| ApiError::invalid_credential("unknown, deleted or foreign"))?;
    let method = request.method().clone();
    if !method.is_safe() {
        asker.may_change()?;
    }
    let target = target(uri.path(), uri.query()).ok_or_else(ApiError::unknown_route)?;
    let cause = cause(&request);
    let headers = passed_on(request.headers());
    let body = read_bytes(request, host.settings.body_bytes).await?;
    let connector = host.connector(&asker.environment, &live)?;
    let request = ProxyRequest {
        method: method.as_str().to_owned(),
        target,
        headers,
        body,
    };
    let connectors = &host.connectors;
    let answer = connectors.proxy(&asker.environment, &connector, &live, request, &cause);
    let answer = answer
        .await
        .map_err(|error| refused(error, method.is_safe()))?;
    let status = StatusCode::from_u16(answer.status)
        .map_err(|_| ApiError::upstream_failed("it answered without a proper status"))?;
    let mut headers = HeaderMap::new();
    let of_app = answer.headers.iter();
    for (name, value) in of_app.filter(|(name, _)| !is_theirs(name)) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    // Whatever the app sends, no browser takes it for a page of ours.
    headers.insert(
        http::header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        http::header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; sandbox"),
    );
    Ok((status, headers, answer.body).into_response())
}

/// The app's path and query, as they came.
fn target(path: &str, query: Option<&str>) -> Option<String> {
    let (_, path) = path.strip_prefix(PREFIX)?.split_once('/')?;
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    Some(format!("/{path}{query}"))
}

fn passed_on(headers: &HeaderMap) -> Vec<(String, String)> {
    let ours = |name: &str| {
        OURS.contains(&name)
            || ["x-rollout-", "x-forwarded-", "sec-", "access-control-"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
    };
    let headers = headers.iter().filter(|(name, _)| !ours(name.as_str()));
    headers
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect()
}

fn is_theirs(name: &str) -> bool {
    THEIRS.contains(&name) || name.starts_with("access-control-")
}

fn refused(error: ProxyError, is_safe: bool) -> ApiError {
    match error {
        ProxyError::NoOrigin(_) => ApiError::unsupported(error.to_string()),
        ProxyError::Vault(error) => ApiError::internal(error),
        ProxyError::Failure(ProxyFailure::Denied(reason)) => {
            ApiError::invalid_request(format!("The request was not sent: {reason}."))
        }
        ProxyError::Failure(ProxyFailure::Budget(wait)) => {
            ApiError::rate_limited(wait.unwrap_or(Duration::from_secs(1)))
        }
        ProxyError::Failure(failure @ ProxyFailure::Unavailable(_)) => {
            ApiError::store_unavailable(failure)
        }
        // It may have arrived.
        ProxyError::Failure(failure) if !is_safe => ApiError::maybe_applied(failure),
        ProxyError::Failure(failure @ ProxyFailure::Timeout) => ApiError::upstream_timeout(failure),
        ProxyError::Failure(failure) => ApiError::upstream_failed(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_apps_path_goes_on_as_it_came() {
        let target = |path| target(path, None);
        assert_eq!(
            target("/api/proxy/01/v1/people/5%2F6").as_deref(),
            Some("/v1/people/5%2F6")
        );
        assert_eq!(target("/api/proxy/01//x").as_deref(), Some("//x"));
        assert_eq!(target("/api/proxy/01/").as_deref(), Some("/"));
        assert_eq!(target("/api/proxy/01"), None);
    }

    #[test]
    fn what_is_ours_stays_here() {
        let mut headers = HeaderMap::new();
        for name in [
            "authorization",
            "x-rollout-user-agent",
            "origin",
            "sec-fetch-mode",
        ] {
            headers.insert(name, HeaderValue::from_static("x"));
        }
        headers.insert("accept", HeaderValue::from_static("application/json"));
        let names: Vec<String> = passed_on(&headers)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        // The token is left out further on, with all that only the host may set.
        assert_eq!(names, ["authorization", "accept"]);
    }
}
