//! What was meant and what was answered, one JSON object per line.
//!
//! A line is on the disk before the request that it speaks of is sent, or before
//! anything is concluded from the answer. So the order of lines is an order of
//! events, and needs no clock: an operation happened between its two lines.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::records::Entity;

/// Who does it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum By {
    /// A client of the API.
    Client,
    /// Somebody who works in the app.
    App,
}

/// What is done to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verb {
    Create,
    Update,
    Delete,
}

/// What somebody is about to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) operation: u64,
    pub(crate) by: By,
    /// Number of the account.
    pub(crate) account: usize,
    pub(crate) entity: Entity,
    pub(crate) verb: Verb,
    /// Which record.
    pub(crate) marker: String,
    /// What is in it then.
    pub(crate) value: String,
    /// The marker of the person that a new record belongs to.
    pub(crate) person: Option<String>,
    /// The `Idempotency-Key`.
    pub(crate) key: Option<String>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outcome {
    /// It is so.
    Done {
        /// Our id of the record.
        id: Option<String>,
        /// The app's.
        original: Option<u64>,
    },
    /// It is not, and never will be.
    Refused { status: u16, code: String },
    /// Nobody said so until the end.
    Open,
}

/// A line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
enum Line {
    Intent(Intent),
    Outcome { operation: u64, outcome: Outcome },
    FirstSync { account: usize, complete: bool },
    Fault { number: usize, fault: String },
}

/// An open ledger.
#[derive(Clone)]
pub(crate) struct Ledger {
    file: Arc<Mutex<File>>,
    began: Instant,
    operations: Arc<AtomicU64>,
}

impl Ledger {
    /// Begins an empty one.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| path.display().to_string())?;
        Ok(Self {
            file: Arc::new(Mutex::new(file)),
            began: Instant::now(),
            operations: Arc::new(AtomicU64::new(1)),
        })
    }

    /// The number of the next operation.
    pub(crate) fn number(&self) -> u64 {
        self.operations.fetch_add(1, Ordering::Relaxed)
    }

    /// To be called, and to return, before the request is sent.
    pub(crate) async fn intend(&self, intent: Intent) -> Result<()> {
        self.write(Line::Intent(intent)).await
    }

    /// To be called before anything is concluded from an answer.
    pub(crate) async fn settle(&self, operation: u64, outcome: Outcome) -> Result<()> {
        self.write(Line::Outcome { operation, outcome }).await
    }

    /// An account was connected, or its first sync is complete.
    pub(crate) async fn first_sync(&self, account: usize, complete: bool) -> Result<()> {
        self.write(Line::FirstSync { account, complete }).await
    }

    /// Something goes wrong now.
    pub(crate) async fn fault(&self, number: usize, fault: String) -> Result<()> {
        self.write(Line::Fault { number, fault }).await
    }

    async fn write(&self, line: Line) -> Result<()> {
        let (file, ms) = (self.file.clone(), self.began.elapsed().as_millis());
        let write = move || -> Result<()> {
            let mut line = serde_json::to_value(line)?;
            if let Some(line) = line.as_object_mut() {
                line.insert("ms".into(), u64::try_from(ms)?.into());
            }
            let mut file = file.lock();
            writeln!(file, "{line}")?;
            file.sync_data()?;
            Ok(())
        };
        let written = tokio::task::spawn_blocking(write).await?;
        written.context("the ledger can't be written")
    }
}

/// An operation as the ledger tells it.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) intent: Intent,
    pub(crate) outcome: Outcome,
    /// It did not happen before this line.
    pub(crate) begin: usize,
    /// It did not happen after this line.
    pub(crate) end: usize,
}

impl Operation {
    /// It certainly happened.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.outcome, Outcome::Done { .. })
    }

    /// It may have happened.
    pub(crate) fn may_be(&self) -> bool {
        !matches!(self.outcome, Outcome::Refused { .. })
    }
}

/// Reads a ledger, operations in the order in which they began. One without an
/// outcome is open.
pub(crate) fn read(path: &Path) -> Result<Vec<Operation>> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut operations: BTreeMap<u64, Operation> = BTreeMap::new();
    for (at, line) in BufReader::new(file).lines().enumerate() {
        let line: Line = serde_json::from_str(&line?).with_context(|| format!("line {at}"))?;
        match line {
            Line::Intent(intent) => {
                let operation = Operation {
                    begin: at,
                    end: usize::MAX,
                    outcome: Outcome::Open,
                    intent,
                };
                operations.insert(operation.intent.operation, operation);
            }
            Line::Outcome { operation, outcome } => {
                let Some(known) = operations.get_mut(&operation) else {
                    bail!("line {at}: nobody meant operation {operation}");
                };
                if outcome != Outcome::Open {
                    known.end = at;
                }
                known.outcome = outcome;
            }
            Line::FirstSync { .. } | Line::Fault { .. } => {}
        }
    }
    let mut operations: Vec<Operation> = operations.into_values().collect();
    operations.sort_by_key(|operation| operation.begin);
    Ok(operations)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let ledger = Ledger::create(&path).unwrap();
        let intent = |operation| Intent {
            operation,
            by: By::Client,
            account: 0,
            entity: Entity::Notes,
            verb: Verb::Create,
            marker: "fault-1".into(),
            value: "value-1".into(),
            person: Some("fault-0".into()),
            key: Some("a key".into()),
        };
        let (one, two) = (ledger.number(), ledger.number());
        ledger.intend(intent(one)).await.unwrap();
        ledger.fault(1, "kill".into()).await.unwrap();
        ledger.intend(intent(two)).await.unwrap();
        let done = Outcome::Done {
            id: Some("ours".into()),
            original: Some(5),
        };
        ledger.settle(one, done.clone()).await.unwrap();
        ledger.first_sync(0, true).await.unwrap();

        let read = read(&path).unwrap();
        let [first, second] = read.as_slice() else {
            unreachable!("{read:?}");
        };
        assert_eq!((first.begin, first.end), (0, 3));
        assert_eq!(
            (&first.intent, &first.outcome, first.is_done()),
            (&intent(one), &done, true)
        );
        assert_eq!((second.begin, second.end), (2, usize::MAX));
        assert!(second.may_be() && !second.is_done());
    }
}
