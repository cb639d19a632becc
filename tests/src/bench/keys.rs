//! API keys: what authentication by one costs, what garbage costs, and how fast a million of them is swept.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};
use shared::clock::{Clock, SystemClock};

use super::{
    BenchServer, Connection, Report,
    suites::{beside_empty, read},
};

/// Keys in the sweep.
const KEYS: i64 = 1_000_000;
/// Of these, one in so many is due for a warning.
const DUE_EVERY: i64 = 20;
/// Keys in one transaction.
const BATCH: i64 = 1_000;

/// Authentication by a key against a handler that does nothing, and refusals of garbage.
pub async fn authentication(report: &mut Report) -> anyhow::Result<()> {
    let server = &BenchServer::start(&[]).await?;
    let session = server.sign_in("bench@example.test").await?;
    let body = json!({ "label": "bench", "scopes": ["user:read"] }).to_string();
    let mut connection = Connection::open(&server.host).await?;
    let made = connection.send("POST", "/api/users/@me/api_keys", Some(&session), &body).await?;
    ensure!(made.status == 201, "{}", made.body);
    let made: Value = serde_json::from_str(&made.body)?;
    let key = made["value"].as_str().context("a key")?;
    let me = (server.host.as_str(), "/api/users/@me", Some(key));
    read(me, 4, Duration::from_secs(1)).await?;
    let (times, rate, most) = beside_empty(me).await?;
    let figure = format!("{rate:.0}/s, median {:.2} ms, p99 {:.2} ms", times.quantile_ms(0.5), times.quantile_ms(0.99));
    report.told("GET /api/users/@me by API key, 32 connections", &figure);
    let ratio = rate / most;
    report.held("by API key / an empty poem handler", &format!("{ratio:.2}"), ">= 0.5", ratio >= 0.5);
    garbage(report, server).await
}

/// A test shows that garbage costs no query; this is what it costs instead.
async fn garbage(report: &mut Report, server: &BenchServer) -> anyhow::Result<()> {
    let mut connection = Connection::open(&server.host).await?;
    let mut times = Vec::new();
    for number in 0..5_000 {
        let bearer = format!("gpx_{number:050}");
        let sent = Instant::now();
        let reply = connection.send("GET", "/api/users/@me", Some(&bearer), "").await?;
        ensure!(reply.status == 401, "{} {}", reply.status, reply.body);
        times.push(sent.elapsed());
    }
    let median = super::Figures::of(times).quantile_ms(0.5);
    report.held("a garbage key, round trip, median", &format!("{median:.2} ms"), "< 1 ms", median < 1.0);
    Ok(())
}

/// A sweep over a million keys, killed in the middle: how fast, and in how much memory.
pub async fn sweep(report: &mut Report) -> anyhow::Result<()> {
    sweep_on(None, report).await?;
    let Some(database) = report.postgres().await? else { return Ok(()) };
    let swept = sweep_on(Some(&database.url), report).await;
    database.remove().await?;
    swept
}

async fn sweep_on(postgres: Option<&str>, report: &mut Report) -> anyhow::Result<()> {
    let batch = BATCH.to_string();
    let mut settings = vec![
        ("API_KEYS__SWEEP_BATCH", batch.as_str()),
        ("API_KEYS__SWEEP_MAILS", "4000000000"),
        ("JOBS__LEASE_SECONDS", "6"),
    ];
    if let Some(url) = postgres {
        settings.push(("DATABASE__URL", url));
    }
    let mut server = BenchServer::start(&settings).await?;
    server.sign_up("bench@example.test").await?;
    stop(&mut server).await?;
    let file = format!("sqlite://{}", server.installation.folder.join("gatepost.db").display());
    let db = Database::connect(postgres.unwrap_or(&file)).await?;
    fill(&db).await?;
    let due = KEYS / DUE_EVERY;
    let begin = Instant::now();
    server.process = server.installation.start("sweeping", &["serve"]);
    wait_for(&db, due / 3).await?;
    let before = peak_mib(&server)?;
    server.process.kill().await;
    let marked = count(&db, MARKED).await?;
    server.process = server.installation.start("sweeping again", &["serve"]);
    wait_for(&db, due).await?;
    let took = begin.elapsed().as_secs_f64();
    let peak = before.max(peak_mib(&server)?);
    let mails = count(&db, "SELECT COUNT(*) AS number FROM jobs WHERE name = 'api_keys.notify_expiring'").await?;
    stop(&mut server).await?;
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = due as f64 / took;
    let engine = if postgres.is_some() { "PostgreSQL" } else { "SQLite" };
    report.told(&format!("{engine}: sweep over {KEYS} keys, {due} of them due"), &format!("{rate:.0} due rows/s"));
    let figure = format!("{marked} marked before the kill, {mails} warnings");
    let what = format!("{engine}: killed in the middle and started again");
    report.held(&what, &figure, "each key warned once", mails == due);
    report.held(&format!("{engine}: peak memory meanwhile"), &format!("{peak:.0} MiB"), "< 150 MiB", peak < 150.0);
    Ok(())
}

const MARKED: &str = "SELECT COUNT(*) AS number FROM api_keys WHERE warned_30_at IS NOT NULL";

async fn stop(server: &mut BenchServer) -> anyhow::Result<()> {
    server.process.signal("TERM").await;
    server.process.wait(Duration::from_secs(60)).await.context("the server does not end")?;
    Ok(())
}

/// Keys of the one user, and the sweep's first job.
async fn fill(db: &DatabaseConnection) -> anyhow::Result<()> {
    let now = SystemClock.now().0;
    let (fresh, old) = (now - 86_400_000_000, now - 340 * 86_400_000_000);
    let (numbers, id) = if db.get_database_backend() == DbBackend::Postgres {
        (format!("SELECT n FROM generate_series(1, {KEYS}) AS n"), "gen_random_uuid()")
    } else {
        let numbers =
            format!("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {KEYS}) SELECT n FROM c");
        (numbers, "randomblob(16)")
    };
    db.execute_unprepared(&format!(
        "INSERT INTO api_keys (id, user_id, label, secret_hash, mask, scopes, organization_ids, project_ids, auth_epoch,
                               created_at, active_at)
         SELECT {id}, users.id, 'k', 'sha256$' || n, 'gpx_...' || n, '*', '', '', users.auth_epoch, {old},
                CASE WHEN n % {DUE_EVERY} = 0 THEN {old} ELSE {fresh} END
         FROM users, ({numbers}) AS numbers"
    ))
    .await?;
    db.execute_unprepared(&format!(
        "INSERT INTO jobs (id, name, version, queue, payload, dedup_key, state, attempt, run_at, fence, created_at)
         SELECT {id}, 'api_keys.sweep_expiry', 1, 'sweep', '{{\"window\":1,\"step\":0}}', 'api_keys.sweep_expiry:1.0',
                'queued', 0, 0, 0, {now}"
    ))
    .await?;
    Ok(())
}

async fn count(db: &DatabaseConnection, sql: &str) -> anyhow::Result<i64> {
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?.context("a count")?;
    Ok(row.try_get("", "number")?)
}

async fn wait_for(db: &DatabaseConnection, marked: i64) -> anyhow::Result<()> {
    for _ in 0..12_000 {
        if count(db, MARKED).await? >= marked {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("the sweep does not come to {marked}")
}

/// Highest resident memory of the process so far, in MiB.
fn peak_mib(server: &BenchServer) -> anyhow::Result<f64> {
    let pid = server.process.pid().context("a process")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
