//! Tables that have grown: of jobs, with a million finished ones and ten thousand that wait; of limits, between two sweeps.

use std::time::{Duration, Instant};

use harness::{TestApp, bench::Figures};
use sea_orm::ConnectionTrait as _;
use shared::{
    jobs::{JobId, receipts, sweep},
    rate_limit,
};
use uuid::Uuid;

use super::full;

/// Adds this many jobs in one statement. Their ids count upwards from `first`.
async fn add(app: &TestApp, state: &str, first: u32, count: u32) {
    let numbers = if app.kernel.db.is_postgres() {
        format!(
            "SELECT ('00000000-0000-7000-8000-' || LPAD(n::text, 12, '0'))::uuid AS id, n
                 FROM generate_series({first}, {}) AS n",
            first + count - 1
        )
    } else {
        format!(
            "WITH RECURSIVE numbers(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {})
                 SELECT unhex('0000000000007000' || '8000' || printf('%012d', n)) AS id, n FROM numbers",
            first + count - 1
        )
    };
    let finished = if state == "done" { "0" } else { "NULL" };
    app.execute(&format!(
        "INSERT INTO jobs (id, name, version, queue, payload, state, attempt, run_at, fence, created_at, finished_at)
         SELECT id, 'mail.send_test_mail', 1, 'mail', '{{}}', '{state}', 0, n, 0, 0, {finished} FROM ({numbers}) AS numbered"
    ))
    .await;
}

/// Has the database write out what was just added, which would go on beside what is measured. A role that may not ask for
/// it goes on without.
async fn write_out(app: &TestApp) {
    let sql = if app.kernel.db.is_postgres() { "CHECKPOINT" } else { "PRAGMA wal_checkpoint(TRUNCATE)" };
    app.kernel.db.writer().execute_unprepared(sql).await.ok();
}

/// T-JOB-13: with a million done jobs and ten thousand waiting ones a claim takes less than 10 ms (p99), and the sweep that
/// deletes the old ones in batches does not hold it up.
#[tokio::test(flavor = "multi_thread")]
async fn full_claims_stay_quick_in_a_table_of_a_million() {
    if !full() {
        return;
    }
    let app = TestApp::new().await;
    app.forget_jobs();
    add(&app, "done", 1, 1_000_000).await;
    add(&app, "queued", 2_000_001, 10_000).await;
    app.execute("ANALYZE").await;
    write_out(&app).await;
    let (db, now) = (app.kernel.db.writer(), app.kernel.clock.now());
    let lease = Duration::from_secs(60);
    let claim = async |from: u32| {
        let mut took = Vec::new();
        for number in from..from + 1000 {
            let id: Uuid = format!("00000000-0000-7000-8000-{number:012}").parse().unwrap();
            let begin = Instant::now();
            let claimed = receipts::claim(db, &[JobId(id)], "the test", now, lease).await.unwrap();
            took.push(begin.elapsed());
            assert_eq!(claimed.len(), 1, "{id} was there to be claimed");
        }
        Figures::of(took).quantile_ms(0.99)
    };
    let alone = claim(2_000_001).await;
    let sweeping = async {
        let mut deleted = 0;
        for _ in 0..20 {
            deleted += sweep::finished(db, now, 5_000).await.unwrap();
        }
        deleted
    };
    let (meanwhile, deleted) = tokio::join!(claim(2_002_001), sweeping);
    assert_eq!(deleted, 100_000);
    assert!(alone < 10.0, "p99 of a claim: {alone} ms");
    // On SQLite there is one writer, and a claim waits for the batch that is being deleted.
    if app.kernel.db.is_postgres() {
        assert!(meanwhile < 10.0, "p99 of a claim during the sweep: {meanwhile} ms");
    }
}

/// Sweeps: a table that was empty whenever it was swept, and then is not, is swept as quickly as any other. A plan that was
/// made for the empty table and kept would take a minute and more for each batch.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_sweep_is_planned_for_the_table_as_it_is() {
    if !full() {
        return;
    }
    let app = TestApp::new().await;
    let (db, now) = (app.kernel.db.writer(), app.kernel.clock.now());
    app.execute("DELETE FROM rate_limits").await;
    app.execute(if app.kernel.db.is_postgres() { "VACUUM ANALYZE rate_limits" } else { "ANALYZE rate_limits" }).await;
    for _ in 0..20 {
        assert_eq!(rate_limit::sweep(db, now, 5_000).await.unwrap(), 0);
    }
    app.execute(
        "INSERT INTO rate_limits (key, tat, denied)
         WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 300000)
         SELECT 'limit-' || n, n, 0 FROM numbers",
    )
    .await;
    let begin = Instant::now();
    for _ in 0..60 {
        assert_eq!(rate_limit::sweep(db, now, 5_000).await.unwrap(), 5_000);
    }
    assert_eq!(rate_limit::sweep(db, now, 5_000).await.unwrap(), 0);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(30), "{took:?}");
}
