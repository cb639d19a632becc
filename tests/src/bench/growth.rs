//! What a login and a session check cost as the users grow from a thousand to a million.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use serde_json::json;

use super::{BenchServer, Connection, Figures, Report};
use crate::PASSWORD;

/// The sizes.
const SIZES: [u64; 3] = [1_000, 100_000, 1_000_000];
/// Logins at each size, and sessions that are checked for the first time.
const ROUNDS: usize = 300;
/// The user who signs in.
const USER: &str = "grown@example.test";

/// Medians of a login without its hash and of the first check of a session, by number of users.
pub async fn growth(report: &mut Report) -> anyhow::Result<()> {
    // The hash costs the same whatever the table; a small one leaves the rest to be seen.
    let mut server = BenchServer::start(&[("PASSWORD__MEMORY_KIB", "64")]).await?;
    server.sign_up(USER).await?;
    let mut medians = Vec::new();
    let mut present = 1;
    for size in SIZES {
        server.process.signal("TERM").await;
        server.process.wait(Duration::from_secs(30)).await.context("the server does not end")?;
        let file = server.installation.folder.join("gatepost.db");
        let db = Database::connect(format!("sqlite://{}", file.display())).await?;
        fill(&db, present, size).await?;
        db.close().await?;
        present = size;
        server.restart().await;
        medians.push(measure(&server).await?);
    }
    for (what, index) in [("a login without its hash", 0), ("the first check of a session", 1)] {
        let figures: Vec<String> = medians.iter().map(|pair| format!("{:.2}", pair[index])).collect();
        let ratio = medians[SIZES.len() - 1][index] / medians[0][index];
        report.told(&format!("{what}, median at 10^3, 10^5, 10^6 users"), &format!("{} ms", figures.join(", ")));
        report.held(&format!("{what}, 10^6 / 10^3 users"), &format!("{ratio:.2}"), "<= 1.5", ratio <= 1.5);
    }
    Ok(())
}

/// Adds users with a password and a session each until there are that many.
async fn fill(db: &DatabaseConnection, present: u64, size: u64) -> anyhow::Result<()> {
    let numbers =
        format!("WITH RECURSIVE n(i) AS (SELECT {present} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {size})");
    let statements = [
        format!(
            "INSERT INTO users (id, email, email_normalised, email_verified_at, is_instance_admin, auth_epoch, created_at, updated_at)
             {numbers} SELECT randomblob(16), 'user' || i || '@example.test', 'user' || i || '@example.test', 1, 0, 1, 1, 1 FROM n"
        ),
        "INSERT INTO passwords (user_id, phc, key_id, updated_at)
         SELECT users.id, one.phc, one.key_id, 1 FROM users, (SELECT phc, key_id FROM passwords LIMIT 1) AS one
         WHERE users.id NOT IN (SELECT user_id FROM passwords)"
            .to_owned(),
        "INSERT INTO sessions (id, user_id, digest, auth_epoch, amr, ip, created_at, reauthenticated_at, seen_at, expires_at)
         SELECT randomblob(16), users.id, randomblob(32), 1, 'pwd', '127.0.0.1', 1, 1, 1, 9000000000000000 FROM users
         WHERE users.id NOT IN (SELECT user_id FROM sessions)"
            .to_owned(),
        format!(
            "INSERT INTO email_mfa_bypasses (user_id, until) SELECT id, 9000000000000000 FROM users WHERE email = '{USER}'
             ON CONFLICT DO NOTHING"
        ),
        "ANALYZE".to_owned(),
    ];
    for statement in statements {
        db.execute_unprepared(&statement).await?;
    }
    Ok(())
}

/// Medians in milliseconds: logins, and first checks of the sessions that they opened.
async fn measure(server: &BenchServer) -> anyhow::Result<[f64; 2]> {
    let mut connection = Connection::open(&server.host).await?;
    let body = json!({ "email": USER, "password": PASSWORD, "session_transport": "token" }).to_string();
    let (mut logins, mut checks, mut session_tokens) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let sent = Instant::now();
        let reply = connection.send("POST", "/api/login", None, &body).await?;
        logins.push(sent.elapsed());
        ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
        let login: serde_json::Value = serde_json::from_str(&reply.body)?;
        session_tokens.push(login["session"]["token"].as_str().context("a session")?.to_owned());
    }
    for session_token in session_tokens {
        let sent = Instant::now();
        let reply = connection.send("GET", "/api/users/@me", Some(&session_token), "").await?;
        checks.push(sent.elapsed());
        ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
    }
    Ok([logins, checks].map(|times| Figures::of(times).quantile_ms(0.5)))
}
