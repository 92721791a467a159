//! What is measured of a side: rounds of work, the CPU they took, memory.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// Median and range of a figure over the rounds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Summary {
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or_default();
        let last = values.len().saturating_sub(1);
        Self {
            median: (at(last / 2) + at(last.div_ceil(2))) / 2.0,
            min: at(0),
            max: at(last),
        }
    }
}

/// One round: so many operations in so much time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Round {
    pub(crate) operations: f64,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
}

impl Round {
    /// Runs something `operations` times; the CPU is this process's.
    pub(crate) fn of(operations: u32, mut work: impl FnMut() -> Result<()>) -> Result<Self> {
        let (cpu, wall) = (process_cpu(), Instant::now());
        for _ in 0..operations {
            work()?;
        }
        Ok(Self {
            operations: f64::from(operations),
            wall: wall.elapsed(),
            cpu: process_cpu().saturating_sub(cpu),
        })
    }

    pub(crate) fn micros(&self) -> f64 {
        self.wall.as_secs_f64() * 1e6 / self.operations
    }

    pub(crate) fn rate(&self) -> f64 {
        self.operations / self.wall.as_secs_f64()
    }

    /// CPU milliseconds per thousand operations.
    pub(crate) fn cpu(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.operations
    }
}

/// One of the things that are compared.
#[derive(Debug, Default)]
pub(crate) struct Side {
    pub(crate) name: String,
    pub(crate) rounds: Vec<Round>,
    /// In bytes.
    pub(crate) peak_rss: u64,
}

impl Side {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    pub(crate) fn add(&mut self, round: Round, peak_rss: u64) {
        self.rounds.push(round);
        self.peak_rss = self.peak_rss.max(peak_rss);
    }

    pub(crate) fn micros(&self) -> Summary {
        Summary::of(self.rounds.iter().map(Round::micros))
    }

    pub(crate) fn rate(&self) -> Summary {
        Summary::of(self.rounds.iter().map(Round::rate))
    }

    pub(crate) fn cpu(&self) -> Summary {
        Summary::of(self.rounds.iter().map(Round::cpu))
    }

    /// How many times as long as the other side it takes, round by round: what
    /// slows the machine down for a while slows both.
    pub(crate) fn times(&self, other: &Self) -> Summary {
        let pairs = self.rounds.iter().zip(&other.rounds);
        Summary::of(pairs.map(|(one, other)| one.micros() / other.micros()))
    }

    /// The same for CPU time.
    pub(crate) fn cpu_times(&self, other: &Self) -> Summary {
        let pairs = self.rounds.iter().zip(&other.rounds);
        Summary::of(pairs.map(|(one, other)| one.cpu() / other.cpu()))
    }
}

/// CPU time of this process so far.
pub(crate) fn process_cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanos = u64::try_from(time.tv_nsec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(nanos)
}

/// A process as the kernel's books show it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Process(pub(crate) u32);

impl Process {
    /// This one.
    pub(crate) fn own() -> Self {
        Self(std::process::id())
    }

    /// CPU time so far, in clock ticks of 10 ms.
    pub(crate) fn cpu(self) -> Result<Duration> {
        let path = format!("/proc/{}/stat", self.0);
        let text = fs::read_to_string(&path).with_context(|| path.clone())?;
        // The name in parentheses may hold anything.
        let (_, fields) = text.rsplit_once(')').context("an odd stat file")?;
        let ticks: u64 = fields
            .split_ascii_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Resident memory now, in bytes.
    pub(crate) fn rss(self) -> Result<u64> {
        self.status("VmRSS:")
    }

    /// The part of it that no file stands behind: heap, stacks, guests.
    pub(crate) fn anonymous(self) -> Result<u64> {
        self.status("RssAnon:")
    }

    /// The most that ever was resident, in bytes.
    pub(crate) fn peak_rss(self) -> Result<u64> {
        self.status("VmHWM:")
    }

    fn status(self, name: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.0);
        let text = fs::read_to_string(&path).with_context(|| path.clone())?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = kib
            .with_context(|| format!("no {name} in {path}"))?
            .trim()
            .parse()?;
        Ok(kib * 1024)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        let summary = Summary::of([4.0, 1.0, 3.0, 2.0]);
        assert!((summary.median - 2.5).abs() < 1e-9);
        assert!(summary.min < 1.5 && summary.max > 3.5);
        assert!(Summary::of([]).median.abs() < 1e-9);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let round = |wall| Round {
            operations: 1.0,
            wall: Duration::from_millis(wall),
            cpu: Duration::from_millis(1),
        };
        let side = |walls: [u64; 3]| Side {
            rounds: walls.map(round).to_vec(),
            ..Side::default()
        };
        // The machine was three times as slow in the second round.
        let ratio = side([20, 60, 20]).times(&side([10, 30, 10]));
        assert!((ratio.min - 2.0).abs() < 1e-9 && (ratio.max - 2.0).abs() < 1e-9);
    }

    #[test]
    fn this_process_has_used_cpu_and_memory() {
        let own = Process::own();
        assert!(own.rss().unwrap() > 100_000);
        assert!(own.peak_rss().unwrap() >= own.anonymous().unwrap());
        assert!(own.cpu().is_ok() && process_cpu() > Duration::ZERO);
    }
}
