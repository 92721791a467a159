//! What a run comes to.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::found::{Difference, Sort};
use crate::options::{Options, Store};

/// Differences that are told one by one.
const TOLD: usize = 100;

/// What a run comes to. Displayed, it is a table.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Repeats the scenario.
    pub seed: u64,
    /// Where the hosts had their data.
    pub store: Store,
    /// How many hosts there were.
    pub hosts: usize,
    /// How often each kind of fault happened.
    pub faults: BTreeMap<&'static str, usize>,
    /// Accounts connected.
    pub accounts: usize,
    /// Operations of clients and of those who work in the app.
    pub operations: usize,
    /// Operations of clients that succeeded.
    pub accepted: usize,
    /// Operations that were refused, and not done.
    pub refused: usize,
    /// Records compared.
    pub records: usize,
    /// Events in the feed.
    pub events: usize,
    /// How long each recovery from SIGKILL took.
    pub recoveries: Vec<Duration>,
    /// Everything that is wrong.
    pub differences: Vec<Difference>,
    /// How long the run took.
    pub took: Duration,
}

impl Summary {
    pub(crate) fn of(options: &Options) -> Self {
        Self {
            seed: options.seed,
            store: options.store,
            hosts: options.hosts,
            faults: BTreeMap::new(),
            accounts: 0,
            operations: 0,
            accepted: 0,
            refused: 0,
            records: 0,
            events: 0,
            recoveries: Vec::new(),
            differences: Vec::new(),
            took: Duration::ZERO,
        }
    }

    pub(crate) fn count(&mut self, fault: &'static str) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// Nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty()
    }

    /// How many differences are of a sort.
    pub fn found(&self, sort: Sort) -> usize {
        let all = self.differences.iter();
        all.filter(|difference| difference.sort == sort).count()
    }

    /// The recovery that so many of a hundred were not longer than.
    pub fn recovery(&self, percent: usize) -> Option<Duration> {
        let mut sorted = self.recoveries.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for difference in self.differences.iter().take(TOLD) {
            writeln!(out, "{difference}")?;
        }
        if self.differences.len() > TOLD {
            writeln!(out, "… and {} more", self.differences.len() - TOLD)?;
        }
        let kinds = self.faults.iter();
        let kinds: Vec<String> = kinds
            .map(|(kind, times)| format!("{times} {kind}"))
            .collect();
        let row = |out: &mut fmt::Formatter<'_>, name: &str, value: &dyn fmt::Display| {
            writeln!(out, "  {name:<12}  {value}")
        };
        writeln!(out)?;
        row(out, "seed", &self.seed)?;
        let store = format!("{:?}, {} hosts", self.store, self.hosts);
        row(out, "store", &store.to_lowercase())?;
        row(out, "faults", &self.faults.values().sum::<usize>())?;
        row(out, "", &kinds.join(", "))?;
        row(out, "operations", &self.operations)?;
        row(out, "accepted", &self.accepted)?;
        row(out, "refused", &self.refused)?;
        row(out, "accounts", &self.accounts)?;
        row(out, "records", &self.records)?;
        row(out, "events", &self.events)?;
        for (name, sort) in [
            ("lost", Sort::Lost),
            ("double", Sort::Double),
            ("wrong", Sort::Wrong),
            ("feed gaps", Sort::Gap),
            ("open", Sort::Open),
            ("hosts", Sort::Host),
        ] {
            row(out, name, &self.found(sort))?;
        }
        let recovery = match (self.recovery(50), self.recovery(99), self.recovery(100)) {
            (Some(half), Some(most), Some(all)) => {
                format!("p50 {half:.1?}, p99 {most:.1?}, max {all:.1?}")
            }
            _ => "no host was killed".to_owned(),
        };
        row(out, "recovery", &recovery)?;
        row(out, "took", &format!("{:.0?}", self.took))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_there_is() {
        let mut summary = Summary::of(&Options::new(1, 1, Store::Sqlite));
        assert_eq!(summary.recovery(50), None);
        summary.recoveries = (1..=200).rev().map(Duration::from_millis).collect();
        let ms = |percent| summary.recovery(percent).map(|time| time.as_millis());
        assert_eq!((ms(50), ms(99), ms(100)), (Some(100), Some(198), Some(200)));
    }

    #[test]
    fn the_table_counts_what_was_found() {
        let mut summary = Summary::of(&Options::new(1, 77, Store::Postgres));
        assert!(summary.is_clean());
        summary.count("kill");
        summary.count("kill");
        summary.differences = vec![Difference::new(Sort::Double, "a note")];
        let table = summary.to_string();
        assert!(!summary.is_clean());
        for line in [
            "double: a note\n",
            "seed          77",
            "2 kill",
            "double        1",
            "lost          0",
        ] {
            assert!(table.contains(line), "{line}: {table}");
        }
    }
}
