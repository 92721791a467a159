//! How large a request's head may be.
//!
//! The HTTP library has limits of its own, set a little wider (see `serve`), so that ordinary excess is refused here, in JSON.

use axum::extract::Request;
use http::header::HOST;

use crate::error::ApiError;

/// Limits of a request's head.
#[derive(Debug, Clone, Copy)]
pub struct HeadLimits {
    /// Headers in a request.
    pub headers: usize,
    /// Bytes of all header names and values together.
    pub bytes: usize,
    /// Bytes of path and query; a hundred ids, percent-encoded, fit in.
    pub uri: usize,
}

impl Default for HeadLimits {
    fn default() -> HeadLimits {
        HeadLimits {
            headers: 100,
            bytes: 64 * 1024,
            uri: 16 * 1024,
        }
    }
}

impl HeadLimits {
    pub(super) fn check(&self, request: &Request) -> Result<(), ApiError> {
        let headers = request.headers();
        if request
            .uri()
            .path_and_query()
            .is_some_and(|target| target.as_str().len() > self.uri)
        {
            return Err(ApiError::uri_too_long(self.uri));
        }
        let bytes = || {
            headers
                .iter()
                .map(|(name, value)| name.as_str().len().saturating_add(value.len()))
                .sum::<usize>()
        };
        if headers.len() > self.headers || bytes() > self.bytes {
            return Err(ApiError::head_too_large(self.headers, self.bytes));
        }
        if headers.get_all(HOST).iter().nth(1).is_some() {
            return Err(ApiError::invalid_request(
                "There is more than one Host header.",
            ));
        }
        Ok(())
    }
}
