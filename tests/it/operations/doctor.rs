//! `gatepost doctor` names each step, and the one that fails.

use harness::{
    Installation, free_port,
    smtp::{Options, SmtpServer},
    works::PATIENCE,
};

/// The steps, in the order of a mail's way.
const STEPS: [&str; 12] = [
    "configuration",
    "DNS",
    "database",
    "migrations",
    "keys",
    "passwords",
    "broker",
    "topology",
    "relay",
    "worker",
    "dead jobs",
    "SMTP",
];

/// Findings by step: whether it is well, and what is said.
async fn examine(installation: &Installation, arguments: &[&str]) -> (bool, Vec<(bool, String, String)>) {
    let output = installation.command(&[&["doctor"], arguments].concat()).output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let findings = said.lines().filter_map(|line| {
        let (verdict, rest) = line.split_at_checked(6)?;
        let (step, text) = rest.split_at_checked(14)?;
        Some((verdict.trim() == "ok", step.trim().to_owned(), text.trim().to_owned()))
    });
    (output.status.success(), findings.collect())
}

fn failing(findings: &[(bool, String, String)]) -> Vec<&str> {
    findings.iter().filter(|(is_well, ..)| !is_well).map(|(_, step, _)| step.as_str()).collect()
}

/// Operations: every step of a healthy installation is named, and a test mail goes through the real queue.
#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_installation_passes_every_step() {
    let server = SmtpServer::start().await.unwrap();
    let base = format!("http://127.0.0.1:{}", free_port());
    let installation = Installation::new()
        .set("HTTP__LISTEN", base.trim_start_matches("http://"))
        .set("HTTP__PUBLIC_URL", &base)
        .set("MAIL__URL", &format!("smtp+insecure://{}", server.addr()));
    let process = installation.start("serve", &["serve"]);
    installation.wait_for(&format!("{base}/health/ready"), PATIENCE).await;
    let (is_well, findings) = examine(&installation, &["--mail-to", "operator@example.com"]).await;
    assert!(is_well, "{findings:?}\n{}", installation.logs());
    let steps: Vec<_> = findings.iter().map(|(_, step, _)| step.as_str()).collect();
    assert_eq!(steps, [&STEPS[..], &["test mail"]].concat());
    assert_eq!(server.messages_to("operator@example.com").len(), 1);
    drop(process);
}

/// Operations: each thing that is broken is named by its step, and nothing else is.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_is_named() {
    let away = format!("127.0.0.1:{}", free_port());
    let installation = || Installation::new().set("BROKER__TIMEOUT_SECONDS", "1").set("MAIL__TIMEOUT_SECONDS", "2");

    let fresh = installation();
    let (is_well, findings) = examine(&fresh, &[]).await;
    assert_eq!((is_well, failing(&findings)), (false, vec!["migrations"]), "{findings:?}");

    let database = installation().set("DATABASE__URL", &format!("postgres://x@{away}/x"));
    assert_eq!(failing(&examine(&database, &[]).await.1), ["database"]);

    // Nobody runs in any of these: the worker's absence is told as well.
    for (key, value, steps) in [
        ("BROKER__URL", format!("amqp://x:x@{away}/x"), vec!["broker", "topology", "worker"]),
        ("MAIL__URL", format!("smtp://x:x@{away}"), vec!["worker", "SMTP"]),
        ("HTTP__PUBLIC_URL", "http://does-not-exist.invalid".to_owned(), vec!["DNS", "worker"]),
        ("PASSWORD__BREACHED_FILE", "/does/not/exist".to_owned(), vec!["passwords", "worker"]),
    ] {
        let broken = installation().set(key, &value);
        assert!(broken.command(&["migrate"]).output().await.unwrap().status.success());
        let (is_well, findings) = examine(&broken, &[]).await;
        assert_eq!((is_well, failing(&findings)), (false, steps), "{key}: {findings:?}");
    }
}

/// Operations: wrong credentials of the mail relay are found without sending anything.
#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_are_named() {
    let auth = Some(("user".to_owned(), "right".to_owned()));
    let server = SmtpServer::start_with(Options { auth, ..Options::default() }).await.unwrap();
    let url = format!("smtp+insecure://user:wrong@{}", server.addr());
    let installation = Installation::new().set("MAIL__URL", &url);
    assert!(installation.command(&["migrate"]).output().await.unwrap().status.success());
    let (_, findings) = examine(&installation, &[]).await;
    assert_eq!(failing(&findings), ["worker", "SMTP"], "{findings:?}");
    assert_eq!(server.transactions_seen(), 0);
}
