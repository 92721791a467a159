//! Hosts, databases and disks that fail while people work.
//!
//! A run starts an app, hosts, and clients that write through the hosts' API, lets
//! faults happen to them that a seed decides, and then compares what was promised
//! with what is there: nothing may be lost, doubled or skipped.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! use std::sync::Arc;
//! use rollout_faults::{Options, Store, run};
//!
//! let options = Options::new(30, 1, Store::Postgres).hosts(3);
//! let summary = run(&options, Arc::new(|line| eprintln!("{line}"))).await?;
//! assert!(summary.is_clean(), "{summary}");
//! # Ok(())
//! # }
//! ```
//!
//! The parts: [`Options`] and a seed make a *plan* (`plan`); *hosts* (`hosts`) on a
//! *database* (`database`) talk to the app (`accounts`) over a *relay* that delays and
//! loses (`relay`); a *workload* writes every intent and outcome into a *ledger*
//! (`workload`, `ledger`); readers follow the events *feed* (`feed`); *faults* are done
//! and undone (`faults`); the *verdict* compares (`verdict`).

mod accounts;
mod api;
mod database;
mod dice;
mod faults;
mod feed;
mod found;
mod hosts;
mod ledger;
mod options;
mod plan;
mod process;
mod records;
mod relay;
mod run;
mod summary;
mod verdict;
mod workload;

pub use found::{Difference, Sort};
pub use options::{Options, Store};
pub use run::{Say, run};
pub use summary::Summary;
