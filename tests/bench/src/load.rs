//! The load: one request again and again over kept connections, from a process
//! of its own with one thread.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde::{Deserialize, Serialize};

use crate::measure::process_cpu;
use crate::wire::Client;

/// What to ask, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct Load {
    /// Whom to ask.
    #[arg(long)]
    pub(crate) address: SocketAddr,
    /// What to ask for.
    #[arg(long)]
    pub(crate) path: String,
    /// A file of request headers, one `name: value` on each line: tokens don't
    /// belong on a command line.
    #[arg(long)]
    pub(crate) headers: PathBuf,
    /// What to send: a file. Nothing: the request is a GET.
    #[arg(long)]
    pub(crate) body: Option<PathBuf>,
    /// Connections at once.
    #[arg(long)]
    pub(crate) clients: usize,
    /// How long.
    #[arg(long)]
    pub(crate) millis: u64,
}

/// What came of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) bytes: u64,
    pub(crate) seconds: f64,
    /// The load generator's own CPU time.
    pub(crate) cpu_seconds: f64,
    /// In microseconds.
    pub(crate) p50: u64,
    /// In microseconds.
    pub(crate) p99: u64,
}

impl Load {
    /// Runs in a process of its own.
    pub(crate) fn apart(&self, program: &Path) -> Result<Outcome> {
        let output = Command::new(program)
            .arg("load")
            .args(["--address", &self.address.to_string(), "--path", &self.path])
            .arg("--headers")
            .arg(&self.headers)
            .args(
                self.body
                    .iter()
                    .flat_map(|body| [Path::new("--body"), body]),
            )
            .args([
                "--clients",
                &self.clients.to_string(),
                "--millis",
                &self.millis.to_string(),
            ])
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the load failed: {said}");
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    pub(crate) async fn run(&self) -> Result<Outcome> {
        let headers = std::fs::read_to_string(&self.headers)?;
        let headers: Vec<(&str, &str)> = headers
            .lines()
            .filter_map(|line| line.split_once(": "))
            .collect();
        let mut clients = Vec::new();
        for _ in 0..self.clients {
            clients.push(Client::connect(self.address).await?);
        }
        let (method, body, expected) = match &self.body {
            Some(body) => ("POST", std::fs::read_to_string(body)?, 201),
            None => ("GET", String::new(), 200),
        };
        let request = clients
            .first()
            .context("no client")?
            .request(method, &self.path, &headers, &body);
        let (cpu, began) = (process_cpu(), Instant::now());
        let until = began + Duration::from_millis(self.millis);
        let mut tasks = tokio::task::JoinSet::new();
        for mut client in clients {
            let request = request.clone();
            tasks.spawn(async move {
                let (mut bytes, mut times) = (0, Vec::new());
                // Each asks once, however short the time is.
                while times.is_empty() || Instant::now() < until {
                    let asked = Instant::now();
                    let (status, length) = client.count(&request).await?;
                    ensure!(status == expected, "an answer of status {status}");
                    bytes += length as u64;
                    times.push(u64::try_from(asked.elapsed().as_micros()).unwrap_or(u64::MAX));
                }
                Ok::<_, anyhow::Error>((bytes, times))
            });
        }
        let (mut bytes, mut times) = (0, Vec::new());
        while let Some(done) = tasks.join_next().await {
            let (more, each) = done??;
            bytes += more;
            times.extend(each);
        }
        let seconds = began.elapsed().as_secs_f64();
        times.sort_unstable();
        let percentile = |percent: usize| {
            times
                .get(times.len() * percent / 100)
                .copied()
                .unwrap_or_default()
        };
        Ok(Outcome {
            requests: times.len() as u64,
            bytes,
            seconds,
            cpu_seconds: process_cpu().saturating_sub(cpu).as_secs_f64(),
            p50: percentile(50),
            p99: percentile(99),
        })
    }
}
