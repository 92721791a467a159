//! Every error of the contract, by its name.

use rollout_connector::error::Issue;
use rollout_connector::{Error, Upstream};

/// The error of this name; `None` if there is no such name.
pub(crate) fn named(name: &str) -> Option<Error> {
    let text = || name.to_owned();
    Some(match name {
        "invalid-input" => Error::InvalidInput(vec![
            Issue {
                pointer: "/emails/0/value".to_owned(),
                message: "is no address".to_owned(),
            },
            Issue {
                pointer: String::new(),
                message: "is too old".to_owned(),
            },
        ]),
        "unauthorized" => Error::Unauthorized(text()),
        "forbidden" => Error::Forbidden(text()),
        "not-found" => Error::NotFound(text()),
        "conflict" => Error::Conflict(text()),
        "rate-limited" => Error::RateLimited {
            retry_after_ms: Some(1500),
            message: text(),
        },
        "rate-limited-unknown" => Error::RateLimited {
            retry_after_ms: None,
            message: text(),
        },
        "upstream" => Error::Upstream(Upstream {
            status: Some(502),
            retryable: true,
            maybe_applied: true,
            message: text(),
        }),
        "upstream-unknown" => Error::Upstream(Upstream {
            message: text(),
            ..Upstream::default()
        }),
        "unsupported" => Error::Unsupported(text()),
        "halted" => Error::Halted(text()),
        "internal" => Error::Internal(text()),
        "other" => Error::Other {
            code: "teapot".to_owned(),
            message: text(),
        },
        _ => return None,
    })
}
