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
        additional_derives: [PartialEq],
    });
}

/// `secrets` stands in a world of its own: it is linked for those only to whom it
/// was granted.
#[allow(missing_docs, unreachable_pub, clippy::all)]
mod granted {
    wasmtime::component::bindgen!({
        path: "../../wit/connector",
        world: "with-secrets",
        imports: { default: trappable },
    });
}

pub(crate) use generated::exports::rollout::connector as exports;
pub(crate) use generated::rollout::connector as imports;
pub(crate) use granted::rollout::connector::secrets;

/// Choices and schemas that depend on the account.
pub mod forms {
    pub use super::exports::forms::{Choice, Choices, Question, Subject};
}

/// Subscriptions, and the requests that the app sends to them.
pub mod hooks {
    pub use super::exports::hooks::{
        Accepted, Change, Inbound, News, Occurrence, Records, Reply, Routed, Subscription, Topic,
    };
}

/// Requests, responses and the places where secrets go.
pub use generated::rollout::connector::http;
/// The connector's small values.
pub use generated::rollout::connector::state;

/// How much a log line matters.
pub use generated::rollout::connector::log::Level as LogLevel;
pub use generated::rollout::connector::types::{
    Error, Event, FieldIssue, Header, Item, MacAlgorithm, RateLimit, SlotError, Upstream,
};

/// The account behind a credential.
pub use generated::exports::rollout::connector::auth::Account;
pub use generated::exports::rollout::connector::entities::{
    Page, Scope as ReadScope, Write, Written,
};
pub use generated::exports::rollout::connector::login::{Challenge, Outcome, Session};
/// What a poll is for, and what it found.
pub use generated::exports::rollout::connector::triggers::{PollMode, PollOutput};
