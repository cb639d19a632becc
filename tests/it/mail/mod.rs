//! Tests of outgoing mail: real SMTP, with everything that goes wrong there.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod outages;
mod refusals;
mod security;
mod throughput;
mod transport_security;

use std::time::Duration;

use harness::{
    Caller, PASSWORD, Settings, TestApp, code_in,
    smtp::{Options, Received, SmtpServer},
    works::{PATIENCE, run_due},
};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use shared::{
    config::Config,
    jobs::{JobId, JobState, operate},
    secret::Redacted,
};

use crate::jobs;

/// An application that mails through an SMTP server of its own.
pub struct Post {
    pub server: SmtpServer,
    pub app: TestApp,
}

impl Post {
    pub async fn start() -> Self {
        Self::with(Options::default(), "smtp+insecure://", |_| {}).await
    }

    /// `scheme` is what `mail.url` begins with, up to the host.
    pub async fn with(options: Options, scheme: &str, change: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        let server = SmtpServer::start_with(options).await.unwrap();
        let url = Redacted::new(format!("{scheme}{}", server.addr()));
        let app = jobs::app(Settings::with(move |config| {
            config.mail.url = url;
            config.mail.timeout_seconds = 1;
            config.mail.pause_seconds = 1;
            config.jobs.poll_milliseconds = 20;
            change(config);
        }))
        .await;
        Self { server, app }
    }

    /// The newest mail to an address.
    pub fn last(&self, address: &str) -> Received {
        self.server.messages_to(address).pop().unwrap_or_else(|| panic!("no mail to {address}"))
    }

    pub async fn sign_up(&self, email: &str) {
        let body = json!({ "email": email, "password": PASSWORD });
        self.app.browser().post("/api/signup", body).await.expect(202);
        run_due(&self.app).await;
        let code = code_in(&self.last(email).text().unwrap());
        let body = json!({ "email": email, "code": code });
        self.app.browser().post("/api/email_verification/confirm", body).await.expect(200);
    }

    /// Proves the password; the job of the mailed code is left waiting.
    pub async fn begin_login(&self, browser: &Caller<'_>, email: &str, password: &str) -> Value {
        let body = json!({ "email": email, "password": password });
        let login = browser.post("/api/login", body).await.expect(200).json();
        assert_eq!(login["status"], "email_mfa_required", "{login}");
        login["email_mfa"].clone()
    }

    /// Signs in with the newest mailed code.
    pub async fn finish_login(&self, browser: &Caller<'_>, email: &str, pending: &Value) {
        let code = code_in(&self.last(email).text().unwrap());
        let body = json!({ "login_id": pending["login_id"], "code": code });
        let login = browser.post("/api/login/email_mfa", body).await.expect(200).json();
        assert_eq!(login["status"], "signed_in", "{login}");
    }

    /// Id of the newest job with this name.
    pub async fn job_id(&self, name: &str) -> JobId {
        let filter = operate::Filter { name: Some(name.to_owned()), ..operate::Filter::default() };
        let jobs = operate::list(self.app.kernel.db.reader(), &filter, 1).await.unwrap();
        jobs.first().unwrap_or_else(|| panic!("no job {name}")).id
    }

    /// What the ledger says of a job's mail.
    pub async fn ledger(&self, id: JobId) -> Option<String> {
        let db = self.app.kernel.db.reader();
        let sql = "SELECT state FROM mail_deliveries WHERE job_id = $1";
        let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [id.0.into()]);
        db.query_one_raw(statement).await.unwrap().map(|row| row.try_get("", "state").unwrap())
    }

    /// Runs due jobs, moving the clock to each retry, until a job has ended. Returns how many rounds it took.
    pub async fn settle(&self, id: JobId) -> usize {
        for round in 1..200 {
            run_due(&self.app).await;
            let row = operate::find(self.app.kernel.db.reader(), id).await.unwrap().unwrap();
            if row.state.is_final() {
                return round;
            }
            self.app.advance(row.run_at.since(self.app.kernel.clock.now()) + Duration::from_millis(1));
        }
        panic!("the job does not end within {PATIENCE:?}")
    }

    pub async fn count(&self, name: &str, state: JobState) -> usize {
        self.app.count_jobs(name, state).await
    }
}

/// The parts of a message that must be the same in a second copy, for readable failures; the copies are compared whole.
pub fn identity(message: &Received) -> (Option<String>, Option<String>, Option<String>) {
    (message.header("Message-ID"), message.header("Content-Type"), message.header("Date"))
}
