//! What only a Postgres server has.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod deadlocks;
mod locks;
mod opening;
mod place;
mod zombies;

pub(crate) use place::Place;
