//! Crash points: the process that passes one kills itself there, again and again under load.

use std::time::{Duration, Instant};

use super::{rig::Stack, run::Run};
use crate::smtp::{Fault, Stage};

/// How long a process may take to reach its point.
const PATIENCE: Duration = Duration::from_secs(60);

/// The part of a fleet that passes a point; `None` for one that this run does not know.
#[must_use]
pub fn part_of(point: &str) -> Option<&'static str> {
    Some(match point {
        "gateway.before_commit" | "gateway.after_commit" => "gateway",
        point if point.starts_with("relay.") => "gateway",
        point if point.starts_with("mail.") || point.starts_with("worker.") => "mail",
        // The same process works on the queue `identify`.
        "sweep.mid_batch" | "leader.after_acquire" | "merge.mid_tx" => "sweep",
        _ => return None,
    })
}

/// Whether a crash at this point can leave a mail sent and not recorded. Mails that other tasks of the same process send
/// at that moment can be so at every point of a process that sends mails.
fn can_copy(run: &Run, point: &str) -> bool {
    run.rig.part("mail") == run.rig.part(part_of(point).unwrap_or("mail"))
}

/// Crashes at `point` this many times, each time at another passage and moment; says how often it came to it.
pub async fn crash(run: &mut Run, point: &'static str, seeds: usize) -> usize {
    let Some(part) = part_of(point) else { return 0 };
    let name = run.rig.part(part);
    let seeds = if matches!(part, "sweep") { seeds.div_ceil(3) } else { seeds };
    let mut crashed = 0;
    for seed in 0..seeds {
        let armed = format!("{point}:{}:{}", 1 + seed % 3, (seed % 7) * 3);
        if can_copy(run, point) {
            run.oracle.mail_crashes += 1;
        }
        crashed += usize::from(match point {
            "mail.after_data_before_250" => crash_before_answer(run, name, seed).await,
            "leader.after_acquire" => crash_as_leader(run, name).await,
            "sweep.mid_batch" => crash_in_sweep(run, name, seed).await,
            _ => crash_under_load(run, name, &armed).await,
        });
    }
    crashed
}

async fn crash_under_load(run: &mut Run, name: &'static str, armed: &str) -> bool {
    run.rig.process(name).kill().await;
    run.rig.launch(name, &[("CRASH_AT", armed)]);
    let begin = Instant::now();
    while run.rig.process(name).is_running() && begin.elapsed() < PATIENCE {
        run.load.burst(&run.rig, 2).await;
    }
    restart(run, name).await
}

/// Whether the process was dead; starts it anew and answers who waits.
async fn restart(run: &mut Run, name: &'static str) -> bool {
    let has_crashed = !run.rig.process(name).is_running();
    if !has_crashed {
        run.violations.push(format!("{name} did not come to its crash point"));
        run.rig.process(name).kill().await;
    }
    run.rig.launch(name, &[]);
    run.over = Some(Instant::now());
    run.settle().await;
    has_crashed
}

/// The client library sends the message and reads the answer in one step. So it is the server that takes its time over the
/// answer, and the worker is killed meanwhile.
async fn crash_before_answer(run: &mut Run, name: &'static str, seed: usize) -> bool {
    let before = run.rig.smtp.bodies_seen();
    let stall = Duration::from_millis(400);
    run.rig.smtp.script(vec![Fault::stall(Stage::EndOfData, stall); 1 + seed % 2]);
    run.load.burst(&run.rig, 2).await;
    let has_body = |server: &crate::smtp::SmtpServer| server.bodies_seen() > before;
    let arrived = run.rig.smtp.wait_until("a message without an answer", PATIENCE, has_body).await;
    run.rig.process(name).kill().await;
    run.rig.smtp.script(Vec::new());
    restart(run, name).await && arrived.is_ok()
}

/// The role is free, and the armed process is the first to see that.
async fn crash_as_leader(run: &mut Run, name: &'static str) -> bool {
    for worker in run.rig.names() {
        if worker != "gateway" {
            run.rig.terminate(worker).await;
        }
    }
    run.rig.launch(name, &[("CRASH_AT", "leader.after_acquire")]);
    let ended = run.rig.process(name).wait(PATIENCE).await;
    for worker in run.rig.names() {
        if worker != "gateway" {
            run.rig.launch(worker, &[]);
        }
    }
    run.over = Some(Instant::now());
    run.rig.ready().await;
    run.load.burst(&run.rig, 2).await;
    run.settle().await;
    ended == Some(false)
}

/// A sweep of its own, as a new window brings it. It is given time to recover: five crashes in a row are what a dead job is.
async fn crash_in_sweep(run: &mut Run, name: &'static str, seed: usize) -> bool {
    run.rig.process(name).kill().await;
    run.rig.launch(name, &[("CRASH_AT", "sweep.mid_batch")]);
    let window = 1_000 + seed;
    let id = shared::ids::next();
    let id = match run.rig.stack {
        Stack::Single => format!("X'{}'", id.simple()),
        Stack::Fleet => format!("'{id}'"),
    };
    run.rig
        .execute(&format!(
            "INSERT INTO jobs (id, name, version, queue, payload, dedup_key, state, attempt, run_at, fence, created_at)
             VALUES ({id}, 'jobs.sweep_finished', 1, 'sweep', '{{\"window\":{window}}}', 'jobs.sweep_finished:{window}',
             'queued', 0, 0, 0, 0)"
        ))
        .await;
    let ended = run.rig.process(name).wait(PATIENCE).await;
    run.rig.launch(name, &[]);
    run.over = Some(Instant::now());
    run.rig.ready().await;
    run.load.burst(&run.rig, 1).await;
    run.settle().await;
    let open = "FROM jobs WHERE queue = 'sweep' AND state IN ('queued', 'dispatched', 'running', 'retrying')";
    let begin = Instant::now();
    while run.rig.number("COUNT(*)", open).await > 0 && begin.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    ended == Some(false)
}
