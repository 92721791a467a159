//! How fast the host is: each figure beside what it is measured against, in
//! one run. `README.md` says what is compared and how to read the results.

mod bare;
mod baseline;
mod canned;
mod child;
mod copies;
mod first_sync;
mod fleet;
mod installed;
mod instance;
mod keys;
mod load;
mod measure;
mod memory;
mod native;
mod page;
mod programs;
mod queue;
mod reads;
mod report;
mod stage;
mod wire;
mod work;
mod writes;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

use crate::load::Load;
use crate::programs::Programs;
use crate::report::Report;

/// Rounds of the store at most.
const STORE_ROUNDS: usize = 5;

/// Measures the host against its baselines.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    what: What,
    /// Rounds of each measurement. A first sync of a million people or more
    /// has one, the store at most five.
    #[arg(long, global = true, default_value_t = 7)]
    rounds: usize,
    /// People of the first sync.
    #[arg(long, global = true, default_value_t = 100_000)]
    people: u64,
    /// Print the results as JSON too, one document on the last line.
    #[arg(long, global = true)]
    json: bool,
    /// Take host, simulator and connectors as they are.
    #[arg(long, global = true)]
    no_build: bool,
}

#[derive(Subcommand)]
enum What {
    /// A fresh instance and a small call, against bare wasmtime.
    P1,
    /// A page of people through the connector, against native code.
    P2,
    /// Reading pages over HTTP, against a bare handler.
    P3,
    /// Making records over HTTP, against a native server.
    P4,
    /// Memory: idle, and over a million calls.
    P8,
    /// From the start to ready, with fifty installed connectors.
    P9,
    /// Installing a connector.
    Install,
    /// A thousand calls at once.
    Queue,
    /// Keys: what a call pays for them, and a rotation beside a host that serves.
    Keys,
    /// The first sync of an account.
    FirstSync,
    /// Landing pages and claiming jobs, on SQLite and on Postgres.
    Store,
    /// All of them.
    All,
    /// A load generator.
    #[command(hide = true)]
    Load(Load),
    /// The servers that P3 compares with.
    #[command(hide = true)]
    Baseline {
        /// What they serve.
        plan: PathBuf,
    },
    /// The server that P4 compares with.
    #[command(hide = true)]
    Native {
        /// Where its app and its database are.
        setup: PathBuf,
    },
}

fn main() -> Result<()> {
    let options = Options::parse();
    match &options.what {
        What::Load(load) => {
            let outcome = instance::runtime()?.block_on(load.run())?;
            writeln!(std::io::stdout(), "{}", serde_json::to_string(&outcome)?)?;
            Ok(())
        }
        What::Baseline { plan } => tokio::runtime::Runtime::new()?.block_on(baseline::serve(plan)),
        What::Native { setup } => tokio::runtime::Runtime::new()?.block_on(native::serve(setup)),
        _ => compare(&options),
    }
}

fn compare(options: &Options) -> Result<()> {
    ensure!(
        !cfg!(debug_assertions),
        "this build is not optimised: cargo run --release -p rollout-bench -- …"
    );
    let programs = match &options.what {
        // It is a part of this program.
        What::Store => None,
        _ if options.no_build => Some(Programs::as_they_are()?),
        _ => Some(Programs::build()?),
    };
    let mut out = std::io::stdout();
    writeln!(out, "{}", machine(programs.as_ref())?)?;
    let (rounds, people) = (options.rounds.max(1), options.people);
    let mut reports: Vec<Report> = Vec::new();
    let mut tell = |report: Report| {
        write!(out, "{report}")?;
        reports.push(report);
        anyhow::Ok(())
    };
    if let Some(programs) = &programs {
        let wanted: &[What] = match &options.what {
            What::All => &[
                What::P1,
                What::P2,
                What::P3,
                What::P4,
                What::P8,
                What::P9,
                What::Install,
                What::Queue,
                What::Keys,
                What::FirstSync,
            ],
            one => std::slice::from_ref(one),
        };
        for what in wanted {
            tell(match what {
                What::P1 => instance::measure(rounds, &programs.component)?,
                What::P2 => page::measure(rounds, &programs.component)?,
                What::P3 => instance::runtime()?.block_on(reads::measure(programs, rounds))?,
                What::P4 => instance::runtime()?.block_on(writes::measure(programs, rounds))?,
                What::P8 => instance::runtime()?.block_on(memory::measure(programs, rounds))?,
                What::P9 => instance::runtime()?.block_on(installed::start(programs, rounds))?,
                What::Install => {
                    instance::runtime()?.block_on(installed::install(programs, rounds))?
                }
                What::Queue => instance::runtime()?.block_on(queue::measure(programs, rounds))?,
                What::Keys => instance::runtime()?.block_on(keys::measure(programs, rounds))?,
                _ => {
                    let rounds = if people >= 1_000_000 { 1 } else { rounds };
                    instance::runtime()?.block_on(first_sync::measure(programs, rounds, people))?
                }
            })?;
        }
    }
    if matches!(options.what, What::Store | What::All) {
        let rounds = rounds.min(STORE_ROUNDS);
        tell(instance::runtime()?.block_on(work::measure(rounds))?)?;
    }
    if options.json {
        writeln!(out, "{}", serde_json::to_string(&reports)?)?;
    }
    Ok(())
}

/// What the figures were measured on and with.
fn machine(programs: Option<&Programs>) -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let cpu = cpu.map_or("unknown CPU", |name| {
        name.trim_start_matches([' ', '\t', ':'])
    });
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split(' ').take(1).collect();
    let connector = programs.map_or(String::new(), |programs| {
        format!(" · connector {} KB", programs.component.len() / 1000)
    });
    Ok(format!(
        "rollout {} · wasmtime 48{connector} · {cores} cores, {cpu} · load before: {}",
        env!("CARGO_PKG_VERSION"),
        load.concat(),
    ))
}
