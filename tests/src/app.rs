//! An application of its own for each test.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use gateway::{AppParts, AppState, state::Keys};
use poem::{EndpointExt, Response, endpoint::BoxEndpoint};
use sea_orm::{ConnectionTrait, Database, Statement};
use shared::{
    broker::{self, Broker},
    capture::{self, Capture},
    clock::{Clock, TestClock, Timestamp},
    config::{Config, load_from},
    db::Db,
    ids,
    jobs::{JobState, Queue, lease, operate, relay},
    kernel::Kernel,
    lifecycle::{CancellationToken, Lifecycle},
    password::HashPool,
    secret::{Keyring, Redacted},
    sessions::SessionCache,
    social::Providers,
};
use tokio::sync::Mutex;
use workers::{Context, Registry, mail::Mailer};

use crate::{Caller, Settings, mail::TestMail, rabbit, settings::UNLIMITED};

/// An application: the real router, handlers and database, and a clock that the test moves.
pub struct TestApp {
    /// Database, clock, keys and configuration.
    pub kernel: Arc<Kernel>,
    /// The clock that the test moves.
    pub clock: Arc<TestClock>,
    /// The threads that hash.
    pub hasher: Arc<HashPool>,
    /// What the job handlers hold.
    pub context: Arc<Context>,
    /// The job handlers.
    pub registry: Arc<Registry>,
    endpoint: BoxEndpoint<'static, Response>,
    workers: Mutex<Option<Workers>>,
    capture: Arc<Capture>,
    /// What runs beside the router.
    _lifecycle: Lifecycle,
    folder: PathBuf,
    schema: Option<String>,
    checks_jobs: AtomicBool,
}

/// The workers of a test that runs through RabbitMQ.
struct Workers {
    broker: Arc<dyn Broker>,
    lifecycle: Lifecycle,
}

/// A clock that stands still.
struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

impl TestApp {
    /// With the defaults of tests.
    pub async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    /// With settings of its own.
    ///
    /// # Panics
    /// When a part cannot be started.
    pub async fn with(settings: Settings) -> Self {
        let folder = std::env::temp_dir().join(format!("gatepost-test-{}", ids::next()));
        std::fs::create_dir_all(&folder).expect("a folder for the test");
        let mut config = test_config(&folder);
        let schema = choose_database(&mut config).await;
        (settings.change)(&mut config);
        let clock = Arc::new(TestClock::default());
        let keys = Keyring::parse(config.secrets.keys.expose()).expect("keys");
        let db = Db::connect(&config.database).await.expect("the database");
        migrations::run(db.writer()).await.expect("the schema");
        let kernel = Arc::new(Kernel {
            db,
            clock: Arc::<TestClock>::clone(&clock),
            keys: keys.clone(),
            config: Arc::new(config),
        });
        let hasher = Arc::new(HashPool::start(&kernel.config.password, &keys).expect("hashing threads"));
        let mut lifecycle = Lifecycle::new();
        let capture = Arc::new(Capture::new(&kernel.config.capture));
        if let Some(batcher) = capture.batcher() {
            lifecycle.spawn(capture::COMPONENT, batcher.run(Arc::clone(&kernel)));
        }
        let state = AppState::from(AppParts {
            kernel: Arc::clone(&kernel),
            hasher: Arc::clone(&hasher),
            sessions: SessionCache::default(),
            keys: Keys::default(),
            providers: Providers::default(),
            capture: Arc::clone(&capture),
            readiness: lifecycle.readiness.clone(),
            draining: CancellationToken::new(),
        });
        let mailer = Arc::new(Mailer::new(&kernel.config).expect("a mailer"));
        let context = Arc::new(Context::new(Arc::clone(&kernel), mailer, lifecycle.readiness.clone()));
        Self {
            endpoint: gateway::app(state).boxed(),
            kernel,
            clock,
            hasher,
            context,
            registry: Arc::new(workers::handlers::registry().expect("handlers")),
            workers: Mutex::default(),
            capture,
            _lifecycle: lifecycle,
            folder,
            schema,
            checks_jobs: AtomicBool::new(true),
        }
    }

    /// The router.
    #[must_use]
    pub fn endpoint(&self) -> &BoxEndpoint<'static, Response> {
        &self.endpoint
    }

    /// Another gateway of the same installation, with connections of its own.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn another_gateway(&self) -> BoxEndpoint<'static, Response> {
        let db = Db::connect(&self.kernel.config.database).await.expect("the database");
        self.gateway_with(Kernel { db, ..(*self.kernel).clone() })
    }

    /// A gateway of the same installation whose clock stands still.
    #[must_use]
    pub fn gateway_at(&self, now: Timestamp) -> BoxEndpoint<'static, Response> {
        self.gateway_with(Kernel { clock: Arc::new(Still(now)), ..(*self.kernel).clone() })
    }

    /// A gateway of the same installation with these keys.
    ///
    /// # Panics
    /// When they are not usable.
    #[must_use]
    pub fn gateway_with_keys(&self, entries: &[String]) -> BoxEndpoint<'static, Response> {
        self.gateway_with(Kernel { keys: Keyring::parse(entries).expect("keys"), ..(*self.kernel).clone() })
    }

    /// A gateway of the same installation with another configuration.
    #[must_use]
    pub fn gateway_with_config(&self, config: Config) -> BoxEndpoint<'static, Response> {
        self.gateway_with(Kernel { config: Arc::new(config), ..(*self.kernel).clone() })
    }

    /// What time it is for the application.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.kernel.clock.now()
    }

    fn gateway_with(&self, kernel: Kernel) -> BoxEndpoint<'static, Response> {
        gateway::app(AppState::from(AppParts {
            kernel: Arc::new(kernel),
            hasher: Arc::clone(&self.hasher),
            sessions: SessionCache::default(),
            keys: Keys::default(),
            providers: Providers::default(),
            capture: Arc::clone(&self.capture),
            readiness: Lifecycle::new().readiness.clone(),
            draining: CancellationToken::new(),
        }))
        .boxed()
    }

    /// The origin that browsers of this application send.
    #[must_use]
    pub fn origin(&self) -> String {
        self.kernel.config.http.origin()
    }

    /// A browser at an address that nobody else has.
    #[must_use]
    pub fn browser(&self) -> Caller<'_> {
        let bits = ids::next().as_u128();
        self.browser_at(&std::net::Ipv6Addr::from(bits & !(0xffff_u128 << 112) | 0x2001_u128 << 112).to_string())
    }

    /// A browser at this address.
    #[must_use]
    pub fn browser_at(&self, ip: &str) -> Caller<'_> {
        Caller::new(self, ip)
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Processes all due jobs: directly, or through the relay, RabbitMQ and consumers when the tests run with them.
    ///
    /// # Panics
    /// When the jobs do not come to an end.
    pub async fn drain(&self) {
        if std::env::var_os("TEST_AMQP_URL").is_none() {
            workers::drain(&self.context, &self.registry).await.expect("jobs");
            return;
        }
        let mut workers = self.workers.lock().await;
        let workers = match &mut *workers {
            Some(workers) => workers,
            none => none.insert(self.start_workers().await),
        };
        let begin = Instant::now();
        while self.due_jobs().await > 0 {
            relay::pass(&self.kernel, workers.broker.as_ref()).await.expect("a relay pass");
            tokio::time::sleep(Duration::from_millis(5)).await;
            if begin.elapsed() > Duration::from_secs(60) {
                let jobs = operate::list(self.kernel.db.reader(), &operate::Filter::default(), 1000).await;
                panic!("jobs do not come to an end: {jobs:#?}");
            }
        }
    }

    async fn start_workers(&self) -> Workers {
        let config = &self.kernel.config.broker;
        let broker = broker::connect(config).await.expect("RabbitMQ");
        // No schedule and no reaper beside the test: it is the leader.
        let (db, now) = (self.kernel.db.writer(), self.kernel.clock.now());
        let hold = Duration::from_hours(24 * 3650);
        lease::acquire(db, "maintenance", "the test", now, hold).await.expect("the lease");
        let mut lifecycle = Lifecycle::new();
        let (context, registry) = (Arc::clone(&self.context), Arc::clone(&self.registry));
        workers::spawn(context, registry, Arc::clone(&broker), &Queue::ALL, &mut lifecycle).await.expect("workers");
        Workers { broker, lifecycle }
    }

    /// Jobs that could run now, or do.
    async fn due_jobs(&self) -> i64 {
        let statement = Statement::from_sql_and_values(
            self.kernel.db.engine(),
            "SELECT COUNT(*) AS jobs FROM jobs WHERE state IN ('dispatched', 'running')
             OR (state IN ('queued', 'retrying') AND run_at <= $1)",
            [self.kernel.clock.now().0.into()],
        );
        let row = self.kernel.db.reader().query_one_raw(statement).await.expect("jobs").expect("a count");
        row.try_get("", "jobs").expect("a count")
    }

    /// Jobs that have not ended. Workers behind RabbitMQ have a schedule of their own, whose jobs no test waits for.
    pub async fn unfinished_jobs(&self) -> Vec<String> {
        let has_schedule = std::env::var_os("TEST_AMQP_URL").is_some();
        let is_scheduled =
            |name: &str| has_schedule && workers::schedule::SCHEDULE.iter().any(|tick| tick.name == name);
        let jobs = operate::list(self.kernel.db.reader(), &operate::Filter::default(), 1000).await.expect("jobs");
        let left = jobs.into_iter().filter(|job| !job.state.is_final() && !is_scheduled(&job.name));
        let told = |error: Option<String>| error.map(|error| format!(": {error}")).unwrap_or_default();
        left.map(|job| format!("{} {}{}", job.name, job.id, told(job.last_error))).collect()
    }

    /// How many jobs of this name there are in a state.
    pub async fn count_jobs(&self, name: &str, state: JobState) -> usize {
        let filter = operate::Filter { state: Some(state), name: Some(name.to_owned()), ..operate::Filter::default() };
        operate::list(self.kernel.db.reader(), &filter, 1000).await.expect("jobs").len()
    }

    /// Says that jobs are meant to be left over.
    pub fn forget_jobs(&self) {
        self.checks_jobs.store(false, Ordering::Relaxed);
    }

    /// All mails, the newest first.
    pub async fn mails(&self) -> Vec<TestMail> {
        let mails = workers::mail::list(&self.folder.join("mailbox"), 1000).unwrap_or_default();
        let read = |mail: workers::mail::MailboxMail| TestMail {
            to: mail.to,
            subject: mail.subject,
            text: mail.text,
            html: mail.html,
            headers: mail.headers,
        };
        mails.into_iter().map(read).collect()
    }

    /// The newest mail to an address.
    ///
    /// # Panics
    /// When there is none.
    pub async fn mail_to(&self, address: &str) -> TestMail {
        let mails = self.mails().await;
        let seen: Vec<_> = mails.iter().map(|mail| format!("{}: {}", mail.to, mail.subject)).collect();
        mails
            .into_iter()
            .find(|mail| mail.to == address)
            .unwrap_or_else(|| panic!("no mail to {address} among {seen:?}"))
    }

    /// How many mails an address got.
    pub async fn count_mails(&self, address: &str) -> usize {
        self.mails().await.iter().filter(|mail| mail.to == address).count()
    }

    /// The mails to an address with a subject, the newest first.
    pub async fn mails_about(&self, address: &str, subject: &str) -> Vec<TestMail> {
        self.mails().await.into_iter().filter(|mail| mail.to == address && mail.subject == subject).collect()
    }

    async fn clean_up(&self, workers: Option<Workers>) {
        if let Some(workers) = workers {
            workers.lifecycle.stop(Duration::from_secs(5)).await;
            workers.broker.close().await;
            let deleted = rabbit::delete_topology(&self.kernel.config.broker).await;
            assert!(deleted.is_ok(), "its queues stay: {deleted:?}");
        }
        if let Some(schema) = &self.schema {
            self.execute(&format!("DROP SCHEMA {schema} CASCADE")).await;
        }
    }
}

impl TestApp {
    /// Ends what runs and takes away what it made; panics about what it left undone.
    fn end(&mut self) {
        let workers = self.workers.get_mut().take();
        let (left, wordy) = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let mut left = self.unfinished_jobs().await;
                // It comes with almost every login; the tests that are about it process it.
                left.retain(|job| !job.starts_with("devices.notify_new_device "));
                let wordy = self.wordy_payloads().await;
                self.clean_up(workers).await;
                (left, wordy)
            })
        });
        if self.checks_jobs.load(Ordering::Relaxed) {
            assert!(left.is_empty(), "jobs that nobody processed: {left:?}");
            assert!(wordy.is_empty(), "payloads that hold more than ids and numbers: {wordy:?}");
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let end = catch_unwind(AssertUnwindSafe(|| self.end()));
        drop(std::fs::remove_dir_all(&self.folder));
        // A test that has failed says so; a second panic would end all others with it.
        if let (Err(panic), false) = (end, std::thread::panicking()) {
            resume_unwind(panic);
        }
    }
}

fn test_config(folder: &Path) -> Config {
    let mut config = load_from(None, std::iter::empty()).expect("the defaults");
    config.database.url = Redacted::new(format!("sqlite://{}", folder.join("test.db").display()));
    config.mail.url = Redacted::new(format!("mailbox://{}", folder.join("mailbox").display()));
    config.http.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    config.telemetry.metrics_listen = None;
    config.domains.resolver = Some(crate::settings::NOWHERE);
    // Cheap hashes, except where a test is about them.
    config.password.memory_kib = 64;
    config.lockout.per_client = UNLIMITED;
    config.lockout.per_account = UNLIMITED;
    config.lockout.in_a_row = 0;
    config.login.per_network = UNLIMITED;
    config.password.change_per_user = UNLIMITED;
    (config.mail.per_recipient, config.mail.per_recipient_long) = (UNLIMITED, UNLIMITED);
    if let Some(url) = std::env::var_os("TEST_AMQP_URL") {
        let vhost = std::env::var_os("TEST_AMQP_VHOST").unwrap_or_default();
        config.broker.url = Redacted::new(format!("{}/{}", url.to_string_lossy(), vhost.to_string_lossy()));
        config.broker.prefix = format!("test-{}", ids::next());
    }
    config
}

/// A schema of its own on PostgreSQL, when the tests run on it.
async fn choose_database(config: &mut Config) -> Option<String> {
    let url = std::env::var_os("TEST_DATABASE_URL")?.to_string_lossy().into_owned();
    let schema = format!("t{}", ids::next().simple());
    let admin = Database::connect(&url).await.expect("PostgreSQL");
    admin.execute_unprepared(&format!("CREATE SCHEMA {schema}")).await.expect("a schema");
    admin.close().await.expect("an orderly end");
    config.database.url = Redacted::new(url);
    config.database.max_connections = 5;
    config.database.schema = Some(schema.clone());
    Some(schema)
}
