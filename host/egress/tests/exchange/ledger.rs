//! A lender that keeps its account in memory, and a recorder that shows what it got.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use rollout_egress::{
    Allowance, Ask, Budgets, Exchange, Lender, Lent, Loan, Outcome, Recorder, Rule, Trace, Unlent,
};

/// For how long what is lent may leave.
const GOOD_FOR: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(crate) struct Ledger {
    /// What was lent of each limit, and until when it counts.
    lent: Mutex<HashMap<String, Vec<(Instant, u32)>>>,
    closed: Mutex<HashMap<String, Instant>>,
    pub(crate) asked: Mutex<Vec<Vec<Ask>>>,
    /// Nobody answers.
    pub(crate) gone: Mutex<bool>,
}

#[async_trait]
impl Lender for Ledger {
    async fn lend(&self, account: &str, asks: &[Ask]) -> Result<Lent, Unlent> {
        // Others get the chance to ask at the same time.
        tokio::task::yield_now().await;
        if *self.gone.lock() {
            return Err(Unlent("the ledger is closed for today".to_owned()));
        }
        self.asked.lock().push(asks.to_vec());
        let now = Instant::now();
        let closed = self.closed.lock().get(account).copied();
        if let Some(until) = closed.filter(|until| *until > now) {
            return Ok(Lent {
                loans: Vec::new(),
                closed: Some(until - now),
            });
        }
        let mut lent = self.lent.lock();
        let loans = asks.iter().map(|ask| {
            let taken = lent.entry(ask.key.clone()).or_default();
            taken.retain(|(until, _)| *until > now);
            let all: u32 = taken.iter().map(|(_, requests)| requests).sum();
            match ask.limit.saturating_sub(all).min(ask.wanted) {
                0 => Loan::Wait(taken[0].0 - now),
                requests => {
                    taken.push((now + GOOD_FOR + ask.window, requests));
                    Loan::Requests(requests, GOOD_FOR)
                }
            }
        });
        Ok(Lent {
            loans: loans.collect(),
            closed: None,
        })
    }

    async fn close(&self, account: &str, wait: Duration) -> Result<(), Unlent> {
        let until = Instant::now() + wait;
        self.closed.lock().insert(account.to_owned(), until);
        Ok(())
    }
}

/// One process that draws on a ledger.
pub(crate) fn process(ledger: &Arc<Ledger>) -> Arc<Budgets> {
    Arc::new(Budgets::new(ledger.clone()))
}

pub(crate) fn rule(key: &str, requests: u32, window: Duration) -> Rule {
    Rule {
        key: key.to_owned(),
        requests,
        window,
        path: None,
        methods: Vec::new(),
    }
}

/// The account's budgets for somebody who waits.
pub(crate) fn allowance(budgets: &Arc<Budgets>, rules: Vec<Rule>) -> Allowance {
    budgets.allowance("account", rules, false)
}

/// Records, in their order.
#[derive(Default)]
pub(crate) struct Records(Mutex<Vec<Exchange>>);

impl Recorder for Records {
    fn record(&self, exchange: Exchange) {
        self.0.lock().push(exchange);
    }
}

impl Records {
    pub(crate) fn trace(self: &Arc<Self>) -> Trace {
        Trace {
            recorder: self.clone(),
            request_id: Arc::from("request-1"),
            credential: Some(Arc::from("credential-1")),
        }
    }

    pub(crate) fn all(&self) -> Vec<Exchange> {
        self.0.lock().clone()
    }

    /// Each attempt's number and outcome.
    pub(crate) fn outcomes(&self) -> Vec<(u32, Outcome)> {
        let all = self.0.lock();
        all.iter().map(|one| (one.attempt, one.outcome)).collect()
    }
}
