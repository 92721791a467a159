//! What happens when: made of the seed alone, before anything starts.

use std::fmt;
use std::time::Duration;

use crate::dice::Dice;
use crate::options::{Options, Store};

/// Something that goes wrong, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL; `again` kills it once more while it starts.
    Kill {
        host: usize,
        down: Duration,
        again: Option<Duration>,
    },
    /// All hosts at once.
    KillAll { down: Duration },
    /// SIGTERM: it must drain and exit with 0.
    Terminate { host: usize, down: Duration },
    /// SIGSTOP for longer than a lease, then SIGCONT: it wakes as a zombie, sure of
    /// what others have taken over.
    Freeze { host: usize, long: Duration },
    /// The app does what it is asked, and its answers get lost.
    LostAnswers { writes: u32 },
    /// The database server is killed.
    KillDatabase { down: Duration },
    /// The database server stands still, its connections open.
    PauseDatabase { long: Duration },
    /// Others take all the connections that the database server gives.
    Exhaust { hold: Duration },
    /// Database server and hosts are killed at once.
    Blackout { down: Duration },
    /// The disk has no room.
    FullDisk { hold: Duration },
}

impl Fault {
    /// Its kind, for counting.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Kill { .. } => "kill",
            Self::KillAll { .. } => "kill all",
            Self::Terminate { .. } => "terminate",
            Self::Freeze { .. } => "freeze",
            Self::LostAnswers { .. } => "lost answers",
            Self::KillDatabase { .. } => "kill database",
            Self::PauseDatabase { .. } => "pause database",
            Self::Exhaust { .. } => "exhaust connections",
            Self::Blackout { .. } => "blackout",
            Self::FullDisk { .. } => "full disk",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name();
        match self {
            Self::Kill { host, down, again } => {
                write!(out, "{name} host {host}, down {down:?}")?;
                match again {
                    Some(again) => write!(out, ", and again {again:?} after its start"),
                    None => Ok(()),
                }
            }
            Self::Terminate { host, down } => write!(out, "{name} host {host}, down {down:?}"),
            Self::Freeze { host, long } => write!(out, "{name} host {host} for {long:?}"),
            Self::LostAnswers { writes } => write!(out, "{name} of {writes} writes"),
            Self::KillAll { down } | Self::KillDatabase { down } | Self::Blackout { down } => {
                write!(out, "{name}, down {down:?}")
            }
            Self::PauseDatabase { long: time }
            | Self::Exhaust { hold: time }
            | Self::FullDisk { hold: time } => write!(out, "{name} for {time:?}"),
        }
    }
}

/// A fault and the time that passes before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) wait: Duration,
    pub(crate) fault: Fault,
    /// All is well again before the next one.
    pub(crate) calm: bool,
}

/// An account of the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PlannedAccount {
    /// How many people it has at first.
    pub(crate) people: usize,
    /// Seed of its records.
    pub(crate) seed: u64,
    /// It is connected just before the fault of this number; with 0 before the run.
    pub(crate) before: usize,
}

/// The whole scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) accounts: Vec<PlannedAccount>,
    pub(crate) steps: Vec<Step>,
}

/// Accounts that are connected in the middle, at most.
const LATE: usize = 5;

impl Plan {
    /// The scenario of these options. `small_disk`: there is one that can be filled.
    pub(crate) fn new(options: &Options, small_disk: bool) -> Self {
        let mut dice = Dice::new(options.seed, "plan");
        let late = (options.faults / 8).clamp(1, LATE);
        let mut accounts = Vec::new();
        for _ in 0..options.accounts.max(1) {
            accounts.push(account(&mut dice, options.people, 0));
        }
        for number in 1..=late {
            // Larger, so that faults meet them in the middle of their first sync.
            let before = (options.faults * number / (late + 1)).max(1);
            accounts.push(account(&mut dice, options.people * 3, before));
        }
        let pause = millis(options.pause);
        let steps = (0..options.faults)
            .map(|_| Step {
                wait: dice.millis(pause * 2 / 25, pause),
                fault: wanted(&mut dice, options, small_disk),
                calm: dice.chance(60),
            })
            .collect();
        Self { accounts, steps }
    }
}

fn account(dice: &mut Dice, people: usize, before: usize) -> PlannedAccount {
    let people = people as u64;
    let count = people / 2 + dice.below(people);
    PlannedAccount {
        people: usize::try_from(count).unwrap_or(usize::MAX),
        seed: dice.below(1 << 32),
        before,
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Clone, Copy)]
enum Sort {
    Kill,
    KillAll,
    Terminate,
    Freeze,
    LostAnswers,
    KillDatabase,
    PauseDatabase,
    Exhaust,
    Blackout,
    FullDisk,
}

/// A fault of a kind that is wanted, if the store has such faults.
fn wanted(dice: &mut Dice, options: &Options, small_disk: bool) -> Fault {
    let mut one = fault(dice, options, small_disk);
    for _ in 0..1000 {
        if options.only.is_empty() || options.only.iter().any(|kind| kind == one.name()) {
            break;
        }
        one = fault(dice, options, small_disk);
    }
    one
}

fn fault(dice: &mut Dice, options: &Options, small_disk: bool) -> Fault {
    let weights: &[(u64, Sort)] = match options.store {
        Store::Sqlite => &[
            (60, Sort::Kill),
            (15, Sort::Terminate),
            (10, Sort::LostAnswers),
            (if small_disk { 15 } else { 0 }, Sort::FullDisk),
        ],
        Store::Postgres => &[
            (40, Sort::Kill),
            (4, Sort::KillAll),
            (10, Sort::Terminate),
            (14, Sort::Freeze),
            (8, Sort::LostAnswers),
            (10, Sort::KillDatabase),
            (6, Sort::PauseDatabase),
            (5, Sort::Exhaust),
            (3, Sort::Blackout),
        ],
    };
    let sort = dice.weighted(weights).unwrap_or(Sort::Kill);
    let hosts = options.hosts.max(1) as u64;
    let host = usize::try_from(dice.below(hosts)).unwrap_or(0);
    let (lease, pause) = (millis(options.lease), millis(options.pause));
    // 2500 ms are the measure.
    let scaled = |millis: u64| millis * pause / 2500;
    match sort {
        Sort::Kill => Fault::Kill {
            host,
            down: dice.millis(0, scaled(3000)),
            again: dice.chance(20).then(|| dice.millis(0, 1000)),
        },
        Sort::KillAll => Fault::KillAll {
            down: dice.millis(0, scaled(2000)),
        },
        Sort::Terminate => Fault::Terminate {
            host,
            down: dice.millis(0, scaled(2000)),
        },
        Sort::Freeze => Fault::Freeze {
            host,
            long: dice.millis(lease * 3 / 2, lease * 3),
        },
        Sort::LostAnswers => Fault::LostAnswers {
            writes: 1 + u32::try_from(dice.below(6)).unwrap_or(0),
        },
        Sort::KillDatabase => Fault::KillDatabase {
            down: dice.millis(0, scaled(4000)),
        },
        Sort::PauseDatabase => Fault::PauseDatabase {
            long: dice.millis(500, lease * 2),
        },
        Sort::Exhaust => Fault::Exhaust {
            hold: Duration::from_millis(scaled(2000)),
        },
        Sort::Blackout => Fault::Blackout {
            down: dice.millis(0, scaled(2000)),
        },
        Sort::FullDisk => Fault::FullDisk {
            hold: dice.millis(scaled(1000), scaled(4000)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(faults: usize, seed: u64, store: Store) -> Plan {
        Plan::new(&Options::new(faults, seed, store), true)
    }

    #[test]
    fn a_seed_is_a_scenario() {
        let one = plan(200, 5, Store::Postgres);
        assert_eq!(one, plan(200, 5, Store::Postgres));
        assert_ne!(one.steps, plan(200, 6, Store::Postgres).steps);
        assert_eq!(one.steps.len(), 200);
        // A longer run begins like a shorter one's accounts.
        assert_eq!(one.accounts.iter().filter(|one| one.before == 0).count(), 3);
    }

    #[test]
    fn every_fault_of_a_store_happens_and_no_other() {
        let names = |store| {
            let steps = plan(2000, 1, store).steps;
            let names = steps.iter().map(|step| step.fault.name());
            names.collect::<std::collections::BTreeSet<_>>()
        };
        assert_eq!(
            names(Store::Sqlite).into_iter().collect::<Vec<_>>(),
            ["full disk", "kill", "lost answers", "terminate"]
        );
        assert_eq!(names(Store::Postgres).len(), 9);
        assert!(!names(Store::Postgres).contains("full disk"));
    }

    #[test]
    fn the_only_host_is_the_one_that_fails() {
        for step in plan(500, 9, Store::Sqlite).steps {
            if let Fault::Kill { host, .. } = step.fault {
                assert_eq!(host, 0);
            }
        }
    }

    #[test]
    fn accounts_are_connected_in_the_middle() {
        let late = |faults| {
            let accounts = plan(faults, 3, Store::Postgres).accounts;
            let before = accounts.into_iter().map(|one| one.before);
            before.filter(|before| *before > 0).collect::<Vec<_>>()
        };
        assert_eq!(late(1), [1]);
        assert_eq!(late(30), [7, 15, 22]);
        assert_eq!(late(1000).len(), LATE);
    }
}
