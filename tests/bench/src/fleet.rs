//! A host with many connectors: its data, its commands, and how soon it is ready.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::child::Child;
use crate::programs::{Programs, data};
use crate::stage::free;
use crate::wire::Client;

/// How long a host may take to get ready.
const PATIENCE: Duration = Duration::from_secs(120);

/// A data directory and the program that works with it.
pub(crate) struct Fleet {
    program: PathBuf,
    folder: TempDir,
}

/// A host that serves.
pub(crate) struct Serving {
    pub(crate) host: Child,
    /// From starting the program to its first good answer to `/readyz`.
    pub(crate) ready: Duration,
    /// The connectors that it named then.
    pub(crate) connectors: usize,
}

impl Fleet {
    pub(crate) fn new(programs: &Programs) -> Result<Self> {
        Ok(Self {
            program: programs.host.clone(),
            folder: TempDir::new_in(data()?)?,
        })
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn rollout(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--data-dir").arg(self.file("data"));
        command
    }

    /// Runs a command that must succeed; answers how long it took.
    pub(crate) fn run(&self, arguments: &[&str]) -> Result<Duration> {
        let began = Instant::now();
        let output = self.rollout().args(arguments).output()?;
        let took = began.elapsed();
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "rollout {arguments:?}: {said}");
        Ok(took)
    }

    /// Installs a component file for all environments.
    pub(crate) fn install(&self, file: &Path) -> Result<Duration> {
        self.run(&["connector", "install", &file.display().to_string()])
    }

    /// Starts the host, with a folder of connectors if there is one.
    pub(crate) async fn serve(&self, connectors: Option<&Path>) -> Result<Serving> {
        let address = free()?;
        let mut serve = self.rollout();
        serve.args(["serve", "--listen", &address.to_string()]);
        if let Some(folder) = connectors {
            serve.arg("--connectors").arg(folder);
        }
        let began = Instant::now();
        let mut host = Child::start("the host", &mut serve, &self.file("host.log"))?;
        loop {
            host.check()?;
            if let Some(connectors) = ready(address).await {
                return Ok(Serving {
                    host,
                    ready: began.elapsed(),
                    connectors,
                });
            }
            ensure!(
                began.elapsed() < PATIENCE,
                "the host is not ready after {PATIENCE:?}"
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// How many connectors a host names that is ready.
async fn ready(address: SocketAddr) -> Option<usize> {
    let mut client = Client::connect(address).await.ok()?;
    let answer = client.get("/readyz", &[]).await.ok()?;
    let named: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    let connectors = named.get("connectors")?.as_array()?.len();
    (answer.status == 200).then_some(connectors)
}
