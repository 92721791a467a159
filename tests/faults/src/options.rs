//! What a run is asked to do.

use std::path::PathBuf;
use std::time::Duration;

/// Where the hosts keep their data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Store {
    /// In files, one host.
    Sqlite,
    /// In a Postgres server, several hosts.
    Postgres,
}

/// A run of the harness.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many faults there are.
    pub faults: usize,
    /// What decides everything that chance decides.
    pub seed: u64,
    /// Where the hosts keep their data.
    pub store: Store,
    /// How many hosts share it.
    pub hosts: usize,
    /// How many clients write at the same time.
    pub clients: usize,
    /// How many accounts are connected before the first fault; some more follow.
    pub accounts: usize,
    /// About how many people an account has.
    pub people: usize,
    /// How long a host's claim to a piece of work is good for.
    pub lease: Duration,
    /// The longest pause before a fault; what fails is down for about as long.
    pub pause: Duration,
    /// Only faults of these kinds, as a summary calls them; all without.
    pub only: Vec<String>,
    /// The program `rollout`; built if none is named.
    pub program: Option<PathBuf>,
    /// More settings of the hosts; one without a value leaves out what the run sets.
    pub settings: Vec<(String, String)>,
    /// Where ledger, logs and data go. A folder for temporary files otherwise, which
    /// is kept only if something was found.
    pub folder: Option<PathBuf>,
}

impl Options {
    /// So many faults, decided by a seed.
    pub fn new(faults: usize, seed: u64, store: Store) -> Self {
        Self {
            faults,
            seed,
            store,
            hosts: match store {
                Store::Sqlite => 1,
                Store::Postgres => 3,
            },
            clients: 8,
            accounts: 3,
            people: 400,
            lease: Duration::from_secs(3),
            pause: Duration::from_millis(2500),
            only: Vec::new(),
            program: None,
            settings: Vec::new(),
            folder: None,
        }
    }

    /// The same with so many hosts.
    pub fn hosts(self, hosts: usize) -> Self {
        Self { hosts, ..self }
    }
}
