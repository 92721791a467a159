//! The programs that are measured, built as they are released.

use std::path::{Path, PathBuf};

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
    /// The connector that is measured.
    pub(crate) component: Vec<u8>,
}

impl Programs {
    /// Builds host, simulator and connector if necessary.
    pub(crate) fn build() -> Result<Self> {
        let released = rollout_tasks::build_released()?;
        let built = released.connectors.join(COMPONENT);
        std::fs::copy(&built, connectors()?.join(COMPONENT))
            .with_context(|| built.display().to_string())?;
        Self::at(released.host, released.simulator)
    }

    /// Takes what is there, however old it is.
    pub(crate) fn as_they_are() -> Result<Self> {
        let own = std::env::current_exe()?;
        let folder = own.parent().context("this program lies in no folder")?;
        Self::at(folder.join("rollout"), folder.join("follow-up-boss-sim"))
    }

    fn at(host: PathBuf, simulator: PathBuf) -> Result<Self> {
        let connectors = connectors()?;
        let component = connectors.join(COMPONENT);
        for file in [&host, &simulator, &component] {
            ensure!(
                file.is_file(),
                "{} is not there: run without --no-build",
                file.display()
            );
        }
        Ok(Self {
            host,
            simulator,
            own: std::env::current_exe()?,
            component: std::fs::read(&component)
                .with_context(|| component.display().to_string())?,
            connectors,
        })
    }
}

/// A folder with the one connector that is measured, apart from what others
/// build meanwhile.
fn connectors() -> Result<PathBuf> {
    let folder = data()?.join("connectors");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// Where data lie: on the disk that the repository is on. A folder for temporary
/// files may be memory, where synchronising costs nothing.
pub(crate) fn data() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = own.ancestors().nth(2).unwrap_or(own);
    let folder = root.join("target/bench");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}
