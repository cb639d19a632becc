//! The pages of signing in and out, as a browser without scripts goes through them.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "test code")]

mod account;
mod redirects;
mod signing_in;

use harness::{Answer, Caller, PASSWORD, Settings, TestApp, code_in};
use shared::domains::DomainsConfig;
use url::form_urlencoded;

const ADA: &str = "ada@lovelace.test";
const SESSION: &str = "gatepost_session";
const ME: &str = "/api/users/@me";
const PAGES: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn app_with(settings: Settings) -> TestApp {
    let app = TestApp::with(settings).await;
    app.browser().sign_up_verified(ADA).await;
    app
}

async fn app_with_ada() -> TestApp {
    app_with(Settings::default()).await
}

/// Somebody who looks at pages.
fn person(app: &TestApp) -> Caller<'_> {
    app.browser().header("accept", PAGES).header("sec-fetch-mode", "navigate")
}

/// Where an answer sends the browser.
#[track_caller]
fn sent_to(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.text);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.header("location").expect("a place").to_owned()
}

/// Sends a form with these fields.
async fn submit(browser: &Caller<'_>, path: &str, fields: &[(&str, &str)]) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    browser.post_form(path, &body).await
}

/// Sends the form of a page with what it hides and with these fields.
async fn fill(browser: &Caller<'_>, page: &Answer, fields: &[(&str, &str)]) -> Answer {
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{}", page.text);
    let (_, rest) = page.text.split_once("action=\"").expect("a form");
    let (action, form) = rest.split_once('"').unwrap();
    let hidden = hidden_in(form.split_once("</form>").unwrap().0);
    let hidden = hidden.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let fields: Vec<_> = hidden.chain(fields.iter().copied()).collect();
    submit(browser, &plain(action), &fields).await
}

fn hidden_in(form: &str) -> Vec<(String, String)> {
    let value = |field: &str, name: &str| {
        let (_, rest) = field.split_once(&format!("{name}=\"")).unwrap();
        plain(rest.split_once('"').unwrap().0)
    };
    form.split("type=\"hidden\"").skip(1).map(|field| (value(field, "name"), value(field, "value"))).collect()
}

/// What a browser reads where a page says this.
fn plain(html: &str) -> String {
    let escapes = [("&#x2f;", "/"), ("&#x27;", "'"), ("&quot;", "\""), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    escapes.iter().fold(html.to_owned(), |text, (escape, letter)| text.replace(escape, letter))
}

/// Signs in with password and mailed code, from the sign-in page at this address on. Returns the last answer.
async fn walk(app: &TestApp, browser: &Caller<'_>, address: &str, further: &[(&str, &str)]) -> Answer {
    let page = browser.get(address).await.expect(200);
    let step = sent_to(&fill(browser, &page, &[("email", ADA), ("password", PASSWORD)]).await);
    assert!(step.starts_with("/login/email?login_id="), "{step}");
    let page = browser.get(&step).await.expect(200);
    app.drain().await;
    let code = code_in(&app.mail_to(ADA).await.text);
    let answer = fill(browser, &page, &[&[("code", code.as_str())], further].concat()).await;
    app.drain().await;
    answer
}

fn enforcing(domain: &str, provider: &str) -> DomainsConfig {
    harness::enforcing(&[&format!("{domain}={provider}")])
}
