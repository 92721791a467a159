//! Tests of the connector against a fake app.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod changes;
mod kinds;
mod list;
mod manifest;
mod more_writes;
mod parents;
mod probe;
mod reading;
mod records;
mod table;
mod writes;

/// Where the app is.
const API: &str = "https://api.followupboss.com/v1";
