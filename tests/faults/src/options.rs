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
#[derive(Debug, Clone, PartialEq, Eq)]
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

    /// What the program is called with for the same run. Only where its files go is
    /// left open.
    pub fn arguments(&self) -> Vec<String> {
        let store = match self.store {
            Store::Sqlite => "sqlite",
            Store::Postgres => "postgres",
        };
        let mut arguments = vec!["kills".to_owned(), self.faults.to_string()];
        let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        add("--seed", self.seed.to_string());
        add("--database", store.to_owned());
        add("--hosts", self.hosts.to_string());
        add("--clients", self.clients.to_string());
        add("--accounts", self.accounts.to_string());
        add("--people", self.people.to_string());
        add("--lease", self.lease.as_millis().to_string());
        add("--pause", self.pause.as_millis().to_string());
        for only in &self.only {
            add("--only", only.clone());
        }
        if let Some(program) = &self.program {
            add("--program", program.display().to_string());
        }
        for (name, value) in &self.settings {
            add("--set", format!("{name}={value}"));
        }
        arguments
    }

    /// The line for a shell that repeats the run.
    pub(crate) fn command_line(&self) -> String {
        let mut line = "cargo run -p rollout-faults --".to_owned();
        for argument in self.arguments() {
            let plain = |one: char| one.is_ascii_alphanumeric() || "-_./=".contains(one);
            line.push(' ');
            if argument.chars().all(plain) {
                line.push_str(&argument);
            } else {
                line.push_str(&format!("'{}'", argument.replace('\'', r"'\''")));
            }
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_says_how_to_repeat_it() {
        let mut options = Options::new(30, 41, Store::Sqlite);
        options.only = vec!["lost answers".to_owned()];
        options.settings = vec![("log.level".to_owned(), "it's".to_owned())];
        assert_eq!(
            options.command_line(),
            "cargo run -p rollout-faults -- kills 30 --seed 41 --database sqlite --hosts 1 \
             --clients 8 --accounts 3 --people 400 --lease 3000 --pause 2500 \
             --only 'lost answers' --set 'log.level=it'\\''s'"
        );
    }
}
