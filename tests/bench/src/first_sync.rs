//! The first sync: from connecting an account until all its people can be
//! read, from the simulator into SQLite, each a process of its own.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::task::JoinHandle;

use crate::measure::{Process, Round, Side, Summary};
use crate::programs::Programs;
use crate::report::{Goal, Report, Row, megabytes, number};
use crate::stage::{App, Stage};

/// Memory is compared from here on; a shorter sync is watched until twice this.
const SETTLED: Duration = Duration::from_secs(10);

pub(crate) async fn measure(programs: &Programs, rounds: usize, people: u64) -> Result<Report> {
    let app = App::start(programs, people).await?;
    let mut host_side = Side::new("host");
    let mut app_side = Side::new("simulator");
    let mut memory: Option<Memory> = None;
    for _ in 0..rounds {
        let mut stage = Stage::start(programs, &app).await?;
        let (host, simulator) = (stage.host.process(), app.child.process());
        let (host_cpu, app_cpu) = (host.cpu()?, simulator.cpu()?);
        let watch = Memory::watch(host);
        let synced = stage.connect().await?;
        ensure!(
            synced.records == people,
            "{} of {people} people came",
            synced.records
        );
        let round = |cpu| Round {
            operations: people as f64,
            wall: synced.wall,
            cpu,
        };
        host_side.add(
            round(host.cpu()?.saturating_sub(host_cpu)),
            host.peak_rss()?,
        );
        app_side.add(
            round(simulator.cpu()?.saturating_sub(app_cpu)),
            simulator.peak_rss()?,
        );
        if memory.is_none() {
            let rest = (SETTLED * 2).saturating_sub(synced.wall);
            tokio::time::sleep(rest).await;
        }
        watch.stop.abort();
        let watched = Memory::of(
            &watch
                .samples
                .lock()
                .map(|samples| samples.clone())
                .unwrap_or_default(),
        );
        memory = Some(memory.map_or(watched, |before| before.worse(watched)));
    }
    let memory = memory.unwrap_or_default();
    let rate = host_side.rate();
    Ok(Report {
        id: "first-sync",
        title: format!("the first sync of {} people into SQLite", number(people as f64)),
        settings: vec![
            format!("{rounds} rounds, each with a new host process and new data; the same simulator"),
            "time from POST /api/credentials until people are done; fsync on; other settings are the defaults".into(),
        ],
        rows: vec![Row::from(&host_side), Row::from(&app_side)],
        notes: vec![format!(
            "host's RSS each second: median after {} s {} (of it {} anonymous), max {}",
            SETTLED.as_secs(),
            megabytes(memory.median),
            megabytes(memory.anonymous),
            megabytes(memory.max),
        )],
        goals: vec![
            Goal::at_least("records per second", rate, 20_000.0, "/s"),
            Goal::at_least("records per second, at the least", rate, 15_000.0, "/s"),
            Goal::at_most("RSS, max against median", Summary::of([memory.ratio()]), 1.05, "x"),
            Goal::at_most("RSS, max", Summary::of([memory.max as f64 / 1e6]), 128.0, " MB"),
        ],
    })
}

/// A host's memory over a sync, in bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Memory {
    /// After [`SETTLED`].
    median: u64,
    /// At that median, what no file stands behind.
    anonymous: u64,
    /// At any time.
    max: u64,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Duration,
    rss: u64,
    anonymous: u64,
}

struct Watch {
    samples: std::sync::Arc<std::sync::Mutex<Vec<Sample>>>,
    stop: JoinHandle<()>,
}

impl Memory {
    fn watch(process: Process) -> Watch {
        let samples = std::sync::Arc::<std::sync::Mutex<Vec<Sample>>>::default();
        let taken = samples.clone();
        let began = Instant::now();
        let stop = tokio::spawn(async move {
            let mut second = tokio::time::interval(Duration::from_secs(1));
            loop {
                second.tick().await;
                let (Ok(rss), Ok(anonymous)) = (process.rss(), process.anonymous()) else {
                    return;
                };
                if let Ok(mut samples) = taken.lock() {
                    samples.push(Sample {
                        at: began.elapsed(),
                        rss,
                        anonymous,
                    });
                }
            }
        });
        Watch { samples, stop }
    }

    fn of(samples: &[Sample]) -> Self {
        let settled: Vec<&Sample> = samples
            .iter()
            .filter(|sample| sample.at >= SETTLED)
            .collect();
        let median = |of: fn(&Sample) -> u64| {
            Summary::of(settled.iter().map(|one| of(one) as f64)).median as u64
        };
        Self {
            median: median(|sample| sample.rss),
            anonymous: median(|sample| sample.anonymous),
            max: samples
                .iter()
                .map(|sample| sample.rss)
                .max()
                .unwrap_or_default(),
        }
    }

    /// Rounds that end early have no median of their own.
    fn worse(self, other: Self) -> Self {
        Self {
            max: self.max.max(other.max),
            ..if other.ratio() > self.ratio() && other.median > 0 {
                other
            } else {
                self
            }
        }
    }

    fn ratio(self) -> f64 {
        self.max as f64 / (self.median.max(1)) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_compared_with_what_it_is_once_settled() {
        let samples: Vec<Sample> = [(1, 50), (9, 90), (10, 100), (11, 102), (12, 104)]
            .map(|(second, rss)| Sample {
                at: Duration::from_secs(second),
                rss,
                anonymous: rss / 2,
            })
            .to_vec();
        let memory = Memory::of(&samples);
        assert_eq!(
            (memory.median, memory.anonymous, memory.max),
            (102, 51, 104)
        );
        assert!(memory.ratio() < 1.02);
    }
}
