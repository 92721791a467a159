//! `cargo run -p rollout-faults -- kills N`: faults by the number, and a verdict.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Result, anyhow};
use clap::{Args, Parser, Subcommand};
use rollout_faults::{Options, Say, Store, run};

/// Lets hosts, databases and disks fail while people work, and looks for what got
/// lost, doubled or skipped.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// So many faults, and then a verdict. Exit code 1 if anything is wrong, 2 if it
    /// could not be played to its end.
    Kills(Kills),
}

#[derive(Args)]
struct Kills {
    /// How many faults.
    faults: usize,
    /// Repeats a scenario; another one each time otherwise.
    #[arg(long)]
    seed: Option<u64>,
    /// Where the hosts keep their data.
    #[arg(long, value_enum, default_value = "postgres")]
    database: Store,
    /// How many hosts share it; 3 on Postgres otherwise.
    #[arg(long)]
    hosts: Option<usize>,
    /// How many clients write at the same time.
    #[arg(long)]
    clients: Option<usize>,
    /// How many accounts are connected before the first fault.
    #[arg(long)]
    accounts: Option<usize>,
    /// About how many people an account has.
    #[arg(long)]
    people: Option<usize>,
    /// The hosts' lease, in milliseconds.
    #[arg(long)]
    lease: Option<u64>,
    /// The longest pause before a fault, in milliseconds; what fails is down for
    /// about as long.
    #[arg(long)]
    pause: Option<u64>,
    /// Only faults of this kind, as the summary calls it: `kill`.
    #[arg(long, value_name = "KIND")]
    only: Vec<String>,
    /// Another build of the program `rollout`.
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// A setting of the hosts; without a value, one that is left out.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Where ledger, logs and data go, and stay.
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl Kills {
    fn options(self) -> Result<Options> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let seed = self.seed.unwrap_or(since.as_secs());
        let mut options = Options::new(self.faults, seed, self.database);
        options.hosts = self.hosts.unwrap_or(options.hosts);
        if self.database == Store::Sqlite && options.hosts > 1 {
            return Err(anyhow!(
                "files serve one host: --database postgres for more"
            ));
        }
        options.clients = self.clients.unwrap_or(options.clients);
        options.accounts = self.accounts.unwrap_or(options.accounts);
        options.people = self.people.unwrap_or(options.people);
        options.lease = self.lease.map_or(options.lease, Duration::from_millis);
        options.pause = self.pause.map_or(options.pause, Duration::from_millis);
        options.settings = (self.set.iter())
            .map(|setting| {
                let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
                (name.to_owned(), value.to_owned())
            })
            .collect();
        options.only = self.only;
        options.program = self.program;
        options.folder = self.folder;
        Ok(options)
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Kills(kills) = Cli::parse().command;
    match play(kills).await {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(2)
        }
    }
}

async fn play(kills: Kills) -> Result<ExitCode> {
    let say: Say = Arc::new(|line| {
        // Nobody may be listening.
        let _ = writeln!(std::io::stdout(), "{line}");
    });
    let summary = run(&kills.options()?, say.clone()).await?;
    say(&summary.to_string());
    Ok(if summary.is_clean() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn arguments_mean_the_options_that_they_are_made_of() {
        for store in [Store::Sqlite, Store::Postgres] {
            let options = Options {
                hosts: 1,
                clients: 4,
                accounts: 2,
                people: 60,
                lease: Duration::from_millis(1500),
                pause: Duration::from_millis(800),
                only: vec!["lost answers".to_owned(), "kill".to_owned()],
                program: Some("target/release/rollout".into()),
                settings: vec![
                    ("log.level".to_owned(), "debug".to_owned()),
                    ("work.lease".to_owned(), String::new()),
                ],
                ..Options::new(30, 41, store)
            };
            let arguments = ["rollout-faults".to_owned()].into_iter();
            let cli = Cli::parse_from(arguments.chain(options.arguments()));
            let Command::Kills(kills) = cli.command;
            assert_eq!(kills.options().unwrap(), options);
        }
    }
}
