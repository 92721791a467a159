//! Requests are lent in chunks, of which one row per limit keeps account.
//!
//! A window is cut into parts. What is lent in one part must leave before the next
//! part ends, less half a part for the way to the app, and counts until a window
//! after that end. So whenever lent requests leave, no window of any place in time
//! holds more than the limit; nearly all of it can be used. Time is the database's.

use crate::database::{FromRow, Row, Tx, query, statement};
use crate::{EnvStore, Result, StoreError};

/// Parts of a window.
const PARTS: i64 = 20;
/// The shortest part, in milliseconds.
const SHORTEST_PART: i64 = 250;

/// Requests that are to be lent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetAsk {
    /// The limit, and who shares it.
    pub key: String,
    /// How many requests may leave in a window, those included that were lent before.
    pub limit: i64,
    /// The window in milliseconds, at least 1000.
    pub window: i64,
    /// How many are wanted.
    pub wanted: i64,
}

/// What is lent of one limit. Times are in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BudgetLoan {
    /// So many requests, at least 1.
    Requests {
        /// How many.
        requests: i64,
        /// They must leave within this time from when they were asked for.
        good_for: i64,
    },
    /// None before this time has passed.
    Wait(i64),
}

/// What came of asking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BudgetsLent {
    /// The account is closed for so many milliseconds; nothing was lent.
    Closed(i64),
    /// One for each that was asked for.
    Loans(Vec<BudgetLoan>),
}

/// What is left of one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetLeft {
    /// Requests in a window.
    pub limit: i64,
    /// How many of them may leave now.
    pub remaining: i64,
    /// When all of them may again, if nothing else leaves: in milliseconds since 1970;
    /// none: they may.
    pub reset_at: Option<i64>,
}

/// A limit that requests count against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BudgetUse {
    /// The limit, and who shares it; or an account.
    pub key: String,
    /// How many requests were lent that may still count.
    pub requests: i64,
    /// When nothing of it counts any more, in milliseconds since 1970.
    pub expires_at: i64,
    /// An account: its app asked for patience until then.
    pub closed_until: Option<i64>,
}

impl FromRow for BudgetUse {
    fn read(row: &Row) -> Result<Self> {
        let taken: Vec<(i64, i64)> = serde_json::from_str(row.text("taken")?)?;
        Ok(Self {
            key: row.get("key")?,
            requests: taken.iter().map(|(_, requests)| requests).sum(),
            expires_at: row.get("expires_at")?,
            closed_until: row.get("closed_until")?,
        })
    }
}

/// A limit as it is stored.
struct Budget {
    key: String,
    taken: Taken,
    closed_until: Option<i64>,
    now: i64,
}

impl FromRow for Budget {
    fn read(row: &Row) -> Result<Self> {
        Ok(Self {
            key: row.get("key")?,
            taken: Taken(serde_json::from_str(row.text("taken")?)?),
            closed_until: row.get("closed_until")?,
            now: row.get("now")?,
        })
    }
}

/// What was lent: the part in which it must leave, and how many.
#[derive(Debug, Default)]
struct Taken(Vec<(i64, i64)>);

impl Taken {
    /// Lends what there is, up to what is wanted.
    fn lend(&mut self, now: i64, ask: &BudgetAsk) -> BudgetLoan {
        let part = part(ask.window);
        let counts_until = |stamp: i64| (stamp + 1) * part + ask.window;
        self.forget(now, ask.window);
        self.0.sort_unstable();
        let taken: i64 = self.0.iter().map(|(_, requests)| requests).sum();
        let requests = (ask.limit - taken).min(ask.wanted);
        if requests < 1 {
            let mut left = taken;
            let enough = self.0.iter().find(|(_, requests)| {
                left -= requests;
                left < ask.limit
            });
            let wait = enough.map_or(ask.window, |(stamp, _)| counts_until(*stamp) - now);
            return BudgetLoan::Wait(wait);
        }
        // A clock that went back lends nothing twice, and nothing for long.
        let stamp = now / part + 1;
        match self.0.iter_mut().find(|(at, _)| *at == stamp) {
            Some((_, there)) => *there += requests,
            None => self.0.push((stamp, requests)),
        }
        BudgetLoan::Requests {
            requests,
            good_for: (stamp + 1) * part - now - part / 2,
        }
    }

    /// What is left of a limit.
    fn left(&mut self, now: i64, ask: &BudgetAsk) -> BudgetLeft {
        self.forget(now, ask.window);
        let taken: i64 = self.0.iter().map(|(_, requests)| requests).sum();
        BudgetLeft {
            limit: ask.limit,
            remaining: (ask.limit - taken).max(0),
            reset_at: (taken > 0).then(|| self.expires_at(ask.window)),
        }
    }

    /// Forgets what no longer counts.
    fn forget(&mut self, now: i64, window: i64) {
        let part = part(window);
        self.0
            .retain(|(stamp, _)| (stamp + 1) * part + window > now);
    }

    /// When nothing of it counts any more.
    fn expires_at(&self, window: i64) -> i64 {
        let part = part(window);
        let last = self.0.iter().map(|(stamp, _)| *stamp).max();
        (last.unwrap_or_default() + 1) * part + window
    }
}

/// A part of a window, in milliseconds: short enough to waste little, long enough for
/// the way from here to the app.
fn part(window: i64) -> i64 {
    (window / PARTS).max(SHORTEST_PART)
}

impl EnvStore {
    /// Lends requests of an account under each of these limits, unless its app asked
    /// for patience.
    pub async fn lend_requests(&self, account: &str, asks: &[BudgetAsk]) -> Result<BudgetsLent> {
        if asks.is_empty() {
            let closed = self.db.dialect().text(
                "SELECT closed_until - {now} FROM host_budgets WHERE key = $1 AND closed_until > {now}",
            );
            let closed = statement(closed).bind(account);
            let closed: Option<i64> = closed.optional(&self.db).await?;
            return Ok(match closed {
                Some(wait) => BudgetsLent::Closed(wait),
                None => BudgetsLent::Loans(Vec::new()),
            });
        }
        let mut tx = self.db.write().await?;
        let mut budgets = hold(&mut tx, account, asks).await?;
        let wait = budgets.iter().find_map(|budget| {
            let wait = budget.closed_until? - budget.now;
            (wait > 0).then_some(wait)
        });
        if let Some(wait) = wait {
            return Ok(BudgetsLent::Closed(wait));
        }
        let mut loans = Vec::with_capacity(asks.len());
        for ask in asks {
            let budget = budgets.iter_mut().find(|budget| budget.key == ask.key);
            let budget = budget.ok_or(StoreError::NotFound("budget"))?;
            let loan = budget.taken.lend(budget.now, ask);
            if matches!(loan, BudgetLoan::Requests { .. }) {
                query("UPDATE host_budgets SET taken = $2, expires_at = $3 WHERE key = $1")
                    .bind(&ask.key)
                    .bind(serde_json::to_string(&budget.taken.0)?)
                    .bind(budget.taken.expires_at(ask.window))
                    .execute(&mut tx)
                    .await?;
            }
            loans.push(loan);
        }
        // What is lost with the power is milliseconds of loans.
        self.db.commit_soon(tx).await?;
        Ok(BudgetsLent::Loans(loans))
    }

    /// What is left of each of these limits of an account. An account whose app asked for
    /// patience has nothing left until then.
    pub async fn budgets_left(&self, account: &str, asks: &[BudgetAsk]) -> Result<Vec<BudgetLeft>> {
        let dialect = self.db.dialect();
        let mut keys: Vec<String> = asks.iter().map(|ask| ask.key.clone()).collect();
        keys.push(account.to_owned());
        let select = dialect.text(&format!(
            "SELECT key, taken, closed_until, {{now}} AS now FROM host_budgets WHERE key {}",
            dialect.in_list("$1")
        ));
        let budgets: Vec<Budget> = statement(select).bind(keys).all(&self.db).await?;
        let closed = budgets.iter().find_map(|budget| {
            let until = budget.closed_until.filter(|until| *until > budget.now);
            until.filter(|_| budget.key == account)
        });
        let left = asks.iter().map(|ask| {
            let budget = budgets.iter().find(|budget| budget.key == ask.key);
            let mut left = match budget {
                Some(budget) => Taken(budget.taken.0.clone()).left(budget.now, ask),
                None => Taken::default().left(0, ask),
            };
            if closed.is_some() {
                left.remaining = 0;
                left.reset_at = left.reset_at.max(closed);
            }
            left
        });
        Ok(left.collect())
    }

    /// An app asked for patience with an account: nothing is lent to it for so many
    /// milliseconds.
    pub async fn close_account(&self, account: &str, wait: i64) -> Result<()> {
        let mut tx = self.db.write().await?;
        let close = tx.dialect().text(
            "INSERT INTO host_budgets (key, closed_until, expires_at) VALUES ($1, {now} + $2, {now} + $2) \
             ON CONFLICT (key) DO UPDATE SET closed_until = excluded.closed_until, \
             expires_at = excluded.expires_at WHERE host_budgets.closed_until < excluded.closed_until",
        );
        let close = statement(close).bind(account).bind(wait);
        close.execute(&mut tx).await?;
        self.db.commit(tx).await
    }

    /// All limits that requests count against now, by key.
    pub async fn budgets_in_use(&self) -> Result<Vec<BudgetUse>> {
        let select = self
            .db
            .dialect()
            .text("SELECT * FROM host_budgets WHERE expires_at > {now} ORDER BY key");
        statement(select).all(&self.db).await
    }

    /// Clears away what no longer counts.
    pub async fn forget_budgets(&self) -> Result<u64> {
        let mut tx = self.db.write().await?;
        let gone = tx
            .dialect()
            .text("DELETE FROM host_budgets WHERE expires_at < {now}");
        let gone = statement(gone).execute(&mut tx).await?;
        self.db.commit(tx).await?;
        Ok(gone)
    }
}

/// Reads the budgets, which nobody else changes until the transaction ends.
async fn hold(tx: &mut Tx, account: &str, asks: &[BudgetAsk]) -> Result<Vec<Budget>> {
    let dialect = tx.dialect();
    let mut keys: Vec<String> = asks.iter().map(|ask| ask.key.clone()).collect();
    // In one order, so that two processes don't wait for each other.
    keys.sort();
    let select = dialect.text(&format!(
        "SELECT key, taken, {{now}} AS now, \
         (SELECT closed_until FROM host_budgets WHERE key = $2) AS closed_until \
         FROM host_budgets WHERE key {} ORDER BY key {{held}}",
        dialect.in_list("$1")
    ));
    // One that is cleared away in between is made again.
    for _ in 0..3 {
        let held = statement(select.clone()).bind(keys.clone()).bind(account);
        let held: Vec<Budget> = held.all(&mut *tx).await?;
        if held.len() == keys.len() {
            return Ok(held);
        }
        for key in &keys {
            let new = dialect.text(
                "INSERT INTO host_budgets (key, expires_at) VALUES ($1, {now} + 60000) \
                 ON CONFLICT (key) DO NOTHING",
            );
            statement(new).bind(key).execute(&mut *tx).await?;
        }
    }
    Err(StoreError::Unavailable(
        "its budgets are being cleared away".to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]

    use proptest::prelude::*;

    use super::*;

    fn ask(limit: i64, window: i64, wanted: i64) -> BudgetAsk {
        BudgetAsk {
            key: String::new(),
            limit,
            window,
            wanted,
        }
    }

    #[test]
    fn a_burst_uses_the_whole_limit_and_the_next_one_waits() {
        let mut taken = Taken::default();
        let ten = ask(10, 10_000, 6);
        let lent = |requests, good_for| BudgetLoan::Requests { requests, good_for };
        assert_eq!(taken.lend(100_000, &ten), lent(6, 750));
        assert_eq!(taken.lend(100_200, &ten), lent(4, 550));
        // Its part ends at 101 s, and counts for a window more.
        assert_eq!(taken.lend(100_200, &ten), BudgetLoan::Wait(10_800));
        assert_eq!(taken.lend(110_999, &ten), BudgetLoan::Wait(1));
        assert_eq!(taken.lend(111_000, &ten), lent(6, 750));
        assert_eq!(taken.expires_at(10_000), 122_000);
    }

    #[test]
    fn what_is_waited_for_is_there_then() {
        let mut taken = Taken::default();
        let mut now = 0;
        for step in 0..40 {
            let limit = ask(7, 1000, 1 + step % 3);
            match taken.lend(now, &limit) {
                BudgetLoan::Wait(wait) => {
                    assert!(wait > 0);
                    assert_eq!(taken.lend(now + wait - 1, &limit), BudgetLoan::Wait(1));
                    now += wait;
                }
                BudgetLoan::Requests { .. } => now += 13,
            }
        }
        // Sixteen waits of about a seventh of a window at least.
        assert!(now > 3000, "{now}");
    }

    proptest! {
        /// Whenever what was lent leaves within its time, no window holds more.
        #[test]
        fn no_window_exceeds_the_limit(
            limit in 1_i64..40,
            window in prop::sample::select(vec![1000_i64, 3000, 10_000]),
            steps in prop::collection::vec((0_i64..700, 1_i64..12, 0_i64..=1000), 1..200),
        ) {
            let mut taken = Taken::default();
            let (mut now, mut left) = (0, Vec::new());
            for (pause, wanted, place) in steps {
                now += pause;
                let ask = ask(limit, window, wanted);
                if let BudgetLoan::Requests { requests, good_for } = taken.lend(now, &ask) {
                    prop_assert!(requests <= wanted && good_for > 0);
                    // All at the beginning, at the end, or anywhere between.
                    left.extend(vec![now + good_for * place / 1000; requests as usize]);
                }
            }
            left.sort_unstable();
            for pair in left.windows(limit as usize + 1) {
                prop_assert!(pair[limit as usize] - pair[0] >= window, "{pair:?}");
            }
        }

        /// Who asks as soon as he may uses nearly all of it.
        #[test]
        fn with_demand_nearly_all_of_it_is_used(limit in 1_i64..300, wanted in 1_i64..40) {
            let mut taken = Taken::default();
            let (window, mut now, mut lent) = (10_000, 0, 0);
            let ask = ask(limit, window, wanted);
            while now < 50 * window {
                match taken.lend(now, &ask) {
                    BudgetLoan::Requests { requests, .. } => lent += requests,
                    BudgetLoan::Wait(wait) => now += wait,
                }
            }
            prop_assert!(lent * 100 >= 50 * limit * 90, "{lent} of {}", 50 * limit);
        }
    }

    #[test]
    fn a_clock_that_goes_back_lends_nothing_twice() {
        let mut taken = Taken::default();
        let limit = ask(5, 1000, 5);
        taken.lend(50_000, &limit);
        for back in [49_000, 10_000, 0] {
            assert!(matches!(taken.lend(back, &limit), BudgetLoan::Wait(_)));
        }
    }
}
