//! The repository's own commands, `cargo demo` and `cargo verify`, and what the
//! integration tests and benchmarks share with them: building the connectors, the
//! host and the simulators, and finding the results.
//!
//! People run these commands on a fresh clone, so this crate compiles in seconds:
//! no async runtime, no TLS, HTTP in a page. It knows the host only from outside,
//! by its command line and its API.

mod binaries;
mod cargo;
mod components;
mod demo;
mod guide;
mod http;
mod interrupt;
mod ports;
mod progress;
mod released;
mod summary;
mod target;
mod tethered;
mod tree;
mod verify;

pub use binaries::host_binary;
pub use cargo::cargo;
pub use components::{build_conformance, build_connectors, build_misbehaving};
pub use demo::{Demo, demo};
pub use released::{Released, build_released};
pub use verify::verify;
