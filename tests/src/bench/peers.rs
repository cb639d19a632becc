//! The same load on better-auth: Node, SQLite, one process per core, on this machine in this run.

use std::{
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tokio::{process::Command, task::JoinSet};

use super::{BenchServer, Connection, Report};
use crate::{PASSWORD, free_port, generate::tree};

/// How long each load runs.
const LOAD: Duration = Duration::from_secs(8);
/// Connections that sign in.
const LOGIN_LANES: usize = 24;
/// Connections that check sessions.
const SESSION_LANES: usize = 32;
/// Users that sign in.
const USERS: usize = 8;

/// Sign-ins that open a session, and session checks, of Gatepost and of better-auth.
pub async fn peers(report: &mut Report) -> anyhow::Result<()> {
    let Some(peer) = Peer::start().await? else {
        report.told("the same load on better-auth", "not measured: it needs Node and npm");
        return Ok(());
    };
    let theirs = peer.measure().await?;
    peer.stop().await?;
    let server = BenchServer::start(&[]).await?;
    let ours = measure_ours(&server).await?;
    for (what, ours, theirs) in
        [("sign-ins", ours.sign_ins, theirs.sign_ins), ("session checks", ours.sessions, theirs.sessions)]
    {
        report.told(&format!("{what}, Gatepost in one process"), &format!("{ours:.0}/s"));
        report.told(&format!("{what}, better-auth in a process per core"), &format!("{theirs:.0}/s"));
        let ratio = ours / theirs;
        report.held(&format!("{what}, Gatepost / better-auth"), &format!("{ratio:.2}"), "> 1", ratio > 1.0);
    }
    Ok(())
}

/// Per second.
struct Rates {
    sign_ins: f64,
    sessions: f64,
}

async fn measure_ours(server: &BenchServer) -> anyhow::Result<Rates> {
    for user in 0..USERS {
        server.sign_up(&address(user)).await?;
        // Without the e-mail step a right password opens a session, as it does there.
        let bypass = ["admin", "bypass-email-mfa", &address(user), "--reason", "benchmark"];
        let done = server.installation.command(&bypass).stdout(Stdio::null()).status().await?;
        ensure!(done.success(), "no bypass for {}", address(user));
    }
    let body = |user| json!({ "email": address(user), "password": PASSWORD, "session_transport": "token" });
    let sign_ins = rate(&server.host, "/api/login", LOGIN_LANES, |lane| (None, Some(body(lane % USERS)))).await?;
    let login = server.call("/api/login", &body(0)).await?;
    let session_token = login["session"]["token"].as_str().context("a session")?.to_owned();
    let path = "/api/users/@me";
    let sessions =
        rate(&server.host, path, SESSION_LANES, |_| (Some(Proof::Bearer(session_token.clone())), None)).await?;
    Ok(Rates { sign_ins, sessions })
}

fn address(user: usize) -> String {
    format!("peer{user}@example.test")
}

/// What a request carries.
#[derive(Clone)]
enum Proof {
    Bearer(String),
    Cookie(String),
}

/// Answers per second to what `request` gives each lane: a proof, and the body of a POST or none for a GET.
async fn rate(
    host: &str,
    path: &'static str,
    lanes: usize,
    request: impl Fn(usize) -> (Option<Proof>, Option<Value>),
) -> anyhow::Result<f64> {
    let mut tasks = JoinSet::new();
    let begin = Instant::now();
    for lane in 0..lanes {
        let (proof, body) = request(lane);
        let (method, body) = body.map_or(("GET", String::new()), |body| ("POST", body.to_string()));
        let host = host.to_owned();
        tasks.spawn(async move {
            let mut connection = Connection::open(&host).await?;
            let mut bearer = None;
            match proof {
                Some(Proof::Bearer(session_token)) => bearer = Some(session_token),
                Some(Proof::Cookie(cookie)) => connection = connection.with_cookie(&cookie),
                None => {}
            }
            let mut done = 0_u32;
            while begin.elapsed() < LOAD {
                let reply = connection.send(method, path, bearer.as_deref(), &body).await?;
                ensure!(reply.status == 200, "{path}: {} {}", reply.status, reply.body);
                done += 1;
            }
            Ok(done)
        });
    }
    let done: u32 = tasks.join_all().await.into_iter().collect::<anyhow::Result<Vec<_>>>()?.into_iter().sum();
    Ok(f64::from(done) / begin.elapsed().as_secs_f64())
}

/// better-auth, running.
struct Peer {
    host: String,
    process: tokio::process::Child,
    folder: PathBuf,
}

impl Peer {
    /// Installs what is missing and starts it; `None` without Node.
    async fn start() -> anyhow::Result<Option<Self>> {
        let program = tree::root().join("tests/peers/better_auth");
        let has_node = Command::new("node").arg("--version").stdout(Stdio::null()).status().await;
        if !has_node.is_ok_and(|status| status.success()) {
            return Ok(None);
        }
        if !program.join("node_modules").is_dir() {
            let mut npm = Command::new("npm");
            npm.args(["ci", "--no-audit", "--no-fund", "--silent"]).current_dir(&program);
            ensure!(npm.status().await?.success(), "npm ci failed in {}", program.display());
        }
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("gatepost-peer-{port}"));
        std::fs::create_dir_all(&folder)?;
        let mut node = Command::new("node");
        node.arg(program.join("server.mjs")).arg(port.to_string()).arg(folder.join("peer.db"));
        node.arg("a-secret-for-this-benchmark-only-0123").env("NODE_ENV", "production").kill_on_drop(true);
        let process = node.stdin(Stdio::null()).spawn()?;
        let peer = Self { host: format!("127.0.0.1:{port}"), process, folder };
        peer.wait().await?;
        Ok(Some(peer))
    }

    async fn wait(&self) -> anyhow::Result<()> {
        for _ in 0..600 {
            if let Ok(mut connection) = Connection::open(&self.host).await
                && connection.send("GET", "/api/auth/ok", None, "").await.is_ok_and(|reply| reply.status == 200)
            {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        anyhow::bail!("better-auth does not answer")
    }

    async fn measure(&self) -> anyhow::Result<Rates> {
        let mut cookie = String::new();
        for user in 0..USERS {
            let body = json!({ "email": address(user), "password": PASSWORD, "name": "Peer" }).to_string();
            let reply =
                Connection::open(&self.host).await?.send("POST", "/api/auth/sign-up/email", None, &body).await?;
            ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
            cookie = cookie_of(&reply.head).context("a session cookie")?;
        }
        let body = |user| json!({ "email": address(user), "password": PASSWORD });
        let sign_in = "/api/auth/sign-in/email";
        let sign_ins = rate(&self.host, sign_in, LOGIN_LANES, |lane| (None, Some(body(lane % USERS)))).await?;
        let check = "/api/auth/get-session";
        let sessions = rate(&self.host, check, SESSION_LANES, |_| (Some(Proof::Cookie(cookie.clone())), None)).await?;
        Ok(Rates { sign_ins, sessions })
    }

    /// Ends its processes, and removes its database.
    async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.process.id() {
            Command::new("kill").arg("-TERM").arg(pid.to_string()).status().await?;
        }
        self.process.wait().await?;
        std::fs::remove_dir_all(&self.folder)?;
        Ok(())
    }
}

fn cookie_of(head: &str) -> Option<String> {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("set-cookie:"))?;
    line.split_once(':')?.1.split(';').next().map(|pair| pair.trim().to_owned())
}
