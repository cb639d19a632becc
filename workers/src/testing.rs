//! What this crate's own tests share: jobs, a context over an SQLite file, messages, a transport that is told what to say.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use sea_orm::{ConnectionTrait, Database, Statement};
use serde::{Deserialize, Serialize};
use shared::{
    clock::{Clock, TestClock},
    config::Config,
    db::Db,
    ids,
    jobs::{Job, JobId, Queue, Retry, enqueue},
    kernel::Kernel,
    lifecycle::Readiness,
    secret::{Keyring, Redacted},
};

use crate::{
    context::Context,
    mail::{Letterhead, MailTransport, Mailer, Outgoing, Receipt, Renderer, SendError},
};

macro_rules! job {
    ($(#[$doc:meta])* $job:ident, $name:literal, $queue:expr, $retry:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub(crate) struct $job {
            pub(crate) number: i64,
        }

        impl Job for $job {
            const NAME: &'static str = $name;
            const VERSION: u16 = 1;
            const QUEUE: Queue = $queue;
            const RETRY: Retry = $retry;
            const EXPIRES: Option<Duration> = Some(Duration::from_secs(900));
        }
    };
}

const TWICE: Retry = Retry { attempts: 2, base: Duration::from_millis(1), cap: Duration::from_millis(1) };

job!(
    /// A job whose effect is in the database.
    Chore, "testing.chore", Queue::Sweep, TWICE
);
job!(
    /// A job whose effect is a mail.
    Letter, "testing.letter", Queue::Mail, TWICE
);
job!(
    /// A job whose handler does harm.
    Poison, "testing.poison", Queue::Notify, TWICE
);

/// A folder that is removed with its value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("gatepost-workers-{}", ids::next()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A transport that gives the answers it was told, then takes everything.
#[derive(Default)]
pub(crate) struct Scripted {
    pub(crate) answers: Mutex<Vec<SendError>>,
    pub(crate) sent: Mutex<Vec<Outgoing>>,
}

impl Scripted {
    pub(crate) fn answer(&self, error: SendError) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(0, error);
    }

    pub(crate) fn sent(&self) -> Vec<Outgoing> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl MailTransport for Scripted {
    async fn send(&self, message: &Outgoing) -> Result<Receipt, SendError> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner).push(message.clone());
        match self.answers.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            Some(error) => Err(error),
            None => Ok(Receipt { reply: "250 ok".to_owned() }),
        }
    }
}

/// A migrated database (an SQLite file, or a schema of `TEST_DATABASE_URL`), a clock that can be moved, a scripted transport.
pub(crate) struct Bench {
    pub(crate) context: Arc<Context>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) transport: Arc<Scripted>,
    _folder: Folder,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = Folder::new();
        let mut config = Config::defaults().unwrap();
        match std::env::var_os("TEST_DATABASE_URL") {
            Some(url) => schema_of_its_own(&mut config, url.into_string().unwrap()).await,
            None => {
                config.database.url = Redacted::new(format!("sqlite://{}", folder.path().join("db").display()));
            }
        }
        config.database.acquire_timeout_seconds = 10;
        change(&mut config);
        let db = Db::connect(&config.database).await.unwrap();
        migrations::run(db.writer()).await.unwrap();
        let clock = Arc::new(TestClock::default());
        let keys = Keyring::parse(config.secrets.keys.expose()).unwrap();
        let shared_clock: Arc<dyn Clock> = clock.clone();
        let kernel = Kernel { db, clock: shared_clock, keys, config: Arc::new(config) };
        let transport = Arc::new(Scripted::default());
        let mailer = Mailer::with_transport(&kernel.config, transport.clone()).unwrap();
        let context = Arc::new(Context::new(Arc::new(kernel), Arc::new(mailer), Readiness::default()));
        Self { context, clock, transport, _folder: folder }
    }

    pub(crate) async fn enqueue<J: Job>(&self, job: &J) -> JobId {
        let tx = self.context.kernel.db.write_tx().await.unwrap();
        let id = enqueue(&tx, self.context.kernel.clock.as_ref(), job).await.unwrap();
        tx.commit().await.unwrap();
        id.unwrap()
    }

    /// Runs a statement that returns nothing.
    pub(crate) async fn execute(&self, sql: &str) {
        self.context.kernel.db.writer().execute_unprepared(sql).await.unwrap();
    }

    /// The first column of the first row, as text.
    pub(crate) async fn text(&self, sql: &str) -> Option<String> {
        let db = self.context.kernel.db.reader();
        let statement = Statement::from_string(db.get_database_backend(), sql);
        db.query_one_raw(statement).await.unwrap().and_then(|row| row.try_get_by_index(0).unwrap())
    }

    /// State, attempts and last error of a job.
    pub(crate) async fn job(&self, id: JobId) -> (&'static str, i32, Option<String>) {
        let job = shared::jobs::operate::find(self.context.kernel.db.reader(), id).await.unwrap().unwrap();
        (job.state.as_str(), job.attempt, job.last_error)
    }
}

/// Points the configuration at a fresh schema of a PostgreSQL database, which goes with that database.
async fn schema_of_its_own(config: &mut Config, url: String) {
    let schema = format!("workers_{}", ids::next().simple());
    let db = Database::connect(&url).await.unwrap();
    db.execute_unprepared(&format!("CREATE SCHEMA {schema}")).await.unwrap();
    db.close().await.unwrap();
    config.database.url = Redacted::new(url);
    config.database.schema = Some(schema);
    config.database.max_connections = 4;
}

/// A message as a handler could have asked for it.
pub(crate) fn outgoing(to: &str) -> Outgoing {
    let config = Config::defaults().unwrap();
    let renderer = Renderer::new(&config.http.public_url).unwrap();
    let context = minijinja::context! { link => "http://localhost/x", expires_hours => 24, providers => "" };
    let mail = renderer.render("recovery/reset_link", &context).unwrap();
    let letterhead = Letterhead::new(&config.mail.from, &config.http.public_url).unwrap();
    letterhead.write(JobId::next(), TestClock::default().now(), to, mail).unwrap()
}
