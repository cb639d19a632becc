//! The sweep of API keys while its leader stands still, or while its workers are killed: each key is warned of once.

use std::time::Duration;

use harness::{
    chaos::{PROGRAM, Rig, Stack as Ground},
    works::until,
};
use shared::clock::{Clock, SystemClock};

use super::{
    full,
    stack::{QUEUES, Stack},
};

const ADA: &str = "ada@example.com";
const WARNED: &str = "SELECT COUNT(*) AS number FROM api_keys WHERE warned_30_at IS NOT NULL";
const MAILS: &str = "SELECT COUNT(*) AS number FROM jobs WHERE name = 'api_keys.notify_expiring'";

/// Gives the user so many keys that were not used for 340 days, and starts a sweep.
async fn fill(stack: &Stack, keys: usize) {
    stack.verified(ADA).await;
    let insert = format!(
        "WITH made AS (
           INSERT INTO api_keys (id, user_id, label, secret_hash, mask, scopes, organization_ids, project_ids, auth_epoch,
                                 created_at, active_at)
           SELECT gen_random_uuid(), users.id, 'k', 'sha256$' || n, 'gpx_...' || n, '*', '', '', users.auth_epoch, old, old
           FROM users, generate_series(1, {keys}) AS n,
                (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - 340 * 86400000000 AS old) AS age
           RETURNING 1)
         SELECT COUNT(*) AS number FROM made"
    );
    assert_eq!(usize::try_from(stack.number(&insert).await).unwrap(), keys);
    let job = "WITH made AS (
           INSERT INTO jobs (id, name, version, queue, payload, dedup_key, state, attempt, run_at, fence, created_at)
           VALUES (gen_random_uuid(), 'api_keys.sweep_expiry', 1, 'sweep', '{\"window\":1,\"step\":0}',
                   'api_keys.sweep_expiry:1.0', 'queued', 0, 0, 0,
                   (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
           RETURNING 1)
         SELECT COUNT(*) AS number FROM made";
    assert_eq!(stack.number(job).await, 1);
}

async fn expect_each_once(stack: &Stack, keys: usize) {
    let expected = i64::try_from(keys).unwrap();
    until("all keys are marked", async || stack.number(WARNED).await == expected).await;
    stack.assert_nothing_lost().await;
    assert_eq!(stack.number(MAILS).await, expected, "a mail for each key, and no second one");
    let twice = "SELECT COUNT(*) AS number FROM (SELECT payload::json->>'api_key_id' FROM jobs
                 WHERE name = 'api_keys.notify_expiring' GROUP BY 1 HAVING COUNT(*) > 1) AS twice";
    assert_eq!(stack.number(twice).await, 0);
}

/// T-SWP-01, D23: of three sweepers the leader stands still for longer than its lease and goes on: the next one leads with
/// another term, and no key is warned of twice.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_leader_that_stands_still_sweeps_nothing_twice() {
    if !full() {
        return;
    }
    let mut stack = Stack::on_shared(&[("API_KEYS__SWEEP_BATCH", "5"), ("JOBS__LEASE_SECONDS", "4")]).await;
    let mut others: Vec<_> =
        (0..2).map(|number| stack.installation.start(&format!("sweep {number}"), &["worker", "sweep"])).collect();
    let term = "SELECT term AS number FROM leases WHERE role = 'maintenance'";
    let leader = "SELECT split_part(owner, '-', 1)::bigint AS number FROM leases WHERE role = 'maintenance'";
    let (first, pid) = (stack.number(term).await, stack.number(leader).await);
    fill(&stack, 300).await;
    until("the sweep has begun", async || stack.number(WARNED).await > 0).await;
    let pid = u32::try_from(pid).unwrap();
    let name = QUEUES.into_iter().find(|name| stack.process(name).pid() == Some(pid));
    let name = name.unwrap_or_else(|| panic!("the leader is none of the workers that started first"));
    stack.process(name).signal("STOP").await;
    until("another one leads", async || stack.number(term).await > first).await;
    stack.process(name).signal("CONT").await;
    expect_each_once(&stack, 300).await;
    for other in &mut others {
        other.signal("TERM").await;
        assert_eq!(other.wait(Duration::from_secs(20)).await, Some(true));
    }
    stack.stop().await;
}

/// T-SWP-02: the sweeping worker is killed again and again: what it had begun is undone, and the rest is done once.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_sweeper_that_is_killed_leaves_no_batch_half_done() {
    if !full() {
        return;
    }
    let mut stack = Stack::on_shared(&[("API_KEYS__SWEEP_BATCH", "100"), ("JOBS__LEASE_SECONDS", "3")]).await;
    fill(&stack, 600).await;
    for round in 0..3 {
        let before = stack.number(WARNED).await;
        let running = "SELECT COUNT(*) AS number FROM jobs WHERE queue = 'sweep' AND state = 'running'";
        until("a batch is under way", async || {
            stack.number(running).await > 0 || stack.number(WARNED).await > before || round > 0
        })
        .await;
        stack.process("sweep").kill().await;
        assert_eq!(stack.number(WARNED).await % 100, 0, "round {round}: half a batch");
        stack.launch("sweep");
    }
    expect_each_once(&stack, 600).await;
    stack.stop().await;
}

/// Keys in the sweep that ends in mid batch, and in each of its batches.
const KEYS: i64 = 12;
const BATCH: i64 = 5;

/// Sweeps keys with a process that kills itself at the seventh: the first batch is kept, of the second one nothing is.
async fn end_in_mid_batch(ground: Ground) {
    let mut rig = Rig::start(ground, PROGRAM).await.unwrap_or_else(|| panic!("a server is missing"));
    let name = rig.part("sweep");
    rig.process(name).kill().await;
    give_keys(&rig).await;
    let batch = ("GATEPOST__API_KEYS__SWEEP_BATCH", BATCH.to_string());
    rig.launch(name, &[("CRASH_AT", "sweep.mid_batch:7"), (batch.0, &batch.1)]);
    assert_eq!(rig.process(name).wait(Duration::from_secs(60)).await, Some(false), "it came to its crash point");
    let warned = "FROM api_keys WHERE warned_30_at IS NOT NULL";
    let audited = "FROM audit_events WHERE action = 'api_keys.warn'";
    let mails = "FROM jobs WHERE name = 'api_keys.notify_expiring'";
    for table in [warned, audited, mails] {
        assert_eq!(rig.number("COUNT(*)", table).await, BATCH, "{table}: a whole batch and nothing of the next one");
    }
    rig.launch(name, &[(batch.0, &batch.1)]);
    rig.ready().await;
    let sent = format!("{mails} AND state = 'done'");
    until("all keys are warned of", async || rig.number("COUNT(*)", &sent).await >= KEYS).await;
    let open = "FROM jobs WHERE queue = 'sweep' AND state IN ('queued', 'dispatched', 'running', 'retrying')";
    until("no sweep is left", async || rig.number("COUNT(*)", open).await == 0).await;
    for table in [warned, audited, mails] {
        assert_eq!(rig.number("COUNT(*)", table).await, KEYS, "{table}: once for each key");
    }
    // A row names its key.
    assert_eq!(rig.number("COUNT(DISTINCT detail)", audited).await, KEYS);
    rig.stop().await;
}

/// Keys of a user that were not used for 340 days, and the first job of a sweep.
async fn give_keys(rig: &Rig) {
    let id = || match rig.stack {
        Ground::Single => format!("X'{}'", shared::ids::next().simple()),
        Ground::Fleet => format!("'{}'", shared::ids::next()),
    };
    let (now, user) = (SystemClock.now().0, id());
    let old = now - 340 * 86_400_000_000;
    rig.execute(&format!(
        "INSERT INTO users (id, email, email_normalised, email_verified_at, is_instance_admin, auth_epoch, created_at, updated_at)
         VALUES ({user}, '{ADA}', '{ADA}', {old}, FALSE, 0, {old}, {old})"
    ))
    .await;
    for number in 0..KEYS {
        rig.execute(&format!(
            "INSERT INTO api_keys (id, user_id, label, secret_hash, mask, scopes, organization_ids, project_ids, auth_epoch,
                                   created_at, active_at)
             VALUES ({}, {user}, 'k', 'sha256${number}', 'gpx_...{number}', '*', '', '', 0, {old}, {old})",
            id()
        ))
        .await;
    }
    rig.execute(&format!(
        "INSERT INTO jobs (id, name, version, queue, payload, dedup_key, state, attempt, run_at, fence, created_at)
         VALUES ({}, 'api_keys.sweep_expiry', 1, 'sweep', '{{\"window\":1,\"step\":0}}', 'api_keys.sweep_expiry:1.0',
                 'queued', 0, 0, 0, {now})",
        id()
    ))
    .await;
}

/// T-SWP-02: the process that sweeps ends in the middle of a batch, on PostgreSQL: the next one goes on, and warns of each
/// key once.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_worker_that_ends_in_mid_batch_warns_of_each_key_once() {
    if full() && std::env::var_os("TEST_AMQP_NODE").is_some() {
        end_in_mid_batch(Ground::Fleet).await;
    }
}

/// T-SWP-02: the same with one process on SQLite.
#[tokio::test(flavor = "multi_thread")]
async fn full_one_process_that_ends_in_mid_batch_warns_of_each_key_once() {
    if full() {
        end_in_mid_batch(Ground::Single).await;
    }
}
