//! More logins than can be hashed: they are refused at once, and nothing else waits for those that are not.

use std::time::{Duration, Instant};

use harness::{
    PASSWORD,
    bench::{BenchServer, Connection, Figures},
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

const EMAIL: &str = "ada@lovelace.test";
const LOGINS: usize = 200;
/// Memory of one hash, and of all of them: there is one thread.
const HASH_MIB: f64 = 46.0;
/// What the rest of a process may need for so many connections.
const MARGIN_MIB: f64 = 60.0;
/// Places of the pool: the one that is hashed and those that wait.
const PLACES: usize = 6;

/// A login, and when it was answered.
struct Login {
    status: u16,
    retry_after: Option<u64>,
    body: Value,
    at: Instant,
}

async fn log_in(host: String) -> anyhow::Result<Login> {
    let mut connection = Connection::open(&host).await?;
    let body = json!({ "email": EMAIL, "password": PASSWORD, "session_transport": "token" }).to_string();
    let reply = connection.send("POST", "/api/login", None, &body).await?;
    let at = Instant::now();
    let head = reply.head.to_ascii_lowercase();
    let retry_after = head.lines().find_map(|line| line.strip_prefix("retry-after:"));
    Ok(Login {
        status: reply.status,
        retry_after: retry_after.and_then(|seconds| seconds.trim().parse().ok()),
        body: serde_json::from_str(&reply.body)?,
        at,
    })
}

/// All logins at once; meanwhile one client reads its session again and again. When each read was sent, and what it took.
async fn rush(server: &BenchServer, session: &str) -> anyhow::Result<(Vec<Login>, Vec<(Instant, Duration)>)> {
    let mut reader = Connection::open(&server.host).await?;
    let mut tasks = JoinSet::new();
    for _ in 0..LOGINS {
        tasks.spawn(log_in(server.host.clone()));
    }
    let (mut logins, mut reads) = (Vec::new(), Vec::new());
    while logins.len() < LOGINS {
        let sent = Instant::now();
        let reply = reader.send("GET", "/api/users/@me", Some(session), "").await?;
        anyhow::ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
        reads.push((sent, sent.elapsed()));
        while let Some(login) = tasks.try_join_next() {
            logins.push(login??);
        }
    }
    Ok((logins, reads))
}

/// T-LOGIN-13: two hundred logins at once overflow the queue of the pool: each is answered, or refused with 503 and
/// `Retry-After`. Reads of a session wait for none of them, and memory stays within the pool's.
///
/// The bound of a read is 50 ms, or half of what a hash takes where this machine is too busy for that: a read that waited
/// for a hash would take longer than either.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_logins_at_once_hold_nothing_else_up() {
    let queue = (PLACES - 1).to_string();
    let settings = [
        ("PASSWORD__THREADS", "1"),
        ("PASSWORD__QUEUE_PER_THREAD", queue.as_str()),
        ("PASSWORD__PASSES", "8"),
        // However slow this machine is: who has a place is answered.
        ("PASSWORD__WAIT_MILLISECONDS", "60000"),
    ];
    let server = BenchServer::start(&settings).await.unwrap();
    let session = server.sign_in(EMAIL).await.unwrap();
    let before = server.resident_mib().unwrap();
    let (logins, reads) = rush(&server, &session).await.unwrap();
    let growth = server.peak_mib().unwrap() - before;

    let (refused, answered): (Vec<_>, Vec<_>) = logins.iter().partition(|login| login.status == 503);
    for login in &refused {
        assert!(login.retry_after.is_some_and(|seconds| seconds >= 1), "{:?} {}", login.retry_after, login.body);
        assert_eq!(login.body["code"], "temporarily_unavailable", "{}", login.body);
    }
    for login in &answered {
        assert_eq!((login.status, &login.body["status"]), (200, &json!("email_mfa_required")), "{}", login.body);
    }
    assert!(!refused.is_empty() && answered.len() >= PLACES, "{} refused, {} answered", refused.len(), answered.len());
    assert!(growth < HASH_MIB + MARGIN_MIB, "memory grew by {growth:.1} MiB");

    // While the pool was full, and until the last of those who had a place was answered.
    let full = refused.iter().map(|login| login.at).min().unwrap();
    let (first, last) =
        (answered.iter().map(|login| login.at).min().unwrap(), answered.iter().map(|login| login.at).max());
    let last = last.unwrap();
    let hash = (last - first) / u32::try_from(answered.len() - 1).unwrap();
    let during = reads.iter().filter(|(sent, _)| (full..last).contains(sent)).map(|(_, took)| *took);
    let during = Figures::of(during.collect());
    let (p99, half_a_hash) = (during.quantile_ms(0.99), hash.as_secs_f64() * 500.0);
    let told = format!("{} reads beside {} logins, p99 {p99:.1} ms, a hash {hash:?}", during.count(), answered.len());
    assert!(during.count() > 3 * answered.len(), "{told}");
    assert!(p99 < half_a_hash.max(50.0), "{told}");
}
