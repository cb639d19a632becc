//! Fault runs: an installation is hurt in every way that its guarantees speak of, and must keep them.
//!
//! ```text
//! scenario ─► faults under load ─► all processes whole again ─► all quiet ─► the oracle: I1 … I8 ─► a line of the table
//! ```
//!
//! Everything it stands on is its own and on 127.0.0.1: a RabbitMQ node, a PostgreSQL cluster, a mail server, proxies. The
//! processes are `gatepost-chaos`, the executable with crash points (`shared::chaos`).

mod broker_faults;
mod cluster;
mod database_faults;
mod load;
mod mail_faults;
mod oracle;
mod points;
mod process_faults;
mod proxy;
mod report;
mod rig;
mod run;
mod upgrade;

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
pub use cluster::Cluster;
pub use load::Load;
pub use oracle::{Findings, Oracle};
pub use process_faults::faked_clock;
pub use proxy::{Mode, Proxy};
pub use report::{Line, Table, say};
pub use rig::{Ground, PROGRAM, Rig, Stack};
pub use run::Run;
use shared::chaos::POINTS;

/// How much a run does.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// How often each crash point is passed deadly; 0 for everything else only.
    pub seeds: usize,
    /// How often every other fault is repeated; 0 for crash points only.
    pub rounds: usize,
}

/// When this much went into the crash points of one stack, those that are left are passed half as often, for the sake of
/// the 25 minutes that a whole run may take on a slow machine as well.
const CRASHING: Duration = Duration::from_secs(5 * 60);

impl Size {
    /// Every crash point once.
    pub const SHORT: Self = Self { seeds: 1, rounds: 0 };
    /// Everything but the crash points.
    pub const FAULTS: Self = Self { seeds: 0, rounds: 3 };
    /// What `make chaos` does.
    pub const FULL: Self = Self { seeds: 10, rounds: 3 };
}

/// Hurts one stack. False where the machine lacks what it needs.
pub async fn hurt(stack: Stack, size: Size, table: &mut Table) -> bool {
    let program = if size.rounds > 0 { upgrade::first_program() } else { PROGRAM };
    let Some(mut run) = Run::start(stack, program).await else { return false };
    if program != PROGRAM {
        upgrade::roll(&mut run, table).await;
    }
    let begin = Instant::now();
    for point in POINTS.into_iter().filter(|_| size.seeds > 0) {
        if points::part_of(point).is_none() {
            say(&format!("not passed by this run: {point}"));
            continue;
        }
        let is_late = begin.elapsed() > CRASHING;
        let seeds = if is_late { size.seeds.div_ceil(2) } else { size.seeds };
        if is_late {
            say(&format!("late: {seeds} instead of {} seeds", size.seeds));
        }
        let crashed = points::crash(&mut run, point, seeds).await;
        run.judge(table, &format!("kill -9 at {point}"), crashed).await;
    }
    if size.rounds > 0 {
        mail_faults::inflict(&mut run, size.rounds, table).await;
        broker_faults::inflict(&mut run, size.rounds, table).await;
        database_faults::inflict(&mut run, size.rounds, table).await;
        process_faults::inflict(&mut run, size.rounds, table).await;
    }
    run.rig.stop().await;
    true
}

/// `make chaos`: both stacks, and the table.
///
/// # Errors
/// When anything was lost or doubled, or when the machine lacks what it needs.
pub async fn run(arguments: &[String]) -> anyhow::Result<()> {
    let begin = Instant::now();
    let says = |word: &str| arguments.iter().any(|argument| argument == word);
    let size = match (says("short"), says("faults")) {
        (true, _) => Size::SHORT,
        (_, true) => Size::FAULTS,
        _ => Size::FULL,
    };
    let only = |name: &str| says(name) || !(says("single") || says("fleet"));
    let mut table = Table::default();
    for (name, stack) in [("single", Stack::Single), ("fleet", Stack::Fleet)] {
        if only(name) && !hurt(stack, size, &mut table).await {
            bail!("PostgreSQL's or RabbitMQ's server is missing, or TEST_AMQP_NODE is not set; run scripts/chaos.sh");
        }
    }
    table.print();
    let violations = table.violations();
    say(&format!("{} faults in {} s", table.injected(), begin.elapsed().as_secs()));
    ensure!(violations.is_empty(), "{} violations:\n{}", violations.len(), violations.join("\n"));
    Ok(())
}
