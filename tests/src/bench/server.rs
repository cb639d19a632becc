//! The server that is measured.

use std::time::Duration;

use anyhow::{Context, ensure};
use sea_orm::{ConnectionTrait, Database};
use serde_json::{Value, json};
use shared::clock::{Clock, SystemClock};

use super::Connection;
use crate::{Installation, PASSWORD, Process, code_in, free_port, totp::Authenticator};

/// `gatepost serve` of the same build profile, with limits off and the real hash parameters.
pub struct BenchServer {
    /// Its configuration and folder.
    pub installation: Installation,
    /// The process.
    pub process: Process,
    /// `host:port`.
    pub host: String,
}

impl BenchServer {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// Never; a server that does not get ready panics with its logs.
    pub async fn start(settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let host = format!("127.0.0.1:{}", free_port());
        let unlimited = [
            "LOCKOUT__PER_CLIENT",
            "LOCKOUT__PER_ACCOUNT",
            "LOGIN__PER_NETWORK",
            "EMAIL_MFA__PER_USER",
            "EMAIL_VERIFICATION__SIGNUP_PER_NETWORK",
            "RECOVERY__PER_ADDRESS",
            "RECOVERY__PER_NETWORK",
            "TWO_FACTOR__PER_USER",
            "TWO_FACTOR__PER_USER_LONG",
            "MAIL__PER_RECIPIENT",
            "MAIL__PER_RECIPIENT_LONG",
        ];
        let mut installation = Installation::new()
            .set("HTTP__LISTEN", &host)
            .set("TELEMETRY__LOG_FILTER", "warn")
            .set("PASSWORD__MEMORY_KIB", "47104")
            .set("PASSWORD__RELEASE_AFTER_SECONDS", "5");
        // Failures in a row disable an authenticator; the suites fail more often than that.
        installation = installation.set("LOCKOUT__IN_A_ROW", "0");
        for limit in unlimited {
            installation = installation.set(&format!("{limit}__COUNT"), "0");
        }
        for (key, value) in settings {
            installation = installation.set(key, value);
        }
        let process = installation.start("serve", &["serve"]);
        installation.wait_for(&format!("http://{host}/health/ready"), Duration::from_secs(30)).await;
        Ok(Self { installation, process, host })
    }

    /// Ends the process and starts a gateway on the same database and port. Its broker is away: its jobs wait for workers
    /// on other machines.
    ///
    /// # Errors
    /// Never; a gateway that does not get ready panics with its logs.
    pub async fn become_gateway(&mut self) -> anyhow::Result<()> {
        self.process.signal("TERM").await;
        self.process.wait(Duration::from_secs(30)).await.context("the server does not end")?;
        let away = [("BROKER__URL", "amqp://gatepost:gatepost@127.0.0.1:1/gatepost")];
        self.process = self.installation.start_with("gateway", &["gateway"], &away);
        let ready = format!("http://{}/health/ready", self.host);
        self.installation.wait_for(&ready, Duration::from_secs(30)).await;
        Ok(())
    }

    /// Starts the process again after it ended.
    pub async fn restart(&mut self) {
        self.process = self.installation.start("serve", &["serve"]);
        let ready = format!("http://{}/health/ready", self.host);
        self.installation.wait_for(&ready, Duration::from_secs(60)).await;
    }

    /// One call on a connection of its own.
    ///
    /// # Errors
    /// When the answer is not of the 2xx statuses.
    pub async fn call(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let reply = Connection::open(&self.host).await?.send("POST", path, None, &body.to_string()).await?;
        ensure!(reply.status < 300, "{path}: {} {}", reply.status, reply.body);
        Ok(serde_json::from_str(&reply.body).unwrap_or(Value::Null))
    }

    /// Signs a user up and proves the address.
    ///
    /// # Errors
    /// When a step fails.
    pub async fn sign_up(&self, email: &str) -> anyhow::Result<()> {
        self.call("/api/signup", &json!({ "email": email, "password": PASSWORD })).await?;
        let code = self.code(email, 1).await?;
        self.call("/api/email_verification/confirm", &json!({ "email": email, "code": code })).await?;
        Ok(())
    }

    /// Signs a new user up and in; the session token.
    ///
    /// # Errors
    /// When a step fails.
    pub async fn sign_in(&self, email: &str) -> anyhow::Result<String> {
        self.sign_up(email).await?;
        let body = json!({ "email": email, "password": PASSWORD, "session_transport": "token" });
        let pending = self.call("/api/login", &body).await?["email_mfa"].clone();
        let code = self.code(email, 2).await?;
        let body = json!({ "login_id": pending["login_id"], "login_token": pending["login_token"], "code": code });
        let login = self.call("/api/login/email_mfa", &body).await?;
        Ok(login["session"]["token"].as_str().context("a session token")?.to_owned())
    }

    /// Enables an app in a session.
    ///
    /// # Errors
    /// When a step fails.
    pub async fn enable_totp(&self, session: &str) -> anyhow::Result<Authenticator> {
        let mut connection = Connection::open(&self.host).await?;
        let path = "/api/users/@me/two_factor/totp";
        let setup = connection.send("POST", &format!("{path}/start"), Some(session), "{}").await?;
        let setup: Value = serde_json::from_str(&setup.body)?;
        let app = Authenticator::of(setup["secret"].as_str().context("a secret")?);
        let body = json!({ "code": app.code(SystemClock.now()) }).to_string();
        let done = connection.send("POST", &format!("{path}/confirm"), Some(session), &body).await?;
        ensure!(done.status == 200, "{} {}", done.status, done.body);
        Ok(app)
    }

    /// Changes the database behind the server's back.
    ///
    /// # Errors
    /// When the statement fails.
    pub async fn execute(&self, sql: &str) -> anyhow::Result<()> {
        let file = self.installation.folder.join("gatepost.db");
        let db = Database::connect(format!("sqlite://{}", file.display())).await?;
        db.execute_unprepared(sql).await?;
        Ok(db.close().await?)
    }

    /// The code in the newest mail, once an address has got this many.
    async fn code(&self, email: &str, mails: usize) -> anyhow::Result<String> {
        let folder = self.installation.folder.join("gatepost-mailbox");
        for _ in 0..1000 {
            let found = workers::mail::list(&folder, 1000).unwrap_or_default();
            let to: Vec<_> = found.into_iter().filter(|mail| mail.to == email).collect();
            if to.len() >= mails {
                return Ok(code_in(&to[0].text));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::bail!("mail number {mails} to {email} did not arrive: {}", self.installation.logs())
    }

    /// Resident memory of the process, in MiB.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn resident_mib(&self) -> anyhow::Result<f64> {
        self.status_mib("VmRSS:")
    }

    /// The most resident memory that the process ever had, in MiB.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn peak_mib(&self) -> anyhow::Result<f64> {
        self.status_mib("VmHWM:")
    }

    fn status_mib(&self, name: &'static str) -> anyhow::Result<f64> {
        let pid = self.process.pid().context("a process")?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)).context(name)?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }
}

/// A poem server whose only handler does nothing: what HTTP itself costs. It ends with this value.
pub struct EmptyHandler {
    /// `host:port`.
    pub host: String,
    _process: tokio::process::Child,
}

impl EmptyHandler {
    /// Starts it and waits until it answers.
    ///
    /// # Errors
    /// When it cannot be started or does not answer.
    pub async fn start() -> anyhow::Result<Self> {
        let host = format!("127.0.0.1:{}", free_port());
        let program = std::env::current_exe()?.with_file_name("empty_handler");
        let process = tokio::process::Command::new(program).arg(&host).kill_on_drop(true).spawn()?;
        for _ in 0..200 {
            if Connection::open(&host).await.is_ok() {
                return Ok(Self { host, _process: process });
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        anyhow::bail!("the empty handler does not answer")
    }
}
