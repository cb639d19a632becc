//! The database is killed, stopped, and cut off in the middle of a commit; the disk under SQLite is full. SQLite is part of its
//! process, which the crash points kill; a disk that fails has a test of its own (`tests/it/faults/disk.rs`).

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{
    proxy::Mode,
    report::{Table, say},
    rig::{Ground, Stack},
    run::Run,
};
use crate::SmallDisk;

/// How long a gateway may take to answer again once PostgreSQL does.
const RECOVERY: Duration = Duration::from_secs(10);

/// Inflicts them.
pub async fn inflict(run: &mut Run, rounds: usize, table: &mut Table) {
    if run.rig.stack == Stack::Single {
        fill_up(run, rounds, table).await;
        return;
    }
    die(run, rounds, table).await;
    cut(run, rounds, table).await;
    hole(run, table).await;
}

/// Of T-DB-05: SQLite's files are on a small disk, and it is full for a while.
async fn fill_up(run: &mut Run, rounds: usize, table: &mut Table) {
    let usual = run.rig.installation.folder.join("gatepost.db");
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let Some(disk) = SmallDisk::mount(size(&usual) + (8 << 20)).await else {
        say("no file system may be mounted: no disk was filled");
        return;
    };
    rest(run).await;
    let small = disk.folder().join("gatepost.db");
    let moved = std::fs::copy(&usual, &small).and_then(|_| std::fs::remove_file(&usual));
    moved.and_then(|()| std::os::unix::fs::symlink(&small, &usual)).expect("the database on another disk");
    run.rig.launch("serve", &[]);
    run.rig.ready().await;
    for _ in 0..rounds {
        let filler = disk.fill();
        let before = run.load.put_off;
        let begin = Instant::now();
        // Room that the files had already is used up first.
        while run.load.put_off == before && begin.elapsed() < RECOVERY * 3 {
            run.load.burst(&run.rig, 4).await;
        }
        if run.load.put_off == before {
            run.violations.push("a full disk put nothing off".to_owned());
        }
        std::fs::remove_file(filler).expect("the filler");
        run.over = Some(Instant::now());
        run.settle().await;
    }
    // A mail that was handed over while its outcome could not be written is sent again.
    run.oracle.mail_crashes += rounds;
    run.judge(table, "SQLite on a full disk", rounds).await;
    rest(run).await;
    let moved = std::fs::remove_file(&usual).and_then(|()| std::fs::copy(&small, &usual));
    moved.expect("the database on its own disk");
    run.rig.launch("serve", &[]);
    run.rig.ready().await;
}

/// Ends the process. What it left in the write-ahead log is written to the one file, which must be sound.
async fn rest(run: &mut Run) {
    run.rig.terminate("serve").await;
    run.rig.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
    let found = run.rig.rows(["integrity_check"], "FROM pragma_integrity_check").await;
    if found.concat() != ["ok"] {
        run.violations.push(format!("SQLite's file is corrupt: {found:?}"));
    }
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
        run.settle().await;
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
        run.settle().await;
    }
    run.rig.ready().await;
    run.oracle.mail_crashes += 2;
    run.judge(table, "PostgreSQL behind a black hole, unreachable", 2).await;
}
