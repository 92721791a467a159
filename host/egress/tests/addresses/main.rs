//! Attempts to reach our own network, in a network namespace of its own in which every
//! address of every special range ends in a sink that counts connections. Each attempt
//! is made twice: by the egress, which must make no connection, and by a client without
//! its filter, which must make one. As a command it prints the table:
//!
//!     cargo test -p rollout-egress --test addresses
//!
//! It needs Linux, `unshare` (util-linux) and `ip` (iproute2). Who is not root must be
//! allowed to make user namespaces.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    // The table is what the command is for.
    clippy::print_stdout
)]

mod attempts;
mod clients;
mod ranges;
mod sink;
mod space;

use std::process::ExitCode;
use std::time::Instant;

use crate::attempts::Attempt;
use crate::sink::Sink;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let only_listed = ["--list", "--ignored"];
    if arguments
        .iter()
        .any(|one| only_listed.contains(&one.as_str()))
    {
        return ExitCode::SUCCESS;
    }
    if !space::is_inside() {
        return space::run_inside(&arguments);
    }
    space::route();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(run())
}

async fn run() -> ExitCode {
    let started = Instant::now();
    let sink = Sink::open();
    println!("connections made       range or trick: attempt");
    println!("unfiltered  filtered");
    let (mut passed, mut failed) = (0, Vec::new());
    for attempt in attempts::all() {
        let (unfiltered, filtered) = attempt.make(&sink).await;
        let Attempt { group, what, .. } = &attempt;
        println!("{unfiltered:10}  {filtered:8}   {group}: {what}");
        match attempt.complaint(unfiltered, filtered) {
            None => passed += 1,
            Some(complaint) => failed.push(format!("{group}: {what}: {complaint}")),
        }
    }
    for complaint in &failed {
        println!("FAILED {complaint}");
    }
    // As other test programs say it, for those who add them up.
    println!(
        "\ntest result: {}. {passed} passed; {} failed; 0 ignored; 0 measured; 0 filtered out; finished in {:.2}s",
        if failed.is_empty() { "ok" } else { "FAILED" },
        failed.len(),
        started.elapsed().as_secs_f64(),
    );
    ExitCode::from(u8::from(!failed.is_empty()))
}
