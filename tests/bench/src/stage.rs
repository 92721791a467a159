//! The real host with a connected account of the simulator, both as processes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::child::Child;
use crate::programs::{Programs, data};
use crate::wire::{Answer, Client};

const API_KEY: &str = "fka_bench";
const CONSUMER: &str = "bench";
/// How long a program may take to get ready.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the sync is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The simulated app.
pub(crate) struct App {
    pub(crate) child: Child,
    address: SocketAddr,
}

impl App {
    pub(crate) async fn start(programs: &Programs, people: u64) -> Result<Self> {
        let address = free()?;
        let mut command = Command::new(&programs.simulator);
        command
            .args(["--listen", &address.to_string(), "--api-key", API_KEY])
            .args([
                "--dataset",
                "bulk",
                "--people",
                &people.to_string(),
                "--no-rate-limit",
            ]);
        let (child, _) = Child::start_and_read("the simulator", &mut command)?;
        Ok(Self { child, address })
    }
}

/// A host with its own fresh data.
pub(crate) struct Stage {
    pub(crate) host: Child,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    folder: TempDir,
}

/// An account and how its people's sync went.
pub(crate) struct Synced {
    pub(crate) credential: String,
    pub(crate) records: u64,
    pub(crate) wall: Duration,
}

impl Stage {
    /// Starts a host whose connector talks to `app`.
    pub(crate) async fn start(programs: &Programs, app: &App) -> Result<Self> {
        let folder = TempDir::new_in(data()?)?;
        let config = folder.path().join("rollout.toml");
        let upstreams = format!(
            "[sync]\npoll_interval = \"1h\"\n[dev]\nenabled = true\n[dev.upstreams]\n\
             \"https://api.followupboss.com\" = \"http://{}\"\n",
            app.address
        );
        std::fs::write(&config, upstreams)?;
        let rollout = || {
            let mut command = Command::new(&programs.host);
            command
                .arg("--config")
                .arg(&config)
                .arg("--data-dir")
                .arg(folder.path().join("data"));
            command
        };
        let address = free()?;
        let mut serve = rollout();
        serve
            .args(["serve", "--listen", &address.to_string(), "--connectors"])
            .arg(&programs.connectors);
        let mut host = Child::start("the host", &mut serve, &folder.path().join("host.log"))?;
        ready(address, &mut host).await?;
        let token = rollout()
            .args(["token", "--env", "dev", "--sub", CONSUMER, "--ttl", "24h"])
            .output()?;
        ensure!(
            token.status.success(),
            "{}",
            String::from_utf8_lossy(&token.stderr)
        );
        Ok(Self {
            host,
            address,
            token: String::from_utf8(token.stdout)?.trim().to_owned(),
            folder,
        })
    }

    /// Connects the account and waits until its people are there. The time
    /// runs from the request on.
    pub(crate) async fn connect(&mut self) -> Result<Synced> {
        let mut client = Client::connect(self.address).await?;
        let bearer = format!("Bearer {}", self.token);
        let headers = [("authorization", bearer.as_str())];
        let body = json!({"appKey": "follow-up-boss", "userInputs": {"apiKey": API_KEY}});
        let request = client.request("POST", "/api/credentials", &headers, &body.to_string());
        let began = Instant::now();
        let connected = document(client.answer(&request).await?)?;
        let credential = connected.get("id").and_then(Value::as_str);
        let credential = credential.context("the credential has no id")?.to_owned();
        let look = client.request(
            "GET",
            &format!("/api/credentials/{credential}"),
            &headers,
            "",
        );
        loop {
            tokio::time::sleep(LOOK).await;
            let shown = document(client.answer(&look).await?)?;
            let people = shown
                .pointer("/sync/entities/people")
                .context("people are not synced")?;
            let status = people.get("status").and_then(Value::as_str);
            match status {
                Some("done") => {
                    let records = people.get("records").and_then(Value::as_u64);
                    return Ok(Synced {
                        credential,
                        records: records.unwrap_or_default(),
                        wall: began.elapsed(),
                    });
                }
                Some("pending" | "running") => self.host.check()?,
                other => bail!("the sync of people is {other:?}: {shown}"),
            }
        }
    }

    /// The environment's database.
    pub(crate) fn database(&self) -> PathBuf {
        self.folder.path().join("data/env/dev.sqlite")
    }

    /// A place for files of the measurement.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn document(answer: Answer) -> Result<Value> {
    let text = String::from_utf8_lossy(&answer.body);
    ensure!(
        answer.status == 200,
        "the host answered {}: {text}",
        answer.status
    );
    Ok(serde_json::from_str(&text)?)
}

async fn ready(address: SocketAddr, host: &mut Child) -> Result<()> {
    let began = Instant::now();
    loop {
        host.check()?;
        if let Ok(mut client) = Client::connect(address).await
            && client
                .get("/readyz", &[])
                .await
                .is_ok_and(|answer| answer.status == 200)
        {
            return Ok(());
        }
        ensure!(
            began.elapsed() < PATIENCE,
            "the host is not ready after {PATIENCE:?}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// An address that nobody listens on.
fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
