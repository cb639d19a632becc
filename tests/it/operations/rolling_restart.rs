//! An operator's story: the production profile, as one would set it up, restarted piece by piece while people sign in.
//!
//! ```text
//! clients ─► balancer ─┬─ gateway ─┬─ PostgreSQL · RabbitMQ with a user of its own ─┬─ worker mail
//!                      └─ gateway ─┘                                                 ├─ worker notify
//!                                          SMTP server, STARTTLS and credentials ◄──┴─ worker sweep identify
//! ```

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use futures_util::future::join_all;
use harness::{
    Balancer, Installation, PASSWORD, Process, code_in, free_port,
    rabbit::Vhost,
    smtp::{Options, SmtpServer, Tls},
    works::PATIENCE,
};
use serde_json::{Value, json};

use crate::faults::{full, stack::OwnDatabase};

const WORKERS: [&[&str]; 3] = [&["worker", "mail"], &["worker", "notify"], &["worker", "sweep", "identify"]];

struct Site {
    gateways: Vec<Process>,
    workers: Vec<Process>,
    ports: Vec<u16>,
    health: Vec<u16>,
    installation: Installation,
    balancer: Balancer,
    client: reqwest::Client,
    server: SmtpServer,
    _vhost: Vhost,
    _database: OwnDatabase,
}

async fn set_up() -> Site {
    let database = OwnDatabase::create().await;
    let vhost = Vhost::on_shared().await.unwrap_or_else(|| panic!("TEST_AMQP_URL is not set"));
    let broker = vhost.url_of_own_user().await;
    let auth = Some(("gatepost".to_owned(), "relay-password".to_owned()));
    let options = Options { tls: Tls::StartTls, auth, ..Options::default() };
    let server = SmtpServer::start_with(options).await.unwrap();
    let ports = vec![free_port(), free_port()];
    let balancer = Balancer::start(&ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>()).await;
    let mut installation = Installation::new();
    let authority = installation.folder.join("relay-ca.pem");
    std::fs::write(&authority, server.ca_pem()).unwrap();
    let key = installation.folder.join("key");
    std::fs::write(&key, "2026b:d1a6b4c9e07f4f1c8a53b2d94e6f7081\n").unwrap();
    for (setting, value) in [
        ("MODE", "production"),
        ("HTTP__PUBLIC_URL", "https://auth.example.com"),
        ("HTTP__TRUSTED_PROXIES", "127.0.0.0/8"),
        ("HTTP__DRAIN_SECONDS", "3"),
        ("DATABASE__URL", &database.url),
        ("DATABASE__MAX_CONNECTIONS", "8"),
        ("BROKER__URL", &broker),
        ("MAIL__URL", &format!("smtp://gatepost:relay-password@localhost:{}", server.addr().port())),
        ("MAIL__CA_FILE", authority.to_str().unwrap()),
        ("MAIL__FROM", "Gatepost <gatepost@example.com>"),
        ("SECRETS__KEYS_FILE", key.to_str().unwrap()),
        ("TELEMETRY__LOG_FORMAT", "json"),
        ("LOGIN__PER_NETWORK__COUNT", "0"),
        ("EMAIL_MFA__PER_USER__COUNT", "0"),
        ("EMAIL_VERIFICATION__SIGNUP_PER_NETWORK__COUNT", "0"),
    ] {
        installation = installation.set(setting, value);
    }
    let migrated = installation.command(&["migrate"]).output().await.unwrap();
    assert!(migrated.status.success(), "{migrated:?}");
    drop(harness::http_client());
    // A balancer for real speaks HTTP and keeps no connection of a client at a gateway; this one passes bytes on.
    let client = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
    let mut site = Site {
        gateways: Vec::new(),
        workers: Vec::new(),
        health: WORKERS.iter().map(|_| free_port()).collect(),
        ports,
        installation,
        balancer,
        client,
        server,
        _vhost: vhost,
        _database: database,
    };
    for index in 0..2 {
        let gateway = site.gateway(index);
        site.gateways.push(gateway);
    }
    for index in 0..WORKERS.len() {
        let worker = site.worker(index);
        site.workers.push(worker);
    }
    site.are_ready().await;
    site
}

impl Site {
    fn gateway(&self, index: usize) -> Process {
        let listen = format!("127.0.0.1:{}", self.ports[index]);
        self.installation.start_with(&format!("gateway-{index}"), &["gateway"], &[("HTTP__LISTEN", &listen)])
    }

    fn worker(&self, index: usize) -> Process {
        let listen = format!("127.0.0.1:{}", self.health[index]);
        let settings = [("TELEMETRY__METRICS_LISTEN", listen.as_str())];
        self.installation.start_with(&format!("worker-{index}"), WORKERS[index], &settings)
    }

    async fn are_ready(&self) {
        for port in self.ports.iter().chain(&self.health) {
            self.installation.wait_for(&format!("http://127.0.0.1:{port}/health/ready"), Duration::from_secs(60)).await;
        }
    }

    /// Waits until a gateway that takes connections says that it is not ready.
    async fn drains(&self, port: u16) {
        let ready = format!("http://127.0.0.1:{port}/health/ready");
        harness::works::until("a gateway drains", async || {
            self.client.get(&ready).send().await.is_ok_and(|answer| answer.status() == 503)
        })
        .await;
    }

    async fn end(&self, process: &mut Process, name: &str) {
        process.signal("TERM").await;
        assert_eq!(process.wait(Duration::from_secs(40)).await, Some(true), "{name}\n{}", self.installation.logs());
    }

    /// Each process ends in order and another one takes its place, one after the other. The balancer sends a gateway no further
    /// connections once it says that it is not ready, and sends them again once its successor is.
    async fn restart_everything(&mut self) {
        for index in 0..self.workers.len() {
            let mut old = self.workers.remove(index);
            self.end(&mut old, "a worker").await;
            self.workers.insert(index, self.worker(index));
            self.are_ready().await;
        }
        for index in 0..self.gateways.len() {
            let mut old = self.gateways.remove(index);
            old.signal("TERM").await;
            self.drains(self.ports[index]).await;
            self.balancer.set(index, false);
            assert_eq!(old.wait(Duration::from_secs(40)).await, Some(true), "a gateway\n{}", self.installation.logs());
            self.gateways.insert(index, self.gateway(index));
            self.are_ready().await;
            self.balancer.set(index, true);
        }
    }
}

/// What a person does in a browser; any answer but the expected one is a failure.
struct Person<'a> {
    client: &'a reqwest::Client,
    server: &'a SmtpServer,
    base: String,
    email: String,
    mails: usize,
}

impl Person<'_> {
    async fn post(&self, path: &str, status: u16, body: Value) -> Result<Value, String> {
        let request = self.client.post(format!("{}{path}", self.base)).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.map_err(|error| format!("{path}: {error:?}"))?;
        let found = answer.status().as_u16();
        let text = answer.text().await.map_err(|error| format!("{path}: {error:?}"))?;
        if found == status {
            Ok(serde_json::from_str(&text).unwrap_or_default())
        } else {
            Err(format!("{path}: {found} {text}"))
        }
    }

    async fn next_code(&mut self) -> Result<String, String> {
        loop {
            self.mails += 1;
            let mails =
                self.server.wait_to(&self.email, self.mails, PATIENCE).await.map_err(|error| error.to_string())?;
            // Notices of a new device come in between.
            if mails[self.mails - 1].subject().to_lowercase().contains("device") {
                continue;
            }
            return Ok(code_in(&mails[self.mails - 1].text().unwrap_or_default()));
        }
    }

    async fn sign_up(&mut self) -> Result<(), String> {
        self.post("/api/signup", 202, json!({ "email": self.email, "password": PASSWORD })).await?;
        let code = self.next_code().await?;
        self.post("/api/email_verification/confirm", 200, json!({ "email": self.email, "code": code })).await.map(drop)
    }

    async fn sign_in(&mut self) -> Result<(), String> {
        let body = json!({ "email": self.email, "password": PASSWORD, "session_transport": "token" });
        let pending = self.post("/api/login", 200, body).await?["email_mfa"].clone();
        let code = self.next_code().await?;
        let body = json!({ "login_id": pending["login_id"], "login_token": pending["login_token"], "code": code });
        let login = self.post("/api/login/email_mfa", 200, body).await?;
        let session = login["session"]["token"].as_str().unwrap_or_default();
        let me = self.client.get(format!("{}/api/users/@me", self.base)).bearer_auth(session).send().await;
        let me = me.map_err(|error| format!("{error:?}"))?.status();
        if me == 200 { Ok(()) } else { Err(format!("a fresh session is answered {me}")) }
    }
}

/// Operations: production profile, PostgreSQL, RabbitMQ, two gateways behind a balancer, three worker processes, a mail server
/// with TLS: every process is restarted while four people sign in again and again, and no sign-in fails.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_rolling_restart_fails_no_login() {
    if !full() {
        return;
    }
    let mut site = set_up().await;
    let (client, base) = (site.client.clone(), format!("http://{}", site.balancer.address));
    let server = std::sync::Arc::new(std::mem::replace(&mut site.server, SmtpServer::start().await.unwrap()));
    let (is_over, sign_ins) = (AtomicBool::new(false), AtomicUsize::new(0));
    let people = join_all((0..4).map(|number| {
        let (client, server, base) = (&client, &server, base.clone());
        let (is_over, sign_ins) = (&is_over, &sign_ins);
        async move {
            let email = format!("person-{number}@example.com");
            let mut person = Person { client, server, base, email, mails: 0 };
            person.sign_up().await?;
            while !is_over.load(Ordering::Relaxed) {
                person.sign_in().await?;
                sign_ins.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<(), String>(())
        }
    }));
    let operator = async {
        harness::works::until("people sign in", async || sign_ins.load(Ordering::Relaxed) >= 8).await;
        let before = sign_ins.load(Ordering::Relaxed);
        site.restart_everything().await;
        let during = sign_ins.load(Ordering::Relaxed) - before;
        is_over.store(true, Ordering::Relaxed);
        during
    };
    let (outcomes, during) = tokio::join!(people, operator);
    assert!(outcomes.iter().all(Result::is_ok), "{}\n{outcomes:?}", site.installation.logs());
    assert!(during >= 10, "only {during} sign-ins during the restart");
    assert!(
        site.balancer.served().iter().all(|served| *served > 10),
        "both gateways served: {:?}",
        site.balancer.served()
    );
    assert!(server.messages().iter().all(|mail| mail.tls && mail.auth_user.is_some()), "mail leaves encrypted only");
    for (mut process, name) in site.gateways.drain(..).map(|one| (one, "a gateway")).collect::<Vec<_>>() {
        process.signal("TERM").await;
        assert_eq!(process.wait(Duration::from_secs(40)).await, Some(true), "{name}");
    }
    for mut process in site.workers.drain(..) {
        process.signal("TERM").await;
        assert_eq!(process.wait(Duration::from_secs(40)).await, Some(true), "a worker");
    }
}
