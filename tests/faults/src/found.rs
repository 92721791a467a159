//! What was found to be wrong.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// In what way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// Something that was acknowledged, or is at the app, is missing.
    Lost,
    /// Something is there twice.
    Double,
    /// Something is there that must not be, or is not what it must be.
    Wrong,
    /// The feed skips or repeats a number.
    Gap,
    /// An operation never got an answer that counts.
    Open,
    /// A host did not behave: ended by itself, or never came back.
    Host,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// In what way.
    pub sort: Sort,
    /// What it is.
    pub text: String,
}

impl Difference {
    pub(crate) fn new(sort: Sort, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { sort, text }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sort = match self.sort {
            Sort::Lost => "lost",
            Sort::Double => "double",
            Sort::Wrong => "wrong",
            Sort::Gap => "gap",
            Sort::Open => "open",
            Sort::Host => "host",
        };
        write!(out, "{sort}: {}", self.text)
    }
}

/// What is found while the run goes on.
#[derive(Clone, Default)]
pub(crate) struct Findings(Arc<Mutex<Vec<Difference>>>);

impl Findings {
    pub(crate) fn add(&self, sort: Sort, text: impl Into<String>) {
        self.0.lock().push(Difference::new(sort, text));
    }

    pub(crate) fn all(&self) -> Vec<Difference> {
        self.0.lock().clone()
    }
}
