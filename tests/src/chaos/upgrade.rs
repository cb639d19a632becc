//! A version is replaced by the next one while callers are at work: the schema first, then one process after the other.
//!
//! ```text
//! all of the version before ─► `migrate` of this one ─► one worker new ─► gateway new ─► the other workers new
//!                              each worker runs twice for a while, old and new
//! ```
//!
//! The version before is a build of it, made by `scripts/version-before.sh` and put beside this executable. On SQLite there is
//! one process, which changes the schema when it starts.

use std::time::{Duration, Instant};

use super::{
    report::{Table, say},
    rig::{PROGRAM, Stack},
    run::Run,
};
use crate::is_built;

/// The executable of the version before.
pub const BEFORE: &str = "gatepost-chaos-before";

/// What an installation begins its life with: the version before, so that it can be upgraded, where there is one.
#[must_use]
pub fn first_program() -> &'static str {
    if is_built(BEFORE) {
        return BEFORE;
    }
    say("there is no build of the version before (scripts/version-before.sh): nothing is upgraded");
    PROGRAM
}

/// Upgrades what runs the version before.
pub async fn roll(run: &mut Run, table: &mut Table) {
    run.work(2).await;
    run.rig.installation.program = PROGRAM;
    match run.rig.stack {
        Stack::Single => replace(run, "serve").await,
        Stack::Fleet => {
            migrate(run).await;
            replace_worker(run, "mail").await;
            replace(run, "gateway").await;
            replace_worker(run, "notify").await;
            replace_worker(run, "sweep").await;
        }
    }
    run.over = Some(Instant::now());
    let replaced = run.rig.names().len();
    run.judge(table, "upgrade from the version before", replaced).await;
}

/// Changes the schema under the processes of the version before.
async fn migrate(run: &mut Run) {
    let mut migration = run.rig.start_as("migrate", "migrate", &["migrate"], &[]);
    run.work(2).await;
    if migration.wait(Duration::from_secs(30)).await != Some(true) {
        run.violations.push("the schema was not changed under load".to_owned());
    }
    run.work(2).await;
}

/// Replaces a worker after both versions shared its queues.
async fn replace_worker(run: &mut Run, name: &'static str) {
    let mut newer = run.rig.start_beside(name).await;
    run.work(2).await;
    replace(run, name).await;
    newer.signal("TERM").await;
    if newer.wait(Duration::from_secs(30)).await != Some(true) {
        run.violations.push(format!("the newer {name} does not end in order"));
    }
}

/// Ends a process of the version before in order and starts its successor.
async fn replace(run: &mut Run, name: &'static str) {
    run.load.burst(&run.rig, 2).await;
    run.rig.terminate(name).await;
    run.rig.launch(name, &[]);
    run.rig.ready().await;
    run.work(2).await;
}
