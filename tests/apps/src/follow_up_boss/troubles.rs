//! What goes wrong by chance: faults, and lists that are awkward to read. A seed
//! stands for one sequence of them.

use std::time::Duration;

use parking_lot::Mutex;

use super::faults::Fault;
use super::messy::Dice;

/// How often what goes wrong, each in so many of a hundred requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Troubles {
    /// What the sequence is made from.
    pub seed: u64,
    /// 500, before the request was processed or after.
    pub failing: u64,
    /// 429 with a `Retry-After` of a second.
    pub limited: u64,
    /// The first half of the JSON, or something that is not JSON at all.
    pub garbled: u64,
    /// The connection is cut, before the request was processed or after.
    pub cut: u64,
    /// The answer takes up to this many milliseconds, each of them.
    pub slow_ms: u64,
    /// A page of a list has half of the records that it could have.
    pub short_pages: u64,
    /// The next page of a list begins with the last record of this one.
    pub repeated: u64,
}

impl Troubles {
    /// A bad day: some of everything.
    pub fn bad_day(seed: u64) -> Self {
        Self {
            seed,
            failing: 4,
            limited: 1,
            garbled: 3,
            cut: 3,
            slow_ms: 15,
            short_pages: 20,
            repeated: 20,
        }
    }
}

/// How a list is awkward to read this time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Awkward {
    pub(super) short: bool,
    pub(super) repeated: bool,
}

/// The troubles that there are, and where in their sequence they are.
#[derive(Debug, Default)]
pub(super) struct Luck(Mutex<Option<(Troubles, Dice)>>);

impl Luck {
    pub(super) fn set(&self, troubles: Option<Troubles>) {
        *self.0.lock() = troubles.map(|troubles| {
            let dice = Dice(troubles.seed);
            (troubles, dice)
        });
    }

    /// What the next request gets, in the order in which requests come.
    pub(super) fn next(&self) -> (Vec<Fault>, Awkward) {
        let mut luck = self.0.lock();
        let Some((troubles, dice)) = luck.as_mut() else {
            return (Vec::new(), Awkward::default());
        };
        let mut faults = Vec::new();
        if troubles.slow_ms > 0 {
            let pause = dice.roll() % troubles.slow_ms;
            faults.push(Fault::Delay(Duration::from_millis(pause)));
        }
        let mut either = |percent: u64, one: Fault, other: Fault| {
            let (happens, first) = (dice.percent(percent), dice.percent(50));
            if happens {
                faults.push(if first { one } else { other });
            }
        };
        either(
            troubles.failing,
            Fault::Status(500),
            Fault::StatusAfter(503),
        );
        let limited = Fault::RateLimited { retry_after: 1 };
        either(troubles.limited, limited.clone(), limited);
        let page = Fault::Answer(200, "<html>Just a moment</html>".to_owned());
        either(troubles.garbled, Fault::Truncated, page);
        either(troubles.cut, Fault::Cut, Fault::Lost);
        let awkward = Awkward {
            short: dice.percent(troubles.short_pages),
            repeated: dice.percent(troubles.repeated),
        };
        // One kind of failure at a time, and each as slow as it is.
        faults.truncate(2);
        (faults, awkward)
    }
}
