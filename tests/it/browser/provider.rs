//! Signing in with a provider that others wrote, `oidc-provider` for Node, in real Chromium.
//!
//! Only with `GATEPOST_TEST_FULL=1`: it needs Node, Chromium and what `scripts/setup.sh full` puts into `tests/clients`.

use std::{process::Stdio, time::Duration};

use harness::{Browser, Installation, Process, free_port, generate::tree};
use reqwest::{Client, Response, redirect::Policy};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};
use url::Url;

const CLIENT: (&str, &str) = ("gatepost", "a secret that needs %-escapes: +/=");

/// The provider, and what it prints: every address that it sends a browser back to.
struct Provider {
    lines: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Provider {
    async fn start(port: u16, redirect_uri: &str) -> Self {
        let mut process = Command::new("node")
            .args(["oidc_provider.mjs", &port.to_string(), CLIENT.0, CLIENT.1, redirect_uri])
            .current_dir(tree::root().join("tests/clients"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|err| panic!("node: {err}; run scripts/setup.sh full"));
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut provider = Self { lines, _process: process };
        assert_eq!(provider.line().await, "ready");
        provider
    }

    /// Where it sent the browser back to; it prints warnings too.
    async fn callback(&mut self) -> String {
        loop {
            let line = self.line().await;
            if line.starts_with("http") {
                return line;
            }
        }
    }

    async fn line(&mut self) -> String {
        let line = tokio::time::timeout(Duration::from_secs(30), self.lines.next_line()).await;
        line.expect("the provider says something").unwrap().expect("the provider runs")
    }
}

/// An installation that knows the provider as the file of an operator says it.
async fn installation(port: u16, issuer: &str) -> (Installation, Process) {
    let installation = Installation::new()
        .set("HTTP__LISTEN", &format!("127.0.0.1:{port}"))
        .set("HTTP__PUBLIC_URL", &format!("http://localhost:{port}"));
    let (id, secret) = CLIENT;
    let file = format!(
        "[social]\nallowed_networks = [\"127.0.0.1/32\"]\n\n[[social.oidc]]\nname = \"peer\"\ndisplay_name = \"Peer\"\n\
         issuer = \"{issuer}\"\nclient_id = \"{id}\"\nclient_secret = \"{secret}\"\ntrusts_email = true\n"
    );
    std::fs::write(installation.folder.join("gatepost.toml"), file).unwrap();
    let process = installation.start("serve", &["serve"]);
    installation.wait_for(&format!("http://127.0.0.1:{port}/health/ready"), Duration::from_secs(20)).await;
    (installation, process)
}

/// What the page says; pages of the provider have no `main`.
async fn said(browser: &Browser) -> String {
    browser.run("return document.body.innerText").await.as_str().unwrap_or_default().to_owned()
}

/// Waits until the page says this.
async fn see(browser: &Browser, wanted: &str) {
    for _ in 0..400 {
        if said(browser).await.contains(wanted) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("no {wanted:?} in: {}", said(browser).await);
}

fn parameter(url: &str, name: &str) -> String {
    let url = Url::parse(url).expect("an address");
    let value = url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    value.unwrap_or_else(|| panic!("{name} is missing in {url}"))
}

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    answer.headers().get(name).and_then(|value| value.to_str().ok()).expect("a header")
}

/// T-OIDC-01: a person signs in at a provider that others wrote and comes back with a session; the same callback does nothing a
/// second time, and neither does its code with a state of its own.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_provider_that_others_wrote_signs_in() {
    if std::env::var_os("GATEPOST_TEST_FULL").is_none() {
        return;
    }
    let (port, provider_port) = (free_port(), free_port());
    let (base, issuer) = (format!("http://localhost:{port}"), format!("http://127.0.0.1:{provider_port}"));
    let mut provider = Provider::start(provider_port, &format!("{base}/api/complete/peer")).await;
    let (_installation, _process) = installation(port, &issuer).await;

    let browser = Browser::open().await;
    browser.go(&format!("{base}/login")).await;
    browser.click("a[href^='/api/login/sso/peer']").await;
    see(&browser, "Sign-in").await;
    browser.write("input[name=login]", "ada").await;
    browser.write("input[name=password]", "anything").await;
    browser.click("button[type=submit]").await;
    see(&browser, "Authorize").await;
    browser.click("button[type=submit]").await;
    see(&browser, "Your account").await;
    assert!(browser.text().await.contains("ada@lovelace.test"), "{}", browser.text().await);
    assert!(browser.has_cookie("gatepost_session").await);
    browser.close().await;

    let callback = provider.callback().await;
    let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    let again = client.get(&callback).send().await.unwrap();
    assert_refused(&again, "invalid_sso_state");
    let started = client.get(format!("{base}/api/login/sso/peer")).send().await.unwrap();
    let cookie = header(&started, "set-cookie").split(';').next().unwrap().to_owned();
    let state = parameter(header(&started, "location"), "state");
    let spent = [("code", parameter(&callback, "code")), ("state", state), ("iss", issuer)];
    let spent = Url::parse_with_params(&format!("{base}/api/complete/peer"), spent).unwrap();
    let answer = client.get(spent).header("cookie", cookie).send().await.unwrap();
    assert_refused(&answer, "sso_rejected");
    let users = client.get(format!("{base}/api/users/@me")).send().await.unwrap();
    assert_eq!(users.json::<serde_json::Value>().await.unwrap()["status"], json!(401));
}

fn assert_refused(answer: &Response, code: &str) {
    assert_eq!(answer.status(), 303);
    let address = header(answer, "location");
    assert!(address.starts_with("/login?") && address.contains(&format!("error_code={code}")), "{address}");
    assert!(
        !answer.headers().iter().any(|(_, value)| value.to_str().is_ok_and(|v| v.starts_with("gatepost_session=")))
    );
}
