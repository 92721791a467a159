//! Answers: a status, a complete JSON body and a few headers.
//!
//! Bodies are whole byte strings, never streams, so that hyper sends
//! them with `Content-Length` and head and body leave in one write.

use std::io;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use futures_util::stream;
use serde_json::{Value, json};

/// One answer on its way to the client.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    /// The connection is cut instead.
    pub(super) cut: bool,
}

impl Reply {
    pub(super) fn json(status: StatusCode, body: Vec<u8>) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body,
            cut: false,
        }
    }

    /// No answer: the connection ends. The log has it as status 0.
    pub(super) fn cut() -> Self {
        Self {
            cut: true,
            ..Self::json(StatusCode::OK, Vec::new())
        }
    }

    pub(super) fn value(status: StatusCode, value: &Value) -> Self {
        Self::json(status, value.to_string().into_bytes())
    }

    pub(super) fn no_content() -> Self {
        Self::json(StatusCode::NO_CONTENT, Vec::new())
    }

    /// Sets a header; names are the simulator's own and values plain ASCII.
    pub(super) fn set(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
    }

    pub(super) fn into_response(self) -> Response<Body> {
        if self.cut {
            // A body that fails before anything was sent ends the connection.
            let torn = Err::<Vec<u8>, _>(io::Error::from(io::ErrorKind::ConnectionReset));
            return Response::new(Body::from_stream(stream::iter([torn])));
        }
        let has_body = !self.body.is_empty();
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        if has_body {
            response
                .headers_mut()
                .entry(CONTENT_TYPE)
                .or_insert(HeaderValue::from_static("application/json"));
        }
        response
    }
}

/// A refused request: `{"errorMessage": "..."}` with its status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
    retry_after: Option<u64>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            retry_after: None,
        }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "Missing or invalid API credentials.",
        )
    }

    pub(super) fn not_found(noun: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{noun} not found."))
    }

    pub(super) fn too_many_requests(retry_after: u64) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            message: "Rate limit exceeded. Try again later.".to_owned(),
            retry_after: Some(retry_after),
        }
    }
}

impl From<Refusal> for Reply {
    fn from(refusal: Refusal) -> Self {
        let body = json!({ "errorMessage": refusal.message });
        let mut reply = Reply::value(refusal.status, &body);
        if let Some(seconds) = refusal.retry_after {
            reply
                .headers
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        reply
    }
}
