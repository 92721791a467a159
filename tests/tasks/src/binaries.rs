//! The host and the simulators as programs.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::cargo::{self, Artifact};
use crate::progress::Step;
use crate::tree;

/// The binaries are always asked for together: cargo then picks the same features
/// of their dependencies every time and compiles none twice.
const PACKAGES: [&str; 5] = [
    "--package",
    "rollout",
    "--package",
    "rollout-test-apps",
    "--bins",
];

/// The programs that demo, tests and benchmarks start.
pub(crate) struct Binaries {
    /// `rollout`.
    pub(crate) host: PathBuf,
    /// `follow-up-boss-sim`.
    pub(crate) simulator: PathBuf,
}

impl Binaries {
    pub(crate) fn build(step: &Step) -> Result<Self> {
        Self::build_as(&[], step)
    }

    /// With more arguments for cargo: `--release`.
    pub(crate) fn build_as(more: &[&str], step: &Step) -> Result<Self> {
        let arguments = [&PACKAGES, more].concat();
        let artifacts = cargo::build(&tree::root(), &arguments, step)?;
        Ok(Self {
            host: find(&artifacts, "rollout")?,
            simulator: find(&artifacts, "follow-up-boss-sim")?,
        })
    }
}

/// Builds the host for development if necessary and answers where its binary `rollout` is.
///
/// # Errors
/// What cargo said, if it doesn't compile.
pub fn host_binary() -> Result<PathBuf> {
    Ok(Binaries::build(&Step::silent())?.host)
}

fn find(artifacts: &[Artifact], name: &str) -> Result<PathBuf> {
    artifacts
        .iter()
        .filter(|artifact| artifact.target == name)
        .find_map(|artifact| artifact.executable.clone())
        .with_context(|| format!("cargo built no binary named {name}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_binary_is_not_mistaken_for_a_library_of_that_name() {
        let artifact = |kind: &str, executable: Option<&str>| Artifact {
            package: "rollout".into(),
            target: "rollout".into(),
            kinds: vec![kind.into()],
            files: vec!["/t/librollout.rlib".into()],
            executable: executable.map(PathBuf::from),
        };
        let built = [artifact("lib", None), artifact("bin", Some("/t/rollout"))];
        assert_eq!(
            find(&built, "rollout").unwrap(),
            PathBuf::from("/t/rollout")
        );
        let error = find(&built, "follow-up-boss-sim").unwrap_err();
        assert!(error.to_string().contains("follow-up-boss-sim"));
    }
}
