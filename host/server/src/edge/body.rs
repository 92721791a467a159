//! JSON bodies, read whole, within limits of size and time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http_body::Body as _;
use http_body_util::BodyExt;
use serde_json::Value;
use serde_json::error::Category;

use crate::error::ApiError;

/// How long a client may take to send a body.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads a request's body as JSON; `None` if there is no body. `limit` in bytes.
///
/// A body without Content-Type is taken for JSON; another type, or a compressed body, is 415, more than `limit` bytes 413, not JSON
/// (or nested over 128 deep) 400 with line and column, a body that dawdles 408. Of a repeated key the last counts.
pub async fn read_json(request: Request, limit: usize) -> Result<Option<Value>, ApiError> {
    read_json_within(request, limit, READ_TIMEOUT).await
}

pub(super) async fn read_json_within(
    request: Request,
    limit: usize,
    patience: Duration,
) -> Result<Option<Value>, ApiError> {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return Ok(None);
    }
    check_format(&parts.headers)?;
    let text = match tokio::time::timeout(patience, read(body, limit)).await {
        Ok(text) => text?,
        Err(_) => return Err(ApiError::body_timeout()),
    };
    if text.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|problem| ApiError::invalid_json(in_words(&problem)))
}

/// Reads a request's body, whatever it is. More than `limit` bytes is 413, a body
/// that dawdles 408.
pub async fn read_bytes(request: Request, limit: usize) -> Result<Bytes, ApiError> {
    let read = tokio::time::timeout(READ_TIMEOUT, read(request.into_body(), limit));
    read.await.map_err(|_| ApiError::body_timeout())?
}

fn check_format(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    if let Some(coding) = headers
        .get(CONTENT_ENCODING)
        .filter(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        return Err(ApiError::unsupported_media_type(&text(coding)));
    }
    let Some(format) = headers.get(CONTENT_TYPE).map(text) else {
        return Ok(());
    };
    let essence = format.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(ApiError::unsupported_media_type(&format))
    }
}

/// Trusts no announced length: counts what arrives, and stops at the limit.
async fn read(mut body: Body, limit: usize) -> Result<Bytes, ApiError> {
    if body.size_hint().lower() > u64::try_from(limit).unwrap_or(u64::MAX) {
        return Err(ApiError::body_too_large(limit));
    }
    let mut text = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|problem| {
            ApiError::invalid_request("The body could not be read to its end.").detail(problem)
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if text.len().saturating_add(data.len()) > limit {
            return Err(ApiError::body_too_large(limit));
        }
        text.extend_from_slice(&data);
    }
    Ok(text.freeze())
}

fn in_words(problem: &serde_json::Error) -> String {
    match problem.classify() {
        Category::Eof => format!(
            "it ends too early, at line {} column {}",
            problem.line(),
            problem.column()
        ),
        _ => problem.to_string(),
    }
}
