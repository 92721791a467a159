//! What only a Postgres server has.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod deadlocks;
mod locks;
mod opening;
mod place;
mod sessions;

pub(crate) use place::Place;
