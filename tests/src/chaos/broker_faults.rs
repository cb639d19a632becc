//! RabbitMQ is killed, silenced, starved and emptied. One process on SQLite has none of it.

use std::time::{Duration, Instant};

use crate::works::until;

use super::{
    proxy::Mode,
    report::Table,
    rig::{Ground, Stack},
    run::Run,
};

/// Inflicts them.
pub async fn inflict(run: &mut Run, rounds: usize, table: &mut Table) {
    if run.rig.stack == Stack::Single {
        return;
    }
    kill(run, rounds * 2, table).await;
    black_hole(run, rounds, table).await;
    alarm(run, table).await;
    empty(run, rounds, table).await;
    recreate(run, table).await;
}

const GROUND: &str = "a fleet stands on RabbitMQ";

fn ground(run: &Run) -> &Ground {
    run.rig.ground.as_ref().expect(GROUND)
}

/// Of T-JOB-03.
async fn kill(run: &mut Run, rounds: usize, table: &mut Table) {
    for _ in 0..rounds {
        let Run { rig, load, .. } = run;
        let node = &rig.ground.as_ref().expect(GROUND).node;
        let killed_under_load = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            node.kill().await;
            node.launch().await;
        };
        let asking = async {
            for _ in 0..8 {
                load.burst(rig, 4).await;
            }
        };
        tokio::join!(killed_under_load, asking);
        run.over = Some(Instant::now());
        run.settle().await;
    }
    run.judge(table, "RabbitMQ kill -9 under load", rounds).await;
}

/// Of T-JOB-04: bytes stop, nothing closes. Requests go on; the worker notices within twice the heartbeat.
async fn black_hole(run: &mut Run, rounds: usize, table: &mut Table) {
    for _ in 0..rounds {
        ground(run).amqp.set(Mode::Stall);
        let begin = Instant::now();
        run.work(2).await;
        while run.rig.worker_status("mail").await == Some(200) {
            // Twice the heartbeat of 2 s, the time limit of an operation, and the cadence of the look.
            if begin.elapsed() > Duration::from_secs(12) {
                run.violations.push("a worker behind a black hole stays ready".to_owned());
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        ground(run).amqp.set(Mode::Pass);
        run.over = Some(Instant::now());
        run.rig.ready().await;
    }
    run.judge(table, "RabbitMQ behind a black hole", rounds).await;
}

/// Of T-JOB-05, by memory and by disk.
async fn alarm(run: &mut Run, table: &mut Table) {
    let alarms = [
        (
            ["set_vm_memory_high_watermark", "absolute", "1MB"].as_slice(),
            ["set_vm_memory_high_watermark", "0.6"].as_slice(),
        ),
        (&["set_disk_free_limit", "900GB"], &["set_disk_free_limit", "1MB"]),
    ];
    for (raise, lower) in alarms {
        ground(run).node.ctl(raise).await;
        run.work(2).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
        run.work(1).await;
        ground(run).node.ctl(lower).await;
        run.over = Some(Instant::now());
    }
    run.judge(table, "RabbitMQ memory and disk alarm", 2).await;
}

/// Of T-JOB-06.
async fn empty(run: &mut Run, rounds: usize, table: &mut Table) {
    for round in 0..rounds {
        // Messages wait in the queue when it is emptied.
        run.rig.process("mail").signal("STOP").await;
        run.work(2).await;
        if round % 2 == 0 {
            ground(run).vhost.purge("gatepost.mail").await;
        } else {
            ground(run).vhost.delete_queue("gatepost.mail").await;
        }
        run.rig.process("mail").signal("CONT").await;
        run.over = Some(Instant::now());
        run.work(1).await;
        // The next round needs the queue. Processes that have not noticed yet call themselves ready.
        until("the queue is declared anew", async || ground(run).vhost.has_queue("gatepost.mail").await).await;
        run.rig.ready().await;
    }
    run.judge(table, "RabbitMQ queue purged, deleted", rounds).await;
}

async fn recreate(run: &mut Run, table: &mut Table) {
    run.work(1).await;
    ground(run).vhost.recreate().await;
    run.over = Some(Instant::now());
    run.work(2).await;
    run.rig.ready().await;
    run.judge(table, "RabbitMQ virtual host recreated", 1).await;
}
