//! What happens when: made of the seed alone, before anything starts.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::dice::Dice;
use crate::options::{Options, Store};

/// The fault that needs a small disk.
const FULL_DISK: &str = "full disk";

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
            Self::FullDisk { .. } => FULL_DISK,
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
    ///
    /// # Errors
    /// `only` names a fault that can't happen.
    pub(crate) fn new(options: &Options, small_disk: bool) -> Result<Self> {
        let wanted = wanted(options, small_disk)?;
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
            .map(|_| {
                Ok(Step {
                    wait: dice.millis(pause * 2 / 25, pause),
                    fault: fault(&mut dice, options, &wanted)?,
                    calm: dice.chance(60),
                })
            })
            .collect::<Result<_>>()?;
        Ok(Self { accounts, steps })
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

/// What a fault is made to the measure of.
struct Measure {
    host: usize,
    /// The hosts' lease, in milliseconds.
    lease: u64,
    /// The longest pause before a fault, in milliseconds.
    pause: u64,
}

impl Measure {
    /// Milliseconds for a pause of 2500 ms, as many more or less as it is longer or
    /// shorter.
    fn scaled(&self, millis: u64) -> u64 {
        millis * self.pause / 2500
    }
}

/// A kind of fault.
struct Kind {
    name: &'static str,
    /// How often it happens among others with files, and with a server.
    sqlite: u64,
    postgres: u64,
    make: fn(&mut Dice, &Measure) -> Fault,
}

const KINDS: [Kind; 10] = [
    Kind {
        name: "kill",
        sqlite: 60,
        postgres: 40,
        make: |dice, by| Fault::Kill {
            host: by.host,
            down: dice.millis(0, by.scaled(3000)),
            again: dice.chance(20).then(|| dice.millis(0, 1000)),
        },
    },
    Kind {
        name: "kill all",
        sqlite: 0,
        postgres: 4,
        make: |dice, by| Fault::KillAll {
            down: dice.millis(0, by.scaled(2000)),
        },
    },
    Kind {
        name: "terminate",
        sqlite: 15,
        postgres: 10,
        make: |dice, by| Fault::Terminate {
            host: by.host,
            down: dice.millis(0, by.scaled(2000)),
        },
    },
    Kind {
        name: "freeze",
        sqlite: 0,
        postgres: 14,
        make: |dice, by| Fault::Freeze {
            host: by.host,
            long: dice.millis(by.lease * 3 / 2, by.lease * 3),
        },
    },
    Kind {
        name: "lost answers",
        sqlite: 10,
        postgres: 8,
        make: |dice, _| Fault::LostAnswers {
            writes: 1 + u32::try_from(dice.below(6)).unwrap_or(0),
        },
    },
    Kind {
        name: "kill database",
        sqlite: 0,
        postgres: 10,
        make: |dice, by| Fault::KillDatabase {
            down: dice.millis(0, by.scaled(4000)),
        },
    },
    Kind {
        name: "pause database",
        sqlite: 0,
        postgres: 6,
        make: |dice, by| Fault::PauseDatabase {
            long: dice.millis(500, by.lease * 2),
        },
    },
    Kind {
        name: "exhaust connections",
        sqlite: 0,
        postgres: 5,
        make: |_, by| Fault::Exhaust {
            hold: Duration::from_millis(by.scaled(2000)),
        },
    },
    Kind {
        name: "blackout",
        sqlite: 0,
        postgres: 3,
        make: |dice, by| Fault::Blackout {
            down: dice.millis(0, by.scaled(2000)),
        },
    },
    Kind {
        name: FULL_DISK,
        sqlite: 15,
        postgres: 0,
        make: |dice, by| Fault::FullDisk {
            hold: dice.millis(by.scaled(1000), by.scaled(4000)),
        },
    },
];

/// The faults that can happen and are wanted, by weight. `small_disk`: there is one
/// that can be filled.
///
/// # Errors
/// One is wanted that can't happen.
fn wanted(options: &Options, small_disk: bool) -> Result<Vec<(u64, &'static Kind)>> {
    let mut kinds: Vec<(u64, &Kind)> = KINDS
        .iter()
        .filter(|kind| small_disk || kind.name != FULL_DISK)
        .map(|kind| match options.store {
            Store::Sqlite => (kind.sqlite, kind),
            Store::Postgres => (kind.postgres, kind),
        })
        .filter(|(weight, _)| *weight > 0)
        .collect();
    let names: Vec<&str> = kinds.iter().map(|(_, kind)| kind.name).collect();
    for only in &options.only {
        ensure!(
            names.contains(&only.as_str()),
            "no fault `{only}` can happen here; there are: {}",
            names.join(", ")
        );
    }
    kinds.retain(|(_, kind)| {
        options.only.is_empty() || options.only.iter().any(|only| only == kind.name)
    });
    Ok(kinds)
}

fn fault(dice: &mut Dice, options: &Options, wanted: &[(u64, &Kind)]) -> Result<Fault> {
    let kind = dice.weighted(wanted).context("no fault is wanted")?;
    let hosts = options.hosts.max(1) as u64;
    let measure = Measure {
        host: usize::try_from(dice.below(hosts)).unwrap_or(0),
        lease: millis(options.lease),
        pause: millis(options.pause),
    };
    Ok((kind.make)(dice, &measure))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn plan(faults: usize, seed: u64, store: Store) -> Plan {
        Plan::new(&Options::new(faults, seed, store), true).unwrap()
    }

    #[test]
    fn a_fault_has_the_name_of_its_kind() {
        let mut dice = Dice::new(1, "kinds");
        let measure = Measure {
            host: 0,
            lease: 1000,
            pause: 2500,
        };
        for kind in &KINDS {
            assert_eq!((kind.make)(&mut dice, &measure).name(), kind.name);
        }
    }

    #[test]
    fn only_what_is_wanted_happens_or_nothing() {
        let only = |names: &[&str], store, small_disk| {
            let mut options = Options::new(200, 7, store);
            options.only = names.iter().map(|name| (*name).to_owned()).collect();
            let plan = Plan::new(&options, small_disk).map_err(|error| error.to_string())?;
            let steps = plan.steps.iter().map(|step| step.fault.name());
            let names = steps.collect::<std::collections::BTreeSet<_>>();
            Ok::<_, String>(names.into_iter().collect::<Vec<_>>())
        };
        let rare = only(&["blackout"], Store::Postgres, false);
        assert_eq!(rare.unwrap(), ["blackout"]);
        let two = only(&["freeze", "kill"], Store::Postgres, false);
        assert_eq!(two.unwrap(), ["freeze", "kill"]);
        for (names, store) in [
            (&["kil"][..], Store::Postgres),
            (&["kill", "frezze"], Store::Postgres),
            (&["full disk"], Store::Sqlite),
        ] {
            let error = only(names, store, false).unwrap_err();
            assert!(error.contains(names.last().unwrap()), "{error}");
            assert!(error.contains("there are: kill, "), "{error}");
        }
        assert_eq!(
            only(&["full disk"], Store::Sqlite, true).unwrap(),
            ["full disk"]
        );
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
