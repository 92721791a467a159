//! Totals of several test runs, read from the lines cargo's test programs print.

use std::fmt;

/// Tests by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Ignored, or left out by a filter.
    pub(crate) skipped: u64,
}

impl Totals {
    /// Reads `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered
    /// out; finished in 0.01s`; `None` for any other line.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let counts = line.trim().strip_prefix("test result: ")?;
        let (_, counts) = counts.split_once(". ")?;
        let mut totals = Self::default();
        for count in counts.split("; ") {
            let Some((number, what)) = count.split_once(' ') else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match what {
                "passed" => totals.passed += number,
                "failed" => totals.failed += number,
                "ignored" | "filtered out" => totals.skipped += number,
                _ => {}
            }
        }
        Some(totals)
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// True if tests ran and none failed.
    pub(crate) fn good(self) -> bool {
        self.passed > 0 && self.failed == 0
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn result_lines_are_read() {
        let line = "test result: ok. 31 passed; 0 failed; 2 ignored; 0 measured; 5 filtered out; \
                    finished in 0.31s";
        let totals = Totals::of_line(line).unwrap();
        assert_eq!(totals.to_string(), "31 passed, 0 failed, 7 skipped");
        assert!(totals.good());

        let line = "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out";
        let totals = Totals::of_line(line).unwrap();
        assert_eq!(totals.to_string(), "3 passed, 1 failed, 0 skipped");
        assert!(!totals.good());
    }

    #[test]
    fn other_lines_are_not() {
        for line in [
            "test reads_totals ... ok",
            "running 3 tests",
            "all doctests ran in 0.4s; merged doctests compilation took 0.3s",
            "a test result: ok. 1 passed",
            "",
        ] {
            assert_eq!(Totals::of_line(line), None, "{line}");
        }
    }

    #[test]
    fn no_test_at_all_is_not_good() {
        let mut sum = Totals::default();
        assert!(!sum.good());
        let line = "test result: ok. 0 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        sum.add(Totals::of_line(line).unwrap());
        assert!(!sum.good());
        sum.add(Totals {
            passed: 1,
            failed: 0,
            skipped: 4,
        });
        assert!(sum.good());
    }
}
