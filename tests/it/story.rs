//! The whole story of a user, with curl, against a real process; and what is left when the process is killed.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use harness::{
    Installation, PASSWORD, Process, free_port, http_client,
    works::{PATIENCE, until},
};
use serde_json::json;
use tokio::task::JoinSet;

/// Runs `tests/story.sh`; its words are in the failure.
pub async fn tell(base: &str, spool: Option<&Path>) -> Result<(), String> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("story.sh");
    let mut command = tokio::process::Command::new("bash");
    command.arg(script).arg(base).args(spool).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(120), command.output()).await;
    let output = output.map_err(|_| "the story does not end".to_owned())?.map_err(|err| err.to_string())?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() && said.contains("story: done") { Ok(()) } else { Err(said) }
}

/// Everything in one process, as `make run` starts it: SQLite, no broker, a local mailbox.
struct Single {
    installation: Installation,
    base: String,
}

impl Single {
    fn new() -> Self {
        let port = free_port();
        let base = format!("http://127.0.0.1:{port}");
        let installation = Installation::new()
            .set("HTTP__LISTEN", &format!("127.0.0.1:{port}"))
            .set("HTTP__PUBLIC_URL", &base)
            .set("EMAIL_VERIFICATION__SIGNUP_PER_NETWORK__COUNT", "0");
        Self { installation, base }
    }

    async fn start(&self) -> Process {
        let process = self.installation.start("serve", &["serve"]);
        self.installation.wait_for(&format!("{}/health/ready", self.base), PATIENCE).await;
        process
    }

    fn mailbox(&self) -> PathBuf {
        self.installation.folder.join("gatepost-mailbox")
    }

    /// How many mails each address got.
    fn mails(&self) -> BTreeMap<String, usize> {
        let mut mails = BTreeMap::new();
        for mail in workers::mail::list(&self.mailbox(), 1000).unwrap() {
            *mails.entry(mail.to).or_default() += 1;
        }
        mails
    }
}

/// The first run of a newcomer: one command, a story with curl, an orderly end at SIGTERM.
#[tokio::test(flavor = "multi_thread")]
async fn one_process_tells_the_whole_story() {
    let single = Single::new();
    let mut process = single.start().await;
    let told = tell(&single.base, None).await;
    assert!(told.is_ok(), "{told:?}\n{}", single.installation.logs());
    process.signal("TERM").await;
    assert_eq!(process.wait(Duration::from_secs(25)).await, Some(true), "{}", single.installation.logs());
}

/// Signs users up, several at once, until told to stop; returns the addresses that were answered 202.
async fn sign_up_until(
    base: String,
    stop: Arc<AtomicBool>,
    answered: Arc<std::sync::atomic::AtomicUsize>,
    round: usize,
) -> Vec<String> {
    let client = http_client();
    let mut workers = JoinSet::new();
    for worker in 0..3 {
        let (base, client, stop, answered) = (base.clone(), client.clone(), Arc::clone(&stop), Arc::clone(&answered));
        workers.spawn(async move {
            let mut accepted = Vec::new();
            for number in 0..100 {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let email = format!("user-{round}-{worker}-{number}@example.com");
                let body = json!({ "email": email, "password": PASSWORD }).to_string();
                let request = client.post(format!("{base}/api/signup")).header("content-type", "application/json");
                match request.body(body).send().await {
                    Ok(answer) => {
                        assert_eq!(answer.status(), 202);
                        accepted.push(email);
                        answered.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(_) => break,
                }
            }
            accepted
        });
    }
    workers.join_all().await.concat()
}

/// T-JOB-15: the one process is killed while it answers sign-ups, again and again; after a restart every sign-up that was
/// answered has its mail, without an operator.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_loses_no_mail_that_it_answered_for() {
    let single = Single::new();
    let mut accepted = Vec::new();
    for (round, answers) in [1, 7, 20].into_iter().enumerate() {
        let mut process = single.start().await;
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let mut signing_up = JoinSet::new();
        signing_up.spawn(sign_up_until(single.base.clone(), Arc::clone(&stop), Arc::clone(&answered), round));
        until("sign-ups are answered", async || answered.load(Ordering::SeqCst) >= answers).await;
        process.kill().await;
        stop.store(true, Ordering::SeqCst);
        accepted.extend(signing_up.join_all().await.concat());
    }
    assert!(accepted.len() >= 28, "{}", accepted.len());
    let mut process = single.start().await;
    until("every accepted sign-up has its mail", async || {
        let mails = single.mails();
        accepted.iter().all(|email| mails.contains_key(email))
    })
    .await;
    assert!(single.mails().values().all(|copies| *copies == 1), "a mail that was written twice is one file");
    process.signal("TERM").await;
    assert_eq!(process.wait(Duration::from_secs(25)).await, Some(true), "{}", single.installation.logs());
    let left = single.installation.command(&["jobs", "list", "--queue", "mail", "--state", "dead"]).output().await;
    assert!(left.unwrap().stdout.is_empty());
}

/// T-JOB-10: SIGTERM with nothing to do, and SIGINT as well, end the process with 0 at once.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_process_ends_at_once() {
    let single = Single::new();
    for signal in ["TERM", "INT"] {
        let mut process = single.start().await;
        let begin = std::time::Instant::now();
        process.signal(signal).await;
        assert_eq!(process.wait(Duration::from_secs(25)).await, Some(true), "{}", single.installation.logs());
        assert!(begin.elapsed() < Duration::from_secs(5), "SIG{signal}: {:?}", begin.elapsed());
    }
}
