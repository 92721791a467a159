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
    // A failed run's seed is the way to see it again.
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

mod api_bad_input;
mod api_connecting;
mod api_contract;
mod api_errors;
mod api_feed;
mod api_idempotency;
mod api_link;
mod api_openapi;
mod api_proxy;
mod api_rate;
mod api_reads;
#[cfg(feature = "schemathesis")]
mod api_schemathesis;
mod api_writes;
mod api_writes_refused;
mod cli_commands;
mod cli_connector_new;
mod cli_environments;
mod cli_installing;
mod cli_odd_files;
mod cli_serving;
mod clients;
mod credentials_data;
mod credentials_shared;
mod faults_kill;
mod faults_many;
mod fixtures;
mod fixtures_test;
mod hubspot_contacts;
mod hubspot_oauth;
mod hubspot_stage;
mod js_hello;
mod keys_rotation;
mod keys_sources;
#[cfg(feature = "browser")]
mod link_browser;
mod login_codes;
mod login_sessions;
mod login_stage;
mod misbehaving_app;
mod misbehaving_greed;
mod misbehaving_pages;
mod misbehaving_requests;
mod misbehaving_secrets;
mod misbehaving_stage;
mod misbehaving_waits;
mod oauth_flow;
#[cfg(feature = "oidc")]
mod oauth_provider;
mod oauth_refresh;
mod oauth_stage;
mod oauth_storm;
mod outbound_budgets;
mod outbound_calls;
mod postgres_api;
mod postgres_hosts;
mod postgres_trouble;
mod secrets_at_rest;
mod secrets_guests;
mod secrets_text;
mod sql_customer;
mod sync_asked;
mod sync_entities;
mod sync_first;
mod sync_full;
mod sync_incremental;
mod sync_model;
mod sync_oracle;
mod sync_status;
mod tenancy_matrix;
mod webhooks_delivery;
mod webhooks_kill;
mod webhooks_receiver;
