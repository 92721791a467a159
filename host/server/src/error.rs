//! How the API refuses.
//!
//! Every error over HTTP is one JSON object, whatever the status:
//!
//! ```json
//! {"errorMessage": "…", "errors": [{"message": "…", "code": "…", "pointer": "/path/in/body"}]}
//! ```
//!
//! `errorMessage` serves readers of the category APIs, `errors` those of the Rollout API (Link). The codes, their statuses, causes
//! and remedies are one table, [`Code`], served at `/docs/errors`. What happened inside is a *detail*: it goes to the log
//! under the request id and never into a body. Refusals that must not tell one cause from another (no token, a foreign credential,
//! an absent record) have constructors that take no text for the body at all.

use std::borrow::Cow;
use std::fmt::{self, Display};
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue};
use serde::Serialize;
use serde_json::{Map, Value};

mod codes;

pub use codes::{Code, CodeInfo, docs};

/// The documented answer while data is not there yet; clients compare it literally.
const NOT_READY: &str = "Data for this credential is not ready yet. Please try again.";

/// One entry of `errors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// One sentence for a person.
    pub message: String,
    /// The code of this entry, mostly that of the whole error.
    pub code: Code,
    /// JSON Pointer into the request's body, if the entry is about a place in it.
    pub pointer: Option<String>,
}

/// An error on its way to the client.
///
/// Carries the code (and so the status), the message, the entries of `errors`, extra headers and fields, and the detail for the log.
#[derive(Debug)]
pub struct ApiError(Box<Refusal>);

#[derive(Debug)]
struct Refusal {
    code: Code,
    message: Cow<'static, str>,
    items: Vec<Item>,
    retry_after: Option<Duration>,
    headers: Vec<(HeaderName, HeaderValue)>,
    fields: Map<String, Value>,
    detail: Option<String>,
}

/// What the log says of an error answer; travels as a response extension to the layer that knows the request id.
#[derive(Debug, Clone)]
pub struct ErrorDetail {
    /// The answer's code.
    pub code: Code,
    /// The internal cause, if a constructor was given one.
    pub detail: Option<String>,
}

/// Building blocks.
impl ApiError {
    /// An error with the code's stable message.
    pub fn new(code: Code) -> ApiError {
        ApiError(Box::new(Refusal {
            code,
            message: Cow::Borrowed(code.info().message),
            items: Vec::new(),
            retry_after: None,
            headers: Vec::new(),
            fields: Map::new(),
            detail: None,
        }))
    }

    /// An error with a message of its own, one sentence for the caller.
    fn saying(code: Code, message: impl Into<String>) -> ApiError {
        let mut error = ApiError::new(code);
        error.0.message = Cow::Owned(message.into());
        error
    }

    /// An error made of several entries of one code; `errorMessage` is the first, and says how many more there are.
    fn listing(code: Code, entries: impl IntoIterator<Item = (String, String)>) -> ApiError {
        let items: Vec<Item> = entries
            .into_iter()
            .map(|(pointer, message)| Item {
                message,
                code,
                pointer: Some(pointer),
            })
            .collect();
        let mut error = match items.as_slice() {
            [] => ApiError::new(code),
            [only] => ApiError::saying(code, only.message.clone()),
            [first, more @ ..] => {
                ApiError::saying(code, format!("{} (and {} more)", first.message, more.len()))
            }
        };
        error.0.items = items;
        error
    }

    /// Adds the internal cause, for the log only.
    #[must_use]
    pub fn detail(mut self, detail: impl Display) -> ApiError {
        self.0.detail = Some(detail.to_string());
        self
    }

    /// Tells the client when to try again; rendered in whole seconds, at least 1.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> ApiError {
        self.0.retry_after = Some(delay);
        self
    }

    /// Adds an entry to `errors`.
    #[must_use]
    pub fn item(mut self, item: Item) -> ApiError {
        self.0.items.push(item);
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> ApiError {
        self.0.headers.push((name, value));
        self
    }

    /// Adds a top-level field to the body.
    #[must_use]
    pub fn field(mut self, name: &str, value: Value) -> ApiError {
        self.0.fields.insert(name.to_owned(), value);
        self
    }

    /// The error's code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The text of `errorMessage`.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The internal cause.
    pub fn cause(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The body's text.
    pub fn body(&self) -> String {
        #[derive(Serialize)]
        struct Body<'a> {
            #[serde(rename = "errorMessage")]
            message: &'a str,
            errors: Vec<Entry<'a>>,
            #[serde(flatten)]
            fields: &'a Map<String, Value>,
        }
        #[derive(Serialize)]
        struct Entry<'a> {
            message: &'a str,
            code: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            pointer: Option<&'a str>,
        }
        let refusal = &self.0;
        let mut errors: Vec<Entry<'_>> = refusal
            .items
            .iter()
            .map(|item| Entry {
                message: &item.message,
                code: item.code.as_str(),
                pointer: item.pointer.as_deref(),
            })
            .collect();
        if errors.is_empty() {
            errors.push(Entry {
                message: &refusal.message,
                code: refusal.code.as_str(),
                pointer: None,
            });
        }
        let body = Body {
            message: &refusal.message,
            errors,
            fields: &refusal.fields,
        };
        // Strings and JSON values always serialize; the constant keeps the promise of JSON all the same.
        serde_json::to_string(&body)
            .unwrap_or_else(|_| r#"{"errorMessage":"","errors":[]}"#.to_owned())
    }
}

/// Who asks: token and credential.
impl ApiError {
    /// 401. One body for every cause; `cause` is for the log.
    pub fn unauthorized(cause: impl Display) -> ApiError {
        ApiError::new(Code::Unauthorized)
            .header(
                http::header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer"),
            )
            .detail(cause)
    }

    /// 403: the token's scope is too narrow; `needs` is a sentence naming the scope.
    pub fn forbidden(needs: impl Into<String>) -> ApiError {
        ApiError::saying(Code::Forbidden, needs)
    }

    /// 426: no request for a WebSocket.
    pub fn websocket_expected() -> ApiError {
        ApiError::new(Code::WebsocketExpected)
    }

    /// 403: the environment hands out no secrets, and takes none back.
    pub fn include_data_off() -> ApiError {
        ApiError::new(Code::IncludeDataOff)
    }

    /// 400: no `X-Rollout-Credential-Id`.
    pub fn credential_header_missing() -> ApiError {
        ApiError::new(Code::CredentialHeaderMissing)
    }

    /// 403. One body for unknown, deleted, malformed and foreign; `cause` is for the log.
    pub fn invalid_credential(cause: impl Display) -> ApiError {
        ApiError::new(Code::InvalidCredential).detail(cause)
    }

    /// 403: a write with a credential whose keys the app refuses.
    pub fn credential_broken(cause: impl Display) -> ApiError {
        ApiError::new(Code::CredentialBroken).detail(cause)
    }
}

/// What is asked: path, method, head, body, query.
impl ApiError {
    /// 404 for records and other named things; never repeats the id.
    pub fn not_found() -> ApiError {
        ApiError::new(Code::NotFound)
    }

    /// 404 for a path that the API does not have.
    pub fn unknown_route() -> ApiError {
        ApiError::new(Code::UnknownRoute)
    }

    /// 405; the router, or the caller, adds `Allow`.
    pub fn method_not_allowed() -> ApiError {
        ApiError::new(Code::MethodNotAllowed)
    }

    /// 405 because the connector lacks the operation; `allowed` are the methods it has, for `Allow`.
    pub fn verb_unsupported(
        connector: &str,
        entity: &str,
        verb: &str,
        allowed: &[&str],
    ) -> ApiError {
        let error = ApiError::saying(
            Code::VerbUnsupported,
            format!("{connector} does not offer \"{verb}\" for {entity}."),
        );
        match HeaderValue::from_str(&allowed.join(", ")) {
            Ok(methods) => error.header(ALLOW, methods),
            Err(_) => error,
        }
    }

    /// 400: not well-formed HTTP.
    pub fn invalid_request(problem: impl Into<String>) -> ApiError {
        ApiError::saying(Code::InvalidRequest, problem)
    }

    /// 414.
    pub fn uri_too_long(limit: usize) -> ApiError {
        ApiError::saying(
            Code::UriTooLong,
            format!("The address is too long: at most {limit} bytes are read."),
        )
    }

    /// 431.
    pub fn head_too_large(headers: usize, bytes: usize) -> ApiError {
        let limits = format!(
            "The request's headers are too many or too large: at most {headers} of {bytes} bytes in all."
        );
        ApiError::saying(Code::HeadTooLarge, limits)
    }

    /// 415; `found` is shown as the client sent it.
    pub fn unsupported_media_type(found: &str) -> ApiError {
        let told = format!(
            "The body must be JSON (Content-Type: application/json), not {}.",
            quoted(found)
        );
        ApiError::saying(Code::UnsupportedMediaType, told)
    }

    /// 413; `limit` in bytes.
    pub fn body_too_large(limit: usize) -> ApiError {
        ApiError::saying(
            Code::BodyTooLarge,
            format!("The body is too large: at most {limit} bytes are read."),
        )
        .closing()
    }

    /// 408.
    pub fn body_timeout() -> ApiError {
        ApiError::new(Code::BodyTimeout).closing()
    }

    /// The rest of the body is not read, so the connection ends with this answer; a client that is not told would send
    /// its next request into it.
    fn closing(self) -> ApiError {
        self.header(http::header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// 400; `problem` names line and column.
    pub fn invalid_json(problem: impl Display) -> ApiError {
        ApiError::saying(
            Code::InvalidJson,
            format!("The body is not valid JSON: {problem}."),
        )
    }

    /// 400 with one entry per (JSON Pointer, message).
    pub fn invalid_body(entries: impl IntoIterator<Item = (String, String)>) -> ApiError {
        ApiError::listing(Code::InvalidBody, entries)
    }

    /// 400 naming the parameter: `` `limit` must be a whole number ``.
    pub fn invalid_query(name: &str, problem: impl Display) -> ApiError {
        ApiError::saying(
            Code::InvalidQuery,
            format!("The query parameter `{}` {problem}.", shown(name)),
        )
    }

    /// 400; `cause` (altered, expired, foreign) is for the log.
    pub fn invalid_cursor(cause: impl Display) -> ApiError {
        ApiError::new(Code::InvalidCursor).detail(cause)
    }
}

/// Connecting accounts, and whether their data is there.
impl ApiError {
    /// 400.
    pub fn unknown_connector(key: &str) -> ApiError {
        ApiError::saying(
            Code::UnknownConnector,
            format!("There is no connector {}.", quoted(key)),
        )
    }

    /// 400; `plans` are those the connector has.
    pub fn unknown_plan(connector: &str, plan: &str, plans: &[&str]) -> ApiError {
        let told = format!(
            "{connector} has no plan {}; it has {}.",
            quoted(plan),
            plans.join(", ")
        );
        ApiError::saying(Code::UnknownPlan, told)
    }

    /// 400 with one entry per (JSON Pointer, message).
    pub fn invalid_inputs(entries: impl IntoIterator<Item = (String, String)>) -> ApiError {
        ApiError::listing(Code::InvalidInputs, entries)
    }

    /// 400: the app refused the key; `message` is what the person who typed it reads.
    pub fn invalid_credentials(message: impl Into<String>) -> ApiError {
        ApiError::saying(Code::InvalidCredentials, message)
    }

    /// 409 while the first sync runs; `progress` is a sentence for `errors`, the `errorMessage` is the documented constant.
    pub fn data_not_ready(progress: impl Into<String>) -> ApiError {
        ApiError::waiting(Code::DataNotReady, progress).retry_after(Duration::from_secs(5))
    }

    /// 409 for an opt-in entity that was not asked for; the entry names the flag.
    pub fn entity_not_synced(flag: &str) -> ApiError {
        let told = format!(
            "This entity is synced only on request: PUT /api/credentials/{{id}} with {{\"entitiesToSync\": {{\"{flag}\": true}}}}."
        );
        ApiError::waiting(Code::EntityNotSynced, told)
    }

    /// 409; the entry gives the reason in words for a person.
    pub fn first_sync_failed(reason: impl Into<String>) -> ApiError {
        ApiError::waiting(Code::FirstSyncFailed, reason)
    }

    /// 403; `reason` is what the app said, in words for a person.
    pub fn entity_unavailable(reason: impl Into<String>) -> ApiError {
        ApiError::saying(Code::EntityUnavailable, reason)
    }

    /// 409 for everything that would change something, or reach an app.
    pub fn environment_held() -> ApiError {
        ApiError::new(Code::EnvironmentHeld)
    }

    fn waiting(code: Code, told: impl Into<String>) -> ApiError {
        let mut error = ApiError::new(code).item(Item {
            message: told.into(),
            code,
            pointer: None,
        });
        error.0.message = Cow::Borrowed(NOT_READY);
        error
    }
}

/// What became of it: the app, the connector, the store, ourselves.
impl ApiError {
    /// 409; `message` says what is in the way.
    pub fn conflict(message: impl Into<String>) -> ApiError {
        ApiError::saying(Code::Conflict, message)
    }

    /// 409 with Retry-After: the first request with this key has no outcome yet.
    pub fn write_in_progress() -> ApiError {
        ApiError::new(Code::WriteInProgress).retry_after(Duration::from_secs(1))
    }

    /// 422: the key was used for another request.
    pub fn idempotency_key_reused() -> ApiError {
        ApiError::new(Code::IdempotencyKeyReused)
    }

    /// 400: the app refused the values, in its words.
    pub fn upstream_rejected(message: impl Into<String>) -> ApiError {
        ApiError::saying(Code::UpstreamRejected, message)
    }

    /// 400: the app cannot do this.
    pub fn unsupported(message: impl Into<String>) -> ApiError {
        ApiError::saying(Code::Unsupported, message)
    }

    /// 403: the connected account's user lacks a permission.
    pub fn upstream_forbidden(message: impl Into<String>) -> ApiError {
        ApiError::saying(Code::UpstreamForbidden, message)
    }

    /// 429.
    pub fn rate_limited(retry_after: Duration) -> ApiError {
        ApiError::new(Code::RateLimited).retry_after(retry_after)
    }

    /// 502; `detail` is for the log.
    pub fn upstream_failed(detail: impl Display) -> ApiError {
        ApiError::new(Code::UpstreamFailed).detail(detail)
    }

    /// 504; `detail` is for the log.
    pub fn upstream_timeout(detail: impl Display) -> ApiError {
        ApiError::new(Code::UpstreamTimeout).detail(detail)
    }

    /// 502; `detail` (connector, trap or limit) is for the log.
    pub fn connector_failed(detail: impl Display) -> ApiError {
        ApiError::new(Code::ConnectorFailed).detail(detail)
    }

    /// 502 with `maybe_applied: true`; `detail` is for the log.
    pub fn maybe_applied(detail: impl Display) -> ApiError {
        ApiError::new(Code::MaybeApplied)
            .field("maybe_applied", Value::Bool(true))
            .detail(detail)
    }

    /// 503 with Retry-After; `detail` is for the log.
    pub fn store_unavailable(detail: impl Display) -> ApiError {
        ApiError::new(Code::StoreUnavailable)
            .retry_after(Duration::from_secs(2))
            .detail(detail)
    }

    /// 503 with Retry-After; `detail` is for the log.
    pub fn busy(detail: impl Display) -> ApiError {
        ApiError::new(Code::Busy)
            .retry_after(Duration::from_secs(1))
            .detail(detail)
    }

    /// 500; `detail` is for the log.
    pub fn internal(detail: impl Display) -> ApiError {
        ApiError::new(Code::Internal).detail(detail)
    }
}

impl Display for ApiError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.0.code.as_str(), self.0.message)?;
        match &self.0.detail {
            Some(detail) => write!(out, " ({detail})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ApiError {}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = self.body();
        let refusal = *self.0;
        let mut response = (refusal.code.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(delay) = refusal.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(whole_seconds(delay)));
        }
        for (name, value) in refusal.headers {
            headers.insert(name, value);
        }
        response.extensions_mut().insert(ErrorDetail {
            code: refusal.code,
            detail: refusal.detail,
        });
        response
    }
}

/// Rounded up: a client that waits this long is never early.
fn whole_seconds(delay: Duration) -> u64 {
    delay
        .as_secs()
        .saturating_add(u64::from(delay.subsec_nanos() > 0))
        .max(1)
}

/// A piece of the client's input, short and on one line, so that a message stays a message.
fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    let mut short: String = text
        .chars()
        .take(LONGEST)
        .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
        .collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

/// The same in quotation marks.
pub(crate) fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}

#[cfg(test)]
mod tests;
