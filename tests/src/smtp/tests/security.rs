//! Encryption and authentication.

use base64::{Engine, prelude::BASE64_STANDARD};

use super::{
    super::{Certificate, Fault, Options, SmtpServer, Stage, Tls},
    SOON,
    client::Client,
};

async fn start(tls: Tls, certificate: Certificate) -> SmtpServer {
    let auth = Some(("mailer".to_owned(), "pa:ss".to_owned()));
    SmtpServer::start_with(Options { tls, certificate, auth, port: 0 }).await.unwrap()
}

fn plain() -> String {
    format!("AUTH PLAIN {}", BASE64_STANDARD.encode("\0mailer\0pa:ss"))
}

#[tokio::test]
async fn starttls_then_auth_then_mail() {
    let server = start(Tls::StartTls, Certificate::Valid).await;
    let mut client = Client::dial(server.addr()).await;
    client.expect("220 ").await;
    assert!(client.ask("EHLO x", "250 ").await.contains("STARTTLS\r\n"));
    client.ask("STARTTLS", "220 ").await;
    let mut client = client.handshake(server.ca_pem(), "127.0.0.1").await.unwrap();
    client.ask("MAIL FROM:<a@b.test>", "503 ").await;
    assert!(!client.ask("EHLO x", "250 ").await.contains("STARTTLS"));
    client.ask("STARTTLS", "503 ").await;
    client.ask("MAIL FROM:<a@b.test>", "530 ").await;
    client.ask(&plain(), "235 ").await;
    client.ask(&plain(), "503 ").await;
    client.mail_to("a@example.org").await;
    client.expect("250 ").await;
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;
    let messages = server.messages();
    assert!(messages[0].tls);
    assert_eq!(messages[0].auth_user.as_deref(), Some("mailer"));
    let credentials_in_clear = |entry: &super::super::CommandLine| entry.line.starts_with("AUTH") && !entry.tls;
    assert!(!server.transcript().iter().any(credentials_in_clear));
}

#[tokio::test]
async fn commands_sent_ahead_of_the_handshake_are_forgotten() {
    let server = start(Tls::StartTls, Certificate::Valid).await;
    let mut client = Client::hello(&server).await;
    client.send("STARTTLS\r\nNOOP injected\r\n").await;
    client.expect("220 ").await;
    let mut client = client.handshake(server.ca_pem(), "localhost").await.unwrap();
    client.ask("EHLO x", "250 ").await;
    assert!(!server.transcript().iter().any(|entry| entry.line.contains("injected")));
}

#[tokio::test]
async fn implicit_encryption_from_the_first_byte() {
    let server = start(Tls::Implicit, Certificate::Valid).await;
    assert!(server.url().starts_with("smtps://127.0.0.1:"));
    let client = Client::dial(server.addr()).await;
    let mut client = client.handshake(server.ca_pem(), "localhost").await.unwrap();
    client.expect("220 ").await;
    client.ask("EHLO x", "250 ").await;
    assert!(server.transcript()[0].tls);
}

#[tokio::test]
async fn a_bad_certificate_is_seen_to_be_refused() {
    for certificate in [Certificate::OtherHost, Certificate::Expired] {
        let server = start(Tls::StartTls, certificate).await;
        let mut client = Client::hello(&server).await;
        client.ask("STARTTLS", "220 ").await;
        assert!(client.handshake(server.ca_pem(), "127.0.0.1").await.is_err());
        server.wait_until("a failed handshake", SOON, |server| server.failed_handshakes() == 1).await.unwrap();
    }
    let (server, other) = (start(Tls::Implicit, Certificate::Valid).await, SmtpServer::start().await.unwrap());
    let client = Client::dial(server.addr()).await;
    assert!(client.handshake(other.ca_pem(), "127.0.0.1").await.is_err());
}

#[tokio::test]
async fn the_other_host_is_the_only_one_on_its_certificate() {
    let server = start(Tls::Implicit, Certificate::OtherHost).await;
    let client = Client::dial(server.addr()).await;
    assert!(client.handshake(server.ca_pem(), "mail.elsewhere.example").await.is_ok());
}

#[tokio::test]
async fn stripped_starttls_is_not_offered_but_auth_is() {
    let server = start(Tls::StartTlsStripped, Certificate::Valid).await;
    let mut client = Client::dial(server.addr()).await;
    client.expect("220 ").await;
    let offer = client.ask("EHLO x", "250 ").await;
    assert!(!offer.contains("STARTTLS") && offer.contains("AUTH PLAIN LOGIN"));
    client.ask("STARTTLS", "454 ").await;
}

#[tokio::test]
async fn auth_in_all_its_forms() {
    let server = start(Tls::None, Certificate::Valid).await;
    let user = BASE64_STANDARD.encode("mailer");
    let password = BASE64_STANDARD.encode("pa:ss");
    let mut client = Client::hello(&server).await;
    client.ask("AUTH CRAM-MD5", "504 ").await;
    client.ask("AUTH", "501 ").await;
    client.ask("AUTH PLAIN !", "501 ").await;
    client.ask("AUTH PLAIN bm90IGl0", "501 ").await;
    client.ask("AUTH PLAIN", "334 ").await;
    client.ask("*", "501 ").await;
    client.ask("AUTH LOGIN", "334 VXNlcm5hbWU6").await;
    client.ask(&user, "334 UGFzc3dvcmQ6").await;
    client.ask("d3Jvbmc=", "535 ").await;
    client.ask(&format!("AUTH LOGIN {user}"), "334 UGFzc3dvcmQ6").await;
    client.ask(&password, "235 ").await;
    assert_eq!(server.transcript().last().unwrap().line, password);
    let mut client = Client::hello(&server).await;
    client.ask("AUTH PLAIN", "334 ").await;
    client.ask(plain().strip_prefix("AUTH PLAIN ").unwrap(), "235 ").await;
}

#[tokio::test]
async fn a_scripted_refusal_lasts_for_its_connection() {
    let server = start(Tls::None, Certificate::Valid).await;
    server.script(vec![Fault::reply(Stage::Auth, 535, "bad credentials")]);
    let mut client = Client::hello(&server).await;
    client.ask(&plain(), "535 bad credentials").await;
    client.ask(&plain(), "535 ").await;
    Client::hello(&server).await.ask(&plain(), "235 ").await;
}
