//! One line per step, with its seconds: `[2/6] building the connectors … 74 s`.
//!
//! A step that has more to say, or lets cargo draw its own progress on a terminal,
//! breaks its line first and repeats its name at the end.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use anyhow::Result;

/// How often a long build without a terminal gives a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(20);

/// The steps of a command.
pub(crate) struct Progress {
    number: usize,
    total: usize,
}

impl Progress {
    pub(crate) fn of(total: usize) -> Self {
        Self { number: 0, total }
    }

    /// Does the next step between its name and its seconds.
    pub(crate) fn step<T>(
        &mut self,
        name: &str,
        work: impl FnOnce(&Step) -> Result<T>,
    ) -> Result<T> {
        self.number += 1;
        let title = format!("[{}/{}] {name}", self.number, self.total);
        let started = Instant::now();
        say(format_args!("{title} …"))?;
        let step = Step::new(true);
        let outcome = work(&step);
        let seconds = seconds(started.elapsed());
        match (&outcome, step.broken.get()) {
            (Ok(_), false) => say(format_args!(" {seconds}\n"))?,
            (Ok(_), true) => say(format_args!("{title}: {seconds}\n"))?,
            (Err(_), false) => say(format_args!(" failed\n"))?,
            (Err(_), true) => say(format_args!("{title}: failed\n"))?,
        }
        outcome
    }
}

/// A step under way: what its work may say meanwhile.
pub(crate) struct Step {
    audible: bool,
    broken: Cell<bool>,
    last_sign: Cell<Instant>,
    started: Instant,
}

impl Step {
    fn new(audible: bool) -> Self {
        let now = Instant::now();
        Self {
            audible,
            broken: Cell::new(false),
            last_sign: Cell::new(now),
            started: now,
        }
    }

    /// For work that nobody watches, as in tests.
    pub(crate) fn silent() -> Self {
        Self::new(false)
    }

    /// True if programs run by this step may draw on the terminal themselves.
    pub(crate) fn on_terminal(&self) -> bool {
        self.audible && io::stderr().is_terminal()
    }

    /// Ends the step's first line, so that other output can follow.
    pub(crate) fn break_line(&self) -> Result<()> {
        if self.audible && !self.broken.replace(true) {
            say(format_args!("\n"))?;
        }
        Ok(())
    }

    /// Says something on a line of its own.
    pub(crate) fn note(&self, text: &str) -> Result<()> {
        if self.audible {
            self.break_line()?;
            say(format_args!("      {text}\n"))?;
        }
        Ok(())
    }

    /// Says what the work is at, but not more often than every 20 seconds.
    pub(crate) fn sign_of_life(&self, at: &str) -> Result<()> {
        if self.last_sign.get().elapsed() >= SIGN_OF_LIFE {
            self.last_sign.set(Instant::now());
            self.note(&format!("{}: {at}", seconds(self.started.elapsed())))?;
        }
        Ok(())
    }
}

/// Writes to standard output at once.
pub(crate) fn say(text: std::fmt::Arguments<'_>) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_fmt(text)?;
    out.flush()?;
    Ok(())
}

fn seconds(time: Duration) -> String {
    match time.as_secs_f64() {
        short if short < 9.95 => format!("{short:.1} s"),
        long => format!("{long:.0} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_times_have_a_decimal() {
        assert_eq!(seconds(Duration::from_millis(240)), "0.2 s");
        assert_eq!(seconds(Duration::from_millis(9_949)), "9.9 s");
        assert_eq!(seconds(Duration::from_millis(9_960)), "10 s");
        assert_eq!(seconds(Duration::from_millis(74_400)), "74 s");
    }
}
