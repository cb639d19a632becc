//! What is measured.

use std::{
    sync::Arc,
    thread::available_parallelism,
    time::{Duration, Instant},
};

use anyhow::ensure;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde_json::json;
use tokio::task::JoinSet;

use super::{BenchServer, Connection, EmptyHandler, Figures, Report};
use crate::{PASSWORD, smtp::SmtpServer};

/// How long what is measured and what it is measured against take turns.
pub(super) const TURN: Duration = Duration::from_secs(3);
/// Logins under way per core: enough that a core never waits for a login's disk or network.
pub(super) const LANES: usize = 12;

/// Time to ready on an existing database, and resident memory of an idle process.
pub async fn start(report: &mut Report) -> anyhow::Result<()> {
    let mut server = BenchServer::start(&[]).await?;
    server.sign_up("first@example.test").await?;
    server.process.signal("TERM").await;
    server.process.wait(Duration::from_secs(30)).await;
    let begin = Instant::now();
    server.restart().await;
    let ready = begin.elapsed().as_secs_f64();
    report.held("ready after start, existing database", &format!("{:.0} ms", ready * 1000.0), "< 1000 ms", ready < 1.0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let idle = server.resident_mib()?;
    report.held("resident memory, idle", &format!("{idle:.1} MiB"), "< 60 MiB", idle < 60.0);
    Ok(())
}

/// GET /api/users/@me: alone, against a handler that does nothing, and while bad logins run.
pub async fn session(report: &mut Report) -> anyhow::Result<()> {
    let server = &BenchServer::start(&[]).await?;
    let session = &server.sign_in("bench@example.test").await?;
    let me = (server.host.as_str(), "/api/users/@me", Some(session.as_str()));
    read(me, 4, Duration::from_secs(1)).await?;
    let (alone, rate, most) = beside_empty(me).await?;
    let p99 = alone.quantile_ms(0.99);
    report.told("GET /api/users/@me, 32 connections", &format!("{rate:.0}/s, median {:.2} ms", alone.quantile_ms(0.5)));
    report.held("GET /api/users/@me, 32 connections, p99", &format!("{p99:.2} ms"), "< 5 ms", p99 < 5.0);
    report.told("an empty poem handler, 32 connections", &format!("{most:.0}/s"));
    let ratio = rate / most;
    report.held("GET /api/users/@me / an empty poem handler", &format!("{ratio:.2}"), ">= 0.5", ratio >= 0.5);
    let mut storm = JoinSet::new();
    storm.spawn(bad_logins(server.host.clone(), 200));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let stormy = Figures::of(read(me, 8, Duration::from_secs(4)).await?);
    storm.abort_all();
    // What the storm left in the queue is refused within its time limit.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let p99 = stormy.quantile_ms(0.99);
    report.held("GET /api/users/@me while 200 bad logins run, p99", &format!("{p99:.2} ms"), "< 50 ms", p99 < 50.0);
    Ok(())
}

/// Reads a path in turns with a handler that does nothing, over 32 connections: how long the path took, its reads per
/// second, and the handler's. A machine whose speed varies counts for both sides.
pub(super) async fn beside_empty(path: (&str, &'static str, Option<&str>)) -> anyhow::Result<(Figures, f64, f64)> {
    const TURNS: u32 = 4;
    let empty = EmptyHandler::start().await?;
    let (mut times, mut others) = (Vec::new(), 0);
    for _ in 0..TURNS {
        times.append(&mut read(path, 32, TURN).await?);
        others += read((&empty.host, "/", None), 32, TURN).await?.len();
    }
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    let rate = |count: usize| count as f64 / (TURN * TURNS).as_secs_f64();
    let rates = (rate(times.len()), rate(others));
    Ok((Figures::of(times), rates.0, rates.1))
}

/// Reads a path over that many connections for that long; how long each took.
pub(super) async fn read(
    (host, path, session): (&str, &'static str, Option<&str>),
    lanes: usize,
    load: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let mut tasks = JoinSet::new();
    for _ in 0..lanes {
        let (host, session) = (host.to_owned(), session.map(ToOwned::to_owned));
        tasks.spawn(async move {
            let mut connection = Connection::open(&host).await?;
            let (begin, mut times) = (Instant::now(), Vec::new());
            while begin.elapsed() < load {
                let sent = Instant::now();
                let reply = connection.send("GET", path, session.as_deref(), "").await?;
                ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
                times.push(sent.elapsed());
            }
            Ok(times)
        });
    }
    Ok(tasks.join_all().await.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat())
}

async fn bad_logins(host: String, lanes: usize) {
    let mut tasks = JoinSet::new();
    for lane in 0..lanes {
        let host = host.clone();
        tasks.spawn(async move {
            let body = json!({ "email": format!("nobody{lane}@example.test"), "password": "wrong" }).to_string();
            let mut connection = Connection::open(&host).await?;
            loop {
                // A refused client waits as it is told to.
                if connection.send("POST", "/api/login", None, &body).await?.status == 503 {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
            #[expect(unreachable_code, reason = "names the error type")]
            anyhow::Ok(())
        });
    }
    tasks.join_all().await;
}

/// Right passwords per second, against what the same cores hash: of a gateway, whose mails are other processes' work, and
/// of all in one process, which hands the mail of every login over meanwhile. Bare hashing is measured before, between
/// and after the turns of each, so that a machine whose speed varies counts for both sides.
pub async fn login(report: &mut Report) -> anyhow::Result<()> {
    let mut server = BenchServer::start(&[]).await?;
    for user in 0..8 {
        server.sign_up(&format!("user{user}@example.test")).await?;
    }
    let (whole, beside_whole) = in_turns(&server.host).await?;
    server.become_gateway().await?;
    let (gateway, beside_gateway) = in_turns(&server.host).await?;
    let bare = f64::midpoint(beside_whole, beside_gateway);
    report.told("bare argon2id, all cores, memory reused", &format!("{bare:.1}/s"));
    report.told("logins of a gateway", &format!("{gateway:.1}/s"));
    let ratio = gateway / beside_gateway;
    report.held("login throughput of a gateway / bare hashing", &format!("{ratio:.2}"), ">= 0.9", ratio >= 0.9);
    report.told("logins of all in one process, each with its mail", &format!("{whole:.1}/s"));
    let ratio = whole / beside_whole;
    let what = "logins of all in one process, each with its mail / bare hashing";
    report.held(what, &format!("{ratio:.2}"), ">= 0.9", ratio >= 0.9);
    Ok(())
}

/// Logins per second, and hashes per second beside them.
async fn in_turns(host: &str) -> anyhow::Result<(f64, f64)> {
    const TURNS: usize = 4;
    let cores = available_parallelism()?.get();
    let hash = || tokio::task::spawn_blocking(move || hashes_per_second(cores));
    let (mut logins, mut hashes) = (Vec::new(), vec![hash().await?]);
    for _ in 0..TURNS {
        logins.push(logins_per_second(host, cores * LANES).await?);
        hashes.push(hash().await?);
    }
    Ok((mean(&logins), mean(&hashes)))
}

#[expect(clippy::cast_precision_loss, reason = "a handful of figures")]
pub(super) fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len() as f64
}

/// Right passwords per second.
pub(super) async fn logins_per_second(host: &str, lanes: usize) -> anyhow::Result<f64> {
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for lane in 0..lanes {
        let host = host.to_owned();
        tasks.spawn(async move {
            let email = format!("user{}@example.test", lane % 8);
            let body = json!({ "email": email, "password": PASSWORD, "session_transport": "token" }).to_string();
            let (mut connection, mut done) = (Connection::open(&host).await?, 0_u32);
            while begin.elapsed() < TURN {
                let reply = connection.send("POST", "/api/login", None, &body).await?;
                ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
                done += 1;
            }
            Ok(done)
        });
    }
    let done: u32 = tasks.join_all().await.into_iter().collect::<anyhow::Result<Vec<_>>>()?.into_iter().sum();
    Ok(f64::from(done) / begin.elapsed().as_secs_f64())
}

/// A hash that is under way when the turn ends is finished and its time counted, as with logins.
fn hashes_per_second(cores: usize) -> f64 {
    let begin = Instant::now();
    let done: u32 = std::thread::scope(|scope| {
        let hash = || {
            let Ok(params) = Params::new(47_104, 1, 1, None) else { return 0 };
            let mut memory = vec![Block::default(); params.block_count()];
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let (mut done, mut out) = (0, [0; 32]);
            while begin.elapsed() < TURN {
                let hashed =
                    argon2.hash_password_into_with_memory(b"password", b"sixteen bytes ok", &mut out, &mut memory);
                done += u32::from(hashed.is_ok());
            }
            done
        };
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(hash)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).sum()
    });
    f64::from(done) / begin.elapsed().as_secs_f64()
}

/// More logins than the pool takes.
pub async fn overload(report: &mut Report) -> anyhow::Result<()> {
    let server = &BenchServer::start(&[]).await?;
    let session = &server.sign_in("bench@example.test").await?;
    read((&server.host, "/api/users/@me", Some(session.as_str())), 32, Duration::from_secs(1)).await?;
    let before = server.resident_mib()?;
    let cores = available_parallelism()?.get();
    let mut tasks = JoinSet::new();
    for lane in 0..400 {
        let host = server.host.clone();
        tasks.spawn(async move {
            let body = json!({ "email": format!("nobody{lane}@example.test"), "password": "wrong" }).to_string();
            let reply = Connection::open(&host).await?.send("POST", "/api/login", None, &body).await?;
            anyhow::Ok((reply.status, reply.head.to_ascii_lowercase().contains("retry-after:")))
        });
    }
    let mut peak = before;
    let mut answers = Vec::new();
    while let Some(answer) = tasks.join_next().await {
        peak = peak.max(server.resident_mib()?);
        answers.push(answer??);
    }
    let refused = answers.iter().filter(|answer| **answer == (503, true)).count();
    let answered = answers.iter().filter(|(status, _)| *status == 401).count();
    let is_clean = refused > 0 && refused + answered == answers.len();
    report.held(
        "400 logins at once",
        &format!("{answered} answered, {refused} refused with 503 and Retry-After"),
        "no other answer",
        is_clean,
    );
    #[expect(clippy::cast_precision_loss, reason = "a count of cores")]
    let bound = cores as f64 * 46.0 + 50.0;
    let growth = peak - before;
    report.held("memory growth meanwhile", &format!("{growth:.1} MiB"), &format!("< {bound:.0} MiB"), growth < bound);
    tokio::time::sleep(Duration::from_secs(7)).await;
    read((&server.host, "/api/users/@me", Some(session.as_str())), 1, Duration::from_millis(200)).await?;
    let after = server.resident_mib()?;
    report.held(
        "resident memory after the blocks are given back",
        &format!("{after:.1} MiB"),
        "< 60 MiB",
        after < 60.0,
    );
    Ok(())
}

/// How well times tell known from unknown addresses. The order within a pair alternates, and a pause lets the jobs of
/// one request end before the next, so that neither class runs beside the other's mail more often.
pub async fn timing(report: &mut Report) -> anyhow::Result<()> {
    let server = &BenchServer::start(&[]).await?;
    for user in 1..=2 {
        server.sign_up(&format!("user{user}@example.test")).await?;
    }
    let mut connection = Connection::open(&server.host).await?;
    for (what, path, password) in [("login", "/api/login", Some("wrong")), ("reset", "/api/reset", None)] {
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..200_usize {
            let emails = ["user1@example.test".to_owned(), format!("unknown{round}@example.test")];
            for class in [round % 2, 1 - round % 2] {
                let body = match password {
                    Some(password) => json!({ "email": emails[class], "password": password }),
                    None => json!({ "email": emails[class] }),
                };
                tokio::time::sleep(Duration::from_millis(40)).await;
                let sent = Instant::now();
                connection.send("POST", path, None, &body.to_string()).await?;
                times[class].push(sent.elapsed());
            }
        }
        let [known, unknown] = times.map(Figures::of);
        let (left, right) = (known.quantile_ms(0.5), unknown.quantile_ms(0.5));
        let auc = known.auc(&unknown);
        let is_close = (left - right).abs() < (0.1 * right).max(1.0) && (0.40..=0.60).contains(&auc);
        let figure = format!("medians {left:.2} and {right:.2} ms, AUC {auc:.2}");
        report.held(
            &format!("{what}: known against unknown address"),
            &figure,
            "medians within 10 %, AUC 0.40 to 0.60",
            is_close,
        );
    }
    Ok(())
}

/// From the answer to a request to the mail at the relay, one at a time.
pub async fn delivery(report: &mut Report) -> anyhow::Result<()> {
    let relay = Arc::new(SmtpServer::start().await?);
    let url = relay.url().replace("smtp://", "smtp+insecure://");
    let server = BenchServer::start(&[("MAIL__URL", &url)]).await?;
    let mut times = Vec::new();
    for round in 0..100_usize {
        let email = format!("delivery{round}@example.test");
        let body = json!({ "email": email, "password": PASSWORD });
        server.call("/api/signup", &body).await?;
        let answered = Instant::now();
        let mails = relay.wait_to(&email, 1, Duration::from_secs(10)).await?;
        times.extend(mails.iter().map(|mail| mail.received_at.saturating_duration_since(answered)));
    }
    let times = Figures::of(times);
    let p99 = times.quantile_ms(0.99);
    report.told(
        "answer to mail at the relay, idle",
        &format!("median {:.1} ms over {}", times.quantile_ms(0.5), times.count()),
    );
    report.held("answer to mail at the relay, idle, p99", &format!("{p99:.1} ms"), "< 250 ms", p99 < 250.0);
    Ok(())
}
