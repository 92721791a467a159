//! The egress against a real HTTP server on a loopback address, reached the way
//! a simulator is: through `dev_upstreams`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod answers;
mod app;
mod bindings;
mod budgets;
mod captures;
mod gates;
mod ledger;
mod places;
mod tries;
