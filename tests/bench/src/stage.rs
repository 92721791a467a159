//! The real host with a connected account of the simulator, both as processes.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::child::Child;
use crate::programs::{Programs, data};
use crate::wire::{Answer, Client};

pub(crate) const API_KEY: &str = "fka_bench";
/// The same as the app wants it: Basic, and no password.
const AUTHORIZATION: &str = "Basic ZmthX2JlbmNoOg==";
const CONSUMER: &str = "bench";
/// How long a program may take to get ready.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the sync is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// The simulated app.
pub(crate) struct App {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
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

    /// Makes notes, a hundred for each of the first people.
    pub(crate) async fn write_notes(&self, notes: u64) -> Result<()> {
        let mut client = Client::connect(self.address).await?;
        let headers = [("authorization", AUTHORIZATION)];
        for note in 0..notes {
            let body = json!({
                "personId": note / 100 + 1,
                "subject": format!("Call {note}"),
                "body": "Looks for a house with a garden, three bedrooms and a quiet street.",
            });
            let request = client.request("POST", "/v1/notes", &headers, &body.to_string());
            let answer = client.answer(&request).await?;
            let said = String::from_utf8_lossy(&answer.body);
            ensure!(answer.status == 201, "the app answered {said}");
        }
        Ok(())
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
            "[sync]\npoll_interval = \"1h\"\n[dev]\nenabled = true\nrate_limits = false\n[dev.upstreams]\n\
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

    /// Has an entity synced that is synced on request only.
    pub(crate) async fn sync(&self, credential: &str, entity: &str) -> Result<()> {
        let mut client = Client::connect(self.address).await?;
        let bearer = format!("Bearer {}", self.token);
        let request = client.request(
            "PUT",
            &format!("/api/credentials/{credential}"),
            &[("authorization", bearer.as_str())],
            &json!({"entitiesToSync": {entity: true}}).to_string(),
        );
        document(client.answer(&request).await?).map(drop)
    }

    /// A file of the headers that requests for the account need.
    pub(crate) fn headers(&self, credential: &str) -> Result<PathBuf> {
        let file = self.file("headers");
        let headers = format!(
            "authorization: Bearer {}\nx-rollout-credential-id: {credential}\n",
            self.token
        );
        std::fs::write(&file, headers)?;
        Ok(file)
    }

    /// A page of a list. The list's first sync may still be under way.
    pub(crate) async fn page(&self, headers: &Path, path: &str) -> Result<Value> {
        let headers = std::fs::read_to_string(headers)?;
        let headers: Vec<(&str, &str)> = headers
            .lines()
            .filter_map(|line| line.split_once(": "))
            .collect();
        let mut client = Client::connect(self.address).await?;
        let began = Instant::now();
        loop {
            let page = client.get(path, &headers).await?;
            if page.status != 409 || began.elapsed() > PATIENCE {
                return document(page);
            }
            tokio::time::sleep(LOOK).await;
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
pub(crate) fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
