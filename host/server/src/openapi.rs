//! `GET /{category}/api/openapi.json`: the document that clients are made from.
//!
//! The catalogue writes it. What the API refuses is told here, because the codes are
//! the server's: which can be the answer to what, once, for all entities.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::{CONNECTION, CONTENT_TYPE};
use rollout_catalog::Category;
use rollout_catalog::openapi::{Ask, Refusal};
use serde_json::Value;

use crate::error::{ApiError, Code};
use crate::host::Host;

pub(crate) async fn document(
    State(host): State<Arc<Host>>,
    Extension(category): Extension<Category>,
) -> Response {
    let headers = [(CONTENT_TYPE, "application/json")];
    (headers, host.openapi(category)).into_response()
}

const RECORDS: &[Ask] = &[
    Ask::List,
    Ask::Get,
    Ask::Create,
    Ask::Update,
    Ask::Delete,
    Ask::Perform,
];
const WRITES: &[Ask] = &[Ask::Create, Ask::Update, Ask::Delete, Ask::Perform];
const BODIES: &[Ask] = &[Ask::Create, Ask::Update, Ask::Perform];

/// Which codes can be the answer to what.
const ANSWERS: &[(&[Ask], &[Code])] = &[
    // The head of the request, the token, the account, the host itself.
    (
        &Ask::ALL,
        &[
            Code::InvalidRequest,
            Code::Unauthorized,
            Code::Forbidden,
            Code::CredentialHeaderMissing,
            Code::InvalidCredential,
            Code::UriTooLong,
            Code::RateLimited,
            Code::HeadTooLarge,
            Code::Internal,
            Code::StoreUnavailable,
        ],
    ),
    // What the connector offers, and whether it is there yet.
    (
        RECORDS,
        &[
            Code::VerbUnsupported,
            Code::EntityUnavailable,
            Code::DataNotReady,
            Code::EntityNotSynced,
            Code::FirstSyncFailed,
            Code::ConnectorFailed,
        ],
    ),
    (&[Ask::List, Ask::Update, Ask::Feed], &[Code::InvalidQuery]),
    (&[Ask::List], &[Code::InvalidCursor]),
    // A new record may name one that the app no longer has.
    (
        &[
            Ask::Get,
            Ask::Create,
            Ask::Update,
            Ask::Delete,
            Ask::Perform,
        ],
        &[Code::NotFound],
    ),
    (
        BODIES,
        &[
            Code::InvalidJson,
            Code::UnsupportedMediaType,
            Code::BodyTooLarge,
            Code::BodyTimeout,
        ],
    ),
    // The app's part in a write.
    (
        WRITES,
        &[
            Code::InvalidBody,
            Code::UpstreamRejected,
            Code::Unsupported,
            Code::CredentialBroken,
            Code::UpstreamForbidden,
            Code::EnvironmentHeld,
            Code::Conflict,
            Code::WriteInProgress,
            Code::IdempotencyKeyReused,
            Code::UpstreamFailed,
            Code::MaybeApplied,
            Code::Busy,
            Code::UpstreamTimeout,
        ],
    ),
];

/// Every code that a category's requests can be answered with.
pub(crate) fn refusals() -> Vec<Refusal> {
    let refusals = Code::ALL.iter().map(|code| refusal(*code));
    refusals.filter(|one| !one.to.is_empty()).collect()
}

fn refusal(code: Code) -> Refusal {
    let rows = ANSWERS.iter().filter(|(_, codes)| codes.contains(&code));
    let error = example(code);
    // The host's own text of an error is JSON.
    let body = serde_json::from_str(&error.body()).unwrap_or(Value::Null);
    let response = error.into_response();
    let headers = response.headers().keys();
    let headers = headers.filter(|name| **name != CONTENT_TYPE && **name != CONNECTION);
    Refusal {
        code: code.as_str(),
        status: code.status().as_u16(),
        cause: code.info().cause,
        example: body,
        headers: headers.map(|name| name.as_str().to_owned()).collect(),
        to: rows.flat_map(|(asks, _)| asks.iter().copied()).collect(),
    }
}

/// An error of the code as a client may get it.
fn example(code: Code) -> ApiError {
    use std::time::Duration;
    match code {
        Code::Unauthorized => ApiError::unauthorized(""),
        Code::InvalidBody => {
            let problem = "emails.0.value must be a string, not a number";
            ApiError::invalid_body([("/emails/0/value".to_owned(), problem.to_owned())])
        }
        Code::InvalidQuery => {
            ApiError::invalid_query("limit", "must be a whole number, 1 or more, not \"many\"")
        }
        Code::InvalidJson => ApiError::invalid_json("it ends too early, at line 1 column 12"),
        Code::VerbUnsupported => {
            ApiError::verb_unsupported("Follow Up Boss", "users", "create", &["GET"])
        }
        Code::BodyTooLarge => ApiError::body_too_large(1024 * 1024),
        Code::BodyTimeout => ApiError::body_timeout(),
        Code::DataNotReady => ApiError::data_not_ready(
            "The first sync of people is not complete; GET /api/credentials shows how far it is.",
        ),
        Code::EntityNotSynced => ApiError::entity_not_synced("notes"),
        Code::FirstSyncFailed => ApiError::first_sync_failed("people: the app answered with 500."),
        Code::WriteInProgress => ApiError::write_in_progress(),
        Code::RateLimited => ApiError::rate_limited(Duration::from_secs(10)),
        Code::MaybeApplied => ApiError::maybe_applied(""),
        Code::StoreUnavailable => ApiError::store_unavailable(""),
        Code::Busy => ApiError::busy(""),
        code => ApiError::new(code),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::{Code, refusals};

    /// A code that is new must be put into the table, or is none of the categories'.
    #[test]
    fn every_code_is_told_of_but_those_of_other_requests() {
        let refusals = refusals();
        let told: Vec<&str> = refusals.iter().map(|one| one.code).collect();
        let untold: Vec<&str> = Code::ALL
            .iter()
            .map(|code| code.as_str())
            .filter(|code| !told.contains(code))
            .collect();
        let elsewhere = [
            "include_data_off",
            "unknown_route",
            "method_not_allowed",
            "websocket_expected",
            "unknown_connector",
            "unknown_plan",
            "invalid_inputs",
            "invalid_credentials",
        ];
        assert_eq!(untold, elsewhere);
    }

    #[test]
    fn examples_are_of_their_code() {
        for refusal in refusals() {
            assert_eq!(refusal.example["errors"][0]["code"], refusal.code);
            let message = refusal.example["errorMessage"].as_str().unwrap();
            assert!(message.len() > 5, "{}", refusal.code);
        }
    }
}
