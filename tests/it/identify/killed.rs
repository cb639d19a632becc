//! Worker processes that are killed with SIGKILL while they apply facts, over PostgreSQL and RabbitMQ.

use std::time::{Duration, Instant};

use harness::{Installation, Process, free_port};

use super::{
    World,
    convergence::{Dice, SHUFFLES, arrivals, compare},
};

/// Histories whose events arrive while workers die.
const HISTORIES: usize = 2_000;
const WORKERS: [&str; 4] = ["identify-1", "identify-2", "identify-3", "identify-4"];
/// How long all jobs may take after the last kill.
const PATIENCE: Duration = Duration::from_secs(120);

/// ID-22, ID-31, T-ID-02:
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_worker_processes_end_in_the_same_persons() {
    if !crate::faults::full() {
        return;
    }
    let (world, mut dice, mut all) = (World::new().await, Dice(0x5DEE_CE66), Vec::new());
    world.app.forget_jobs();
    // The workers look after what the dead ones leave.
    world.app.execute("DELETE FROM leases").await;
    let config = &world.app.kernel.config;
    let installation = Installation::new()
        .set("DATABASE__URL", config.database.url.expose())
        .set("DATABASE__SCHEMA", config.database.schema.as_deref().unwrap_or_default())
        .set("DATABASE__MAX_CONNECTIONS", "5")
        .set("BROKER__URL", config.broker.url.expose())
        .set("BROKER__PREFIX", &config.broker.prefix)
        .set("MAIL__URL", config.mail.url.expose())
        .set("JOBS__POLL_MILLISECONDS", "100")
        .set("JOBS__LEASE_SECONDS", "4")
        .set("JOBS__REDISPATCH_SECONDS", "2");
    let mut workers: Vec<Process> = WORKERS.iter().map(|name| launch(&installation, name)).collect();
    let mut events = arrivals(&world, &mut dice, 0..HISTORIES);
    all.extend(events.clone());
    let mut kills = 0;
    while !events.is_empty() {
        let size = (1 + dice.roll(40 * SHUFFLES)).min(events.len());
        world.accept(events.drain(..size).collect()).await;
        tokio::time::sleep(Duration::from_millis(50 + dice.roll(150) as u64)).await;
        if dice.roll(3) == 0 {
            let victim = dice.roll(WORKERS.len());
            workers[victim].kill().await;
            workers[victim] = launch(&installation, WORKERS[victim]);
            kills += 1;
        }
        world.is_without_deadlock().await;
    }
    let begin = Instant::now();
    let open = "SELECT COUNT(*) AS number FROM jobs WHERE name = 'identify.apply_facts' AND state <> 'done'";
    while world.app.number(open).await > 0 {
        assert!(begin.elapsed() < PATIENCE, "jobs that do not end: {:?}", world.app.unfinished_jobs().await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    for worker in &mut workers {
        worker.kill().await;
    }
    assert!(kills > 10, "{kills} kills");
    compare(&world, &all).await;
}

fn launch(installation: &Installation, name: &str) -> Process {
    let listen = format!("127.0.0.1:{}", free_port());
    installation.start_with(name, &["worker", "identify"], &[("TELEMETRY__METRICS_LISTEN", listen.as_str())])
}
