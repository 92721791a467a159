//! The hosts' API, called as a careful product calls it: any host, and again with
//! the same key until there is an answer that counts.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::Value;

use crate::dice::Dice;
use crate::found::{Findings, Sort};
use crate::hosts::Cluster;

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The longest pause between two attempts, whatever the host asks for.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Records on a page.
const PAGE: usize = 500;

/// A client of all hosts.
#[derive(Clone)]
pub(crate) struct Api {
    http: reqwest::Client,
    cluster: Arc<Cluster>,
    last: Arc<Mutex<Option<Instant>>>,
    findings: Findings,
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// Whose token; the environment's without.
    pub(crate) consumer: Option<String>,
    pub(crate) credential: Option<String>,
    /// The `Idempotency-Key`.
    pub(crate) key: Option<String>,
    pub(crate) body: Option<Value>,
}

impl Call {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            consumer: None,
            credential: None,
            key: None,
            body: None,
        }
    }
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    retry_after: Option<Duration>,
}

impl Answer {
    pub(crate) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The code of a refusal.
    pub(crate) fn code(&self) -> &str {
        let code = self.body.pointer("/errors/0/code");
        code.and_then(Value::as_str).unwrap_or_default()
    }

    /// A host knows what it lacks, and says when to ask again.
    fn is_helpless(&self) -> bool {
        self.status == 500 || (self.status == 503 && self.retry_after.is_none())
    }

    /// How long to wait before the same is asked again; none if the answer counts.
    fn again(&self) -> Option<Duration> {
        let open = match self.status {
            // Another host made the environment or the credential a moment ago.
            401 | 408 | 425 | 429 | 500.. => true,
            403 => self.code() == "invalid_credential",
            409 => matches!(
                self.code(),
                "write_in_progress" | "data_not_ready" | "first_sync_failed"
            ),
            _ => false,
        };
        let wait = self.retry_after.unwrap_or(Duration::from_millis(200));
        open.then(|| wait.clamp(Duration::from_millis(50), LONGEST_PAUSE))
    }
}

impl Api {
    pub(crate) fn new(cluster: Arc<Cluster>, findings: Findings) -> Result<Self> {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(2))
            .timeout(ATTEMPT)
            .build()?;
        Ok(Self {
            http,
            cluster,
            last: Arc::default(),
            findings,
        })
    }

    /// When a request that succeeded was sent, the last of them.
    pub(crate) fn last_success(&self) -> Option<Instant> {
        *self.last.lock()
    }

    /// One attempt at one host.
    pub(crate) async fn at(&self, host: &str, call: &Call) -> Result<Answer> {
        let asked = Instant::now();
        let token = self.cluster.token(call.consumer.as_deref())?;
        let address = format!("{host}{}", call.path);
        let mut request = self.http.request(call.method.clone(), address);
        request = request.bearer_auth(token);
        if let Some(credential) = &call.credential {
            request = request.header("X-Rollout-Credential-Id", credential);
        }
        if let Some(key) = &call.key {
            request = request.header("Idempotency-Key", key);
        }
        if let Some(body) = &call.body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let retry_after = answer.headers().get("retry-after");
        let retry_after = retry_after
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let text = answer.text().await?;
        let body = match text.as_str() {
            "" => Value::Null,
            text => serde_json::from_str(text)
                .with_context(|| format!("{status}, and not JSON: {text}"))?,
        };
        let answer = Answer {
            status,
            body,
            retry_after,
        };
        if answer.is_helpless() {
            let text = format!("{} {}: {status} {}", call.method, call.path, answer.body);
            self.findings.add(Sort::Wrong, text);
        }
        if answer.is_success() {
            let mut last = self.last.lock();
            *last = (*last).max(Some(asked));
        }
        Ok(answer)
    }

    /// Asks the hosts until there is an answer that counts; forgets about it when
    /// `patience` is over and says what the last attempt met.
    pub(crate) async fn ask(
        &self,
        call: &Call,
        dice: &mut Dice,
        patience: Duration,
    ) -> Result<Answer> {
        let began = Instant::now();
        loop {
            let host = self.cluster.one(dice);
            let (met, pause) = match self.at(&host, call).await {
                Ok(answer) => match answer.again() {
                    None => return Ok(answer),
                    Some(pause) => (format!("{} {}", answer.status, answer.body), pause),
                },
                Err(error) => (format!("{error:#}"), dice.millis(20, 200)),
            };
            if began.elapsed() + pause > patience {
                bail!(
                    "{} {}: no answer that counts for {patience:?}; the last attempt: {met}",
                    call.method,
                    call.path
                );
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// All records of a list of one host, by `next`.
    pub(crate) async fn list(&self, host: &str, call: &Call) -> Result<Vec<Value>> {
        let mut records = Vec::new();
        let mut next = String::new();
        loop {
            let page = Call {
                path: format!("{}?limit={PAGE}{next}", call.path),
                ..call.clone()
            };
            let answer = self.at(host, &page).await?;
            if !answer.is_success() {
                bail!("{}: {} {}", page.path, answer.status, answer.body);
            }
            let metadata = |name: &str| {
                let value = answer.body.get("_metadata")?.get(name)?;
                value.as_str().map(str::to_owned)
            };
            let collection = metadata("collection").context("a list without a name")?;
            let items = answer
                .body
                .get(collection.as_str())
                .and_then(Value::as_array);
            records.extend(items.context("a list without items")?.iter().cloned());
            match metadata("next") {
                Some(cursor) => next = format!("&next={cursor}"),
                None => return Ok(records),
            }
        }
    }
}
