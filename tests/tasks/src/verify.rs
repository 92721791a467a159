//! `cargo verify`: all tests, with their totals.
//!
//! Output is passed on as it comes. A run that neither passed nor failed a test, or
//! that ended badly without naming a failed one, fails.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result};

use crate::binaries::Binaries;
use crate::progress::{Progress, Step, say};
use crate::summary::Totals;
use crate::{cargo, components, target, tree};

/// Builds the connectors, the host and the simulators, runs every test of both
/// workspaces, and prints a summary whose last line is `N passed, N failed, N skipped`.
/// The answer is a failure if a test failed, none ran, or something doesn't compile.
///
/// # Errors
/// Standard output is closed.
pub fn verify() -> Result<ExitCode> {
    let mut runs = Vec::new();
    let outcome = run_all(&mut runs);

    let mut sum = Totals::default();
    say(format_args!("\nsummary\n"))?;
    for (name, totals) in &runs {
        say(format_args!("  {name}: {totals}\n"))?;
        sum.add(*totals);
    }
    if let Err(error) = &outcome {
        say(format_args!("  stopped: {error:#}\n"))?;
        sum.failed = sum.failed.max(1);
    }
    say(format_args!("{sum}\n"))?;
    Ok(if sum.good() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

type Run = (&'static str, Totals);

fn run_all(runs: &mut Vec<Run>) -> Result<()> {
    let mut progress = Progress::of(7);
    progress.step("the compiler target wasm32-wasip2", target::ensure)?;
    progress.step("building the connectors", components::build)?;
    // Here, and not inside the first test that needs them, where nobody sees it.
    progress.step(
        "building the connector that misbehaves",
        components::build_misbehaving_at,
    )?;
    progress.step(
        "building the connectors that try out the contract",
        components::build_conformance_at,
    )?;
    progress.step("building the host and the simulator", Binaries::build)?;
    for (name, workspace) in [
        ("testing the connectors", tree::connectors_workspace()),
        ("testing the host", tree::root()),
    ] {
        let totals = progress.step(name, |step| test(&workspace, step))?;
        runs.push((name, totals));
    }
    Ok(())
}

/// Runs all tests of a workspace, also after the first failure.
fn test(workspace: &Path, step: &Step) -> Result<Totals> {
    step.break_line()?;
    let mut child = cargo::cargo(workspace)
        .args(["test", "--workspace", "--no-fail-fast"])
        .stdout(Stdio::piped())
        .spawn()
        .context("can't run cargo")?;
    let output = child.stdout.take().context("cargo's output is not there")?;
    let totals = echo(output, &mut io::stdout())?;
    Ok(judge(totals, child.wait()?.success()))
}

/// Passes the output on and adds up its results.
fn echo(output: impl Read, to: &mut impl Write) -> Result<Totals> {
    let mut totals = Totals::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        to.write_all(&line)?;
        to.write_all(b"\n")?;
        to.flush()?;
        let line = String::from_utf8_lossy(&line);
        totals.add(Totals::of_line(&line).unwrap_or_default());
    }
    Ok(totals)
}

/// A run that ended badly, or in which nothing ran, counts as a failure even if no
/// test reported one: it didn't compile, or a test program crashed.
fn judge(mut totals: Totals, ended_well: bool) -> Totals {
    if !ended_well || totals.passed == 0 {
        totals.failed = totals.failed.max(1);
    }
    totals
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const PASSED: &[u8] = b"running 2 tests\ntest a ... ok\n\
        test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\n\
        test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out\n";

    #[test]
    fn results_of_all_test_programs_are_added_up() {
        let mut passed_on = Vec::new();
        let totals = judge(echo(PASSED, &mut passed_on).unwrap(), true);
        assert_eq!(totals.to_string(), "3 passed, 0 failed, 1 skipped");
        assert_eq!(passed_on, PASSED);
    }

    #[test]
    fn a_crash_counts_as_a_failure() {
        let totals = judge(echo(PASSED, &mut io::sink()).unwrap(), false);
        assert_eq!(totals.to_string(), "3 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn nothing_run_counts_as_a_failure() {
        assert_eq!(judge(Totals::default(), true).failed, 1);
    }
}
