//! The mailed links in a real browser: headless Chromium, driven by W3C's `WebDriver` protocol.
//!
//! Only with `GATEPOST_TEST_FULL=1`: it needs `chromium` and `chromedriver`.

#![expect(clippy::panic, clippy::unwrap_used, clippy::indexing_slicing, reason = "test code: a panic is how it fails")]

use std::{process::Stdio, time::Duration};

use harness::{Installation, OTHER_PASSWORD, PASSWORD, code_in, free_port, token_in};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

/// One browser window.
struct Browser {
    client: Client,
    session: String,
    driver: Child,
}

impl Browser {
    async fn open() -> Self {
        let port = free_port();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|err| panic!("chromedriver: {err}; run scripts/setup.sh full"));
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
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
        ];
        let wish = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": { "args": arguments } } } });
        let answer = client.post(format!("{base}/session")).json(&wish).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        let id = answer["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no browser: {answer}"));
        Self { session: format!("{base}/session/{id}"), client, driver }
    }

    async fn command(&self, path: &str, body: Value) -> Value {
        let answer = self.client.post(format!("{}/{path}", self.session)).json(&body).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        assert!(answer["value"]["error"].is_null(), "{path} {body}: {answer}");
        answer["value"].clone()
    }

    async fn go(&self, url: &str) {
        self.command("url", json!({ "url": url })).await;
    }

    async fn find(&self, selector: &str) -> String {
        let found = self.command("element", json!({ "using": "css selector", "value": selector })).await;
        found.as_object().and_then(|found| found.values().next()).and_then(Value::as_str).unwrap().to_owned()
    }

    async fn click(&self, selector: &str) {
        let element = self.find(selector).await;
        self.command(&format!("element/{element}/click"), json!({})).await;
    }

    async fn write(&self, selector: &str, text: &str) {
        let element = self.find(selector).await;
        self.command(&format!("element/{element}/value"), json!({ "text": text })).await;
    }

    /// Waits until the page says this: a click returns before the next page is there.
    async fn see(&self, wanted: &str) {
        for _ in 0..200 {
            if self.text().await.contains(wanted) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("no {wanted:?} in: {}", self.text().await);
    }

    /// What the page says.
    async fn text(&self) -> String {
        let script = json!({ "script": "return document.querySelector('main').innerText", "args": [] });
        self.command("execute/sync", script).await.as_str().unwrap_or_default().to_owned()
    }

    async fn has_cookie(&self, name: &str) -> bool {
        let answer = self.client.get(format!("{}/cookie", self.session)).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["value"].as_array().is_some_and(|cookies| cookies.iter().any(|cookie| cookie["name"] == name))
    }

    async fn set_cookie(&self, name: &str, value: &str) {
        self.command("cookie", json!({ "cookie": { "name": name, "value": value, "httpOnly": true } })).await;
    }

    async fn close(mut self) {
        self.client.delete(&self.session).send().await.unwrap();
        self.driver.kill().await.unwrap();
    }
}

/// A running installation and the mails of one user.
struct Site {
    installation: Installation,
    client: Client,
    base: String,
}

const EMAIL: &str = "browser@example.test";

impl Site {
    async fn post(&self, path: &str, body: Value) -> reqwest::Response {
        let answer = self.client.post(format!("{}{path}", self.base)).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        answer
    }

    /// The text of mail number `count`, counted from 1, once it is there.
    async fn mail(&self, count: usize) -> String {
        for _ in 0..400 {
            let mails =
                workers::mail::list(&self.installation.folder.join("gatepost-mailbox"), 100).unwrap_or_default();
            if mails.len() >= count {
                return mails[0].text.clone();
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("mail number {count} did not arrive\n{}", self.installation.logs())
    }
}

/// J03, C11, R01: every mailed link opens a page in a browser that shows and never acts by itself; its button does.
#[tokio::test(flavor = "multi_thread")]
async fn full_mailed_links_work_in_a_browser() {
    if std::env::var_os("GATEPOST_TEST_FULL").is_none() {
        return;
    }
    let port = free_port();
    let base = format!("http://localhost:{port}");
    let installation =
        Installation::new().set("HTTP__LISTEN", &format!("127.0.0.1:{port}")).set("HTTP__PUBLIC_URL", &base);
    let _process = installation.start("serve", &["serve"]);
    installation.wait_for(&format!("{base}/health/ready"), Duration::from_secs(20)).await;
    let client = Client::builder().no_proxy().build().unwrap();
    let site = Site { installation, client, base };
    let browser = Browser::open().await;
    prove_the_address(&site, &browser).await;
    finish_a_login(&site, &browser).await;
    set_a_new_password(&site, &browser).await;
    browser.close().await;
}

async fn prove_the_address(site: &Site, browser: &Browser) {
    site.post("/api/signup", json!({ "email": EMAIL, "password": PASSWORD })).await;
    let link = format!("{}/verify_email?token={}", site.base, token_in(&site.mail(1).await));
    browser.go(&link).await;
    browser.go(&link).await;
    assert!(!browser.text().await.contains("is confirmed"), "a look must not confirm");
    browser.click("form button").await;
    browser.see("is confirmed").await;
}

async fn finish_a_login(site: &Site, browser: &Browser) {
    let answer = site.post("/api/login", json!({ "email": EMAIL, "password": PASSWORD })).await;
    let line = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    let (name, rest) = line.split_once('=').unwrap();
    let mail = site.mail(2).await;
    let address = format!("{}/login/email?token={}", site.base, token_in(&mail));
    browser.go(&address).await;
    browser.click("form button").await;
    browser.see("No such login attempt").await;
    assert!(!browser.has_cookie("gatepost_session").await, "another browser than the one that began must not get in");
    browser.set_cookie(name, rest.split(';').next().unwrap()).await;
    browser.go(&address).await;
    assert!(!browser.has_cookie("gatepost_session").await, "a look must not sign in");
    browser.click("form button").await;
    browser.see("You are signed in").await;
    assert!(browser.has_cookie("gatepost_session").await);
    assert_eq!(code_in(&mail).len(), 6);
}

async fn set_a_new_password(site: &Site, browser: &Browser) {
    browser.go(&format!("{}/reset", site.base)).await;
    browser.write("input[type=email]", EMAIL).await;
    browser.click("form button").await;
    browser.see("Look into your mailbox").await;
    browser.go(&format!("{}/reset?token={}", site.base, token_in(&site.mail(3).await))).await;
    browser.write("input[type=password]", "password").await;
    browser.click("form button").await;
    browser.see("top-10 common password").await;
    browser.write("input[type=password]", OTHER_PASSWORD).await;
    browser.click("form button").await;
    browser.see("new password is set").await;
    site.post("/api/login", json!({ "email": EMAIL, "password": OTHER_PASSWORD })).await;
}
