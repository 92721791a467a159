//! Simulators of third-party HTTP APIs, for tests, demos and benchmarks.
//!
//! A simulator is a real HTTP server on a loopback port which behaves as the
//! vendor's documentation and its users describe: limits, error texts, odd
//! shapes and all. It shares no code with the programs it is used to test, so
//! a misreading of the API cannot hide on both sides at once.

pub mod codes_by_mail;
pub mod follow_up_boss;
pub mod hubspot;

mod forms;
mod serving;
