//! The contract, tried out: every function of every guest in `tests/conformance`
//! is called, and each answer is what `tests/conformance/README.md` says. What the
//! guest in Rust and the one in C both have is tried by one and the same test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod app;
mod automations;
mod guests;
mod hooks;
mod imports;
mod login;
mod records;
mod shape;

use rollout_sandbox::{CallError, Error};
use serde_json::Value;

/// The JSON document in a text.
fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// The connector's error in a failed call.
fn refused<T: std::fmt::Debug>(answer: Result<T, CallError>) -> Error {
    match answer {
        Err(CallError::Connector(error)) => error,
        other => panic!("not an error of the connector: {other:?}"),
    }
}
