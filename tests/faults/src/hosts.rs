//! The hosts: the real program, several times, on one database.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::dice::Dice;
use crate::options::Options;
use crate::process::Process;

/// Where the connector believes the app to be.
const APP_ORIGIN: &str = "https://api.followupboss.com";
/// The environment that the run uses.
const ENVIRONMENT: &str = "faults";
/// How long a host may take to start, or to drain.
const PATIENCE: Duration = Duration::from_secs(60);
/// Below the ports that systems give to whoever asks for any: a client that keeps
/// trying a stopped host can't get the host's port for its own end.
const PORTS: std::ops::Range<u16> = 15_000..32_000;
/// Bytes of its log that are shown of a host that ended by itself.
const LAST_WORDS: usize = 2000;

/// All hosts.
pub(crate) struct Cluster {
    hosts: Vec<Host>,
    client_id: String,
    client_secret: String,
}

/// One host.
pub(crate) struct Host {
    program: PathBuf,
    connectors: PathBuf,
    folder: PathBuf,
    data: PathBuf,
    port: u16,
    process: Mutex<Option<Process>>,
    /// As far as a load balancer knows.
    up: AtomicBool,
}

/// What the hosts are told.
pub(crate) struct Surroundings<'a> {
    /// Where the app is.
    pub(crate) app: &'a str,
    /// URLs of the control database and of the environment's, if they are not files.
    pub(crate) databases: Option<(String, String)>,
    /// Where configurations and logs go.
    pub(crate) folder: &'a Path,
    /// Where data directories go.
    pub(crate) data: &'a Path,
}

impl Cluster {
    /// Starts the hosts and makes the environment.
    pub(crate) async fn start(options: &Options, around: Surroundings<'_>) -> Result<Self> {
        let program = options.program.clone();
        let (program, connectors) = tokio::task::spawn_blocking(move || -> Result<_> {
            let program = match program {
                Some(program) => program,
                None => rollout_tasks::host_binary()?,
            };
            Ok((program, rollout_tasks::build_connectors()?))
        })
        .await??;
        let configuration = configuration(options, &around);
        let mut cluster = Self {
            hosts: Vec::new(),
            client_id: String::new(),
            client_secret: String::new(),
        };
        for number in 0..options.hosts.max(1) {
            let host = Host {
                program: program.clone(),
                connectors: connectors.clone(),
                folder: around.folder.join(format!("host-{number}")),
                data: around.data.join(format!("data-{number}")),
                port: free_port(),
                process: Mutex::default(),
                up: AtomicBool::new(false),
            };
            fs::create_dir_all(&host.folder)?;
            fs::write(host.configuration(), &configuration)?;
            if let Some(first) = cluster.hosts.first() {
                copy_key(&first.data, &host.data)?;
            }
            host.start().await?;
            cluster.hosts.push(host);
        }
        cluster.make_environment(&around)?;
        Ok(cluster)
    }

    fn make_environment(&mut self, around: &Surroundings<'_>) -> Result<()> {
        let mut arguments = vec!["env", "create", ENVIRONMENT, "--json"];
        if let Some((_, database)) = &around.databases {
            arguments.extend(["--database-url", database]);
        }
        let first = self.hosts.first().context("there are no hosts")?;
        let output = first.command().args(&arguments).output()?;
        ensure!(
            output.status.success(),
            "rollout {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let made: Value = serde_json::from_slice(&output.stdout)?;
        let text = |name: &str| {
            let text = made.get(name).and_then(Value::as_str);
            text.map(str::to_owned).with_context(|| name.to_owned())
        };
        (self.client_id, self.client_secret) = (text("clientId")?, text("clientSecret")?);
        Ok(())
    }

    pub(crate) fn all(&self) -> &[Host] {
        &self.hosts
    }

    pub(crate) fn host(&self, number: usize) -> Result<&Host> {
        let host = self.hosts.get(number);
        host.with_context(|| format!("there is no host {number}"))
    }

    /// Where one of the hosts that are up is; where any is, if none is up.
    pub(crate) fn one(&self, dice: &mut Dice) -> String {
        let up: Vec<&Host> = self.hosts.iter().filter(|host| host.is_up()).collect();
        let all: Vec<&Host> = self.hosts.iter().collect();
        let host = dice.pick(&up).or_else(|| dice.pick(&all));
        host.map(|host| host.url()).unwrap_or_default()
    }

    /// A token of a consumer, or of the whole environment, good for a quarter of an hour.
    pub(crate) fn token(&self, consumer: Option<&str>) -> Result<String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let mut claims = json!({"iss": self.client_id, "iat": now, "exp": now + 900});
        if let Some(claims) = claims.as_object_mut() {
            match consumer {
                Some(consumer) => claims.insert("sub".into(), consumer.into()),
                None => claims.insert("scope".into(), "environment".into()),
            };
        }
        let key = EncodingKey::from_secret(self.client_secret.as_bytes());
        Ok(encode(&Header::new(Algorithm::HS512), &claims, &key)?)
    }
}

impl Host {
    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn is_up(&self) -> bool {
        self.up.load(Ordering::Relaxed)
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("rollout.toml")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("host.log")
    }

    /// A command about this host's data, with nothing of this process's configuration.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("ROLLOUT_") {
                command.env_remove(name);
            }
        }
        command.arg("--config").arg(self.configuration());
        command.arg("--data-dir").arg(&self.data);
        command
    }

    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(&self) -> Result<()> {
        let asked = Instant::now();
        loop {
            self.launch().await?;
            match self.ready().await {
                Ok(()) => return Ok(()),
                // A connection that goes out had the port for a moment.
                Err(error)
                    if error.to_string().contains("can't listen on")
                        && asked.elapsed() < PATIENCE =>
                {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Starts it, and doesn't wait.
    pub(crate) async fn launch(&self) -> Result<()> {
        let mut serve = self.command();
        serve
            .arg("serve")
            .args(["--listen", &format!("127.0.0.1:{}", self.port)])
            .arg("--connectors")
            .arg(&self.connectors);
        let mut process = self.process.lock().await;
        ensure!(process.is_none(), "the host runs already");
        *process = Some(Process::start(serve, &self.log())?);
        Ok(())
    }

    /// Waits until it is ready.
    pub(crate) async fn ready(&self) -> Result<()> {
        let http = reqwest::Client::new();
        let address = format!("{}/readyz", self.url());
        let asked = Instant::now();
        while asked.elapsed() < PATIENCE {
            if let Some(ended) = self.ended().await? {
                bail!("{ended}");
            }
            let question = http.get(&address).timeout(Duration::from_secs(2));
            if let Ok(answer) = question.send().await
                && answer.status().is_success()
            {
                self.up.store(true, Ordering::Relaxed);
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        bail!("{} is not ready after {PATIENCE:?}", self.log().display())
    }

    /// What there is to say about it if it ended though nobody asked it to.
    pub(crate) async fn ended(&self) -> Result<Option<String>> {
        let mut process = self.process.lock().await;
        let ended = match process.as_mut() {
            Some(running) => running.ended()?,
            None => None,
        };
        let Some(status) = ended else {
            return Ok(None);
        };
        self.up.store(false, Ordering::Relaxed);
        if let Some(mut process) = process.take() {
            process.kill();
        }
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let from = log.floor_char_boundary(log.len().saturating_sub(LAST_WORDS));
        let last = log.get(from..).unwrap_or_default();
        Ok(Some(format!("it ended by itself, {status}:\n{last}")))
    }

    /// SIGKILL.
    pub(crate) async fn kill(&self) {
        self.up.store(false, Ordering::Relaxed);
        if let Some(mut process) = self.process.lock().await.take() {
            process.kill();
        }
    }

    /// SIGTERM; it must drain and exit with 0.
    pub(crate) async fn terminate(&self) -> Result<()> {
        self.up.store(false, Ordering::Relaxed);
        let Some(mut process) = self.process.lock().await.take() else {
            bail!("it doesn't run");
        };
        process.signal(Signal::TERM)?;
        let status = process.wait(PATIENCE).await?;
        ensure!(status.success(), "it ended with {status} after SIGTERM");
        Ok(())
    }

    /// SIGSTOP or SIGCONT. No load balancer notices at once.
    pub(crate) async fn signal(&self, signal: Signal) -> Result<()> {
        match self.process.lock().await.as_ref() {
            Some(process) => process.signal(signal),
            None => bail!("it doesn't run"),
        }
    }
}

/// The configuration of every host.
fn configuration(options: &Options, around: &Surroundings<'_>) -> String {
    let lease = format!("{}ms", options.lease.as_millis());
    let renew = format!("{}ms", options.lease.as_millis() / 3);
    let mut settings: Vec<(String, toml::Value)> = vec![
        ("dev.enabled".into(), true.into()),
        ("dev.rate_limits".into(), false.into()),
        (format!("dev.upstreams.\"{APP_ORIGIN}\""), around.app.into()),
        ("sync.poll_interval".into(), "500ms".into()),
        ("sync.page_records".into(), 100.into()),
        ("sync.retry_first".into(), "200ms".into()),
        ("sync.retry_longest".into(), "2s".into()),
        ("work.lease".into(), lease.into()),
        ("work.renew".into(), renew.into()),
        // Long after what the relay still holds has reached the app.
        ("work.settle_patience".into(), "4s".into()),
    ];
    if let Some((control, _)) = &around.databases {
        settings.push(("control.database_url".into(), control.as_str().into()));
    }
    for (name, value) in &options.settings {
        settings.retain(|(known, _)| known != name);
        if !value.is_empty() {
            settings.push((name.clone(), value.as_str().into()));
        }
    }
    settings
        .iter()
        .map(|(name, value)| format!("{name} = {value}\n"))
        .collect()
}

/// All hosts open the same secrets.
fn copy_key(from: &Path, to: &Path) -> Result<()> {
    const KEY: &str = "master.key";
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o700))?;
    fs::copy(from.join(KEY), to.join(KEY)).context("the first host made no master key")?;
    fs::set_permissions(to.join(KEY), fs::Permissions::from_mode(0o600))?;
    Ok(())
}

fn free_port() -> u16 {
    loop {
        let port = rand::random_range(PORTS);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Store;

    #[test]
    fn settings_are_added_replaced_and_left_out() {
        let mut options = Options::new(1, 1, Store::Postgres);
        options.settings = vec![
            ("work.lease".into(), "9s".into()),
            ("work.renew".into(), String::new()),
        ];
        let around = Surroundings {
            app: "http://127.0.0.1:1",
            databases: Some(("postgres://c".into(), "postgres://e".into())),
            folder: Path::new("/nowhere"),
            data: Path::new("/nowhere"),
        };
        let text = configuration(&options, &around);
        assert!(text.contains("work.lease = \"9s\"\n"), "{text}");
        assert!(!text.contains("work.renew"), "{text}");
        assert!(text.contains("control.database_url = \"postgres://c\"\n"));
        assert!(text.parse::<toml::Table>().is_ok(), "{text}");
    }
}
