//! `gatepost doctor`: walks the way of a mail from the configuration to the relay, and names the step that fails.

use std::time::{Duration, Instant};

use anyhow::Context;
use shared::{
    broker,
    config::Config,
    jobs::{self, JobId, JobState, operate},
    kernel::Kernel,
    mail::{MailRoute, SendTestMail},
    password,
    users::Email,
};

use crate::output;

/// How long a test mail may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Checks every step that can be checked; true when all are well.
pub async fn examine(config: Config, mail_to: Option<String>) -> anyhow::Result<bool> {
    let mut report = Report { is_well: true };
    report.say("configuration", Ok(format!("{:?} mode, reached at {}", config.mode, config.http.public_url)));
    report.say("base URL", resolve(&config).await);
    let kernel = match Kernel::connect(config.clone()).await {
        Ok((kernel, _)) => kernel,
        Err(err) => {
            report.say("database", Err(err.to_string()));
            return Ok(false);
        }
    };
    report.say("database", Ok(format!("{:?} answers", kernel.db.engine())));
    let missing = migrations::missing(kernel.db.writer()).await?;
    if missing.is_empty() {
        report.say("schema", Ok("up to date".to_owned()));
    } else {
        report.say("schema", Err(format!("{} changes are missing; run `gatepost migrate`", missing.len())));
        return Ok(false);
    }
    report.say("keys", keys(&kernel).await?);
    report.say("broker", broker(&config).await);
    report.say("queues", queues(&kernel).await?);
    report.say("mail", route(&config));
    if let Some(to) = mail_to {
        report.say("test mail", test_mail(&kernel, &to).await?);
    }
    Ok(report.is_well)
}

struct Report {
    is_well: bool,
}

impl Report {
    fn say(&mut self, step: &str, finding: Result<String, String>) {
        self.is_well &= finding.is_ok();
        match finding {
            Ok(text) => output::print(&format!("ok    {step:<14} {text}")),
            Err(text) => output::print(&format!("FAIL  {step:<14} {text}")),
        }
    }
}

async fn resolve(config: &Config) -> Result<String, String> {
    let host = config.http.public_url.host_str().unwrap_or_default();
    match tokio::net::lookup_host((host, 0)).await.map(|mut addresses| addresses.next()) {
        Ok(Some(address)) => Ok(format!("{host} is {}", address.ip())),
        Ok(None) => Err(format!("{host} has no address")),
        Err(err) => Err(format!("{host} does not resolve: {err}")),
    }
}

async fn keys(kernel: &Kernel) -> anyhow::Result<Result<String, String>> {
    let mut orphans = Vec::new();
    for (key_id, passwords) in password::count_by_key(kernel.db.reader()).await? {
        if kernel.keys.derive(&key_id, "doctor", &[]).is_none() {
            orphans.push(format!("{passwords} passwords need the removed key {key_id:?}"));
        } else if key_id != kernel.keys.current() {
            return Ok(Ok(format!("{passwords} passwords still need the older key {key_id:?}; keep it")));
        }
    }
    Ok(if orphans.is_empty() { Ok(format!("{:?} signs", kernel.keys.current())) } else { Err(orphans.join(", ")) })
}

async fn broker(config: &Config) -> Result<String, String> {
    if config.broker.url.expose().starts_with("memory:") {
        return Ok("in process".to_owned());
    }
    let broker = broker::connect(&config.broker).await.map_err(|err| err.to_string())?;
    let deadline = Instant::now() + Duration::from_secs(config.broker.timeout_seconds);
    let mut finding = broker.check().await;
    while finding.is_err() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(200)).await;
        finding = broker.check().await;
    }
    broker.close().await;
    finding.map(|()| "RabbitMQ takes messages, the topology is declared".to_owned()).map_err(|err| err.to_string())
}

async fn queues(kernel: &Kernel) -> anyhow::Result<Result<String, String>> {
    let now = kernel.clock.now();
    let (mut waiting, mut dead, mut oldest) = (0, 0, Duration::ZERO);
    for depth in operate::depths(kernel.db.reader()).await? {
        if depth.state == JobState::Dead.as_str() {
            dead += depth.jobs;
        } else {
            waiting += depth.jobs;
            oldest = oldest.max(now.since(shared::clock::Timestamp(depth.oldest)));
        }
    }
    let text = format!("{waiting} waiting, the oldest for {} s; {dead} dead", oldest.as_secs());
    let limit = kernel.config.jobs.max_age_seconds;
    Ok(if oldest.as_secs() > limit { Err(format!("{text}: is a relay and a worker running?")) } else { Ok(text) })
}

fn route(config: &Config) -> Result<String, String> {
    match config.mail.route() {
        MailRoute::Mailbox(folder) => Ok(format!("local mailbox in {}", folder.display())),
        MailRoute::Smtp => Ok("SMTP; use --mail-to to send a test mail through the real queue".to_owned()),
        MailRoute::Nowhere => Err("no mail is sent; sign-in by password needs an administrator's bypass".to_owned()),
    }
}

/// Enqueues a real job and watches it; the state it stays in names the part that fails.
async fn test_mail(kernel: &Kernel, to: &str) -> anyhow::Result<Result<String, String>> {
    let to = Email::parse(to)?;
    let tx = kernel.db.write_tx().await?;
    let job = SendTestMail { to: to.address().to_owned() };
    let id = jobs::enqueue(&tx, kernel.clock.as_ref(), &job).await?.context("the job was not added")?;
    tx.commit().await?;
    let begin = Instant::now();
    loop {
        let found = operate::find(kernel.db.reader(), id).await?;
        let (state, error) = found.map_or((JobState::Cancelled, None), |job| (job.state, job.last_error));
        if state == JobState::Done {
            return Ok(Ok(format!("handed over after {} ms", begin.elapsed().as_millis())));
        }
        if state.is_final() || begin.elapsed() > PATIENCE {
            return Ok(Err(diagnosis(id, state, error.as_deref())));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn diagnosis(id: JobId, state: JobState, error: Option<&str>) -> String {
    let place = match state {
        JobState::Queued => "no relay took it: is a gateway or worker running, and does the broker answer?",
        JobState::Dispatched => "the broker has it and no worker took it: is `gatepost worker mail` running?",
        JobState::Running | JobState::Retrying => "the worker tried and failed",
        JobState::Done | JobState::Dead | JobState::Expired | JobState::Cancelled => "it was given up",
    };
    format!("job {id} is {}: {place} {}", state.as_str(), error.unwrap_or_default())
}
