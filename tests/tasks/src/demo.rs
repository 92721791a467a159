//! `cargo demo`: a simulated Follow Up Boss account, connected and synced, and calls
//! to try on it.
//!
//! Everything it writes is in `target/demo`; a lock there keeps a second demo from
//! taking the data away from under the first.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::binaries::Binaries;
use crate::guide::Guide;
use crate::http::Client;
use crate::interrupt::Interrupt;
use crate::ports;
use crate::progress::{Progress, Step, say};
use crate::tethered::Tethered;
use crate::{components, target, tree};

/// Where the connector believes Follow Up Boss to be.
const APP_ORIGIN: &str = "https://api.followupboss.com";
/// The key of the simulated account's owner.
const API_KEY: &str = "fka_demo_2f7c41";
/// The consumer that connects the account.
const CONSUMER: &str = "demo-user";
/// The host's port, unless `ROLLOUT_DEMO_PORT` says otherwise or it is taken.
const HOST_PORT: u16 = 8080;
const SIMULATOR_PORT: u16 = 9101;
/// How long the host, or the first sync, may take to get ready.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is asked of a demo.
#[derive(Debug, Clone, Copy, Default)]
pub struct Demo {
    /// Stop as soon as everything is printed.
    pub once: bool,
    /// Go on with the data of the last demo.
    pub keep: bool,
}

/// Builds what is needed, starts simulator and host, connects an account with notes
/// and tasks, prints what came, and stays up until Ctrl-C.
///
/// # Errors
/// One of the steps failed; the message holds what the failing program said.
pub fn demo(demo: Demo) -> Result<()> {
    let wished = wished_port(std::env::var("ROLLOUT_DEMO_PORT").ok().as_deref())?;
    let mut progress = Progress::of(6);
    progress.step("the compiler target wasm32-wasip2", target::ensure)?;
    let connectors = progress.step("building the connectors", components::build)?;
    let binaries = progress.step("building the host and the simulator", Binaries::build)?;

    let stage = Stage::set(demo.keep)?;
    let interrupt = Interrupt::listen()?;
    let outcome = perform(
        demo,
        &mut progress,
        &stage,
        &interrupt,
        wished,
        &connectors,
        &binaries,
    );
    if interrupt.asked() {
        // However far it came: it ends because somebody wanted it to.
        return say(format_args!("\nstopped\n"));
    }
    outcome
}

fn perform(
    demo: Demo,
    progress: &mut Progress,
    stage: &Stage,
    interrupt: &Interrupt,
    wished: u16,
    connectors: &Path,
    binaries: &Binaries,
) -> Result<()> {
    let (mut simulator, simulator_port) = progress.step("starting the simulator", |step| {
        start_simulator(stage, binaries, step, interrupt)
    })?;
    stage.configure(simulator_port)?;
    let (mut host, host_port) = progress.step("starting the host", |step| {
        start_host(stage, binaries, connectors, wished, step, interrupt)
    })?;
    let guide = progress.step("connecting an account, and its first sync", |_| {
        let token = stage.token(&binaries.host)?;
        connect(stage, host_port, token, interrupt, &mut host)
    })?;
    say(format_args!("{guide}"))?;
    if demo.once {
        return Ok(());
    }
    say(format_args!("\nUp until Ctrl-C.\n"))?;
    loop {
        interrupt.pause()?;
        host.check()?;
        simulator.check()?;
    }
}

/// The port asked for by `ROLLOUT_DEMO_PORT`.
fn wished_port(text: Option<&str>) -> Result<u16> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        return Ok(HOST_PORT);
    };
    text.parse()
        .with_context(|| format!("ROLLOUT_DEMO_PORT={text} is not a port, such as 8080"))
}

/// A free port; a word about it if it is not the wished one.
fn port(wished: u16, step: &Step) -> Result<u16> {
    let port = ports::free(wished)?;
    if wished != 0 && port != wished {
        step.note(&format!("port {wished} is taken, so it is {port}"))?;
    }
    Ok(port)
}

fn start_simulator(
    stage: &Stage,
    binaries: &Binaries,
    step: &Step,
    interrupt: &Interrupt,
) -> Result<(Tethered, u16)> {
    let port = port(SIMULATOR_PORT, step)?;
    let mut command = Command::new(&binaries.simulator);
    command
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .args(["--api-key", API_KEY, "--dataset", "demo"]);
    let mut simulator = Tethered::start("the simulator", command, &stage.log("simulator"))?;
    let client = Client::of_port(port);
    // Any answer will do: it is up.
    until("the simulator", &mut simulator, interrupt, || {
        Ok(client.get("/v1/identity").ok())
    })?;
    Ok((simulator, port))
}

fn start_host(
    stage: &Stage,
    binaries: &Binaries,
    connectors: &Path,
    wished: u16,
    step: &Step,
    interrupt: &Interrupt,
) -> Result<(Tethered, u16)> {
    let port = port(wished, step)?;
    let mut command = stage.rollout(&binaries.host);
    command
        .arg("serve")
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .arg("--connectors")
        .arg(connectors);
    let mut host = Tethered::start("the host", command, &stage.log("host"))?;
    let client = Client::of_port(port);
    until("the host", &mut host, interrupt, || {
        Ok(client
            .get("/readyz")
            .ok()
            .filter(|ready| ready.status == 200))
    })?;
    Ok((host, port))
}

/// Connects the account, waits until it can be read, and collects what to show.
fn connect(
    stage: &Stage,
    port: u16,
    token: String,
    interrupt: &Interrupt,
    host: &mut Tethered,
) -> Result<Guide> {
    let mut client = Client::of_port(port);
    client.header("Authorization", format!("Bearer {token}"));
    let connected = client
        .post(
            "/api/credentials",
            &json!({
                "appKey": "follow-up-boss",
                "userInputs": {"apiKey": API_KEY},
                "entitiesToSync": {"notes": true, "tasks": true},
            }),
        )?
        .json()?;
    let credential = text(&connected, "/id").context("the new credential has no id")?;
    client.header("X-Rollout-Credential-Id", credential.clone());

    let mut read = |path: &str| -> Result<Value> {
        until("the first sync", host, interrupt, || {
            let answer = client.get(path)?;
            match answer.status {
                409 => Ok(None),
                _ => answer
                    .json()
                    .map(Some)
                    .with_context(|| format!("GET {path}")),
            }
        })
    };
    let people = read("/crm/api/people?limit=25")?;
    let mut shown = None;
    for person in records(&people, "people") {
        let id = text(person, "/id").context("a person has no id")?;
        let notes = read(&format!("/crm/api/notes?personId={id}"))?;
        let note = records(&notes, "notes").next().cloned();
        let found = note.is_some();
        if found || shown.is_none() {
            shown = Some((id, person.clone(), note));
        }
        if found {
            break;
        }
    }
    let (person_id, person, note) = shown.context("the account came without people")?;
    Ok(Guide {
        host: format!("http://127.0.0.1:{port}"),
        credential,
        token,
        key: API_KEY,
        people: people.pointer("/_metadata/total").and_then(Value::as_u64),
        person_id,
        person,
        note,
        database: stage.data.join("env/dev.sqlite"),
        logs: [stage.log("host"), stage.log("simulator")],
        secret: stage.data.join("dev.credentials.json"),
    })
}

/// The records of a list.
fn records<'a>(page: &'a Value, collection: &str) -> impl Iterator<Item = &'a Value> {
    page.get(collection)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn text(value: &Value, pointer: &str) -> Option<String> {
    value.pointer(pointer)?.as_str().map(str::to_owned)
}

/// Asks until there is an answer, while the process that is asked lives.
fn until<T>(
    what: &str,
    process: &mut Tethered,
    interrupt: &Interrupt,
    mut answer: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        process.check()?;
        if let Some(answer) = answer()? {
            return Ok(answer);
        }
        if started.elapsed() > PATIENCE {
            bail!(
                "{what} was not ready after {} s; see {}",
                PATIENCE.as_secs(),
                tree::shown(process.log())
            );
        }
        interrupt.pause()?;
    }
}

/// The files of a demo, under a lock.
struct Stage {
    folder: PathBuf,
    data: PathBuf,
    config: PathBuf,
    _lock: File,
}

impl Stage {
    fn set(keep: bool) -> Result<Self> {
        let folder = tree::demo();
        fs::create_dir_all(&folder)
            .with_context(|| format!("can't make the folder {}", folder.display()))?;
        let lock = File::create(folder.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("another demo is running here; end it with Ctrl-C first")
            }
            Err(TryLockError::Error(error)) => return Err(error).context("can't lock the demo"),
        }
        let data = folder.join("data");
        if !keep && data.exists() {
            fs::remove_dir_all(&data)
                .with_context(|| format!("can't remove the last demo's {}", data.display()))?;
        }
        Ok(Self {
            config: folder.join("rollout.toml"),
            data,
            folder,
            _lock: lock,
        })
    }

    fn log(&self, of: &str) -> PathBuf {
        self.folder.join(format!("{of}.log"))
    }

    /// Writes the host's configuration: traffic meant for the app goes to the simulator.
    fn configure(&self, simulator: u16) -> Result<()> {
        let config = format!(
            "[dev]\nenabled = true\n\n[dev.upstreams]\n\"{APP_ORIGIN}\" = \"http://127.0.0.1:{simulator}\"\n"
        );
        fs::write(&self.config, config)
            .with_context(|| format!("can't write {}", self.config.display()))
    }

    /// The host's command line, for this demo's configuration and data.
    fn rollout(&self, host: &Path) -> Command {
        let mut command = Command::new(host);
        command
            .arg("--config")
            .arg(&self.config)
            .arg("--data-dir")
            .arg(&self.data);
        command
    }

    /// A token that lasts for a day of trying things out.
    fn token(&self, host: &Path) -> Result<String> {
        let output = self
            .rollout(host)
            .args(["token", "--env", "dev", "--sub", CONSUMER, "--ttl", "24h"])
            .output()
            .context("can't run rollout token")?;
        if !output.status.success() {
            bail!(
                "rollout token failed: {}",
                String::from_utf8_lossy(&output.stderr).trim_end()
            );
        }
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_port_comes_from_the_environment() {
        assert_eq!(wished_port(None).unwrap(), 8080);
        assert_eq!(wished_port(Some("")).unwrap(), 8080);
        assert_eq!(wished_port(Some("9000")).unwrap(), 9000);
        let told = wished_port(Some("http")).unwrap_err().to_string();
        assert!(told.contains("ROLLOUT_DEMO_PORT=http"), "{told}");
    }

    #[test]
    fn records_are_found_by_their_collection() {
        let page = json!({"_metadata": {"total": 2}, "people": [{"id": "a"}, {"id": "b"}]});
        let ids: Vec<_> = records(&page, "people")
            .map(|person| text(person, "/id").unwrap())
            .collect();
        assert_eq!(ids, ["a", "b"]);
        assert_eq!(records(&page, "notes").count(), 0);
    }
}
