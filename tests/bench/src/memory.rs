//! P8: what an idle host with ten connectors holds in memory, and what a million calls
//! leave behind.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use rollout_sandbox::{Caller, Host, ReadScope};

use crate::canned::Canned;
use crate::copies;
use crate::fleet::Fleet;
use crate::instance::Ours;
use crate::measure::{Process, Summary};
use crate::page::sample;
use crate::programs::Programs;
use crate::report::{Goal, Report, megabytes};

const CONNECTORS: u32 = 10;
/// An idle host is watched for so many seconds.
const WATCHED: u32 = 10;

const CALLS: u32 = 1_000_000;
/// So many of them before anything is compared.
const WARM_UP: u32 = 100_000;
/// Memory is looked at after so many.
const STEP: u32 = 10_000;
/// Every so manieth call reads a page of a hundred people; the others are small.
const PAGE_EVERY: u32 = 100;
/// Calls at once.
const AT_ONCE: usize = 8;

const MIB: f64 = 1024.0 * 1024.0;

pub(crate) async fn measure(programs: &Programs, rounds: usize) -> Result<Report> {
    let mut idle = Vec::new();
    let mut anonymous = Vec::new();
    let fleet = Fleet::new(programs)?;
    let folder = fleet.file("connectors");
    copies::write(&programs.component, CONNECTORS, &folder)?;
    for _ in 0..rounds {
        let serving = fleet.serve(Some(&folder)).await?;
        ensure!(
            serving.connectors == CONNECTORS as usize,
            "{} connectors are loaded",
            serving.connectors
        );
        let process = serving.host.process();
        let mut seconds = Vec::new();
        for _ in 0..WATCHED {
            tokio::time::sleep(Duration::from_secs(1)).await;
            seconds.push(process.rss()? as f64 / 1e6);
        }
        idle.push(Summary::of(seconds).max);
        anonymous.push(process.anonymous()? as f64 / 1e6);
    }
    let calls = calls(programs).await?;
    let anonymous = Summary::of(anonymous);
    Ok(Report {
        id: "P8",
        title: format!("memory: idle with {CONNECTORS} connectors, and over {CALLS} calls"),
        settings: vec![
            format!(
                "idle: {rounds} rounds of a host that is started anew, the most of {WATCHED} s; the first compiles the connectors in processes of their own"
            ),
            format!(
                "calls: the sandbox in this process, {AT_ONCE} at once; every {PAGE_EVERY}th reads a page of 100 people, the others are those of P1"
            ),
            format!(
                "the slope is fitted to RSS after each {STEP} calls, without the first {WARM_UP}, and said for {CALLS}"
            ),
        ],
        notes: vec![
            format!(
                "idle, without what files stand behind: {:.1} MB ({:.1}–{:.1})",
                anonymous.median, anonymous.min, anonymous.max
            ),
            format!(
                "RSS over the calls: {} after the warm-up, {} at the end, {} at most",
                megabytes(calls.first),
                megabytes(calls.last),
                megabytes(calls.most)
            ),
        ],
        goals: vec![
            Goal::at_most("idle RSS", Summary::of(idle), 60.0, " MB"),
            Goal::at_most(
                "slope of RSS",
                Summary::of([calls.slope * f64::from(CALLS) / MIB]),
                5.0,
                " MiB",
            ),
        ],
        ..Report::default()
    })
}

/// RSS over the calls, in bytes.
struct Calls {
    first: u64,
    last: u64,
    most: u64,
    /// Bytes per call.
    slope: f64,
}

async fn calls(programs: &Programs) -> Result<Calls> {
    let ours = Ours::load(programs.component.clone()).await?;
    let small: Arc<dyn Host> = Arc::new(Canned(Vec::new()));
    let people: Arc<dyn Host> = Arc::new(Canned(sample().await?.into_bytes()));
    let call = async |number: u32| -> Result<()> {
        if !number.is_multiple_of(PAGE_EVERY) {
            return ours.refused_get(&small).await;
        }
        let caller = Caller::new(&ours.sandbox, &ours.component, people.clone());
        let page = caller
            .changes("people", &ReadScope::Full, None, 100)
            .await?;
        ensure!(page.items.len() == 100, "{} people came", page.items.len());
        Ok(())
    };
    let mut samples = Vec::new();
    for done in (STEP..=WARM_UP + CALLS).step_by(STEP as usize) {
        let numbers = stream::iter(done - STEP..done);
        numbers
            .map(|number| Ok(call(number)))
            .try_buffer_unordered(AT_ONCE)
            .try_for_each(|()| async { Ok(()) })
            .await?;
        if done >= WARM_UP {
            samples.push((f64::from(done), Process::own().rss()?));
        }
    }
    let rss = |sample: Option<&(f64, u64)>| sample.map_or(0, |(_, rss)| *rss);
    Ok(Calls {
        first: rss(samples.first()),
        last: rss(samples.last()),
        most: samples
            .iter()
            .map(|(_, rss)| *rss)
            .max()
            .unwrap_or_default(),
        slope: match slope(&samples) {
            Some(slope) => slope,
            None => bail!("there is nothing to fit a slope to"),
        },
    })
}

/// The slope of the line that fits best, by least squares.
fn slope(samples: &[(f64, u64)]) -> Option<f64> {
    let count = samples.len() as f64;
    let mean = |of: fn(&(f64, u64)) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|one| one.0), mean(|one| one.1 as f64));
    let covariance: f64 = samples
        .iter()
        .map(|one| (one.0 - x) * (one.1 as f64 - y))
        .sum();
    let variance: f64 = samples.iter().map(|one| (one.0 - x).powi(2)).sum();
    (variance > 0.0).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_slope_is_that_of_the_line_and_not_of_its_ends() {
        let line = [(0.0, 100), (10.0, 120), (20.0, 140), (30.0, 160)];
        assert!((slope(&line).unwrap() - 2.0).abs() < 1e-9);
        let flat_but_its_end = [(0.0, 100), (1.0, 100), (2.0, 100), (3.0, 100), (4.0, 110)];
        let fitted = slope(&flat_but_its_end).unwrap();
        assert!(fitted > 0.0 && fitted < 2.5, "{fitted}");
        assert_eq!(slope(&[(1.0, 5)]), None);
    }
}
