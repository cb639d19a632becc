//! What clients can write into the log: nothing that is not inside its own line.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use harness::{PASSWORD, TestApp, log::Capture};
use serde_json::{Value, json};
use tracing_subscriber::{EnvFilter, fmt::MakeWriter};

/// Lines as the JSON format of the log writes them.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Requests that try to begin a line, colour the terminal or close a string, wherever text of a client can end up.
async fn attack(app: &TestApp) -> Vec<String> {
    let hostile =
        "x\r\n{\"level\":\"ERROR\",\"forged\":true}\r\n\u{1b}[31m\u{1b}]0;forged\u{7}\u{9b}31m\",\"forged\":\"";
    let in_a_path = "x%0d%0a%7B%22forged%22:true%7D%1b%5B31m%22,%22forged%22:%22";
    let agent = "x\",\"forged\":\"y\\u001b[31m\\r\\n{\"forged\":true}";
    let browser =
        app.browser().header("user-agent", agent).header("x-request-id", "forged").header("traceparent", "forged");
    let mut answers = vec![
        browser.get(&format!("/{in_a_path}")).await,
        browser.get(&format!("/api/jobs/{in_a_path}")).await,
        browser.get(&format!("/reset?token={in_a_path}")).await,
        browser.post_form("/reset", &format!("token={in_a_path}&password={in_a_path}")).await,
        browser.send(poem::http::Method::from_bytes(b"FORGED").unwrap_or_default(), "/api/login", None).await,
    ];
    for path in
        ["/api/login", "/api/signup", "/api/reset", "/api/email_verification/confirm", "/api/email_verification/resend"]
    {
        let body =
            json!({ "email": hostile, "password": hostile, "first_name": hostile, "token": hostile, "code": hostile });
        answers.push(browser.post(path, body).await);
        answers.push(browser.post(path, json!({ (hostile): hostile })).await);
        answers.push(
            browser
                .post(path, json!({ "email": "ann@example.com", "password": PASSWORD, "first_name": "forged" }))
                .await,
        );
    }
    answers.iter().filter_map(|answer| answer.header("x-request-id")).map(str::to_owned).collect()
}

/// T-LOG-02: line breaks and escape sequences of a client stay inside one JSON line.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_forge_a_line_of_the_json_log() {
    let app = TestApp::new().await;
    let lines = Lines::default();
    // Of this thread, on which the requests are answered; spans of the database driver wander to other threads.
    let ours = EnvFilter::new("off,gateway=trace,shared=trace,gatepost_tests=trace");
    let subscriber = tracing_subscriber::fmt().json().with_env_filter(ours).with_writer(lines.clone()).finish();
    let logging = tracing::subscriber::set_default(subscriber);
    let requests = attack(&app).await;
    drop(logging);
    app.drain().await;
    let log = lines.text();
    let parsed: Vec<Value> =
        log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    for id in &requests {
        let of_request = |line: &&Value| line["fields"]["message"] == "request" && line["fields"]["request_id"] == **id;
        assert_eq!(parsed.iter().filter(of_request).count(), 1, "{id}");
    }
    for line in &parsed {
        assert!(line.get("forged").is_none() && line["fields"].get("forged").is_none(), "{line}");
        assert!(line["span"].get("forged").is_none(), "{line}");
    }
    assert!(!log.contains(['\r', '\u{1b}', '\u{7}', '\u{9b}']), "{log}");
    assert!(requests.len() == 20 && parsed.len() >= 20, "{} lines", parsed.len());
}

/// T-LOG-02: the plain format, which people read in a terminal, holds no escape sequence of a client either.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_cannot_colour_the_plain_log() {
    let app = TestApp::new().await;
    let capture = Capture::start();
    let requests = attack(&app).await;
    app.drain().await;
    let log = capture.text();
    for id in &requests {
        let lines: Vec<_> =
            log.lines().filter(|line| line.contains(id.as_str()) && line.contains("duration_ms")).collect();
        assert_eq!(lines.len(), 1, "{lines:#?}");
    }
    for line in log.lines() {
        let line = line.trim_start();
        assert!(!line.starts_with("{\"level\":\"ERROR\",\"forged\""), "{line}");
        let escaped = line.contains(['\u{1b}', '\u{7}', '\u{9b}']) && line.contains("forged");
        assert!(!escaped, "{line:?}");
    }
}

/// T-LOG-02, A21: what a request is about is in its line, and what it carries is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_has_the_path_and_neither_query_nor_address() {
    let app = TestApp::new().await;
    let capture = Capture::start();
    let browser = app.browser_at("203.0.113.77");
    browser.get("/reset?token=canary-in-the-query").await;
    let email = "canary-in-the-body@example.com";
    browser.post("/api/login", json!({ "email": email, "password": PASSWORD })).await.expect(401);
    browser.post("/api/signup", json!({ "email": email, "password": PASSWORD })).await.expect(202);
    app.drain().await;
    let log = capture.text();
    assert!(log.contains("/reset") && log.contains("/api/signup"), "{log}");
    for canary in ["canary-in-the-query", "canary-in-the-body", "203.0.113.77"] {
        let found: Vec<_> = log.lines().filter(|line| line.contains(canary)).collect();
        assert!(found.is_empty(), "{found:#?}");
    }
}
