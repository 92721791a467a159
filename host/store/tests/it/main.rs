//! The store on real SQLite files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    unreachable_pub,
    missing_docs
)]

mod fixture;

mod control;
mod crash;
mod credentials;
mod landing;
mod migrations;
mod model;
mod paging;
mod reading;
mod state;
