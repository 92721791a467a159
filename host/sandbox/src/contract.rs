//! The contract's types in Rust, generated from `wit/connector`.
//!
//! The world has every interface; each is looked up by itself when a component
//! is loaded, so a connector exports only those that it has.

#[allow(missing_docs, unreachable_pub, clippy::all)]
mod generated {
    wasmtime::component::bindgen!({
        path: "../../wit/connector",
        world: "everything",
        imports: {
            "rollout:connector/http": async | trappable,
            "rollout:connector/state": async | trappable,
            default: trappable,
        },
        exports: { default: async },
    });
}

pub(crate) use generated::exports::rollout::connector as exports;
pub(crate) use generated::rollout::connector as imports;

/// Requests, responses and the places where secrets go.
pub use generated::rollout::connector::http;
/// The connector's small values.
pub use generated::rollout::connector::state;

/// How much a log line matters.
pub use generated::rollout::connector::log::Level as LogLevel;
pub use generated::rollout::connector::types::{
    Error, FieldIssue, Header, MacAlgorithm, RateLimit, SlotError, Upstream,
};

/// The account behind a credential.
pub use generated::exports::rollout::connector::auth::Account;
pub use generated::exports::rollout::connector::entities::{
    Item, Page, Scope as ReadScope, Write, Written,
};
pub use generated::exports::rollout::connector::login::Outcome;
