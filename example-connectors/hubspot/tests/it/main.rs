//! Tests of the connector against a fake app.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod changes;
mod manifest;
mod probe;
mod reading;
mod refusals;
mod table;
mod writes;

/// Where the app's contacts are.
const CONTACTS: &str = "https://api.hubapi.com/crm/v3/objects/contacts";
