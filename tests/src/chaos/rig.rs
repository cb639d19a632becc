//! What is hurt: an installation of Gatepost with crash points, on one of the two stacks.
//!
//! ```text
//! Single   gatepost serve ── SQLite, in-process broker ────────────────────────────── SMTP server
//! Fleet    gateway ─┬─ proxy ── PostgreSQL of its own ──┬─ worker mail, notify, sweep+identify ── SMTP server
//!                   └─ proxy ── RabbitMQ of its own ────┘
//! ```

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};

use super::{cluster::Cluster, proxy::Proxy};
use crate::{
    Installation, Process, free_port, http_client,
    rabbit::{Node, Vhost},
    smtp::SmtpServer,
};

/// The executable with crash points.
pub const PROGRAM: &str = "gatepost-chaos";

/// Which installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// One process on SQLite.
    Single,
    /// Many processes on PostgreSQL and RabbitMQ.
    Fleet,
}

impl Stack {
    /// Its name in the table.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Single => "SQLite, one process",
            Self::Fleet => "PostgreSQL + RabbitMQ",
        }
    }

    /// Its processes and their arguments.
    const fn processes(self) -> &'static [(&'static str, &'static [&'static str])] {
        match self {
            Self::Single => &[("serve", &["serve"])],
            Self::Fleet => &[
                ("gateway", &["gateway"]),
                ("mail", &["worker", "mail"]),
                ("notify", &["worker", "notify"]),
                ("sweep", &["worker", "sweep", "identify"]),
            ],
        }
    }
}

/// The servers under a fleet.
pub struct Ground {
    /// The virtual host; it is deleted before its node.
    pub vhost: Vhost,
    /// RabbitMQ.
    pub node: Node,
    /// Between the processes and RabbitMQ.
    pub amqp: Proxy,
    /// PostgreSQL.
    pub cluster: Cluster,
    /// Between the processes and PostgreSQL.
    pub sql: Proxy,
}

/// A running installation.
pub struct Rig {
    /// Which one.
    pub stack: Stack,
    processes: BTreeMap<&'static str, Process>,
    /// Folder, configuration, logs.
    pub installation: Installation,
    /// The gateway's address.
    pub base: String,
    /// A client without cookies.
    pub client: reqwest::Client,
    /// Where mails arrive.
    pub smtp: SmtpServer,
    /// What a fleet stands on.
    pub ground: Option<Ground>,
    database: String,
    health: BTreeMap<&'static str, u16>,
}

impl Rig {
    /// Starts everything as `program`; `None` where a server that the stack needs is not installed.
    ///
    /// # Panics
    /// When a part does not start.
    pub async fn start(stack: Stack, program: &'static str) -> Option<Self> {
        let smtp = SmtpServer::start().await.expect("a mail server");
        let base = format!("http://127.0.0.1:{}", free_port());
        let mut installation = configured(&base, &smtp).running(program);
        let ground = match stack {
            Stack::Single => None,
            Stack::Fleet => Some(prepare_ground().await?),
        };
        let database = match &ground {
            None => format!("sqlite://{}", installation.folder.join("gatepost.db").display()),
            Some(ground) => {
                let broker = format!("amqp://guest:guest@{}/{}", ground.amqp.address, ground.vhost.name);
                installation = installation.set("BROKER__URL", &broker);
                Cluster::url(ground.cluster.port, "gatepost")
            }
        };
        let through = ground.as_ref().map(|ground| Cluster::url(ground.sql.address.port(), "gatepost"));
        installation = installation.set("DATABASE__URL", through.as_ref().unwrap_or(&database));
        let migrated = installation.command(&["migrate"]).output().await.expect("gatepost migrate");
        assert!(migrated.status.success(), "{migrated:?}");
        let health = stack.processes().iter().map(|(name, _)| (*name, free_port())).collect();
        let (processes, client) = (BTreeMap::new(), http_client());
        let mut rig = Self { stack, processes, installation, base, client, smtp, ground, database, health };
        for (name, _) in stack.processes() {
            rig.launch(name, &[]);
        }
        rig.ready().await;
        Some(rig)
    }

    /// Names of the processes.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        self.stack.processes().iter().map(|(name, _)| *name).collect()
    }

    /// The process that does the part of a fleet's process `name`.
    #[must_use]
    pub const fn part(&self, name: &'static str) -> &'static str {
        match self.stack {
            Stack::Single => "serve",
            Stack::Fleet => name,
        }
    }

    /// The process ids of all processes that run.
    pub fn pids(&mut self) -> BTreeMap<&'static str, u32> {
        let processes = self.processes.iter_mut();
        processes.filter_map(|(name, process)| Some((*name, process.pid().filter(|_| process.is_running())?))).collect()
    }

    /// Starts a process, with variables of its own such as `CRASH_AT`.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn launch(&mut self, name: &'static str, variables: &[(&str, &str)]) {
        let process = self.start_as(name, name, self.arguments(name), variables);
        self.processes.insert(name, process);
    }

    /// Starts a further process with the arguments and the health port of `name`; it is the caller's.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start_as(&self, log: &str, name: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Process {
        let mut command = self.installation.command(arguments);
        if let Some(port) = self.health.get(name).filter(|_| log == name) {
            command.env("GATEPOST__TELEMETRY__METRICS_LISTEN", format!("127.0.0.1:{port}"));
        }
        command.envs(variables.iter().copied());
        self.installation.spawn(log, command)
    }

    /// Starts another worker with the part of `name` and waits until it works: a signal before it listens for signals would end
    /// it at once, which is no order. It is the caller's.
    ///
    /// # Panics
    /// When it cannot be started.
    pub async fn start_beside(&self, name: &'static str) -> Process {
        let log = format!("{name} beside");
        // Earlier ones of this name have written to the same log.
        let starts = || {
            let text = std::fs::read_to_string(self.installation.folder.join(format!("{log}.log"))).unwrap_or_default();
            text.matches("\"working\"").count()
        };
        let (begin, patience, before) = (Instant::now(), Duration::from_secs(17), starts());
        let process = self.start_as(&log, name, self.arguments(name), &[]);
        while starts() == before && begin.elapsed() < patience {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        process
    }

    fn arguments(&self, name: &str) -> &'static [&'static str] {
        self.stack.processes().iter().find(|(known, _)| *known == name).map_or(&[], |(_, list)| list)
    }

    /// One of the processes.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn process(&mut self, name: &str) -> &mut Process {
        self.processes.get_mut(name).unwrap_or_else(|| panic!("no process {name}"))
    }

    /// Ends a process as an operator does, and waits for it.
    ///
    /// # Panics
    /// When it does not end with 0.
    pub async fn terminate(&mut self, name: &'static str) {
        let process = self.process(name);
        process.signal("TERM").await;
        let ended = process.wait(Duration::from_secs(30)).await;
        assert_eq!(ended, Some(true), "{name} does not end in order\n{}", self.installation.logs());
    }

    /// Waits until every process is ready.
    ///
    /// # Panics
    /// When one is not within a minute and a half.
    pub async fn ready(&self) {
        let patience = Duration::from_secs(90);
        self.installation.wait_for(&format!("{}/health/ready", self.base), patience).await;
        for (name, port) in &self.health {
            if !matches!(*name, "serve" | "gateway") {
                self.installation.wait_for(&format!("http://127.0.0.1:{port}/health/ready"), patience).await;
            }
        }
    }

    /// Readiness of a worker process.
    pub async fn worker_status(&self, name: &str) -> Option<u16> {
        let url = format!("http://127.0.0.1:{}/health/ready", self.health.get(name)?);
        let answer = self.client.get(url).timeout(Duration::from_secs(2)).send().await;
        answer.ok().map(|answer| answer.status().as_u16())
    }

    /// The metrics of all processes.
    pub async fn metrics(&self) -> String {
        let mut text = String::new();
        for port in self.health.values() {
            if let Ok(answer) = self.client.get(format!("http://127.0.0.1:{port}/metrics")).send().await {
                text.push_str(&answer.text().await.unwrap_or_default());
            }
        }
        text
    }

    /// A connection to the database that no proxy is in the way of.
    ///
    /// # Panics
    /// When the database does not answer within half a minute.
    pub async fn database(&self) -> DatabaseConnection {
        let begin = Instant::now();
        loop {
            match Database::connect(&self.database).await {
                Ok(db) => return db,
                Err(error) => assert!(begin.elapsed() < Duration::from_secs(30), "no database: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The columns of a query as texts, none of them NULL; ids as hexadecimal digits alone.
    ///
    /// # Panics
    /// When the query fails.
    pub async fn rows<const COLUMNS: usize>(&self, columns: [&str; COLUMNS], rest: &str) -> Vec<[String; COLUMNS]> {
        let as_text = |name: &str| match (name, self.stack) {
            ("id" | "person_id", Stack::Single) => format!("LOWER(HEX({name}))"),
            ("id", Stack::Fleet) => "REPLACE(CAST(id AS TEXT), '-', '')".to_owned(),
            _ => format!("CAST({name} AS TEXT)"),
        };
        let list: Vec<String> =
            columns.iter().enumerate().map(|(index, name)| format!("{} AS c{index}", as_text(name))).collect();
        let sql = format!("SELECT {} {rest}", list.join(", "));
        let db = self.database().await;
        let statement = Statement::from_string(db.get_database_backend(), &sql);
        let found = db.query_all_raw(statement).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        drop(db.close().await);
        found
            .iter()
            .map(|row| std::array::from_fn(|index| row.try_get::<String>("", &format!("c{index}")).unwrap_or_default()))
            .collect()
    }

    /// The number that a query gives in its column.
    ///
    /// # Panics
    /// When it gives none.
    pub async fn number(&self, column: &str, rest: &str) -> i64 {
        let rows = self.rows([column], rest).await;
        rows.first().and_then(|[text]| text.parse().ok()).unwrap_or_else(|| panic!("no number: {column} {rest}"))
    }

    /// All rows of a table as one text.
    ///
    /// # Panics
    /// When they cannot be read.
    pub async fn table_text(&self, table: &str) -> String {
        let columns = match self.stack {
            Stack::Fleet => vec!["entry".to_owned()],
            Stack::Single => {
                let names = self.rows(["name"], &format!("FROM pragma_table_info('{table}')")).await;
                names.into_iter().map(|[name]| format!("QUOTE(\"{name}\")")).collect()
            }
        };
        let mut text = String::new();
        for column in columns {
            for [value] in self.rows([column.as_str()], &format!("FROM {table} AS entry")).await {
                text.push_str(&value);
                text.push('\n');
            }
        }
        text
    }

    /// Runs a statement.
    ///
    /// # Panics
    /// When it fails.
    pub async fn execute(&self, sql: &str) {
        let db = self.database().await;
        db.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        drop(db.close().await);
    }

    /// Ends all processes in order.
    pub async fn stop(&mut self) {
        for name in self.names() {
            self.terminate(name).await;
        }
    }
}

fn configured(base: &str, smtp: &SmtpServer) -> Installation {
    let unlimited = [
        "LOCKOUT__PER_CLIENT",
        "LOCKOUT__PER_ACCOUNT",
        "LOGIN__PER_NETWORK",
        "EMAIL_MFA__PER_USER",
        "EMAIL_VERIFICATION__SIGNUP_PER_NETWORK",
        "RECOVERY__PER_ADDRESS",
        "RECOVERY__PER_NETWORK",
        "MAIL__PER_RECIPIENT",
        "MAIL__PER_RECIPIENT_LONG",
    ];
    let settings = [
        ("HTTP__GRACE_SECONDS", "10"),
        ("DATABASE__MAX_CONNECTIONS", "8"),
        ("DATABASE__ACQUIRE_TIMEOUT_SECONDS", "2"),
        ("BROKER__TIMEOUT_SECONDS", "2"),
        ("BROKER__HEARTBEAT_SECONDS", "2"),
        ("MAIL__TIMEOUT_SECONDS", "3"),
        ("JOBS__POLL_MILLISECONDS", "100"),
        ("JOBS__LEASE_SECONDS", "4"),
        ("JOBS__REDISPATCH_SECONDS", "3"),
        ("JOBS__CONCURRENCY", "4"),
        ("JOBS__UNKNOWN_PATIENCE_SECONDS", "60"),
        ("PASSWORD__THREADS", "1"),
        ("TELEMETRY__LOG_FORMAT", "json"),
    ];
    let listen = base.trim_start_matches("http://");
    let mut installation = Installation::new()
        .set("HTTP__LISTEN", listen)
        .set("HTTP__PUBLIC_URL", base)
        .set("MAIL__URL", &format!("smtp+insecure://{}", smtp.addr()));
    for (key, value) in settings {
        installation = installation.set(key, value);
    }
    for limit in unlimited {
        installation = installation.set(&format!("{limit}__COUNT"), "0");
    }
    installation
}

async fn prepare_ground() -> Option<Ground> {
    let cluster = Cluster::start().await?;
    let admin = Database::connect(Cluster::url(cluster.port, "postgres")).await.expect("PostgreSQL");
    admin.execute_unprepared("CREATE DATABASE gatepost TEMPLATE template0").await.expect("a database");
    drop(admin.close().await);
    let node = Node::start().await?;
    let vhost = node.vhost().await;
    let amqp = Proxy::start(node.address()).await;
    let sql = Proxy::start(format!("127.0.0.1:{}", cluster.port)).await;
    Some(Ground { vhost, node, amqp, cluster, sql })
}
