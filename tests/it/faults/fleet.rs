//! A fleet on a PostgreSQL and a RabbitMQ of its own, which tests may hurt, and callers of it.

use std::time::Duration;

use harness::{
    PASSWORD,
    chaos::{PROGRAM, Rig, Run, Stack, Table},
    code_in,
    smtp::SmtpServer,
};
use serde_json::{Value, json};

use super::full;

/// How the subjects of mails begin.
pub const CONFIRM: &str = "Confirm your e-mail address";
pub const CODE: &str = "Your code to sign in";
pub const RESET: &str = "Reset your password";

/// Starts one; `None` where the tests that need real servers do not run.
pub async fn start() -> Option<Run> {
    // Only root can start the servers, as `scripts/test-full.sh` says.
    if !full() || std::env::var_os("TEST_AMQP_NODE").is_none() {
        return None;
    }
    Some(
        Run::start(Stack::Fleet, PROGRAM)
            .await
            .expect("PostgreSQL's server is not installed; run scripts/setup.sh full"),
    )
}

/// Fails with everything that the invariants of the job system found broken.
pub fn assert_kept(table: &Table) {
    table.print();
    assert_eq!(table.violations(), Vec::<String>::new());
}

/// What a caller was answered.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Whether it says when to ask again.
    pub says_when: bool,
    pub body: Value,
}

/// Sends a request; `None` when the connection broke.
pub async fn send(request: reqwest::RequestBuilder) -> Option<Reply> {
    let answer = request.timeout(Duration::from_secs(20)).send().await.ok()?;
    let (status, says_when) = (answer.status().as_u16(), answer.headers().contains_key("retry-after"));
    let text = answer.text().await.ok()?;
    Some(Reply { status, says_when, body: serde_json::from_str(&text).unwrap_or_default() })
}

/// POST to the fleet's gateway.
pub fn post(rig: &Rig, path: &str, body: &Value) -> reqwest::RequestBuilder {
    rig.client.post(format!("{}{path}", rig.base)).json(body)
}

/// POST that is answered with this status.
pub async fn expect(rig: &Rig, path: &str, body: Value, status: u16) -> Value {
    let reply = send(post(rig, path, &body)).await.unwrap_or_else(|| panic!("{path}: no answer"));
    assert_eq!(reply.status, status, "{path}: {}\n{}", reply.body, rig.installation.logs());
    reply.body
}

/// Waits for the mail of this number among those to an address with this subject, counted from 1; its text.
pub async fn text_of(rig: &Rig, email: &str, subject: &str, number: usize) -> String {
    let find = |server: &SmtpServer| {
        let mut mails = server.messages_to(email).into_iter().filter(|mail| mail.subject().starts_with(subject));
        mails.nth(number - 1)
    };
    let waited = rig.smtp.wait_until(subject, Duration::from_secs(30), |server| find(server).is_some()).await;
    waited.unwrap_or_else(|error| panic!("{error}\n{}", rig.installation.logs()));
    find(&rig.smtp).unwrap().text().unwrap()
}

/// Signs a new user up.
pub async fn sign_up(rig: &Rig, email: &str) {
    expect(rig, "/api/signup", json!({ "email": email, "password": PASSWORD }), 202).await;
    let code = code_in(&text_of(rig, email, CONFIRM, 1).await);
    expect(rig, "/api/email_verification/confirm", json!({ "email": email, "code": code }), 200).await;
}

/// Signs a new user up and in; the session token.
pub async fn sign_in(rig: &Rig, email: &str) -> String {
    sign_up(rig, email).await;
    let credentials = json!({ "email": email, "password": PASSWORD, "session_transport": "token" });
    let mut proof = expect(rig, "/api/login", credentials, 200).await["email_mfa"].clone();
    proof["code"] = json!(code_in(&text_of(rig, email, CODE, 1).await));
    let login = expect(rig, "/api/login/email_mfa", proof, 200).await;
    login["session"]["token"].as_str().unwrap().to_owned()
}
