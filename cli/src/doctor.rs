//! `gatepost doctor`: walks the way of a mail from the configuration to the relay, and names the step that fails.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::Context;
use shared::{
    backup_codes, blocklist,
    broker::{self, BrokerError},
    config::Config,
    jobs::{self, JobId, JobState, lease, operate},
    kernel::Kernel,
    mail::{MailRoute, SendTestMail},
    password, totp,
    users::Email,
};
use workers::{mail::Mailer, maintenance};

use crate::output;

/// How long a test mail may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Checks every step that can be checked; true when all are well.
pub async fn examine(config: Config, mail_to: Option<String>) -> anyhow::Result<bool> {
    let mut report = Report { is_well: true };
    report.say("configuration", Ok(format!("{:?} mode, reached at {}", config.mode, config.http.public_url)));
    report.say("DNS", resolve(&config).await);
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
        report.say("migrations", Ok("the schema is up to date".to_owned()));
    } else {
        report.say("migrations", Err(format!("{} changes are missing; run `gatepost migrate`", missing.len())));
        return Ok(false);
    }
    report.say("keys", keys(&kernel).await?);
    report.say("passwords", passwords(&config));
    let (broker, topology) = broker(&config).await;
    report.say("broker", broker);
    report.say("topology", topology);
    report.say("relay", relay(&kernel).await?);
    report.say("worker", worker(&kernel).await?);
    report.say("dead jobs", dead(&kernel).await?);
    report.say("SMTP", smtp(&config).await);
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
    let db = kernel.db.reader();
    let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (what, counts) in [
        ("passwords", password::count_by_key(db).await?),
        ("authenticator apps", totp::count_by_key(db).await?),
        ("backup codes", backup_codes::count_by_key(db).await?),
    ] {
        for (key_id, count) in counts {
            needs.entry(key_id).or_default().push(format!("{count} {what}"));
        }
    }
    Ok(judge_keys(&kernel.keys.ids().collect::<Vec<_>>(), &needs))
}

/// What keys are for: the first of those that are configured signs, the others are needed or can go.
fn judge_keys(configured: &[&str], needs: &BTreeMap<String, Vec<String>>) -> Result<String, String> {
    let mut orphans = Vec::new();
    for (key_id, what) in needs.iter().filter(|(key_id, _)| !configured.contains(&key_id.as_str())) {
        orphans.push(format!("{} need the removed key {key_id:?}", what.join(", ")));
    }
    if !orphans.is_empty() {
        return Err(orphans.join("; "));
    }
    let mut said = vec![format!("{:?} signs", configured.first().copied().unwrap_or_default())];
    for key_id in configured.iter().skip(1) {
        said.push(match needs.get(*key_id) {
            Some(what) => format!("{} still need the older key {key_id:?}; keep it", what.join(", ")),
            None => format!("{key_id:?} can go once the links that were mailed with it are a day old"),
        });
    }
    Ok(said.join("; "))
}

/// Whether the list of breached passwords can be searched, where there is one.
fn passwords(config: &Config) -> Result<String, String> {
    let Some(list) = &config.password.breached_file else {
        return Ok("no list of breached ones is configured".to_owned());
    };
    let bytes = blocklist::examine(list).map_err(|error| error.to_string())?;
    Ok(format!("the list of breached ones is in order, {} MiB", bytes >> 20))
}

/// Whether the broker takes messages, and whether what it has is what this version declares.
async fn broker(config: &Config) -> (Result<String, String>, Result<String, String>) {
    if config.broker.url.expose().starts_with("memory:") {
        return (Ok("in process".to_owned()), Ok("in process".to_owned()));
    }
    let broker = match broker::connect(&config.broker).await {
        Ok(broker) => broker,
        Err(BrokerError::Topology(differs)) => return (Ok("RabbitMQ answers".to_owned()), Err(differs)),
        Err(error) => return (Err(error.to_string()), Err("not looked at".to_owned())),
    };
    let deadline = Instant::now() + Duration::from_secs(config.broker.timeout_seconds);
    let mut finding = broker.check().await;
    while finding.is_err() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(200)).await;
        finding = broker.check().await;
    }
    broker.close().await;
    let answers = Ok("RabbitMQ takes messages".to_owned());
    match finding {
        Ok(()) => (answers, Ok("exchanges and queues are declared".to_owned())),
        Err(error @ (BrokerError::Unroutable | BrokerError::Topology(_))) => (answers, Err(error.to_string())),
        Err(error) => (Err(error.to_string()), Err("not looked at".to_owned())),
    }
}

/// A relay leaves no due job lying: each takes them within moments.
async fn relay(kernel: &Kernel) -> anyhow::Result<Result<String, String>> {
    let (jobs, age) = waiting(kernel, &[JobState::Queued, JobState::Retrying]).await?;
    let text = format!("{jobs} jobs wait for it, the oldest for {} s", age.as_secs());
    let is_behind = age > Duration::from_secs(kernel.config.jobs.redispatch_seconds);
    Ok(if is_behind {
        Err(format!("{text}: is a gateway or worker running, and does the broker answer?"))
    } else {
        Ok(text)
    })
}

/// Some worker holds the role of maintenance while any lives, and takes what the broker has.
async fn worker(kernel: &Kernel) -> anyhow::Result<Result<String, String>> {
    let (jobs, age) = waiting(kernel, &[JobState::Dispatched, JobState::Running]).await?;
    let text = format!("{jobs} jobs are with the broker or under way, the oldest for {} s", age.as_secs());
    let is_led = lease::is_held(kernel.db.reader(), maintenance::ROLE, kernel.clock.now()).await?;
    let limit = Duration::from_secs(kernel.config.jobs.max_age_seconds);
    Ok(if !is_led {
        Err(format!("{text}; no worker process lives: is `gatepost worker` running?"))
    } else if age > limit {
        Err(format!("{text}: is a worker of each queue running?"))
    } else {
        Ok(text)
    })
}

async fn dead(kernel: &Kernel) -> anyhow::Result<Result<String, String>> {
    let (jobs, _) = waiting(kernel, &[JobState::Dead]).await?;
    Ok(Ok(if jobs == 0 { "none".to_owned() } else { format!("{jobs}; see `gatepost jobs list --state dead`") }))
}

/// How many jobs are in these states, and for how long the oldest has been due.
async fn waiting(kernel: &Kernel, states: &[JobState]) -> anyhow::Result<(i64, Duration)> {
    let now = kernel.clock.now();
    let (mut jobs, mut age) = (0, Duration::ZERO);
    for depth in operate::depths(kernel.db.reader()).await? {
        if states.iter().any(|state| depth.state == state.as_str()) {
            jobs += depth.jobs;
            age = age.max(now.since(shared::clock::Timestamp(depth.oldest)));
        }
    }
    Ok((jobs, age))
}

/// Whether the mail relay lets us in. No mail is sent.
async fn smtp(config: &Config) -> Result<String, String> {
    match config.mail.route() {
        MailRoute::Mailbox(folder) => return Ok(format!("local mailbox in {}", folder.display())),
        MailRoute::Nowhere => {
            return Err("no mail is sent; sign-in by password needs an administrator's bypass".to_owned());
        }
        MailRoute::Smtp => {}
    }
    let mailer = Mailer::new(config).map_err(|error| error.to_string())?;
    mailer.check().await.map_err(|error| error.to_string())?;
    Ok("the relay lets us in; --mail-to sends a test mail through the real queue".to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_judged_by_what_needs_them() {
        let needs = |list: &[(&str, &str)]| {
            let mut needs: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (key_id, what) in list {
                needs.entry((*key_id).to_owned()).or_default().push((*what).to_owned());
            }
            needs
        };
        let both = needs(&[("a", "2 passwords"), ("a", "9 backup codes"), ("b", "1 passwords")]);
        let said = judge_keys(&["b", "a"], &both).unwrap();
        assert_eq!(said, "\"b\" signs; 2 passwords, 9 backup codes still need the older key \"a\"; keep it");
        let said = judge_keys(&["b", "a"], &needs(&[("b", "1 passwords")])).unwrap();
        assert_eq!(said, "\"b\" signs; \"a\" can go once the links that were mailed with it are a day old");
        let said = judge_keys(&["b"], &both).unwrap_err();
        assert_eq!(said, "2 passwords, 9 backup codes need the removed key \"a\"");
    }
}
