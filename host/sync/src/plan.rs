//! What of an entity's sync is due when: a poll for changes, or a full pass.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rollout_catalog::Manifest;
use rollout_catalog::manifest::{Deletions, fold_key};
use rollout_store::{SyncRow, millis};

use crate::Settings;
use crate::source::Source;

/// How long a full pass reads before others of its credential have their turn.
const SLICE: Duration = Duration::from_secs(5);

/// How often accounts are asked for changes. What is more particular counts: a
/// credential's own interval before its environment's, that before its connector's,
/// that before what the connector's manifest says.
#[derive(Debug, Clone, Default)]
pub struct Intervals {
    /// By environment.
    pub environments: BTreeMap<String, Duration>,
    /// By the connector's key.
    pub connectors: BTreeMap<String, Duration>,
    /// For all others.
    pub default: Duration,
}

impl Intervals {
    fn of(&self, environment: &str, manifest: &Manifest) -> Duration {
        let by_connector = || {
            let key = fold_key(&manifest.key);
            let mut all = self.connectors.iter();
            all.find(|(name, _)| fold_key(name) == key)
                .map(|(_, interval)| *interval)
        };
        let hint = || {
            let seconds = manifest.poll_seconds?;
            Some(Duration::from_secs(seconds.into()))
        };
        let own = self.environments.get(environment).copied();
        own.or_else(by_connector)
            .or_else(hint)
            .unwrap_or(self.default)
    }
}

/// The times of one entity's sync, in milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Between two polls.
    interval: i64,
    /// Between two full passes.
    full_interval: i64,
    /// When the next poll is due.
    poll_at: i64,
    /// When a full pass begins, or goes on; none: never.
    full_at: Option<i64>,
    /// A full pass is what finds deletions, and none was made yet.
    full_follows: bool,
}

impl Plan {
    pub(crate) fn of(source: &Source, settings: &Settings, row: &SyncRow) -> Self {
        let (environment, manifest) = (&source.environment.name, &source.connector.manifest);
        let interval = match row.settings.poll_seconds {
            Some(seconds) => seconds.saturating_mul(1000),
            None => millis(settings.poll.of(environment, manifest)),
        };
        let full_interval = millis(settings.full_pass_interval);
        let finds = source.deletions() == Deletions::FullPass;
        let read_at = row.full_done_at.or(row.schedule.first_done_at);
        let regular = read_at.filter(|_| finds);
        Self {
            interval,
            full_interval,
            poll_at: match row.synced_at {
                Some(at) if row.asked == 0 => at.saturating_add(interval),
                _ => 0,
            },
            full_at: match &row.full {
                Some(full) => Some(full.next_at.unwrap_or_default()),
                None => row
                    .full_at
                    .or(regular.map(|at| at.saturating_add(full_interval))),
            },
            full_follows: finds && read_at.is_none(),
        }
    }

    /// Whether it is a full pass's turn, in a job that was due at `due_at`: if that was
    /// before the poll, it was for the full pass, however late it is by now.
    pub(crate) fn is_for_full(&self, now: i64, due_at: i64) -> bool {
        self.poll_at > now.min(due_at) && self.full_at.is_some_and(|at| at <= now)
    }

    /// When something is due after a poll that is complete now.
    pub(crate) fn after_poll(&self, now: i64) -> i64 {
        let poll_at = now.saturating_add(self.interval);
        let first_full = self.full_follows.then(|| self.next_full(now));
        let full_at = self.full_at.or(first_full);
        full_at.map_or(poll_at, |full_at| poll_at.min(full_at))
    }

    /// When something is due if the full pass goes on at this time.
    pub(crate) fn with_full_at(&self, full_at: i64) -> i64 {
        self.poll_at.min(full_at)
    }

    /// When the full pass after one that ends now is due.
    pub(crate) fn next_full(&self, now: i64) -> i64 {
        now.saturating_add(self.full_interval)
    }

    /// Until when a full pass may read now: others wait, and so does the next poll.
    pub(crate) fn slice(&self, now: i64) -> Instant {
        let until_poll = u64::try_from(self.poll_at.saturating_sub(now)).unwrap_or_default();
        Instant::now() + SLICE.min(Duration::from_millis(until_poll))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(poll_at: i64, full_at: Option<i64>) -> Plan {
        Plan {
            interval: 60,
            full_interval: 1000,
            poll_at,
            full_at,
            full_follows: false,
        }
    }

    #[test]
    fn polls_and_a_full_pass_take_turns_however_late_they_are() {
        // Neither has to wait for the other.
        assert!(plan(100, Some(40)).is_for_full(50, 50));
        assert!(!plan(100, Some(60)).is_for_full(50, 50));
        assert!(!plan(100, None).is_for_full(50, 50));
        // Both are late: the job was due for the one that was due first.
        assert!(plan(100, Some(40)).is_for_full(500, 90));
        assert!(!plan(100, Some(40)).is_for_full(500, 110));
        // After a poll the full pass is next, after a slice of it the poll.
        assert_eq!(plan(100, Some(40)).after_poll(500), 40);
        assert_eq!(plan(100, Some(40)).with_full_at(500), 100);
        assert_eq!(plan(100, None).after_poll(500), 560);
    }

    #[test]
    fn a_slice_ends_with_the_next_poll() {
        let long = plan(1_000_000, Some(0)).slice(0);
        assert!(long > Instant::now() + SLICE / 2);
        assert!(plan(100, Some(0)).slice(500) <= Instant::now());
    }
}
