//! Where compiled connectors are kept: `DATA/artifacts`, so that the next start does
//! not compile them again. Losing them costs time only.

use std::time::SystemTime;

use anyhow::{Context as _, Result};
use cap_std::fs::Dir;
use rollout_sandbox::Shelf;

/// Artifacts beyond this number go, the oldest first: each rebuilt connector leaves one.
const MOST: usize = 64;

/// The folder.
pub(crate) struct ArtifactsDir(Dir);

impl ArtifactsDir {
    /// Opens the folder in the data directory, making it if it is missing.
    pub(crate) fn open(data: &Dir) -> Result<Self> {
        data.create_dir_all("artifacts")
            .and_then(|()| data.open_dir("artifacts"))
            .map(Self)
            .context("can't use the folder `artifacts` of the data directory")
    }

    /// Writes beside, and then in place: who reads meanwhile finds a whole file or none.
    fn write(&self, name: &str, artifact: &[u8]) -> std::io::Result<()> {
        let beside = format!("{name}.{}", std::process::id());
        let written = self.0.write(&beside, artifact);
        let written = written.and_then(|()| self.0.rename(&beside, &self.0, name));
        if written.is_err() {
            // A part of it would only take more of a disk that is full.
            let _ = self.0.remove_file(&beside);
        }
        written?;
        let mut all: Vec<(SystemTime, String)> = self
            .0
            .entries()?
            .filter_map(Result::ok)
            .filter_map(|entry| {
                let written = entry.metadata().ok()?.modified().ok()?.into_std();
                Some((written, entry.file_name().into_string().ok()?))
            })
            .collect();
        all.sort_unstable();
        let too_many = all.len().saturating_sub(MOST);
        for (_, name) in all.iter().take(too_many) {
            self.0.remove_file(name)?;
        }
        Ok(())
    }
}

impl Shelf for ArtifactsDir {
    fn take(&self, name: &str) -> Option<Vec<u8>> {
        self.0.read(name).ok()
    }

    fn put(&self, name: &str, artifact: &[u8]) {
        if let Err(error) = self.write(name, artifact) {
            tracing::warn!(%error, "a compiled connector can't be kept");
        }
    }
}
