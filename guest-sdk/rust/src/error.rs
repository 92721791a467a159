//! Why a call failed.
//!
//! The host decides by the *case*, not by the text: what it answers to the
//! API's caller, whether it tries again, whether the credential is broken. So
//! a connector's main duty with an answer of the app is to pick the right case;
//! [`Error::from_response`] does that for apps that use HTTP as intended.

use std::fmt;

use serde::Serialize;
use serde_json::Number;

use crate::http::{Failure, Response};
use crate::json::Reader;
use crate::time;

/// How much of an unreadable answer is quoted in a message, in characters.
const QUOTED: usize = 200;

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The caller sent something that the app does not accept.
    InvalidInput(Vec<Issue>),
    /// The app does not accept the credential (HTTP 401).
    Unauthorized(String),
    /// The credential is good but may not do this (HTTP 403).
    Forbidden(String),
    /// The record does not exist, or not any more (HTTP 404).
    NotFound(String),
    /// The record's state does not allow this (HTTP 409).
    Conflict(String),
    /// The app's rate limit is reached (HTTP 429).
    RateLimited {
        /// How long to wait, in milliseconds, when the app said so.
        retry_after_ms: Option<u64>,
        /// What the app said.
        message: String,
    },
    /// The app failed or could not be reached.
    Upstream(Upstream),
    /// This connector does not offer this entity, verb or operation.
    Unsupported(String),
    /// Stop, without counting it as a failure.
    Halted(String),
    /// The connector itself is at fault.
    Internal(String),
    /// Anything else.
    Other {
        /// A short code of the connector's own.
        code: String,
        /// What happened.
        message: String,
    },
}

/// One complaint about one place in what the caller sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Issue {
    /// RFC 6901 JSON pointer, for example `/emails/0/value`; empty for the whole document.
    pub pointer: String,
    /// What is wrong, for the person who sent it.
    pub message: String,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pointer.as_str() {
            "" => f.write_str(&self.message),
            pointer => write!(f, "{pointer}: {}", self.message),
        }
    }
}

/// How the app failed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Upstream {
    /// The HTTP status, when there was an answer.
    pub status: Option<u16>,
    /// True when the same call may succeed later.
    pub retryable: bool,
    /// True when the app may have carried the write out all the same.
    pub maybe_applied: bool,
    /// What the app said, without secrets.
    pub message: String,
}

impl Error {
    /// One complaint about one field of what the caller sent.
    pub fn invalid(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::InvalidInput(vec![Issue {
            pointer: pointer.into(),
            message: message.into(),
        }])
    }

    /// A verb or operation that this connector lacks for an entity.
    pub fn unsupported(entity: &str, verb: &str) -> Self {
        Self::Unsupported(format!("{entity}: {verb} is not supported"))
    }

    /// An answer that the app should not have given, for example one that is
    /// not JSON. Worth trying again.
    pub fn unexpected(message: impl Into<String>) -> Self {
        Self::Upstream(Upstream {
            retryable: true,
            message: message.into(),
            ..Upstream::default()
        })
    }

    /// The error that an unsuccessful answer means.
    ///
    /// 400 and 422 are the caller's fault, 401, 403, 404 (and 410), 409 and 429
    /// have cases of their own; 429 and 503 keep `Retry-After`. 408, 425 and 5xx
    /// are worth another try, and for a request that writes they may have been
    /// carried out. The message is taken from the usual places of a JSON body.
    pub fn from_response(response: &Response) -> Self {
        let message = message_of(response);
        match response.status {
            400 | 422 => Self::invalid("", message),
            401 => Self::Unauthorized(message),
            403 => Self::Forbidden(message),
            404 | 410 => Self::NotFound(message),
            409 => Self::Conflict(message),
            429 => Self::RateLimited {
                retry_after_ms: retry_after_ms(response),
                message,
            },
            503 if !response.wrote && response.header("retry-after").is_some() => {
                Self::RateLimited {
                    retry_after_ms: retry_after_ms(response),
                    message,
                }
            }
            status => {
                let passing = matches!(status, 408 | 425 | 500..=599);
                Self::Upstream(Upstream {
                    status: Some(status),
                    retryable: passing,
                    maybe_applied: passing && response.wrote,
                    message,
                })
            }
        }
    }

    /// The error that a request without an answer means. `wrote`: the request
    /// was one that changes something, so the app may have carried it out.
    pub fn from_failure(failure: Failure, wrote: bool) -> Self {
        let upstream = |retryable, maybe_applied, message| {
            Self::Upstream(Upstream {
                status: None,
                retryable,
                maybe_applied,
                message,
            })
        };
        match failure {
            Failure::Denied(why) => Self::Internal(format!("the host denied a request: {why}")),
            Failure::Timeout => upstream(true, wrote, "the app did not answer in time".into()),
            Failure::Connection(why) => {
                upstream(true, wrote, format!("no connection to the app: {why}"))
            }
            Failure::TooLarge(bytes) => upstream(
                false,
                wrote,
                format!("the app's answer is larger than {bytes} bytes"),
            ),
            Failure::Budget(retry_after_ms) => Self::RateLimited {
                retry_after_ms,
                message: "the host's budget for this app is used up".into(),
            },
        }
    }
}

/// What the app says about a failure: the text at one of the usual places of a
/// JSON body, else the beginning of the body, else the status.
fn message_of(response: &Response) -> String {
    const PLACES: [&str; 9] = [
        "/errorMessage",
        "/message",
        "/error/message",
        "/error_description",
        "/detail",
        "/errors/0/message",
        "/errors/0/detail",
        "/errors/0",
        "/error",
    ];
    let text = String::from_utf8_lossy(&response.body);
    let document = Reader::new(&text).value().unwrap_or_default();
    let said = PLACES
        .iter()
        .find_map(|place| document.pointer(place)?.as_str())
        .unwrap_or_else(|| text.trim());
    match said {
        "" => format!("the app answered with status {}", response.status),
        said => said.chars().take(QUOTED).collect(),
    }
}

/// `Retry-After` in milliseconds: a number of seconds, or a date.
fn retry_after_ms(response: &Response) -> Option<u64> {
    let text = response.header("retry-after")?.trim();
    match text.parse::<Number>() {
        Ok(seconds) => {
            let seconds = seconds.as_f64().filter(|seconds| *seconds >= 0.0)?;
            Some((seconds * 1000.0) as u64)
        }
        Err(_) => time::parse_http_date(text).map(|at| at.saturating_sub(time::now_ms())),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidInput(issues) => {
                f.write_str("invalid input")?;
                issues
                    .iter()
                    .try_for_each(|issue| write!(f, "; {}: {}", issue.pointer, issue.message))
            }
            Self::Unauthorized(message) => write!(f, "unauthorized: {message}"),
            Self::Forbidden(message) => write!(f, "forbidden: {message}"),
            Self::NotFound(message) => write!(f, "not found: {message}"),
            Self::Conflict(message) => write!(f, "conflict: {message}"),
            Self::RateLimited { message, .. } => write!(f, "rate limited: {message}"),
            Self::Upstream(upstream) => write!(f, "the app failed: {}", upstream.message),
            Self::Unsupported(message) => write!(f, "unsupported: {message}"),
            Self::Halted(message) => write!(f, "halted: {message}"),
            Self::Internal(message) => write!(f, "internal: {message}"),
            Self::Other { code, message } => write!(f, "{code}: {message}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::from_failure(failure, false)
    }
}

/// A document of the connector's own that cannot be read or written. Answers of
/// the app are read by [`Response::json`], which blames the app.
impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(format!("JSON: {error}"))
    }
}

impl From<Vec<Issue>> for Error {
    fn from(issues: Vec<Issue>) -> Self {
        Self::InvalidInput(issues)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]

    use super::*;
    use crate::Request;
    use crate::testing::{FakeApp, Reply};

    const URL: &str = "https://api.example.com/x";

    fn refused(method: &str, reply: Reply) -> Error {
        let _app = FakeApp::new()
            .on(&format!("{method} {URL}"), reply)
            .now_ms(784_111_777_000)
            .start();
        match Request::new(method, URL).send().and_then(Response::success) {
            Err(error) => error,
            Ok(response) => panic!("{response:?}"),
        }
    }

    #[test]
    fn statuses_have_their_cases() {
        let said = || "no".to_owned();
        for (status, expected) in [
            (400, Error::invalid("", "no")),
            (422, Error::invalid("", "no")),
            (401, Error::Unauthorized(said())),
            (403, Error::Forbidden(said())),
            (404, Error::NotFound(said())),
            (410, Error::NotFound(said())),
            (409, Error::Conflict(said())),
        ] {
            assert_eq!(
                refused("GET", Reply::text(status, "no")),
                expected,
                "{status}"
            );
        }
        for (method, status, retryable, maybe_applied) in [
            ("GET", 500, true, false),
            ("POST", 502, true, true),
            ("POST", 408, true, true),
            ("POST", 415, false, false),
            ("GET", 302, false, false),
        ] {
            let expected = Error::Upstream(Upstream {
                status: Some(status),
                retryable,
                maybe_applied,
                message: "no".into(),
            });
            assert_eq!(refused(method, Reply::text(status, "no")), expected);
        }
    }

    #[test]
    fn the_wait_is_read_in_seconds_or_as_a_date() {
        for (text, expected) in [
            ("7", Some(7000)),
            (" 1.5 ", Some(1500)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10_000)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
        ] {
            let reply = Reply::text(429, "slow").header("Retry-After", text);
            let expected = Error::RateLimited {
                retry_after_ms: expected,
                message: "slow".into(),
            };
            assert_eq!(refused("GET", reply), expected, "{text}");
        }
        let busy = || Reply::text(503, "busy").header("retry-after", "2");
        assert!(matches!(refused("GET", busy()), Error::RateLimited { .. }));
        // A write may have been carried out; that must not get lost.
        assert!(matches!(
            refused("PUT", busy()),
            Error::Upstream(Upstream {
                maybe_applied: true,
                ..
            })
        ));
    }

    #[test]
    fn the_message_is_found_in_the_usual_places() {
        for (body, message) in [
            (r#"{"errorMessage": "a"}"#, "a"),
            (r#"{"error": {"message": "b", "code": 3}}"#, "b"),
            (
                r#"{"error": "invalid_grant", "error_description": "c"}"#,
                "c",
            ),
            (r#"{"errors": [{"detail": "d"}]}"#, "d"),
            (r#"{"errors": ["e"]}"#, "e"),
            (r#"{"code": 5}"#, r#"{"code": 5}"#),
            ("", "the app answered with status 403"),
            ("\u{fffd} <html>", "\u{fffd} <html>"),
        ] {
            assert_eq!(
                refused("GET", Reply::text(403, body)),
                Error::Forbidden(message.into())
            );
        }
        let Error::Forbidden(long) = refused("GET", Reply::text(403, "é".repeat(5000))) else {
            panic!("another case");
        };
        assert_eq!(long.chars().count(), QUOTED);
    }
}
