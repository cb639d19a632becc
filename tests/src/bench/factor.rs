//! The two-factor step: what a code costs beside the password.

use std::{thread::available_parallelism, time::Instant};

use anyhow::ensure;
use serde_json::{Value, json};
use shared::clock::{Clock, SystemClock};
use tokio::task::JoinSet;

use super::{
    BenchServer, Connection, Report,
    suites::{LANES, TURN, logins_per_second, mean},
};
use crate::{PASSWORD, totp::Authenticator};

/// How often passwords alone and whole logins take turns.
const TURNS: usize = 3;

/// Forgets, within the transaction of a login, that a code was used: it opens one login every thirty seconds.
const FORGET: &str = "UPDATE totps SET last_step = 0;
CREATE TRIGGER forget AFTER UPDATE OF last_step ON totps WHEN new.last_step > 0
BEGIN UPDATE totps SET last_step = 0 WHERE user_id = new.user_id; END";

/// Logins that an app's code completes, against the right passwords of the same users, in turns.
pub async fn factor(report: &mut Report) -> anyhow::Result<()> {
    let server = &BenchServer::start(&[]).await?;
    let lanes = available_parallelism()?.get() * LANES;
    let mut apps = Vec::new();
    for user in 0..8 {
        let session = server.sign_in(&format!("user{user}@example.test")).await?;
        apps.push(server.enable_totp(&session).await?);
    }
    server.execute(FORGET).await?;
    let (mut passwords, mut logins) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        passwords.push(logins_per_second(&server.host, lanes).await?);
        logins.push(completed_per_second(&server.host, lanes, &apps).await?);
    }
    let (passwords, logins) = (mean(&passwords), mean(&logins));
    report.told("right passwords of users with an app", &format!("{passwords:.1}/s"));
    report.told("logins completed with the app's code", &format!("{logins:.1}/s"));
    report.told("logins with a code / right passwords", &format!("{:.2}", logins / passwords));
    Ok(())
}

async fn completed_per_second(host: &str, lanes: usize, apps: &[Authenticator]) -> anyhow::Result<f64> {
    let begin = Instant::now();
    let mut tasks = JoinSet::new();
    for lane in 0..lanes {
        let (host, user) = (host.to_owned(), lane % apps.len());
        let app = apps[user].clone();
        tasks.spawn(async move {
            let email = format!("user{user}@example.test");
            let body = json!({ "email": email, "password": PASSWORD, "session_transport": "token" }).to_string();
            let (mut connection, mut done) = (Connection::open(&host).await?, 0_u32);
            while begin.elapsed() < TURN {
                let reply = connection.send("POST", "/api/login", None, &body).await?;
                let login: Value = serde_json::from_str(&reply.body)?;
                let step = &login["two_factor"];
                let code = app.code(SystemClock.now());
                let proof = json!({ "login_id": step["login_id"], "login_token": step["login_token"], "code": code });
                let reply = connection.send("POST", "/api/login/two_factor", None, &proof.to_string()).await?;
                ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
                done += 1;
            }
            Ok(done)
        });
    }
    let done: u32 = tasks.join_all().await.into_iter().collect::<anyhow::Result<Vec<_>>>()?.into_iter().sum();
    Ok(f64::from(done) / begin.elapsed().as_secs_f64())
}
