//! What only SQLite files have.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod files;
mod place;
mod plans;

pub(crate) use place::Place;
