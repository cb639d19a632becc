//! The mailed links, and signing in and out, in a real browser.
//!
//! Only with `GATEPOST_TEST_FULL=1`: it needs `chromium` and `chromedriver`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code: a panic is how it fails"
)]

mod provider;
mod webauthn;

use std::time::Duration;

use harness::{Browser, Installation, OTHER_PASSWORD, PASSWORD, code_in, free_port, token_in};
use reqwest::Client;
use serde_json::{Value, json};

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

/// J03, C11, R01, W05, O05: every mailed link opens a page in a browser that shows and never acts by itself; its button does.
/// Who goes to the account without a session signs in on pages and comes back.
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
    sign_in_and_out(&site, &browser).await;
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

async fn sign_in_and_out(site: &Site, browser: &Browser) {
    // The notice of the new password, and the code of the login that proved it.
    site.mail(5).await;
    let account = format!("{}/account", site.base);
    browser.go(&account).await;
    browser.write("input[type=email]", EMAIL).await;
    send(browser, ("input[type=password]", PASSWORD), "Invalid e-mail or password").await;
    send(browser, ("input[type=password]", OTHER_PASSWORD), "six digits").await;
    send(browser, ("#code", &code_in(&site.mail(6).await)), "Your account").await;
    let page = browser.text().await;
    assert!(page.contains(EMAIL) && page.contains("Chrome on"), "{page}");
    browser.click("form button").await;
    browser.see("Forgot your password?").await;
    assert!(!browser.has_cookie("gatepost_session").await);
    browser.go(&account).await;
    browser.see("Forgot your password?").await;
}

/// Types into a field of the form, sends it, and waits for the page that says this.
async fn send(browser: &Browser, (selector, text): (&str, &str), wanted: &str) {
    browser.write(selector, text).await;
    browser.click("form button").await;
    browser.see(wanted).await;
}
