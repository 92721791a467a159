//! A record of every request: that it was made, where to, and what came of it.
//!
//! Records hold no header, no body and no query, and their texts are blanked of
//! secrets, so that they can be kept and shown.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::grant::Grant;
use crate::{Failure, Response};

/// Longest host or path that is kept, in bytes.
const LONGEST: usize = 500;
/// Longest method: a refused one may be anything.
const LONGEST_METHOD: usize = 16;

/// One request that a connector made, or tried to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// What it was made for: the id of a request to the API, or of a job.
    pub request_id: Arc<str>,
    /// The account's credential; none while it is being connected.
    pub credential: Option<Arc<str>>,
    /// The connector's key.
    pub connector: String,
    /// When it began.
    pub at: SystemTime,
    /// The method.
    pub method: String,
    /// The host; empty if the URL was refused.
    pub host: String,
    /// The path without its query; empty if the URL was refused.
    pub path: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Bytes of the request's body.
    pub sent: u64,
    /// Decoded bytes of the answer's body.
    pub received: u64,
    /// How long it took from leaving to the answer's last byte.
    pub took: Duration,
    /// 1, or 2 for the second try of a request.
    pub attempt: u32,
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The app answered with this status.
    Status(u16),
    /// It did not: the kind of failure as one word, `timeout`.
    Failed(&'static str),
}

/// Keeps records. Called once per request; it must not block.
pub trait Recorder: Send + Sync {
    /// Keeps a record.
    fn record(&self, exchange: Exchange);
}

/// For whom and for what a call's requests are recorded.
#[derive(Clone)]
pub struct Trace {
    /// Who keeps the records.
    pub recorder: Arc<dyn Recorder>,
    /// What the call is made for.
    pub request_id: Arc<str>,
    /// The account's credential; none while it is being connected.
    pub credential: Option<Arc<str>>,
}

/// A record that is being made. One that is dropped says that its request was cut off.
pub(crate) struct Entry<'g> {
    grant: &'g Grant,
    exchange: Exchange,
    began: Instant,
}

impl<'g> Entry<'g> {
    pub(crate) fn open(grant: &'g Grant, method: &str, sent: usize, attempt: u32) -> Entry<'g> {
        let trace = grant.trace();
        Entry {
            exchange: Exchange {
                request_id: trace.map_or_else(|| Arc::from(""), |trace| trace.request_id.clone()),
                credential: trace.and_then(|trace| trace.credential.clone()),
                connector: grant.access().policy().connector.clone(),
                at: SystemTime::now(),
                method: method.to_owned(),
                host: String::new(),
                path: String::new(),
                outcome: Outcome::Failed("cut-off"),
                sent: sent as u64,
                received: 0,
                took: Duration::ZERO,
                attempt,
            },
            grant,
            began: Instant::now(),
        }
    }

    /// Where it goes to.
    pub(crate) fn to(&mut self, host: &str, path: &str) {
        host.clone_into(&mut self.exchange.host);
        path.clone_into(&mut self.exchange.path);
    }

    /// It leaves now.
    pub(crate) fn leaves(&mut self) {
        self.exchange.at = SystemTime::now();
        self.began = Instant::now();
    }

    /// The app answered with this status and so many bytes.
    pub(crate) fn answered(&mut self, response: &Response) {
        self.exchange.outcome = Outcome::Status(response.status);
        self.exchange.received = response.body.len() as u64;
    }

    /// It came to nothing.
    pub(crate) fn failed(&mut self, failure: &Failure) {
        self.exchange.outcome = Outcome::Failed(failure.kind());
        let said = failure.to_string();
        tracing::debug!(
            request_id = &*self.exchange.request_id,
            failure = &*self.grant.redactor().redact_strict(&said),
            "no exchange"
        );
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let Some(trace) = self.grant.trace() else {
            return;
        };
        let redactor = self.grant.redactor();
        let blank = |text: &str, longest: usize| {
            let clean = redactor.redact_strict(text);
            let end = clean.floor_char_boundary(longest);
            let kept = clean.get(..end).unwrap_or_default();
            kept.replace(char::is_control, "?")
        };
        let exchange = &self.exchange;
        trace.recorder.record(Exchange {
            method: blank(&exchange.method, LONGEST_METHOD),
            host: blank(&exchange.host, LONGEST),
            path: blank(&exchange.path, LONGEST),
            took: self.began.elapsed(),
            ..exchange.clone()
        });
    }
}
