//! What the store does on every database. `crate::only::Place` says which it is.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    unreachable_pub,
    missing_docs
)]

pub(crate) mod fixture;

mod connectors;
mod control;
mod crash;
mod credentials;
mod data_keys;
mod events;
mod full_passes;
pub(crate) mod jobs;
mod jobs_model;
mod landing;
mod leases;
mod loading;
mod migrations;
mod model;
mod odd;
mod outbound;
mod paging;
mod place;
mod reading;
mod sorting;
mod state;
mod tokens;
mod webhooks;
mod writes;
