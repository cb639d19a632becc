//! A real browser: headless Chromium, driven by W3C's `WebDriver` protocol.

use std::{process::Stdio, time::Duration};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::{free_port, http_client};

/// One browser window.
pub struct Browser {
    client: Client,
    session: String,
    driver: Child,
}

impl Browser {
    /// Opens a window.
    ///
    /// # Panics
    /// When there is no browser.
    pub async fn open() -> Self {
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|err| panic!("chromedriver: {err}; run scripts/setup.sh full"));
        let client = http_client();
        let base = format!("http://127.0.0.1:{port}");
        for _ in 0..200 {
            if client.get(format!("{base}/status")).send().await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            // Analytics clients send nothing from a browser that says it is driven by a program.
            "--disable-blink-features=AutomationControlled",
            "--user-agent=Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
        ];
        let wish = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": { "args": arguments } } } });
        let answer = client.post(format!("{base}/session")).json(&wish).send().await.expect("the browser answers");
        let answer: Value = answer.json().await.expect("JSON");
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no browser: {answer}"));
        Self { session: format!("{base}/session/{id}"), client, driver }
    }

    async fn command(&self, path: &str, body: Value) -> Value {
        let answer =
            self.client.post(format!("{}/{path}", self.session)).json(&body).send().await.expect("the browser answers");
        let answer: Value = answer.json().await.expect("JSON");
        assert!(answer["value"]["error"].is_null(), "{path} {body}: {answer}");
        answer["value"].clone()
    }

    /// Goes to an address.
    pub async fn go(&self, url: &str) {
        self.command("url", json!({ "url": url })).await;
    }

    async fn find(&self, selector: &str) -> String {
        let found = self.command("element", json!({ "using": "css selector", "value": selector })).await;
        found
            .as_object()
            .and_then(|found| found.values().next())
            .and_then(Value::as_str)
            .expect("an element")
            .to_owned()
    }

    /// Clicks on an element.
    pub async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        self.command(&format!("element/{element}/click"), json!({})).await;
    }

    /// Types into an element.
    pub async fn write(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        self.command(&format!("element/{element}/value"), json!({ "text": text })).await;
    }

    /// Waits until the page says this: a click returns before the next page is there.
    pub async fn see(&self, wanted: &str) {
        for _ in 0..200 {
            if self.text().await.contains(wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no {wanted:?} in: {}", self.text().await);
    }

    /// What the page says.
    pub async fn text(&self) -> String {
        self.run("return document.querySelector('main').innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// Runs a script in the page; what it returns.
    pub async fn run(&self, script: &str) -> Value {
        self.command("execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Whether it has this cookie of the page.
    pub async fn has_cookie(&self, name: &str) -> bool {
        let answer = self.client.get(format!("{}/cookie", self.session)).send().await.expect("the browser answers");
        let answer: Value = answer.json().await.expect("JSON");
        answer["value"].as_array().is_some_and(|cookies| cookies.iter().any(|cookie| cookie["name"] == name))
    }

    /// Gives it a cookie of the page.
    pub async fn set_cookie(&self, name: &str, value: &str) {
        self.command("cookie", json!({ "cookie": { "name": name, "value": value, "httpOnly": true } })).await;
    }

    /// Calls a function of the page, which gives a promise.
    pub async fn call(&self, function: &str, arguments: Value) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1]; {function}(...Array.from(arguments).slice(0, -1))\
             .then(done, reason => done({{ failure: String(reason) }}));"
        );
        self.command("execute/async", json!({ "script": script, "args": arguments })).await
    }

    /// Plugs an authenticator in; W3C Web Authentication, section 11.
    pub async fn plug(&self, transport: &str, (has_resident_key, is_verifying): (bool, bool)) -> String {
        let options = json!({
            "protocol": "ctap2",
            "transport": transport,
            "hasResidentKey": has_resident_key,
            "hasUserVerification": is_verifying,
            "isUserVerified": is_verifying,
            "isUserConsenting": true,
            "defaultBackupEligibility": transport == "internal",
            "defaultBackupState": transport == "internal",
        });
        self.command("webauthn/authenticator", options).await.as_str().expect("an id").to_owned()
    }

    /// The credential that an authenticator keeps, with its key.
    pub async fn credential(&self, authenticator: &str) -> Value {
        let path = format!("{}/webauthn/authenticator/{authenticator}/credentials", self.session);
        let answer = self.client.get(path).send().await.expect("an answer");
        let kept: Value = answer.json().await.expect("JSON");
        kept["value"][0].clone()
    }

    /// Plugs an authenticator in that has a copy of this credential.
    pub async fn plug_copy(
        &self,
        credential: &Value,
        (transport, is_verifying): (&str, bool),
        sign_count: i64,
    ) -> String {
        let authenticator = self.plug(transport, (true, is_verifying)).await;
        let mut copy = credential.clone();
        copy["signCount"] = json!(sign_count);
        self.command(&format!("webauthn/authenticator/{authenticator}/credential"), copy).await;
        authenticator
    }

    /// Takes an authenticator away.
    pub async fn unplug(&self, authenticator: &str) {
        let path = format!("{}/webauthn/authenticator/{authenticator}", self.session);
        self.client.delete(path).send().await.expect("an answer");
    }

    /// Closes it.
    pub async fn close(mut self) {
        self.client.delete(&self.session).send().await.expect("the browser answers");
        self.driver.kill().await.expect("the browser answers");
    }
}
