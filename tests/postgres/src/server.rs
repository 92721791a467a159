//! One server: its start, its ends, and what comes between.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::AtomicU32;
use std::thread::sleep;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use crate::account::Account;
use crate::binaries::Binaries;
use crate::error::{Doing, Error};
use crate::watchdog::Watchdog;
use crate::{folder, processes};

/// How long a server may take until it accepts connections, also after a crash.
const PATIENCE: Duration = Duration::from_secs(60);
/// Below the ports that systems give to whoever asks for any: a client that keeps trying
/// to reach a stopped server can't get the server's port for its own end, and so connect
/// to itself.
const PORTS: Range<u16> = 15_000..32_000;
/// How often another port is tried when somebody listens on it.
const PORTS_TRIED: u32 = 20;
/// What the log says then.
const PORT_TAKEN: &str = "could not bind";
/// Enough for every test of a process at the same time.
const SHARED_CONNECTIONS: u32 = 300;

/// Who may connect, and how.
const HBA: &str = "\
host all postgres 127.0.0.1/32 trust
host all all 127.0.0.1/32 scram-sha-256
";

/// How a server is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether commits reach the disk. A killed server loses none either way; without,
    /// the data may be in memory altogether.
    pub fsync: bool,
    /// How many connections there may be at a time.
    pub max_connections: u32,
    /// More settings, as in `postgresql.conf`.
    pub settings: Vec<(String, String)>,
    /// Where the server's folder is created, such as a small file system; root must let
    /// everybody enter it.
    pub data: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fsync: false,
            max_connections: 100,
            settings: Vec::new(),
            data: None,
        }
    }
}

/// A Postgres server on 127.0.0.1. Dropping it stops it and removes its data.
pub struct Server {
    pub(crate) binaries: Binaries,
    /// The number of the next database.
    pub(crate) databases: AtomicU32,
    account: Account,
    folder: PathBuf,
    settings: Vec<String>,
    port: u16,
    state: Mutex<State>,
}

struct State {
    postmaster: Option<Child>,
    watchdog: Watchdog,
}

impl Server {
    /// The server that all tests of this process share, started when the first asks.
    /// It is for creating databases, not for killing.
    ///
    /// # Panics
    /// There is no server to start, or it doesn't.
    #[allow(
        clippy::panic,
        reason = "a test can't go on without, and should say why"
    )]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Server> = OnceLock::new();
        SHARED.get_or_init(|| {
            let options = Options {
                max_connections: SHARED_CONNECTIONS,
                ..Options::default()
            };
            Self::start(options).unwrap_or_else(|error| panic!("{error}"))
        })
    }

    /// Starts a server of one's own.
    ///
    /// # Errors
    /// Postgres is not installed, or refuses the options.
    pub fn start(options: Options) -> Result<Self, Error> {
        let binaries = Binaries::find()?;
        let account = Account::find()?;
        let parent = match &options.data {
            Some(folder) => folder.clone(),
            None if options.fsync => folder::on_disk(),
            None => folder::in_memory(),
        };
        folder::remove_leftovers(&parent);
        let folder = folder::create(&parent)?;
        let watchdog = Watchdog::over(&folder)?;
        account.give(&folder)?;
        let mut server = Self {
            binaries,
            databases: AtomicU32::new(1),
            account,
            folder,
            settings: settings(&options),
            port: rand::random_range(PORTS),
            state: Mutex::new(State {
                postmaster: None,
                watchdog,
            }),
        };
        server.create_cluster(options.fsync)?;
        let mut more_ports = 1..PORTS_TRIED;
        loop {
            match server.run() {
                Err(Error::Ended { log })
                    if log.contains(PORT_TAKEN) && more_ports.next().is_some() =>
                {
                    server.port = rand::random_range(PORTS);
                }
                outcome => return outcome.map(|()| server),
            }
        }
    }

    /// The port that it listens on, the same for its whole life.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A crash: the postmaster and all its processes are killed at once.
    ///
    /// # Errors
    /// It is not running.
    pub fn kill(&self) -> Result<(), Error> {
        self.state.lock().end(processes::kill)
    }

    /// Stops it in order, without waiting for its clients to leave.
    ///
    /// # Errors
    /// It is not running.
    pub fn stop_fast(&self) -> Result<(), Error> {
        self.state.lock().end(|postmaster| {
            processes::thaw(postmaster)?;
            kill_process(postmaster, Signal::INT).doing("stop Postgres")
        })
    }

    /// Starts it again, on the same port with the same data, and waits until it accepts
    /// connections. One that runs is stopped first.
    ///
    /// # Errors
    /// It ends, or takes too long.
    pub fn restart(&self) -> Result<(), Error> {
        match self.stop_fast() {
            Ok(()) | Err(Error::NotRunning) => self.run(),
            Err(error) => Err(error),
        }
    }

    /// Halts all its processes where they are: connections stay open, and nothing
    /// answers.
    ///
    /// # Errors
    /// It is not running.
    pub fn pause(&self) -> Result<(), Error> {
        let postmaster = self.state.lock().postmaster()?;
        processes::freeze(postmaster).map(drop)
    }

    /// Lets it go on after a pause.
    ///
    /// # Errors
    /// It is not running.
    pub fn resume(&self) -> Result<(), Error> {
        let postmaster = self.state.lock().postmaster()?;
        processes::thaw(postmaster)
    }

    fn create_cluster(&self, fsync: bool) -> Result<(), Error> {
        let mut initdb = self.command(&self.binaries.initdb);
        initdb
            .args(["--username=postgres", "--auth=trust"])
            .args(["--encoding=UTF8", "--locale=C"]);
        if !fsync {
            initdb.arg("--no-sync");
        }
        let output = initdb.output().doing("run initdb")?;
        if !output.status.success() {
            return Err(Error::Failed {
                program: "initdb",
                said: String::from_utf8_lossy(&output.stderr).into_owned(),
            });
        }
        fs::write(self.data().join("pg_hba.conf"), HBA).doing("write pg_hba.conf")
    }

    fn run(&self) -> Result<(), Error> {
        let log = File::create(self.log()).doing("create the server's log")?;
        let postmaster = self
            .command(&self.binaries.postgres)
            .arg("-p")
            .arg(self.port.to_string())
            .args(&self.settings)
            .stdout(log.try_clone().doing("share the server's log")?)
            .stderr(log)
            // Ctrl-C reaches only us.
            .process_group(0)
            .spawn()
            .doing("start postgres")?;
        self.state.lock().begin(postmaster)?;
        self.wait_until_ready()
    }

    fn wait_until_ready(&self) -> Result<(), Error> {
        let started = Instant::now();
        loop {
            let mut state = self.state.lock();
            let postmaster = state.postmaster()?;
            if self.is_ready(postmaster) {
                return Ok(());
            }
            let ended = state.has_ended()?;
            drop(state);
            let log = || fs::read_to_string(self.log()).unwrap_or_default();
            if ended {
                return Err(Error::Ended { log: log() });
            }
            if started.elapsed() > PATIENCE {
                return Err(Error::NotReady {
                    seconds: PATIENCE.as_secs(),
                    log: log(),
                });
            }
            sleep(Duration::from_millis(5));
        }
    }

    /// Whether the postmaster's file is of this one, by its first line, and says `ready`,
    /// in its eighth.
    fn is_ready(&self, postmaster: Pid) -> bool {
        let file = fs::read_to_string(self.postmaster_file()).unwrap_or_default();
        let mut lines = file.lines().map(str::trim);
        lines.next() == Some(&postmaster.to_string()) && lines.nth(6) == Some("ready")
    }

    /// One of Postgres's programs, about this server's data and with nothing of this
    /// process's configuration.
    fn command(&self, program: &Path) -> Command {
        let mut command = self.account.command(program);
        command
            .arg("-D")
            .arg(self.data())
            .current_dir(&self.folder)
            .env_clear()
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What a running server writes about itself, and a killed one leaves.
    fn postmaster_file(&self) -> PathBuf {
        self.data().join("postmaster.pid")
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The watchdog, dropped next, does what can still be done after an error.
        if self.state.get_mut().postmaster.is_none() && self.postmaster_file().exists() {
            // Only a start gives back the shared memory of one that was killed.
            let _ = self.run();
        }
        let _ = self.state.get_mut().end(|postmaster| {
            processes::thaw(postmaster)?;
            kill_process(postmaster, Signal::QUIT).doing("stop Postgres")
        });
    }
}

impl State {
    fn begin(&mut self, postmaster: Child) -> Result<(), Error> {
        let id = postmaster.id();
        self.postmaster = Some(postmaster);
        self.watchdog.guard(id)
    }

    /// Ends the postmaster in the given way.
    fn end(&mut self, way: impl FnOnce(Pid) -> Result<(), Error>) -> Result<(), Error> {
        way(self.postmaster()?)?;
        self.reap()
    }

    fn postmaster(&self) -> Result<Pid, Error> {
        self.postmaster
            .as_ref()
            .map(Pid::from_child)
            .ok_or(Error::NotRunning)
    }

    /// Whether the postmaster ended unasked.
    fn has_ended(&mut self) -> Result<bool, Error> {
        let status = self.postmaster.as_mut().map(Child::try_wait).transpose();
        let ended = status.doing("wait for Postgres")?.flatten().is_some();
        if ended {
            self.reap()?;
        }
        Ok(ended)
    }

    fn reap(&mut self) -> Result<(), Error> {
        self.watchdog.forget()?;
        if let Some(mut postmaster) = self.postmaster.take() {
            postmaster.wait().doing("wait for Postgres")?;
        }
        Ok(())
    }
}

/// The options, as arguments. What a test asks for comes last and counts.
fn settings(options: &Options) -> Vec<String> {
    let on = if options.fsync { "on" } else { "off" };
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        "unix_socket_directories=".to_owned(),
        format!("fsync={on}"),
        format!("max_connections={}", options.max_connections),
    ];
    settings.extend(
        options
            .settings
            .iter()
            .map(|(name, value)| format!("{name}={value}")),
    );
    settings
        .into_iter()
        .flat_map(|setting| ["-c".to_owned(), setting])
        .collect()
}
