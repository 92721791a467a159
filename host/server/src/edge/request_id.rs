//! The request id: the one thing that ties an answer to the log.

use http::{HeaderMap, HeaderName, HeaderValue};
use ulid::Ulid;

/// The header, in requests and answers.
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request's id: the caller's own if it is harmless in a log, else a fresh ULID. Found among a request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    pub(super) fn of(headers: &HeaderMap) -> RequestId {
        let given = headers
            .get(X_REQUEST_ID)
            .and_then(|value| value.to_str().ok());
        match given.filter(|id| harmless(id)) {
            Some(id) => RequestId(id.to_owned()),
            None => RequestId::fresh(),
        }
    }

    pub(super) fn fresh() -> RequestId {
        RequestId(Ulid::new().to_string())
    }

    /// The id as it stands in header and log.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn stamp(&self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::from_str(&self.0) {
            headers.insert(X_REQUEST_ID, value);
        }
    }
}

fn harmless(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}
