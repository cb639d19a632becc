//! What must hold after every fault, whatever it was.
//!
//! ```text
//! I1  every cause that was committed has exactly one job, and every caller who was promised a mail has one
//! I2  when all is quiet, every job has ended, and none is dead
//! I3  a done mail job has a message; all copies are the same; there are no more of them than attempts
//! I4  no message without a job
//! I5  a mailed code is redeemed at most once, however many try at the same time
//! I6  nothing has its effect twice: one user per address, one job per window of the schedule, one ledger row per mail
//! I7  no two processes led in one term
//! I8  no secret in the database or in any log
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{
    load::{Load, post},
    rig::Rig,
};
use crate::{PASSWORD, code_in};

/// How long everything may take to become quiet.
const PATIENCE: Duration = Duration::from_secs(120);
/// Mails that one worker process sends at once (`jobs.concurrency` of the rig, for each of its queues).
const AT_ONCE: usize = 8;

/// What was found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Jobs in the table.
    pub jobs: usize,
    /// Promises without a mail, causes without a job, jobs without an end, done jobs without a message.
    pub lost: usize,
    /// Effects that happened twice.
    pub doubled: usize,
    /// Messages beyond the first of each job.
    pub copies: usize,
    /// The longest that it took after a fault until all callers were answered, and after the last one until all was quiet.
    pub recovery: Duration,
    /// Everything that must not be, in words.
    pub violations: Vec<String>,
}

struct Job {
    id: String,
    name: String,
    queue: String,
    state: String,
    attempt: usize,
    payload: Value,
}

/// What the oracle remembers from one look to the next.
#[derive(Default)]
pub struct Oracle {
    redeemed: BTreeSet<String>,
    /// Processes that were killed while mails may have been between DATA and commit.
    pub mail_crashes: usize,
    /// Whether jobs may have lost their purpose while they waited.
    pub may_expire: bool,
    /// Codes to sign in that an outage outlasted; they are the only jobs that may expire otherwise.
    pub outlasted: usize,
    /// Mails that the mail server refused for good.
    pub refused: usize,
}

impl Oracle {
    /// Waits until all is quiet, then looks at everything. `since` is when the fault was over.
    pub async fn look(&mut self, rig: &Rig, load: &mut Load, since: Instant) -> Findings {
        let mut findings = Findings::default();
        let is_quiet = wait_until_quiet(rig).await;
        findings.recovery = since.elapsed();
        findings.violations.append(&mut load.violations);
        if !is_quiet {
            findings.violations.push(format!("I2: jobs did not end within {PATIENCE:?}"));
        }
        let jobs = read_jobs(rig).await;
        findings.jobs = jobs.len();
        self.judge_jobs(&jobs, &mut findings);
        judge_causes(rig, &jobs, self.may_expire, &mut findings).await;
        self.judge_mails(rig, load, &jobs, &mut findings);
        self.redeem(rig, load, &mut findings).await;
        judge_effects(rig, &jobs, &mut findings).await;
        judge_merges(rig, load, &mut findings).await;
        judge_terms(rig, &mut findings);
        judge_secrets(rig, &mut findings).await;
        findings
    }

    /// I2. Of the jobs that ended badly there are exactly those that had to.
    fn judge_jobs(&self, jobs: &[Job], findings: &mut Findings) {
        let (mut refused, mut outlasted) = (0, 0);
        for job in jobs {
            match job.state.as_str() {
                "done" | "cancelled" => {}
                "expired" if self.may_expire => {}
                "expired" if job.name == "email_mfa.send_login_code" => outlasted += 1,
                "dead" if job.queue == "mail" && job.attempt == 1 => refused += 1,
                state => {
                    findings.lost += 1;
                    findings.violations.push(format!("I2: {} {} is {state}", job.name, job.id));
                }
            }
        }
        // Ended jobs are deleted after some days.
        let is_of = |found: usize, due: usize| found == due || (self.may_expire && found < due);
        for (what, found, due) in [("dead", refused, self.refused), ("expired", outlasted, self.outlasted)] {
            if !is_of(found, due) {
                findings.lost += found.abs_diff(due);
                findings.violations.push(format!("I2: {found} mails are {what}, {due} have to be"));
            }
        }
    }

    /// I1 for callers, I3, I4.
    fn judge_mails(&self, rig: &Rig, load: &Load, jobs: &[Job], findings: &mut Findings) {
        let mut copies: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut reached = BTreeSet::new();
        for message in rig.smtp.messages() {
            let id = message.header("Message-ID").unwrap_or_default();
            let id = id.trim_start_matches('<').split('@').next().unwrap_or_default().replace('-', "");
            reached.extend(message.rcpts.iter().cloned());
            copies.entry(id).or_default().push(message.raw);
        }
        for promised in load.promised.iter().filter(|address| !reached.contains(*address)) {
            if !self.may_expire {
                findings.lost += 1;
                findings.violations.push(format!("I1: {promised} was promised a mail and has none"));
            }
        }
        let by_id: BTreeMap<&str, &Job> = jobs.iter().map(|job| (job.id.as_str(), job)).collect();
        for (id, same) in &copies {
            findings.copies += same.len() - 1;
            if same.iter().any(|copy| Some(copy) != same.first()) {
                findings.violations.push(format!("I3: the copies of {id} differ"));
            }
            match by_id.get(id.as_str()) {
                None if self.may_expire => {}
                None => findings.violations.push(format!("I4: message {id} has no job")),
                // Ended without effect: refused for good, or too late.
                Some(job) if matches!(job.state.as_str(), "dead" | "expired") && !self.may_expire => {
                    findings.violations.push(format!("I3: {id} is {} and was mailed", job.state));
                }
                Some(job) if same.len() > job.attempt.max(1) => {
                    findings.doubled += 1;
                    findings.violations.push(format!(
                        "I3: {id} was sent {} times in {} attempts",
                        same.len(),
                        job.attempt
                    ));
                }
                Some(_) => {}
            }
        }
        for job in jobs.iter().filter(|job| job.state == "done" && matches!(job.queue.as_str(), "mail" | "notify")) {
            if !copies.contains_key(&job.id) {
                findings.lost += 1;
                findings.violations.push(format!("I3: {} {} is done and has no message", job.name, job.id));
            }
        }
        if findings.copies > self.mail_crashes * AT_ONCE {
            let (copies, crashes) = (findings.copies, self.mail_crashes);
            findings.violations.push(format!("I3: {copies} extra copies after {crashes} crashes"));
        }
    }

    /// I5: a few of the codes that came since the last look.
    async fn redeem(&mut self, rig: &Rig, load: &Load, findings: &mut Findings) {
        let fresh: Vec<String> = load.promised.iter().filter(|email| email.starts_with("user-")).cloned().collect();
        let fresh: Vec<_> = fresh.into_iter().filter(|email| !self.redeemed.contains(email)).collect();
        for email in fresh.iter().rev().take(2) {
            let Some(code) = rig.smtp.messages_to(email).last().and_then(|mail| Some(code_in(&mail.text()?))) else {
                continue;
            };
            let body = json!({ "email": email, "code": code });
            let tries = join_all((0..4).map(|_| post(rig, "/api/email_verification/confirm", &body))).await;
            let accepted = tries.iter().flatten().filter(|(status, _)| *status == 200).count();
            // Codes that were replaced by a later one are refused, and so are all tries then.
            if accepted > 1 {
                findings.doubled += 1;
                findings.violations.push(format!("I5: one code was accepted {accepted} times"));
            }
        }
        self.redeemed.extend(fresh);
    }
}

/// Jobs that have not ended, except those that the schedule adds all the time.
async fn wait_until_quiet(rig: &Rig) -> bool {
    let begin = Instant::now();
    let open = "FROM jobs WHERE state IN ('queued', 'dispatched', 'running', 'retrying')";
    while rig.number("COUNT(*)", open).await > 0 {
        if begin.elapsed() > PATIENCE {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    true
}

async fn read_jobs(rig: &Rig) -> Vec<Job> {
    let rows = rig.rows(["id", "name", "queue", "state", "attempt", "payload"], "FROM jobs").await;
    rows.into_iter()
        .map(|[id, name, queue, state, attempt, payload]| Job {
            id,
            name,
            queue,
            state,
            attempt: attempt.parse().unwrap_or(0),
            payload: serde_json::from_str(&payload).unwrap_or_default(),
        })
        .collect()
}

/// I1: the rows that cause jobs, and the jobs.
async fn judge_causes(rig: &Rig, jobs: &[Job], is_swept: bool, findings: &mut Findings) {
    let causes = [
        ("email_verifications", "email_verification.send_verification", "verification_id"),
        ("password_resets", "recovery.send_reset_link", "reset_id"),
        ("logins", "email_mfa.send_login_code", "login_id"),
    ];
    for (table, name, member) in causes {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for job in jobs.iter().filter(|job| job.name == name) {
            *counts.entry(job.payload[member].as_str().unwrap_or_default().replace('-', "")).or_default() += 1;
        }
        let rows = rig.rows(["id"], &format!("FROM {table}")).await;
        for [id] in &rows {
            match counts.remove(id) {
                Some(1) => {}
                None => {
                    findings.lost += 1;
                    findings.violations.push(format!("I1: {table} {id} has no job"));
                }
                Some(many) => {
                    findings.doubled += 1;
                    findings.violations.push(format!("I1: {table} {id} has {many} jobs"));
                }
            }
        }
        // A sweep deletes causes that are over.
        for id in counts.keys().filter(|_| !is_swept) {
            findings.violations.push(format!("I1: a job {name} for {id}, which was not committed"));
        }
    }
}

/// I6.
async fn judge_effects(rig: &Rig, jobs: &[Job], findings: &mut Findings) {
    let mut windows = BTreeSet::new();
    for job in jobs.iter().filter(|job| job.queue == "sweep") {
        if !windows.insert(format!("{} {}", job.name, job.payload)) {
            findings.doubled += 1;
            findings.violations.push(format!("I6: two jobs {} for {}", job.name, job.payload));
        }
    }
    let twice = "FROM (SELECT email_normalised FROM users GROUP BY email_normalised HAVING COUNT(*) > 1) AS twice";
    let users = rig.number("COUNT(*)", twice).await;
    let ledger = "FROM jobs JOIN mail_deliveries ON mail_deliveries.job_id = jobs.id
                  WHERE jobs.state = 'done' AND mail_deliveries.state <> 'handed_over'";
    let disagreeing = rig.number("COUNT(*)", ledger).await;
    for (count, what) in [(users, "addresses with two users"), (disagreeing, "done mails that the ledger calls unsent")]
    {
        if count > 0 {
            findings.doubled += usize::try_from(count).unwrap_or(1);
            findings.violations.push(format!("I6: {count} {what}"));
        }
    }
}

/// I1 and I6 for persons: who was said to be one is one, and every fact has been applied.
async fn judge_merges(rig: &Rig, load: &Load, findings: &mut Findings) {
    let rows = rig.rows(["distinct_id", "person_id"], "FROM person_distinct_ids").await;
    let persons: BTreeMap<String, String> = rows.into_iter().map(|[id, person]| (id, person)).collect();
    for number in &load.merges {
        let of = |name: &str| persons.get(&format!("{name}-{number}")).filter(|person| !person.is_empty());
        if of("anonymous").is_none() || of("anonymous") != of("member") {
            findings.lost += 1;
            findings.violations.push(format!("I1: anonymous-{number} and member-{number} are not one person"));
        }
    }
    let waiting = rig.number("COUNT(*)", "FROM person_facts WHERE NOT is_applied").await;
    if waiting > 0 {
        findings.lost += usize::try_from(waiting).unwrap_or(1);
        findings.violations.push(format!("I1: {waiting} facts about persons were not applied"));
    }
}

/// I7, from what the processes said themselves.
fn judge_terms(rig: &Rig, findings: &mut Findings) {
    let mut terms = BTreeSet::new();
    for line in rig.installation.log_lines() {
        if !line.contains("this process leads the maintenance") {
            continue;
        }
        let term = serde_json::from_str::<Value>(&line).ok().and_then(|line| line["fields"]["term"].as_i64());
        if !terms.insert(term) {
            findings.doubled += 1;
            findings.violations.push(format!("I7: two processes led in term {term:?}"));
        }
    }
}

/// I8: the password that every caller sends, and the secrets of all links that were mailed.
async fn judge_secrets(rig: &Rig, findings: &mut Findings) {
    let mut canaries: BTreeSet<String> = BTreeSet::from([PASSWORD.to_owned()]);
    for message in rig.smtp.messages() {
        let text = message.text().unwrap_or_default();
        let links = text.split("token=").skip(1).filter_map(|rest| rest.split_whitespace().next());
        canaries.extend(links.map(str::to_owned).filter(|secret| secret.len() > 20));
    }
    let mut places: Vec<(&str, String)> = vec![("a log", rig.installation.log_lines().join("\n"))];
    for table in ["jobs", "email_verifications", "password_resets", "logins", "audit_events", "mail_deliveries"] {
        places.push((table, rig.table_text(table).await));
    }
    // One search per place, whatever the number of secrets.
    for (place, text) in &places {
        let words: BTreeSet<&str> = text.split(|letter: char| !is_of_secret(letter)).collect();
        for canary in &canaries {
            let found = words.contains(canary.as_str()) || (canary == PASSWORD && text.contains(PASSWORD));
            if found {
                findings.violations.push(format!("I8: a secret is in {place}"));
            }
        }
    }
}

fn is_of_secret(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.' | '~')
}
