//! How fast the host is: each figure beside what it is measured against, in
//! one run. `README.md` says what is compared and how to read the results.

mod bare;
mod baseline;
mod canned;
mod child;
mod first_sync;
mod instance;
mod load;
mod measure;
mod page;
mod programs;
mod reads;
mod report;
mod stage;
mod wire;
mod work;

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};

use crate::load::Load;
use crate::programs::Programs;
use crate::report::Report;

/// Measures the host against its baselines.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    what: What,
    /// Rounds of each measurement. A first sync of a million people or more
    /// has one.
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
    /// Reading a page of people over HTTP, against a bare handler.
    P3,
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
        _ => compare(&options),
    }
}

fn compare(options: &Options) -> Result<()> {
    ensure!(
        !cfg!(debug_assertions),
        "this build is not optimised: cargo run --release -p rollout-bench -- …"
    );
    let programs = if options.no_build {
        Programs::as_they_are()?
    } else {
        Programs::build()?
    };
    let component = programs.component()?;
    let mut out = std::io::stdout();
    writeln!(out, "{}", machine(component.len())?)?;
    let (rounds, people) = (options.rounds.max(1), options.people);
    let mut reports: Vec<Report> = Vec::new();
    let wanted: &[What] = match &options.what {
        What::All => &[What::P1, What::P2, What::P3, What::FirstSync, What::Store],
        one => std::slice::from_ref(one),
    };
    for what in wanted {
        let report = match what {
            What::P1 => instance::measure(rounds, &component)?,
            What::P2 => page::measure(rounds, &component)?,
            What::P3 => instance::runtime()?.block_on(reads::measure(&programs, rounds))?,
            What::Store => instance::runtime()?.block_on(work::measure(rounds.min(5)))?,
            _ => {
                let rounds = if people >= 1_000_000 { 1 } else { rounds };
                instance::runtime()?.block_on(first_sync::measure(&programs, rounds, people))?
            }
        };
        write!(out, "{report}")?;
        reports.push(report);
    }
    if options.json {
        writeln!(out, "{}", serde_json::to_string(&reports)?)?;
    }
    Ok(())
}

/// What the figures were measured on and with.
fn machine(component: usize) -> Result<String> {
    let cores = std::thread::available_parallelism()?;
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu.lines().find_map(|line| line.strip_prefix("model name"));
    let cpu = cpu.map_or("unknown CPU", |name| {
        name.trim_start_matches([' ', '\t', ':'])
    });
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<&str> = load.split(' ').take(1).collect();
    Ok(format!(
        "rollout {} · wasmtime 48 · connector {} KB · {cores} cores, {cpu} · load before: {}",
        env!("CARGO_PKG_VERSION"),
        component / 1000,
        load.concat(),
    ))
}
