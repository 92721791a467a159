//! What leaves an environment for the apps: under budgets that all its processes keep
//! together, and with a record of every request.

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use parking_lot::Mutex;
use rollout_catalog::Manifest;
use rollout_catalog::manifest::RateScope;
use rollout_egress::{self as egress, Ask, Budgets, Exchange, Lender, Lent, Loan, Rule, Unlent};
use rollout_store::{
    BudgetAsk, BudgetLeft, BudgetLoan, BudgetsLent, Credential, EnvStore, OutboundCall, StoreError,
};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::{Connectors, Environment, Live};

/// How often records are written, and after how many.
const WRITE_EVERY: Duration = Duration::from_secs(1);
const WRITE_AFTER: usize = 500;
/// Records that wait to be written, at most: about 5 MB.
const WAITING_MOST: usize = 20_000;

/// What a connector is called for.
#[derive(Debug, Clone)]
pub struct Cause {
    id: Arc<str>,
    background: bool,
}

impl Cause {
    /// A request to the API, by its id. Somebody waits for it.
    pub fn request(id: &str) -> Self {
        Self {
            id: Arc::from(id),
            background: false,
        }
    }

    /// A job, by its number. It leaves a part of every budget to requests.
    pub fn job(number: i64) -> Self {
        Self {
            id: Arc::from(format!("job-{number}")),
            background: true,
        }
    }
}

/// An account's rate limits.
pub(crate) struct Rates {
    account: String,
    rules: Vec<Rule>,
}

impl Rates {
    /// The manifest's limits for a credential; without one for an attempt to connect an
    /// account, which shares only those of the app.
    pub(crate) fn of(manifest: &Manifest, credential: Option<&Credential>) -> Self {
        let connector = &manifest.key;
        let attempt = || format!("{connector} attempt {}", Uuid::now_v7());
        let account = match credential {
            Some(credential) => format!("{connector} account {}", credential.external_id),
            None => attempt(),
        };
        let rules = manifest.rate_limits.iter().map(|limit| {
            let shared_by = match (limit.scope, credential) {
                (RateScope::App, _) => format!("{connector} app"),
                (RateScope::Credential, Some(credential)) => {
                    format!("{connector} credential {}", credential.id)
                }
                (RateScope::Account | RateScope::Credential, _) => account.clone(),
            };
            let path = limit.path.as_deref().unwrap_or("/");
            let methods = limit.methods.join(",");
            Rule {
                key: format!("{shared_by} {}s {methods} {path}", limit.seconds),
                requests: limit.requests,
                window: Duration::from_secs(limit.seconds.into()),
                path: limit.path.clone(),
                methods: limit.methods.clone(),
            }
        });
        Self {
            rules: rules.collect(),
            account,
        }
    }
}

/// An environment's way to the apps.
pub(crate) struct Outbound {
    budgets: Arc<Budgets>,
    journal: Arc<Journal>,
}

impl Outbound {
    /// Writes records for as long as it is there.
    pub(crate) fn start(environment: &str, store: &Arc<EnvStore>) -> Self {
        let journal = Arc::new(Journal {
            environment: environment.to_owned(),
            store: store.clone(),
            waiting: Mutex::default(),
            many: Notify::new(),
            writing: tokio::sync::Mutex::default(),
        });
        tokio::spawn(Journal::keep(Arc::downgrade(&journal)));
        Self {
            budgets: Arc::new(Budgets::new(Arc::new(Accounts(store.clone())))),
            journal,
        }
    }

    /// The same grant under the account's budgets, and with records.
    pub(crate) fn watch(
        &self,
        grant: egress::Grant,
        rates: Rates,
        credential: Option<&str>,
        cause: &Cause,
    ) -> egress::Grant {
        let Rates { account, rules } = rates;
        let allowance = self.budgets.allowance(&account, rules, cause.background);
        grant.within(allowance).traced(egress::Trace {
            recorder: self.journal.clone(),
            request_id: cause.id.clone(),
            credential: credential.map(Arc::from),
        })
    }

    /// Writes the records that wait.
    pub(crate) async fn write_records(&self) {
        self.journal.write().await;
    }
}

impl Connectors {
    /// What the tightest of an account's rate limits leaves, as its connector's manifest
    /// names them; none: it names none.
    pub async fn budget(
        &self,
        environment: &Environment,
        live: &Live,
    ) -> Result<Option<BudgetLeft>, StoreError> {
        let Some(connector) = self.find(environment, &live.credential.app_key) else {
            return Ok(None);
        };
        let Rates { account, rules } = Rates::of(&connector.manifest, Some(&live.credential));
        let asks = rules.iter().map(|rule| BudgetAsk {
            key: rule.key.clone(),
            limit: rule.requests.into(),
            window: milliseconds(rule.window),
            wanted: 1,
        });
        let asks: Vec<BudgetAsk> = asks.collect();
        let left = environment.store().budgets_left(&account, &asks).await?;
        // By the part that is left of each.
        let part = |one: &BudgetLeft| one.remaining.saturating_mul(1_000_000) / one.limit.max(1);
        Ok(left.into_iter().min_by_key(part))
    }
}

/// Lends what the environment's database says is left.
struct Accounts(Arc<EnvStore>);

#[async_trait]
impl Lender for Accounts {
    async fn lend(&self, account: &str, asks: &[Ask]) -> Result<Lent, Unlent> {
        let asks: Vec<BudgetAsk> = asks
            .iter()
            .map(|ask| BudgetAsk {
                key: ask.key.clone(),
                limit: ask.limit.into(),
                window: milliseconds(ask.window),
                wanted: ask.wanted.into(),
            })
            .collect();
        let lent = self.0.lend_requests(account, &asks).await;
        Ok(match lent.map_err(|error| Unlent(error.to_string()))? {
            BudgetsLent::Closed(wait) => Lent {
                closed: Some(duration(wait)),
                loans: Vec::new(),
            },
            BudgetsLent::Loans(loans) => Lent {
                closed: None,
                loans: loans.into_iter().map(loan).collect(),
            },
        })
    }

    async fn close(&self, account: &str, wait: Duration) -> Result<(), Unlent> {
        let closed = self.0.close_account(account, milliseconds(wait)).await;
        closed.map_err(|error| Unlent(error.to_string()))
    }
}

fn loan(loan: BudgetLoan) -> Loan {
    match loan {
        BudgetLoan::Requests { requests, good_for } => Loan::Requests(
            u32::try_from(requests).unwrap_or_default(),
            duration(good_for),
        ),
        BudgetLoan::Wait(wait) => Loan::Wait(duration(wait)),
    }
}

fn duration(milliseconds: i64) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or_default())
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Records of requests, gathered here and written in batches.
struct Journal {
    environment: String,
    store: Arc<EnvStore>,
    waiting: Mutex<Waiting>,
    many: Notify,
    /// Batches are written in their order.
    writing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Waiting {
    calls: Vec<OutboundCall>,
    /// What there was no room for.
    lost: u64,
}

impl egress::Recorder for Journal {
    fn record(&self, exchange: Exchange) {
        let mut waiting = self.waiting.lock();
        if waiting.calls.len() >= WAITING_MOST {
            waiting.lost += 1;
            return;
        }
        waiting.calls.push(call(exchange));
        if waiting.calls.len() >= WRITE_AFTER {
            self.many.notify_one();
        }
    }
}

fn call(exchange: Exchange) -> OutboundCall {
    let at = exchange.at.duration_since(SystemTime::UNIX_EPOCH);
    let (status, failure) = match exchange.outcome {
        egress::Outcome::Status(status) => (Some(i64::from(status)), None),
        egress::Outcome::Failed(kind) => (None, Some(kind.to_owned())),
    };
    OutboundCall {
        at: milliseconds(at.unwrap_or_default()),
        request_id: exchange.request_id.to_string(),
        credential_id: exchange.credential.map(|id| id.to_string()),
        connector: exchange.connector,
        method: exchange.method,
        host: exchange.host,
        path: exchange.path,
        status,
        failure,
        sent: i64::try_from(exchange.sent).unwrap_or(i64::MAX),
        received: i64::try_from(exchange.received).unwrap_or(i64::MAX),
        milliseconds: milliseconds(exchange.took),
        attempt: exchange.attempt.into(),
    }
}

impl Journal {
    /// Writes again and again, until nobody else has the journal.
    async fn keep(journal: Weak<Self>) {
        while let Some(journal) = journal.upgrade() {
            let many = journal.many.notified();
            let _ = tokio::time::timeout(WRITE_EVERY, many).await;
            journal.write().await;
        }
    }

    /// Writes what waits. What can't be written waits on, as far as there is room.
    async fn write(&self) {
        let _writing = self.writing.lock().await;
        let Waiting { mut calls, lost } = std::mem::take(&mut *self.waiting.lock());
        let (environment, mut written) = (&self.environment, 0);
        for batch in calls.chunks(WRITE_AFTER) {
            if let Err(error) = self.store.record_outbound_calls(batch).await {
                tracing::debug!(environment, %error, "records of outbound calls wait");
                break;
            }
            written += batch.len();
        }
        calls.drain(..written);
        let mut waiting = self.waiting.lock();
        if !calls.is_empty() {
            // Those that came meanwhile are younger.
            calls.append(&mut waiting.calls);
            let room = calls.len().min(WAITING_MOST);
            waiting.lost += (calls.len() - room) as u64;
            calls.truncate(room);
            waiting.calls = calls;
            waiting.lost += lost;
        } else if lost > 0 {
            tracing::warn!(
                environment,
                lost,
                "outbound calls were made that there is no record of"
            );
        }
    }
}
