//! Tests of the job system: what `shared/src/jobs` promises and what the workers make of it.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod attempts;
mod delivery;
mod operate;
mod outbox;
mod poison;
mod secrets;
mod upkeep;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use harness::{Caller, PASSWORD, Settings, TestApp, code_in, works::run_due};
use sea_orm::{ConnectionTrait, Statement};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::{
    db::Tx,
    jobs::{Job, JobId, Queue, Retry, operate as table},
};
use tokio::sync::Semaphore;
use workers::{Context, JobError, Registry, mail::Mail};

/// Three attempts, soon after each other.
pub const THRICE: Retry = Retry { attempts: 3, base: Duration::from_millis(50), cap: Duration::from_millis(50) };

macro_rules! jobs {
    ($($(#[$doc:meta])* $job:ident { $field:ident: $of:ty } $name:literal on $queue:expr;)*) => {
        $($(#[$doc])*
        #[derive(Clone, Debug, Serialize, Deserialize)]
        pub struct $job {
            pub $field: $of,
        }

        impl Job for $job {
            const NAME: &'static str = $name;
            const VERSION: u16 = 1;
            const QUEUE: Queue = $queue;
            const RETRY: Retry = THRICE;
            const EXPIRES: Option<Duration> = Some(Duration::from_secs(900));
        })*
    };
}

jobs! {
    /// Writes its number down.
    Chore { number: i64 } "testing.chore" on Queue::Identify;
    /// Writes its number down and then fails.
    Failing { number: i64 } "testing.failing" on Queue::Identify;
    /// Writes its number down and then panics.
    Panicking { number: i64 } "testing.panicking" on Queue::Identify;
    /// Writes its number down and then never ends.
    Hanging { number: i64 } "testing.hanging" on Queue::Identify;
    /// A mail that someone waits for.
    Letter { to: String } "testing.letter" on Queue::Mail;
    /// A mail that may wait.
    Notice { to: String } "testing.notice" on Queue::Notify;
    /// A mail whose first worker stands still before it sends.
    Stalling { to: String } "testing.stalling" on Queue::Mail;
}

/// A job that exists once per number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Single {
    pub number: i64,
}

impl Job for Single {
    const NAME: &'static str = "testing.single";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Identify;
    const RETRY: Retry = THRICE;
    const EXPIRES: Option<Duration> = None;

    fn dedup_key(&self) -> Option<String> {
        Some(self.number.to_string())
    }
}

/// How many [`Hanging`] handlers were entered.
pub static HANGING: AtomicUsize = AtomicUsize::new(0);
/// How many [`Stalling`] handlers were entered.
pub static STALLED: AtomicUsize = AtomicUsize::new(0);
/// A permit lets the first [`Stalling`] handler go on.
pub static GO_ON: Semaphore = Semaphore::const_new(0);

async fn note(tx: &Tx, number: i64) -> Result<(), JobError> {
    tx.execute_unprepared(&format!("INSERT INTO effects (number) VALUES ({number})")).await?;
    Ok(())
}

async fn chore(_: &Context, tx: &Tx, job: Chore) -> Result<(), JobError> {
    note(tx, job.number).await
}

async fn single(_: &Context, tx: &Tx, job: Single) -> Result<(), JobError> {
    note(tx, job.number).await
}

async fn failing(_: &Context, tx: &Tx, job: Failing) -> Result<(), JobError> {
    note(tx, job.number).await?;
    Err(JobError::retry("it does not work"))
}

async fn panicking(_: &Context, tx: &Tx, job: Panicking) -> Result<(), JobError> {
    note(tx, job.number).await?;
    panic!("poison")
}

async fn hanging(_: &Context, tx: &Tx, job: Hanging) -> Result<(), JobError> {
    note(tx, job.number).await?;
    HANGING.fetch_add(1, Ordering::SeqCst);
    std::future::pending().await
}

fn mail(to: &str) -> Mail {
    Mail::new("mail/test_mail", to, json!({}))
}

async fn letter(_: &Context, job: Letter) -> Result<Option<Mail>, JobError> {
    Ok(Some(mail(&job.to)))
}

async fn notice(_: &Context, job: Notice) -> Result<Option<Mail>, JobError> {
    Ok(Some(mail(&job.to)))
}

async fn stalling(_: &Context, job: Stalling) -> Result<Option<Mail>, JobError> {
    if STALLED.fetch_add(1, Ordering::SeqCst) == 0 {
        GO_ON.acquire().await.map_err(JobError::retry)?.forget();
    }
    Ok(Some(mail(&job.to)))
}

/// All handlers of the product and those of these tests.
pub fn registry() -> Registry {
    let mut registry = workers::handlers::registry().unwrap();
    registry.on(chore).unwrap().on(single).unwrap().on(failing).unwrap().on(panicking).unwrap().on(hanging).unwrap();
    registry.mail(letter).unwrap().mail(notice).unwrap().mail(stalling).unwrap();
    registry
}

/// An application with the handlers of these tests and the table that their effects go to.
pub async fn app(settings: Settings) -> TestApp {
    let mut app = TestApp::with(settings).await;
    app.execute("CREATE TABLE effects (number BIGINT NOT NULL)").await;
    app.registry = Arc::new(registry());
    app
}

/// An application whose relay and retries are quick.
pub async fn quick_app() -> TestApp {
    app(Settings::with(|config| config.jobs.poll_milliseconds = 20)).await
}

/// Names of the jobs that have not ended, each once.
pub async fn unfinished(app: &TestApp) -> BTreeSet<String> {
    let jobs = table::list(app.kernel.db.reader(), &table::Filter::default(), 1000).await.unwrap();
    jobs.into_iter().filter(|job| !job.state.is_final()).map(|job| job.name).collect()
}

/// How many effects there are.
pub async fn effects(app: &TestApp) -> i64 {
    app.number("SELECT COUNT(*) AS number FROM effects").await
}

/// Runs a statement whose `$1` is the id of a job.
pub async fn change(app: &TestApp, sql: &str, id: JobId) {
    let statement = Statement::from_sql_and_values(app.kernel.db.engine(), sql, [id.0.into()]);
    app.kernel.db.writer().execute_raw(statement).await.unwrap();
}

/// A browser that signed up and in with a mailed code; jobs run directly.
pub async fn signed_in<'a>(app: &'a TestApp, email: &str) -> Caller<'a> {
    let browser = app.browser();
    browser.post("/api/signup", json!({ "email": email, "password": PASSWORD })).await.expect(202);
    run_due(app).await;
    let code = code_in(&app.mail_to(email).await.text);
    browser.post("/api/email_verification/confirm", json!({ "email": email, "code": code })).await.expect(200);
    let login = browser.post("/api/login", json!({ "email": email, "password": PASSWORD })).await.expect(200).json();
    run_due(app).await;
    let code = code_in(&app.mail_to(email).await.text);
    let body = json!({ "login_id": login["email_mfa"]["login_id"], "code": code });
    let login = browser.post("/api/login/email_mfa", body).await.expect(200).json();
    assert_eq!(login["status"], "signed_in", "{login}");
    browser
}
