//! One installation, hurt by one scenario after the other, with the oracle after each.

use std::time::{Duration, Instant};

use super::{
    load::Load,
    oracle::Oracle,
    report::{Line, Table, say},
    rig::{Rig, Stack},
};

/// An installation under test.
pub struct Run {
    /// The installation.
    pub rig: Rig,
    /// Its callers.
    pub load: Load,
    /// What judges.
    pub oracle: Oracle,
    /// When the present fault was over; the time until all is quiet counts from here.
    pub over: Option<Instant>,
    /// What the present scenario found by itself.
    pub violations: Vec<String>,
    /// The longest that callers waited for their answers after one of the present faults was over.
    slowest: Duration,
    begun: Instant,
    jobs: usize,
    copies: usize,
}

impl Run {
    /// Starts the installation as `program` and signs its first users up; `None` where the machine lacks what it needs.
    pub async fn start(stack: Stack, program: &'static str) -> Option<Self> {
        let rig = Rig::start(stack, program).await?;
        let mut load = Load::default();
        load.prepare(&rig).await;
        let oracle = Oracle::default();
        let (begun, violations) = (Instant::now(), Vec::new());
        Some(Self { rig, load, oracle, over: None, violations, slowest: Duration::ZERO, begun, jobs: 0, copies: 0 })
    }

    /// Judges what a scenario left behind: `injected` faults of the kind `fault`.
    pub async fn judge(&mut self, table: &mut Table, fault: &str, injected: usize) {
        let since = self.over.take().unwrap_or_else(Instant::now);
        let mut findings = self.oracle.look(&self.rig, &mut self.load, since).await;
        findings.recovery = findings.recovery.max(std::mem::take(&mut self.slowest));
        findings.violations.append(&mut self.violations);
        if !findings.violations.is_empty() {
            say(&self.rig.installation.logs());
        }
        let jobs = findings.jobs.saturating_sub(std::mem::replace(&mut self.jobs, findings.jobs));
        let copies = findings.copies.saturating_sub(std::mem::replace(&mut self.copies, findings.copies));
        let stack = self.rig.stack.name();
        let took = std::mem::replace(&mut self.begun, Instant::now()).elapsed();
        table.add(Line { stack, fault: fault.to_owned(), injected, findings, jobs, copies, took });
    }

    /// Waits until all callers are answered after a fault.
    pub async fn settle(&mut self) {
        self.load.settle(&self.rig).await;
        self.slowest = self.slowest.max(self.over.map_or(Duration::ZERO, |over| over.elapsed()));
    }

    /// Some load, and the answers to all of it.
    pub async fn work(&mut self, bursts: usize) {
        for _ in 0..bursts {
            self.load.burst(&self.rig, 2).await;
        }
        self.load.settle(&self.rig).await;
    }
}
