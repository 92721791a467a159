//! What benchmarks measure: programs and connectors as they are released.

use std::path::PathBuf;

use anyhow::Result;

use crate::binaries::Binaries;
use crate::progress::Progress;
use crate::{components, target};

/// Where the programs and the connectors are.
#[derive(Debug)]
pub struct Released {
    /// The program `rollout`.
    pub host: PathBuf,
    /// The program `follow-up-boss-sim`.
    pub simulator: PathBuf,
    /// The folder with `KEY.wasm` of every connector.
    pub connectors: PathBuf,
}

/// Builds host, simulator and connectors with all optimisations if necessary, and
/// says on standard output how far it is.
///
/// # Errors
/// What cargo said, if something doesn't compile; or the compiler target of the
/// connectors can't be added.
pub fn build_released() -> Result<Released> {
    let mut progress = Progress::of(3);
    progress.step("the compiler target wasm32-wasip2", target::ensure)?;
    let connectors = progress.step("building the connectors", components::build)?;
    let binaries = progress.step("building the host and the simulator", |step| {
        Binaries::build_as(&["--release"], step)
    })?;
    Ok(Released {
        host: binaries.host,
        simulator: binaries.simulator,
        connectors,
    })
}
