//! Durations as figures, and the table of what was found.

use std::{io::Write as _, time::Duration};

/// Measured durations.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    sorted: Vec<Duration>,
}

impl Figures {
    /// Takes durations in any order.
    #[must_use]
    pub fn of(mut durations: Vec<Duration>) -> Self {
        durations.sort_unstable();
        Self { sorted: durations }
    }

    /// The duration that this share of all does not exceed, in milliseconds.
    #[must_use]
    pub fn quantile_ms(&self, share: f64) -> f64 {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an index"
        )]
        let index = ((self.sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
        self.sorted.get(index).map_or(f64::NAN, |duration| duration.as_secs_f64() * 1000.0)
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.sorted.len()
    }

    /// How often a duration of this set is longer than one of the other, ties counted half: 0.5 means that times tell
    /// nothing (the area under the ROC curve, as in the Mann–Whitney test).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share of a few thousand pairs")]
    pub fn auc(&self, other: &Self) -> f64 {
        let mut wins = 0.0;
        for left in &self.sorted {
            wins += other.sorted.partition_point(|right| right < left) as f64;
            wins += other.sorted.iter().filter(|right| *right == left).count() as f64 / 2.0;
        }
        wins / (self.sorted.len() * other.sorted.len()) as f64
    }
}

/// What was found, line by line.
#[derive(Debug, Default)]
pub struct Report {
    lines: Vec<[String; 4]>,
}

impl Report {
    /// Adds a figure that is held against a bound.
    pub fn held(&mut self, what: &str, figure: &str, bound: &str, is_kept: bool) {
        let verdict = if is_kept { "kept" } else { "MISSED" };
        self.add(what, figure, bound, verdict);
    }

    /// Adds a figure that is only told.
    pub fn told(&mut self, what: &str, figure: &str) {
        self.add(what, figure, "", "");
    }

    fn add(&mut self, what: &str, figure: &str, bound: &str, verdict: &str) {
        let line = [what, figure, bound, verdict].map(str::to_owned);
        say(&line.join("  "));
        self.lines.push(line);
    }

    /// Prints the table.
    pub fn print(&self) {
        let mut table = String::from("\n| what | figure | bound | |\n|---|---|---|---|\n");
        for [what, figure, bound, verdict] in &self.lines {
            table.push_str(&format!("| {what} | {figure} | {bound} | {verdict} |\n"));
        }
        say(&table);
    }
}

fn say(text: &str) {
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}
