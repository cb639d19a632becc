//! What the production profile refuses.

use harness::Installation;

/// Settings that production accepts.
const SAFE: [(&str, &str); 5] = [
    ("MODE", "production"),
    ("HTTP__PUBLIC_URL", "https://auth.example.com"),
    ("BROKER__URL", "amqps://gatepost:secret@127.0.0.1:1/gatepost"),
    ("MAIL__URL", "smtps://user:password@127.0.0.1:1"),
    ("SECRETS__KEYS", "a:0123456789abcdef0123456789abcdef"),
];

/// What a command says under these settings; `Err` when it refuses.
async fn start(command: &[&str], changes: &[(&str, &str)]) -> Result<String, String> {
    let mut installation = Installation::new();
    for (key, value) in SAFE.iter().chain(changes) {
        installation = installation.set(key, value);
    }
    let output = installation.command(command).output().await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!installation.folder.join("gatepost.db").exists(), "nothing is touched before the settings are judged");
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// T-CFG-01: each unsafe setting keeps every kind of process from starting, and is named.
#[tokio::test(flavor = "multi_thread")]
async fn production_refuses_each_unsafe_setting_by_name() {
    let unsafe_ones = [
        ("SECRETS__KEYS", "dev:insecure-key-for-development-only-0000", "secrets.keys"),
        (
            "SECRETS__KEYS",
            "a:0123456789abcdef0123456789abcdef,dev:insecure-key-for-development-only-0000",
            "secrets.keys",
        ),
        ("BROKER__URL", "amqps://guest:guest@127.0.0.1:1/gatepost", "broker.url"),
        ("HTTP__PUBLIC_URL", "http://auth.example.com", "http.public_url"),
        ("MAIL__URL", "mailbox://", "mail.url"),
        ("MAIL__URL", "smtp+insecure://127.0.0.1:25", "mail.url"),
    ];
    for command in [["serve"].as_slice(), &["gateway"], &["worker", "mail"], &["migrate"]] {
        for (key, value, named) in unsafe_ones {
            let said = start(command, &[(key, value)]).await.expect_err("it starts");
            assert!(
                said.contains("mode is production, but:") && said.contains(&format!("- {named} ")),
                "{key}: {said}"
            );
            assert_eq!(said.matches("\n  - ").count(), 1, "only what is unsafe is named: {said}");
        }
    }
}

/// T-CFG-01: all of them at once are all named, so that an operator repairs them in one go.
#[tokio::test(flavor = "multi_thread")]
async fn production_names_everything_that_is_unsafe() {
    let defaults = [
        ("SECRETS__KEYS", "dev:insecure-key-for-development-only-0000"),
        ("BROKER__URL", "amqp://guest:guest@127.0.0.1:5672/gatepost"),
        ("HTTP__PUBLIC_URL", "http://localhost:8080"),
        ("MAIL__URL", "mailbox://"),
    ];
    let said = start(&["serve"], &defaults).await.expect_err("it starts");
    for named in ["secrets.keys", "broker.url", "http.public_url", "mail.url"] {
        assert!(said.contains(&format!("- {named} ")), "{named} is missing: {said}");
    }
}

/// T-CFG-01: what is safe is not refused.
#[tokio::test(flavor = "multi_thread")]
async fn production_accepts_safe_settings() {
    let said = start(&["config"], &[]).await.expect("it is safe");
    assert!(said.contains("production"), "{said}");
    assert!(!said.contains("0123456789abcdef"), "secrets are masked: {said}");
}
