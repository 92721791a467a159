//! The host from outside: the real program as a child process, with real
//! connectors, databases and HTTP, against a simulated app.
//!
//! One binary, so that what it needs is built once. Files are prefixed by area;
//! `fixtures` says how a test gets its host.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod fixtures;
mod fixtures_test;
