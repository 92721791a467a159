//! What a connector asks for and what it gets: one request, one response.

use std::time::Duration;

use bytes::Bytes;

use crate::capture::Capture;
use crate::placement::Placement;

/// One HTTP request of a connector.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The method in upper case.
    pub method: String,
    /// The absolute `https` URL.
    pub url: String,
    /// Names and values, in order.
    pub headers: Vec<(String, String)>,
    /// The body, if there is one.
    pub body: Option<Bytes>,
    /// True to apply the plan's own placements.
    pub authenticate: bool,
    /// Further placements.
    pub secrets: Vec<Placement>,
    /// Secrets to take out of the response.
    pub capture: Vec<Capture>,
    /// How long the whole exchange may take; never longer than the host allows.
    pub timeout: Option<Duration>,
    /// How many decoded bytes of body to accept; never more than the host allows.
    pub max_bytes: Option<u64>,
}

/// One HTTP response. A redirect comes back as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names in lower case and values, without cookies and hop-by-hop headers.
    pub headers: Vec<(String, String)>,
    /// The decoded body.
    pub body: Bytes,
}

/// Why there is no response. No text holds a secret or a URL's query.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The policy refused the request; the text says why and what to change.
    #[error("denied: {0}")]
    Denied(String),
    /// The exchange was not over in time.
    #[error("the app did not answer in time")]
    Timeout,
    /// The connection failed before a whole response was read.
    #[error("{0}")]
    Connection(String),
    /// The response is larger than this many bytes.
    #[error("the app's answer is larger than {0} bytes")]
    TooLarge(u64),
    /// A budget is used up; holds how long to wait, if waiting helps.
    #[error("a budget of requests is used up")]
    Budget(Option<Duration>),
    /// Nobody could say what the app's rate limit leaves, so nothing was sent.
    #[error("the app's rate limit can't be looked up, so nothing was sent: {0}")]
    Unavailable(String),
}

impl Failure {
    /// The kind as one word, for records.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Failure::Denied(_) => "denied",
            Failure::Timeout => "timeout",
            Failure::Connection(_) => "connection",
            Failure::TooLarge(_) => "too-large",
            Failure::Budget(_) => "budget",
            Failure::Unavailable(_) => "unavailable",
        }
    }
}
