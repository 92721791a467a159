//! Budgets: an app's rate limits, kept by all processes together.
//!
//! Every request counts against the rules that match its method and path before
//! it leaves. What a rule allows is lent in chunks by a [`Lender`], who knows what
//! all processes took; a chunk is good for a short time, within which its requests
//! leave or are lost. So a request that finds a chunk costs a look at an integer,
//! and a busy account costs its lender a question now and then. Chunks grow while
//! they are used up, to a tenth of the limit.
//!
//! An app that asks for patience closes its account for everybody until then;
//! that is looked after once a second while there are requests.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;

use crate::path::is_under;

/// How long a request waits for its turn before it is refused.
const PATIENCE: Duration = Duration::from_secs(2);
/// For how long an account is taken to be open as its lender said.
const KNOWN: Duration = Duration::from_secs(1);
/// How long a lender may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// The longest that an app can close its account for.
const CLOSED_MOST: Duration = Duration::from_secs(3600);
/// The part of a chunk, and of what background work leaves to others: a tenth.
const TENTH: u32 = 10;
/// Pools and gates that are kept without being in use, at least.
const KEPT: usize = 1000;

/// One of an app's rate limits, as it is for one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Names the limit and who shares it. Requests under one key count together.
    pub key: String,
    /// How many requests, at least 1.
    pub requests: u32,
    /// In how long, wherever that time begins.
    pub window: Duration,
    /// The path prefix it is for, ending at a segment; `None`: all paths.
    pub path: Option<String>,
    /// The methods it is for, in upper case; empty: all.
    pub methods: Vec<String>,
}

impl Rule {
    fn matches(&self, method: &str, path: &str) -> bool {
        let on_path = self.path.as_deref();
        on_path.is_none_or(|prefix| is_under(path, prefix))
            && (self.methods.is_empty() || self.methods.iter().any(|one| one == method))
    }
}

/// How many requests are to be lent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The rule's key.
    pub key: String,
    /// How many requests may leave in any `window`, with this loan.
    pub limit: u32,
    /// The rule's window.
    pub window: Duration,
    /// How many are wanted, at least 1.
    pub wanted: u32,
}

/// What is lent of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loan {
    /// So many requests, at least 1, that must leave within this time from when they
    /// were asked for.
    Requests(u32, Duration),
    /// None; ask again after this time.
    Wait(Duration),
}

/// A lender's answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lent {
    /// One for each that was asked for, in the same order.
    pub loans: Vec<Loan>,
    /// The account is closed for so long; nothing was lent.
    pub closed: Option<Duration>,
}

/// Why nothing can be lent; for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unlent(pub String);

/// Lends requests, and knows what was lent to whom.
#[async_trait]
pub trait Lender: Send + Sync {
    /// Lends requests of an account. What it lends of a rule, to all processes
    /// together, never exceeds the rule's limit in any of its windows, whenever
    /// within their time the requests leave.
    async fn lend(&self, account: &str, asks: &[Ask]) -> Result<Lent, Unlent>;

    /// Closes an account to all processes for so long from now, if it isn't closed
    /// for longer.
    async fn close(&self, account: &str, wait: Duration) -> Result<(), Unlent>;
}

/// The budgets of one environment in one process.
pub struct Budgets {
    lender: Arc<dyn Lender>,
    pools: Mutex<HashMap<(String, u32), Arc<Pool>>>,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
}

/// What this process has of one rule.
struct Pool {
    key: String,
    limit: u32,
    window: Duration,
    chunk: Mutex<Chunk>,
    /// Requests that wait for it to be filled.
    waiting: AtomicU32,
}

struct Chunk {
    left: u32,
    until: Instant,
    /// How much to ask for next.
    next: u32,
    /// Nothing is lent before.
    dry_until: Option<Instant>,
}

/// Whether an account's app takes requests.
struct Gate {
    account: String,
    state: Mutex<Opening>,
    /// Who has it asks the lender, for all that wait.
    turn: tokio::sync::Mutex<()>,
}

struct Opening {
    known_until: Instant,
    closed_until: Option<Instant>,
}

/// The budgets of one account's requests in one call.
pub struct Allowance {
    budgets: Arc<Budgets>,
    gate: Arc<Gate>,
    /// In the order of their keys, each once.
    rules: Vec<(Rule, Arc<Pool>)>,
}

/// Why a request may not leave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// A budget is used up for so long.
    Wait(Duration),
    /// The lender does not answer.
    Unlent(Unlent),
}

/// What came of a try to take from all pools at once.
enum Take {
    Taken,
    Wait(Duration),
    Ask,
}

impl Budgets {
    /// Budgets of which this lender knows.
    #[must_use]
    pub fn new(lender: Arc<dyn Lender>) -> Budgets {
        Budgets {
            lender,
            pools: Mutex::default(),
            gates: Mutex::default(),
        }
    }

    /// The budgets of an account under these rules. Background work leaves the last
    /// tenth of each to others.
    pub fn allowance(
        self: &Arc<Self>,
        account: &str,
        mut rules: Vec<Rule>,
        background: bool,
    ) -> Allowance {
        // Of two with one key the tighter one counts. Pools are locked in this order.
        rules.sort_by(|a, b| (&a.key, a.requests).cmp(&(&b.key, b.requests)));
        rules.dedup_by(|later, kept| later.key == kept.key);
        let mut pools = self.pools.lock();
        forget_unused(&mut pools);
        let rules = rules.into_iter().map(|rule| {
            let reserve = if background { rule.requests / TENTH } else { 0 };
            let limit = rule.requests.saturating_sub(reserve).max(1);
            // What was lent to others is not for background work.
            let pool = pools.entry((rule.key.clone(), limit)).or_insert_with(|| {
                Arc::new(Pool {
                    key: rule.key.clone(),
                    limit,
                    window: rule.window,
                    chunk: Mutex::new(Chunk {
                        left: 0,
                        until: Instant::now(),
                        next: 1,
                        dry_until: None,
                    }),
                    waiting: AtomicU32::new(0),
                })
            });
            let pool = pool.clone();
            (rule, pool)
        });
        let rules = rules.collect();
        drop(pools);
        let mut gates = self.gates.lock();
        forget_unused(&mut gates);
        let gate = gates.entry(account.to_owned()).or_insert_with(|| {
            Arc::new(Gate {
                account: account.to_owned(),
                state: Mutex::new(Opening {
                    known_until: Instant::now(),
                    closed_until: None,
                }),
                turn: tokio::sync::Mutex::default(),
            })
        });
        Allowance {
            budgets: self.clone(),
            gate: gate.clone(),
            rules,
        }
    }
}

/// What is in nobody's hands is asked for again when it is needed. Nothing is looked
/// through before there is twice as much as after the last time, nearly.
fn forget_unused<K, V>(all: &mut HashMap<K, Arc<V>>) {
    if all.len() >= KEPT && all.len() == all.capacity() {
        all.retain(|_, one| Arc::strong_count(one) > 1);
    }
}

impl Pool {
    /// The most that is asked for at once.
    fn largest(&self) -> u32 {
        (self.limit / TENTH).max(1)
    }
}

impl Allowance {
    /// Takes one request from every budget that it counts against, and waits for its
    /// turn if that is not longer than `most`.
    pub(crate) async fn take(
        &self,
        method: &str,
        path: &str,
        most: Duration,
    ) -> Result<(), Refusal> {
        let pools: Vec<&Pool> = self
            .rules
            .iter()
            .filter(|(rule, _)| rule.matches(method, path))
            .map(|(_, pool)| &**pool)
            .collect();
        let began = Instant::now();
        let most = most.min(PATIENCE);
        loop {
            match self.try_take(&pools) {
                Take::Taken => return Ok(()),
                Take::Wait(wait) if began.elapsed() + wait > most => {
                    return Err(Refusal::Wait(wait));
                }
                Take::Wait(wait) => tokio::time::sleep(wait).await,
                Take::Ask => self.fill(&pools).await.map_err(Refusal::Unlent)?,
            }
        }
    }

    /// Takes from all pools or from none.
    fn try_take(&self, pools: &[&Pool]) -> Take {
        let now = Instant::now();
        let opening = self.gate.state.lock();
        if let Some(closed) = opening.closed_until.filter(|until| *until > now) {
            return Take::Wait(closed - now);
        }
        let known = opening.known_until > now;
        drop(opening);
        let mut chunks: Vec<_> = pools.iter().map(|pool| pool.chunk.lock()).collect();
        let dry = chunks.iter().filter(|chunk| !chunk.has(now));
        let dry = dry.filter_map(|chunk| chunk.dry_until).max();
        if let Some(dry) = dry.filter(|until| *until > now) {
            return Take::Wait(dry - now);
        }
        if !known || !chunks.iter().all(|chunk| chunk.has(now)) {
            return Take::Ask;
        }
        for chunk in &mut chunks {
            chunk.left -= 1;
        }
        Take::Taken
    }

    /// Has the empty pools filled, once for all requests that wait for it.
    async fn fill(&self, pools: &[&Pool]) -> Result<(), Unlent> {
        let now = Instant::now();
        let lacking = |pools: &[&Pool], now| -> Vec<usize> {
            let empty = pools.iter().enumerate();
            let empty = empty.filter(|(_, pool)| !pool.chunk.lock().has(now));
            empty.map(|(index, _)| index).collect()
        };
        let waits: Vec<Waits<'_>> = lacking(pools, now)
            .iter()
            .filter_map(|index| pools.get(*index))
            .map(|pool| Waits::on(pool))
            .collect();
        let _turn = self.gate.turn.lock().await;
        let asked = Instant::now();
        let empty = lacking(pools, asked);
        let empty: Vec<&Pool> = empty
            .iter()
            .filter_map(|at| pools.get(*at))
            .copied()
            .collect();
        let known = self.gate.state.lock().known_until > asked;
        let dry = empty.iter().any(|pool| {
            let dry = pool.chunk.lock().dry_until;
            dry.is_some_and(|until| until > asked)
        });
        // Whoever had the turn before asked for all.
        if dry || (known && empty.is_empty()) {
            return Ok(());
        }
        let asks: Vec<Ask> = empty.iter().map(|pool| pool.ask(asked)).collect();
        drop(waits);
        let lending = self.budgets.lender.lend(&self.gate.account, &asks);
        let lent = tokio::time::timeout(ANSWER, lending).await;
        let lent = lent.map_err(|_| {
            let seconds = ANSWER.as_secs();
            Unlent(format!("there was no answer within {seconds} s"))
        })??;
        let mut opening = self.gate.state.lock();
        opening.known_until = asked + KNOWN;
        if let Some(closed) = lent.closed {
            let until = asked + closed.min(CLOSED_MOST);
            opening.closed_until = opening.closed_until.max(Some(until));
        }
        drop(opening);
        for (pool, loan) in empty.iter().zip(lent.loans) {
            pool.chunk.lock().put(loan, asked);
        }
        Ok(())
    }

    /// The app asked for patience: nothing leaves for its account until then, from no
    /// process.
    pub(crate) fn close(&self, wait: Duration) {
        let wait = wait.min(CLOSED_MOST);
        if wait.is_zero() || !self.shut(Instant::now() + wait) {
            return;
        }
        let lender = Arc::clone(&self.budgets.lender);
        let account = self.gate.account.clone();
        // The answer that said so doesn't wait for a database.
        tokio::spawn(async move {
            let problem = match tokio::time::timeout(ANSWER, lender.close(&account, wait)).await {
                Ok(Ok(())) => return,
                Ok(Err(unlent)) => unlent.0,
                Err(_) => "there was no answer".to_owned(),
            };
            tracing::warn!(
                account,
                problem,
                "other processes don't hear that an app asks for patience"
            );
        });
    }

    /// Closes it in this process. False if another request was told about the same a
    /// moment ago.
    fn shut(&self, until: Instant) -> bool {
        let mut opening = self.gate.state.lock();
        let before = opening.closed_until;
        opening.closed_until = before.max(Some(until));
        before.is_none_or(|before| before + KNOWN < until)
    }
}

/// A request that waits for a pool to be filled.
struct Waits<'a>(&'a Pool);

impl<'a> Waits<'a> {
    fn on(pool: &'a Pool) -> Waits<'a> {
        pool.waiting.fetch_add(1, Ordering::Relaxed);
        Waits(pool)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    fn ask(&self, now: Instant) -> Ask {
        let mut chunk = self.chunk.lock();
        let used_up = chunk.left == 0 && now < chunk.until;
        chunk.next = if used_up {
            chunk.next.saturating_mul(2).min(self.largest())
        } else {
            1
        };
        let waiting = self.waiting.load(Ordering::Relaxed);
        Ask {
            key: self.key.clone(),
            limit: self.limit,
            window: self.window,
            wanted: chunk.next.max(waiting).min(self.largest()),
        }
    }
}

impl Chunk {
    fn has(&self, now: Instant) -> bool {
        self.left > 0 && now < self.until
    }

    fn put(&mut self, loan: Loan, asked: Instant) {
        match loan {
            Loan::Requests(requests, good_for) => {
                let until = asked + good_for;
                // Two accounts may have had a budget filled that they share.
                (self.left, self.until) = if self.has(Instant::now()) {
                    (self.left.saturating_add(requests), self.until.min(until))
                } else {
                    (requests, until)
                };
                self.dry_until = None;
            }
            Loan::Wait(wait) => {
                self.dry_until = Some(Instant::now() + wait.max(Duration::from_millis(1)));
            }
        }
    }
}
