//! What a run did and found, as one table.

use std::{io::Write as _, time::Duration};

use super::oracle::Findings;

/// One fault scenario on one stack.
pub struct Line {
    /// Which stack.
    pub stack: &'static str,
    /// What was done.
    pub fault: String,
    /// How often.
    pub injected: usize,
    /// What was found after it.
    pub findings: Findings,
    /// Jobs that the scenario added.
    pub jobs: usize,
    /// Extra copies that the scenario added.
    pub copies: usize,
    /// How long the scenario took.
    pub took: Duration,
}

/// All of a run.
#[derive(Default)]
pub struct Table {
    lines: Vec<Line>,
}

impl Table {
    /// Adds a scenario and says so.
    pub fn add(&mut self, line: Line) {
        let verdict = if line.findings.violations.is_empty() { "ok" } else { "VIOLATED" };
        let (seconds, took) = (line.findings.recovery.as_secs_f64(), line.took.as_secs());
        say(&format!(
            "{verdict:<8} {:<22} {:<44} {:>4} faults {:>5} jobs  quiet after {seconds:.1} s, {took} s in all",
            line.stack, line.fault, line.injected, line.jobs
        ));
        for violation in line.findings.violations.iter().take(20) {
            say(&format!("         {violation}"));
        }
        self.lines.push(line);
    }

    /// Faults so far.
    #[must_use]
    pub fn injected(&self) -> usize {
        self.lines.iter().map(|line| line.injected).sum()
    }

    /// Everything that must not be.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        self.lines.iter().flat_map(|line| line.findings.violations.iter().cloned()).collect()
    }

    /// Prints the table and its sums.
    pub fn print(&self) {
        let mut text = String::from(
            "\n| stack | fault | injected | jobs | lost | duplicate effects | extra mail copies | worst recovery, s |\n\
             |---|---|--:|--:|--:|--:|--:|--:|\n",
        );
        for line in &self.lines {
            text.push_str(&format!(
                "| {} | {} | {} | {} | {} | {} | {} | {:.1} |\n",
                line.stack,
                line.fault,
                line.injected,
                line.jobs,
                line.findings.lost,
                line.findings.doubled,
                line.copies,
                line.findings.recovery.as_secs_f64()
            ));
        }
        let sum = |value: fn(&Line) -> usize| self.lines.iter().map(value).sum::<usize>();
        let worst = self.lines.iter().map(|line| line.findings.recovery).max().unwrap_or(Duration::ZERO);
        text.push_str(&format!(
            "| **all** | | **{}** | **{}** | **{}** | **{}** | **{}** | **{:.1}** |\n",
            self.injected(),
            sum(|line| line.jobs),
            sum(|line| line.findings.lost),
            sum(|line| line.findings.doubled),
            sum(|line| line.copies),
            worst.as_secs_f64()
        ));
        say(&text);
    }
}

/// One line to whoever started the run.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{line}"));
}
