//! Sign-in with providers: Google, GitLab, GitHub and others, against a provider that is honest or hostile.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "test code")]

mod accounts;
mod hostile;
mod linking;
mod outages;
mod signing_in;

use harness::{
    Answer, Caller, PASSWORD, Provider, Settings, TestApp,
    provider::{CLIENT, Person},
};
use serde_json::{Value, json};
use shared::{config::Config, domains::DomainsConfig, secret::Redacted};
use url::Url;

const ADA: &str = "ada@lovelace.test";
const BOB: &str = "bob@byron.test";
const ME: &str = "/api/users/@me";
const LINKED: &str = "/api/users/@me/linked_accounts";
const SESSION: &str = "gatepost_session";
const BINDING: &str = "gatepost_social";

/// A provider that all names lead to, and an application that knows it. `corp` is trusted with addresses, `other` is not.
struct World {
    provider: Provider,
    app: TestApp,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        let provider = Provider::start().await;
        let issuer = provider.issuer.clone();
        let settings = Settings::with(move |config| {
            configure(config, &issuer);
            change(config);
        });
        Self { provider, app: TestApp::with(settings).await }
    }

    /// What a browser brings back after this person signed in at the provider that it was sent to.
    fn approve(&self, url: &Url, person: &Person) -> String {
        self.provider.approve(url, person, self.app.now())
    }

    /// Signs somebody in with a provider, in this browser.
    async fn sign_in(&self, browser: &Caller<'_>, name: &str, person: &Person) -> Answer {
        let url = begin(browser, name).await;
        browser.get(&self.approve(&url, person)).await.expect(303)
    }

    /// Signs somebody in, which has to succeed; processes the jobs.
    async fn signed_in(&self, name: &str, person: &Person) -> Caller<'_> {
        let browser = self.app.browser();
        let answer = self.sign_in(&browser, name, person).await;
        assert_eq!(sent_to(&answer), "/account");
        self.app.drain().await;
        browser
    }

    /// Tries to sign somebody in, which has to be refused with this code, without a session.
    async fn refused(&self, name: &str, person: &Person, code: &str) {
        let browser = self.app.browser();
        let answer = self.sign_in(&browser, name, person).await;
        assert_refused(&browser, &answer, code).await;
    }

    async fn count(&self, table: &str) -> i64 {
        self.app.number(&format!("SELECT COUNT(*) AS number FROM {table}")).await
    }
}

/// Lets an installation know a provider under all names.
fn configure(config: &mut Config, issuer: &str) {
    let social = &mut config.social;
    social.allowed_networks = vec!["127.0.0.1/32".parse().expect("a network")];
    for (id, secret, address) in [
        (&mut social.google.client_id, &mut social.google.client_secret, &mut social.google.issuer),
        (&mut social.gitlab.client_id, &mut social.gitlab.client_secret, &mut social.gitlab.url),
        (&mut social.github.client_id, &mut social.github.client_secret, &mut social.github.url),
    ] {
        CLIENT.0.clone_into(id);
        *secret = Redacted::new(CLIENT.1.to_owned());
        issuer.clone_into(address);
    }
    issuer.clone_into(&mut social.github.api_url);
    let other = |name: &str, is_trusted: bool| {
        json!({
            "name": name, "display_name": format!("The {name}"), "issuer": issuer,
            "client_id": CLIENT.0, "client_secret": CLIENT.1, "trusts_email": is_trusted,
        })
    };
    let others = json!([other("corp", true), other("other", false)]);
    social.oidc = serde_json::from_value(others).expect("providers");
}

/// Domains that demand a provider.
fn enforcing(rule: &str) -> DomainsConfig {
    harness::enforcing(&[rule])
}

fn sent_to(answer: &Answer) -> &str {
    answer.header("location").expect("a redirect")
}

/// Sends a browser to a provider.
async fn begin(browser: &Caller<'_>, name: &str) -> Url {
    let answer = browser.get(&format!("/api/login/sso/{name}")).await.expect(303);
    Url::parse(sent_to(&answer)).expect("the address of the provider")
}

/// The code of a refusal that a browser is sent back with.
fn error_code(answer: &Answer) -> String {
    let base = Url::parse("http://localhost").expect("a base");
    let page = base.join(sent_to(answer)).expect("an address");
    assert!(["/login", "/account"].contains(&page.path()), "{page}");
    let mut pairs = page.query_pairs();
    pairs.find(|(name, _)| name == "error_code").map(|(_, code)| code.into_owned()).unwrap_or_default()
}

/// The browser is told why and has no session; the page says it in words.
async fn assert_refused(browser: &Caller<'_>, answer: &Answer, code: &str) {
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert_eq!(error_code(answer), code);
    assert!(answer.set_cookie(SESSION).is_none());
    let page = browser.get(sent_to(answer)).await.expect(200);
    assert!(page.text.contains("role=\"alert\""), "{}", page.text);
    browser.get(ME).await.expect(401);
}

async fn me(browser: &Caller<'_>) -> Value {
    browser.get(ME).await.expect(200).json()
}

async fn linked(browser: &Caller<'_>) -> Vec<Value> {
    browser.get(LINKED).await.expect(200).json()["items"].as_array().cloned().expect("items")
}

/// A browser whose user is signed in with password and code.
async fn with_password<'a>(app: &'a TestApp, email: &str) -> Caller<'a> {
    let browser = app.browser();
    browser.sign_up_verified(email).await;
    browser.log_in(email, PASSWORD).await;
    browser
}

/// The details of all audit rows of an action.
async fn audited(app: &TestApp, action: &str) -> Vec<Value> {
    let rows = shared::audit::list(app.kernel.db.reader(), action, 1000).await.expect("audit");
    rows.iter().map(|row| serde_json::from_str(&row.detail).expect("JSON")).collect()
}
