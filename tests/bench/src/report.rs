//! Results as people and programs read them.

use std::fmt;

use serde::Serialize;

use crate::measure::{Side, Summary};

/// One measurement: what was compared, and what came of it.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) id: &'static str,
    pub(crate) title: String,
    pub(crate) settings: Vec<String>,
    pub(crate) rows: Vec<Row>,
    /// What there is to say beside the rows.
    pub(crate) notes: Vec<String>,
    pub(crate) goals: Vec<Goal>,
}

/// A side's figures.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Microseconds per operation.
    pub(crate) micros: Summary,
    pub(crate) per_second: Summary,
    pub(crate) cpu_ms_per_1000: Summary,
    pub(crate) peak_rss_bytes: u64,
}

impl From<&Side> for Row {
    fn from(side: &Side) -> Self {
        Self {
            name: side.name.clone(),
            micros: side.micros(),
            per_second: side.rate(),
            cpu_ms_per_1000: side.cpu(),
            peak_rss_bytes: side.peak_rss,
        }
    }
}

/// A goal and how far from it we are.
#[derive(Debug, Serialize)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) value: Summary,
    pub(crate) goal: f64,
    /// The value may not be below the goal; otherwise it may not be above.
    pub(crate) at_least: bool,
    /// `x` for ratios.
    pub(crate) unit: &'static str,
}

impl Goal {
    pub(crate) fn at_most(
        what: impl Into<String>,
        value: Summary,
        goal: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            what: what.into(),
            value,
            goal,
            at_least: false,
            unit,
        }
    }

    pub(crate) fn at_least(
        what: impl Into<String>,
        value: Summary,
        goal: f64,
        unit: &'static str,
    ) -> Self {
        Self {
            at_least: true,
            ..Self::at_most(what, value, goal, unit)
        }
    }

    /// How much is missing; zero or less if the goal is met.
    fn gap(&self) -> f64 {
        let beyond = self.value.median - self.goal;
        if self.at_least { -beyond } else { beyond }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            what,
            value,
            goal,
            unit,
            ..
        } = self;
        let sign = if self.at_least { "≥" } else { "≤" };
        let verdict = match self.gap() {
            gap if gap <= 0.0 => "met".to_owned(),
            gap => format!("missed by {}", number(gap)),
        };
        write!(
            f,
            "{what}: {}{unit} ({}–{}), goal {sign} {}{unit}: {verdict}",
            number(value.median),
            number(value.min),
            number(value.max),
            number(*goal),
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{} — {}", self.id, self.title)?;
        for setting in &self.settings {
            writeln!(f, "  {setting}")?;
        }
        if !self.rows.is_empty() {
            let mut table = vec![
                [
                    "",
                    "µs each",
                    "(min–max)",
                    "per second",
                    "(min–max)",
                    "CPU-ms/1,000",
                    "peak RSS",
                ]
                .map(str::to_owned),
            ];
            table.extend(self.rows.iter().map(|row| {
                [
                    row.name.clone(),
                    number(row.micros.median),
                    range(row.micros),
                    number(row.per_second.median),
                    range(row.per_second),
                    number(row.cpu_ms_per_1000.median),
                    megabytes(row.peak_rss_bytes),
                ]
            }));
            aligned(f, &table)?;
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        for goal in &self.goals {
            writeln!(f, "  {} {goal}", self.id)?;
        }
        Ok(())
    }
}

fn aligned<const N: usize>(f: &mut fmt::Formatter<'_>, table: &[[String; N]]) -> fmt::Result {
    let mut widths = [0; N];
    for row in table {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in table {
        write!(f, "  ")?;
        for (at, (width, cell)) in widths.iter().zip(row).enumerate() {
            match at {
                0 => write!(f, "{cell:<width$}")?,
                _ => write!(f, "  {cell:>width$}")?,
            }
        }
        writeln!(f)?;
    }
    Ok(())
}

fn range(summary: Summary) -> String {
    format!("{}–{}", number(summary.min), number(summary.max))
}

/// Three figures that matter, thousands apart.
pub(crate) fn number(value: f64) -> String {
    if value.abs() < 10.0 {
        return format!("{value:.2}");
    }
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) && !text.ends_with('-') {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes as MB, of a million each.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{} MB", number(bytes as f64 / 1e6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exactly(value: f64) -> Summary {
        Summary::of([value])
    }

    #[test]
    fn a_goal_says_whether_it_is_met_and_what_is_missing() {
        let met = Goal::at_most("instance", exactly(1.2), 1.3, "x").to_string();
        assert!(met.ends_with("goal ≤ 1.30x: met"), "{met}");
        let missed = Goal::at_most("instance", exactly(1.42), 1.3, "x").to_string();
        assert!(missed.ends_with("missed by 0.12"), "{missed}");
        let missed = Goal::at_least("sync", exactly(12_000.0), 15_000.0, "/s").to_string();
        assert!(
            missed.ends_with("goal ≥ 15,000/s: missed by 3,000"),
            "{missed}"
        );
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(1.234), "1.23");
        assert_eq!(number(56.78), "56.8");
        assert_eq!(number(1_234_567.0), "1,234,567");
        assert_eq!(number(-123.0), "-123");
    }
}
