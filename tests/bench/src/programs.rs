//! The programs that are measured, built as they are released.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

const COMPONENT: &str = "follow-up-boss.wasm";

/// Where the built programs and the connectors are.
pub(crate) struct Programs {
    pub(crate) host: PathBuf,
    pub(crate) simulator: PathBuf,
    /// This program: load generator and baselines are subcommands of it.
    pub(crate) own: PathBuf,
    /// The folder of the connectors.
    pub(crate) connectors: PathBuf,
}

impl Programs {
    /// Builds host, simulator and connector if necessary.
    pub(crate) fn build() -> Result<Self> {
        let host = [
            "--package",
            "rollout",
            "--package",
            "rollout-test-apps",
            "--bins",
        ];
        cargo_build(&root(), &host)?;
        let connector = ["--target", "wasm32-wasip2", "--package", "follow-up-boss"];
        cargo_build(&root().join("example-connectors"), &connector)?;
        let built = root().join("target/guests/wasm32-wasip2/release/follow_up_boss.wasm");
        std::fs::create_dir_all(connectors())?;
        std::fs::copy(&built, connectors().join(COMPONENT))
            .with_context(|| built.display().to_string())?;
        Self::as_they_are()
    }

    /// Takes what is there, however old it is.
    pub(crate) fn as_they_are() -> Result<Self> {
        let own = std::env::current_exe()?;
        let folder = own.parent().context("this program lies in no folder")?;
        let programs = Self {
            host: folder.join("rollout"),
            simulator: folder.join("follow-up-boss-sim"),
            own: own.clone(),
            connectors: connectors(),
        };
        for file in [&programs.host, &programs.simulator] {
            ensure!(
                file.is_file(),
                "{} is not there: run without --no-build",
                file.display()
            );
        }
        Ok(programs)
    }

    /// The connector that is measured.
    pub(crate) fn component(&self) -> Result<Vec<u8>> {
        let file = self.connectors.join(COMPONENT);
        std::fs::read(&file).with_context(|| file.display().to_string())
    }
}

/// A folder with the one connector that is measured, apart from what others
/// build meanwhile.
fn connectors() -> PathBuf {
    root().join("target/bench/connectors")
}

/// Runs `cargo build --release` in a workspace.
fn cargo_build(workspace: &Path, arguments: &[&str]) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(workspace)
        .args(["build", "--release"])
        .args(arguments);
    // What cargo says of this package is not for the build of another.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    let status = command.status().context("can't run cargo")?;
    ensure!(status.success(), "cargo build failed");
    Ok(())
}

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}
