//! The database is killed, stopped, and cut off in the middle of a commit. SQLite is part of its process, which the crash
//! points kill; a full disk under it has a test of its own (`tests/it/faults/disk.rs`).

use std::time::{Duration, Instant};

use super::{
    proxy::Mode,
    report::Table,
    rig::{Ground, Stack},
    run::Run,
};

/// How long a gateway may take to answer again once PostgreSQL does.
const RECOVERY: Duration = Duration::from_secs(10);

/// Inflicts them.
pub async fn inflict(run: &mut Run, rounds: usize, table: &mut Table) {
    if run.rig.stack == Stack::Single {
        return;
    }
    die(run, rounds, table).await;
    cut(run, rounds, table).await;
    hole(run, table).await;
}

fn ground(run: &Run) -> &Ground {
    run.rig.ground.as_ref().expect("a fleet stands on PostgreSQL")
}

/// Of T-DB-01: it dies or is stopped under load. Requests are told 503 and when to ask again; nothing is restarted by hand.
async fn die(run: &mut Run, rounds: usize, table: &mut Table) {
    for round in 0..rounds * 2 {
        let Run { rig, load, .. } = &mut *run;
        let cluster = &rig.ground.as_ref().expect("a fleet stands on PostgreSQL").cluster;
        let dies = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            match round % 3 {
                0 => cluster.kill().await,
                1 => cluster.stop_at_once().await,
                _ => cluster.stop().await,
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            cluster.launch().await;
            Instant::now()
        };
        let asking = async {
            for _ in 0..6 {
                load.burst(rig, 3).await;
            }
        };
        let (up_again, ()) = tokio::join!(dies, asking);
        run.over = Some(up_again);
        run.load.settle(&run.rig).await;
        run.rig.ready().await;
        if up_again.elapsed() > RECOVERY {
            run.violations.push(format!("ready again {:?} after PostgreSQL was", up_again.elapsed()));
        }
    }
    // A worker whose connection broke after its mail was handed over sends it again.
    run.oracle.mail_crashes += rounds * 2;
    run.judge(table, "PostgreSQL killed, stopped", rounds * 2).await;
}

/// Of T-DB-02: the commit arrives, its answer does not; who asked does not know, and asks again.
async fn cut(run: &mut Run, rounds: usize, table: &mut Table) {
    let before = ground(run).sql.commits_cut();
    for _ in 0..rounds {
        ground(run).sql.cut_commits(3);
        run.work(2).await;
    }
    ground(run).sql.cut_commits(0);
    let cut = usize::try_from(ground(run).sql.commits_cut() - before).unwrap_or(0);
    run.oracle.mail_crashes += cut;
    run.judge(table, "PostgreSQL connection cut inside COMMIT", cut).await;
}

/// Its network is a black hole for a while, then hangs up.
async fn hole(run: &mut Run, table: &mut Table) {
    for mode in [Mode::Stall, Mode::Refuse] {
        ground(run).sql.set(mode);
        run.load.burst(&run.rig, 3).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        ground(run).sql.set(Mode::Pass);
        run.over = Some(Instant::now());
        run.load.settle(&run.rig).await;
    }
    run.rig.ready().await;
    run.oracle.mail_crashes += 2;
    run.judge(table, "PostgreSQL behind a black hole, unreachable", 2).await;
}
