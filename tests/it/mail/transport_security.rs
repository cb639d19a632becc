//! T-SMTP-07: no TLS, no mail. Neither a message nor a credential goes over a connection that is not what was asked for.

use harness::{
    smtp::{Certificate, Options, Tls},
    works::{enqueue_one, job, run_due},
};
use shared::jobs::{JobId, JobState};

use super::Post;
use crate::jobs::Letter;

const USER: &str = "gatepost";
const PASSWORD: &str = "relay-password-canary";

/// A server with credentials, an application that asks for `scheme`, and a mail that was tried once.
async fn tried(tls: Tls, certificate: Certificate, scheme: &str, trusts: bool) -> (Post, JobId) {
    let options = Options { tls, certificate, auth: Some((USER.into(), PASSWORD.into())), ..Options::default() };
    let server = harness::smtp::SmtpServer::start_with(options).await.unwrap();
    let url = shared::secret::Redacted::new(format!("{scheme}{USER}:{PASSWORD}@{}", server.addr()));
    let ca = std::env::temp_dir().join(format!("gatepost-test-ca-{}.pem", shared::ids::next()));
    std::fs::write(&ca, server.ca_pem()).unwrap();
    let file = ca.clone();
    let app = crate::jobs::app(harness::Settings::with(move |config| {
        config.mail.url = url;
        config.mail.timeout_seconds = 2;
        config.mail.ca_file = trusts.then_some(file);
    }))
    .await;
    std::fs::remove_file(ca).unwrap();
    let post = Post { server, app };
    let id = enqueue_one(&post.app, &Letter { to: "secret@example.com".into() }).await;
    run_due(&post.app).await;
    (post, id)
}

/// T-SMTP-07: STARTTLS removed on the way, a certificate for another host, an expired one, one of an unknown authority, and a
/// server that speaks no TLS: nothing is sent, nobody authenticates, no attempt is counted, and the reason is visible.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_over_a_connection_that_is_not_secure() {
    for (tls, certificate, scheme, trusts) in [
        (Tls::StartTlsStripped, Certificate::Valid, "smtp://", true),
        (Tls::None, Certificate::Valid, "smtp://", true),
        (Tls::None, Certificate::Valid, "smtps://", true),
        (Tls::StartTls, Certificate::OtherHost, "smtp://", true),
        (Tls::StartTls, Certificate::Expired, "smtp://", true),
        (Tls::StartTls, Certificate::Valid, "smtp://", false),
        (Tls::Implicit, Certificate::OtherHost, "smtps://", true),
        (Tls::Implicit, Certificate::Expired, "smtps://", true),
        (Tls::Implicit, Certificate::Valid, "smtps://", false),
    ] {
        let case = format!("{tls:?} {certificate:?} {scheme} trusts: {trusts}");
        let (post, id) = tried(tls, certificate, scheme, trusts).await;
        let (state, attempts, error) = job(&post.app, id).await;
        assert_eq!((state, attempts), (JobState::Queued, 0), "{case}: {error:?}");
        let components = post.app.context.readiness.components();
        assert!(components["mail"].is_err(), "{case}: {components:?}");
        assert!(!error.as_deref().unwrap_or_default().contains(PASSWORD) && error.is_some(), "{case}: {error:?}");
        assert_eq!((post.server.messages().len(), post.server.transactions_seen()), (0, 0), "{case}");
        for line in post.server.transcript() {
            let upper = line.line.to_uppercase();
            let is_harmless = ["EHLO", "STARTTLS", "QUIT"].iter().any(|word| upper.starts_with(word));
            // Whoever speaks TLS to a server that does not leaves a handshake in the transcript.
            let is_handshake = scheme == "smtps://" && tls == Tls::None;
            assert!(is_harmless || is_handshake, "{case}: {line:?}");
            assert!(!line.line.contains("secret@") && !line.line.contains(PASSWORD), "{case}: {line:?}");
        }
        let is_refused_certificate = matches!((tls, certificate, trusts), (Tls::StartTls | Tls::Implicit, _, _));
        assert_eq!(post.server.failed_handshakes() > 0, is_refused_certificate, "{case}");
        post.app.forget_jobs();
    }
}

/// T-SMTP-07: with the certificate that was asked for, credentials and message go over TLS only.
#[tokio::test(flavor = "multi_thread")]
async fn a_secure_connection_carries_credentials_and_mail() {
    for (tls, scheme) in [(Tls::StartTls, "smtp://"), (Tls::Implicit, "smtps://")] {
        let (post, id) = tried(tls, Certificate::Valid, scheme, true).await;
        assert_eq!(job(&post.app, id).await, (JobState::Done, 1, None), "{tls:?}");
        let message = post.last("secret@example.com");
        assert_eq!((message.tls, message.auth_user.as_deref()), (true, Some(USER)));
        let in_clear: Vec<_> = post.server.transcript().into_iter().filter(|line| !line.tls).collect();
        let is_harmless = |line: &str| line.starts_with("EHLO") || line == "STARTTLS";
        assert!(in_clear.iter().all(|line| is_harmless(&line.line)), "{in_clear:?}");
    }
}
