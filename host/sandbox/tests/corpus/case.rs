//! What a row of the corpus is.

use std::time::Duration;

use rollout_sandbox::Limits;

use crate::guest::Guest;

/// How a guest ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It answers.
    Answers,
    /// It answers with an error of the contract.
    Error,
    /// It is not loaded.
    Refused,
    /// It crashes.
    Trap,
    /// It reaches its CPU limit.
    Cpu,
    /// It reaches its time limit.
    Wall,
    /// It reaches its memory limit.
    Memory,
    /// It reaches its limit of table elements.
    Table,
    /// Anything else.
    Other,
}

/// One guest, and what must become of it.
pub(crate) struct Case {
    /// Its line in the table.
    pub(crate) name: String,
    /// Makes its file.
    pub(crate) file: Box<dyn Fn() -> Vec<u8>>,
    /// How it must end.
    pub(crate) kind: Kind,
    /// A part of what is said then: of the error, or of the last line logged.
    pub(crate) says: String,
    /// What it may use up.
    pub(crate) limits: Limits,
    /// One of so many repeats is enough, because each costs much.
    pub(crate) one_of: usize,
}

impl Case {
    /// A row of a file.
    pub(crate) fn of_file(
        name: impl Into<String>,
        file: impl Fn() -> Vec<u8> + 'static,
        kind: Kind,
        says: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            file: Box::new(file),
            kind,
            says: says.into(),
            limits: limits(),
            one_of: match kind {
                // A compilation, or as much time as there is.
                Kind::Refused => 20,
                Kind::Cpu | Kind::Wall => 8,
                _ => 1,
            },
        }
    }

    /// A row of a guest.
    pub(crate) fn new(name: &str, guest: Guest, kind: Kind, says: &str) -> Self {
        let case = Self::of_file(name, move || guest.file(), kind, says);
        match kind {
            // Nothing is lost by waiting less.
            Kind::Wall => case.with(|limits| limits.wall = Duration::from_millis(300)),
            _ => case,
        }
    }

    /// With other limits.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// Repeated less often.
    pub(crate) fn one_of(mut self, repeats: usize) -> Self {
        self.one_of = repeats;
        self
    }
}

/// Small ones, so that a row takes a moment. Time by the clock is far from CPU time:
/// on a busy machine a loop gets little CPU in much time.
fn limits() -> Limits {
    Limits {
        calls: 32,
        memory: 8 << 20,
        cpu: Duration::from_millis(50),
        wall: Duration::from_secs(10),
        compile: Duration::from_secs(5),
        compile_memory: 512 << 20,
        ..Limits::default()
    }
}
