//! What a failed call of a connector is over HTTP.

use std::time::Duration;

use rollout_catalog::Issue;
use rollout_connectors::{ProxyFailure, TokenError};
use rollout_sandbox::{CallError, Error};
use rollout_store::StoreError;
use rollout_sync::WriteError;

use crate::error::ApiError;

/// When to try again if nobody says.
const RETRY: Duration = Duration::from_secs(10);

/// A write that has no record to show.
pub(crate) fn of_write(error: WriteError) -> ApiError {
    match error {
        WriteError::Invalid(issues) => ApiError::invalid_body(issues.into_iter().map(named)),
        WriteError::NotFound => ApiError::not_found(),
        WriteError::Call(error) => of_call(error),
        WriteError::MaybeApplied(detail) => ApiError::maybe_applied(detail),
        WriteError::InProgress => ApiError::write_in_progress(),
        WriteError::KeyReused => ApiError::idempotency_key_reused(),
        WriteError::Busy => ApiError::busy(error),
        WriteError::Store(StoreError::LeaseLost) => ApiError::maybe_applied(error),
        WriteError::Store(error) => ApiError::store_unavailable(error),
        WriteError::Vault(error) => ApiError::internal(error),
    }
}

/// A complaint about a field, in a sentence that names it.
fn named(issue: Issue) -> (String, String) {
    let Issue { pointer, message } = issue;
    let field = pointer.trim_start_matches('/').replace('/', ".");
    let message = if field.is_empty() {
        format!("The body {message}")
    } else {
        format!("{field} {message}")
    };
    (pointer, message)
}

/// A call that failed.
pub(crate) fn of_call(error: CallError) -> ApiError {
    match error {
        CallError::Connector(error) => of_connector(error),
        CallError::Missing(interface) => {
            ApiError::unsupported(format!("The connector has no interface `{interface}`."))
        }
        CallError::Busy(_) => ApiError::busy(error),
        CallError::Limit(_) | CallError::Trap(_) => ApiError::connector_failed(error),
    }
}

/// A token endpoint that gave no tokens.
pub(crate) fn of_token(error: TokenError) -> ApiError {
    match error {
        TokenError::Refused { .. } => ApiError::invalid_credentials(error.to_string()),
        TokenError::NotConfigured { .. } => ApiError::unsupported(error.to_string()),
        TokenError::Said {
            retry_after: Some(wait),
            ..
        }
        | TokenError::NotSignedIn {
            retry_after: Some(wait),
            ..
        }
        | TokenError::Failed {
            failure: ProxyFailure::Budget(Some(wait)),
            ..
        } => ApiError::rate_limited(wait).detail(error),
        TokenError::Failed {
            failure: ProxyFailure::Unavailable(_),
            ..
        } => ApiError::store_unavailable(error),
        TokenError::Failed {
            failure: ProxyFailure::Timeout,
            ..
        } => ApiError::upstream_timeout(error),
        TokenError::Said { .. } | TokenError::NotSignedIn { .. } | TokenError::Failed { .. } => {
            ApiError::upstream_failed(error)
        }
        TokenError::Vault(error) => ApiError::internal(error),
    }
}

fn of_connector(error: Error) -> ApiError {
    match error {
        Error::InvalidInput(issues) => ApiError::invalid_body(
            issues
                .into_iter()
                .map(|issue| (issue.pointer, issue.message)),
        ),
        Error::Unauthorized(said) => ApiError::credential_broken(said),
        Error::Forbidden(said) => ApiError::upstream_forbidden(said),
        Error::NotFound(_) => ApiError::not_found(),
        Error::Conflict(said) => ApiError::conflict(said),
        Error::RateLimited(limit) => {
            let wait = limit.retry_after_ms.map_or(RETRY, Duration::from_millis);
            ApiError::rate_limited(wait).detail(limit.message)
        }
        Error::Upstream(upstream) if upstream.maybe_applied => {
            ApiError::maybe_applied(upstream.message)
        }
        Error::Upstream(upstream) if upstream.status.is_none() && upstream.retryable => {
            ApiError::upstream_timeout(upstream.message)
        }
        Error::Upstream(upstream) => ApiError::upstream_failed(upstream.message),
        Error::Unsupported(said) => ApiError::unsupported(said),
        Error::Halted(said) | Error::Internal(said) => ApiError::connector_failed(said),
        Error::Other((code, said)) => ApiError::upstream_rejected(format!("{said} ({code})")),
    }
}
