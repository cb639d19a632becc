//! Durations as figures, and the table of what was found.

use std::{io::Write as _, time::Duration};

use super::PostgresDatabase;
use crate::generate::tree;

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
    section: &'static str,
    lines: Vec<[String; 5]>,
}

impl Report {
    /// The lines that follow belong to this suite.
    pub fn section(&mut self, name: &'static str) {
        self.section = name;
    }

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
        let line = [self.section, what, figure, bound, verdict].map(str::to_owned);
        say(&line.join("  "));
        self.lines.push(line);
    }

    /// A database of PostgreSQL, or a line that says that there is none.
    ///
    /// # Errors
    /// When the server does not let a database be created.
    pub async fn postgres(&mut self) -> anyhow::Result<Option<PostgresDatabase>> {
        let database = PostgresDatabase::create().await?;
        if database.is_none() {
            self.told("on PostgreSQL", "not measured: no server answers");
        }
        Ok(database)
    }

    /// Prints the table.
    pub fn print(&self) {
        say(&format!("\n{}", self.table()));
    }

    /// Writes `docs/benchmarks.md`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self) -> anyhow::Result<()> {
        let page = format!(
            "# Benchmarks\n\n\
             Written by `make bench`; the figures are those of one run on {}. A figure with a bound is held against it in the \
             same run, and ratios are against a peer that was measured beside it. `make bench ONLY=\"<suite>\"` repeats one \
             suite and prints it. What each suite does is described in `tests/src/bench/mod.rs`.\n\n{}",
            machine(),
            self.table()
        );
        std::fs::write(tree::root().join("docs/benchmarks.md"), page)?;
        Ok(())
    }

    fn table(&self) -> String {
        let mut table = String::from("| suite | what | figure | bound | |\n|---|---|---|---|---|\n");
        for [suite, what, figure, bound, verdict] in &self.lines {
            table.push_str(&format!("| {suite} | {what} | {figure} | {bound} | {verdict} |\n"));
        }
        table
    }
}

/// Processor, cores, memory and system of this machine.
fn machine() -> String {
    let read = |path: &str, key: &str| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_owned()
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let memory: u64 = read("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or_default();
    let processor = read("/proc/cpuinfo", "model name");
    format!("{processor}, {cores} cores, {} GiB, {}", memory.div_ceil(1024 * 1024), std::env::consts::OS)
}

fn say(text: &str) {
    drop(writeln!(std::io::stdout().lock(), "{text}"));
}
