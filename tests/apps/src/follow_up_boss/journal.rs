//! The request log: who asked what, and what came of it.
//!
//! A request is written down when its answer is ready, or when its client
//! goes away before that (status 0). Only the latest requests are kept, all
//! are counted.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::sync::watch;

/// One request as the simulator saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRequest {
    /// `GET`, `POST`, ...
    pub method: String,
    /// The path with its `/v1`, without the query.
    pub path: String,
    /// The query as sent, without `?`; empty when there was none.
    pub query: String,
    /// The `Authorization` header as sent.
    pub authorization: Option<String>,
    /// The `X-System` header as sent.
    pub system: Option<String>,
    /// The body as text; empty when there was none.
    pub body: String,
    /// The status answered; 0 when the client left before the answer, or the
    /// connection was cut.
    pub status: u16,
}

/// The log and its running count.
#[derive(Debug)]
pub(super) struct Journal {
    capacity: usize,
    entries: Mutex<VecDeque<LoggedRequest>>,
    count: watch::Sender<usize>,
}

impl Journal {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: Mutex::default(),
            count: watch::Sender::new(0),
        }
    }

    /// Opens the entry of a request; it is logged when the entry is dropped.
    pub(super) fn open(&self, request: LoggedRequest) -> Entry<'_> {
        Entry {
            journal: self,
            request: Some(request),
        }
    }

    pub(super) fn entries(&self) -> Vec<LoggedRequest> {
        self.entries.lock().iter().cloned().collect()
    }

    pub(super) fn clear(&self) {
        let mut entries = self.entries.lock();
        entries.clear();
        self.count.send_replace(0);
    }

    /// Waits until `count` requests were logged since the last clearing.
    pub(super) async fn wait_for(&self, count: usize) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self
            .count
            .subscribe()
            .wait_for(|logged| *logged >= count)
            .await;
    }

    fn log(&self, request: LoggedRequest) {
        let mut entries = self.entries.lock();
        entries.push_back(request);
        while entries.len() > self.capacity {
            entries.pop_front();
        }
        self.count.send_modify(|count| *count += 1);
    }
}

/// A request being answered.
pub(super) struct Entry<'a> {
    journal: &'a Journal,
    request: Option<LoggedRequest>,
}

impl Entry<'_> {
    pub(super) fn body(&mut self, body: &[u8]) {
        if let Some(request) = &mut self.request {
            request.body = String::from_utf8_lossy(body).into_owned();
        }
    }

    pub(super) fn status(&mut self, status: u16) {
        if let Some(request) = &mut self.request {
            request.status = status;
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            self.journal.log(request);
        }
    }
}
