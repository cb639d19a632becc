//! Who is sent to sign in, and where they end up.

use std::time::Duration;

use poem::http::Method;

use super::{ADA, ME, PASSWORD, SESSION, TestApp, app_with_ada, fill, person, sent_to, submit, walk};

const NINETY_DAYS: Duration = Duration::from_secs(90 * 86_400);

/// O05: whoever looks at a page with an expired session is sent to sign in, is told why, and comes back; the API goes on
/// answering with a problem.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_session_leads_to_the_sign_in_page_and_back() {
    let app = app_with_ada().await;
    let browser = person(&app);
    browser.log_in(ADA, PASSWORD).await;
    let page = browser.get("/account").await.expect(200);
    assert!(page.text.contains(ADA), "{}", page.text);
    app.advance(NINETY_DAYS);
    let problem = browser.get(ME).await;
    problem.expect_problem(401, "session_expired");
    assert!(problem.headers.get("location").is_none());
    let address = sent_to(&browser.get("/account?tab=1").await);
    assert_eq!(address, "/login?reason=expired&next=%2Faccount%3Ftab%3D1");
    let page = browser.get(&address).await.expect(200);
    assert!(page.text.contains("Your session has expired. Sign in again."), "{}", page.text);
    let end = walk(&app, &browser, &address, &[]).await;
    assert_eq!(sent_to(&end), "/account?tab=1");
    let page = browser.get("/account?tab=1").await.expect(200);
    assert!(page.text.contains(ADA), "{}", page.text);
    browser.get(ME).await.expect(200);
}

/// O05: no session, a made-up one and a revoked one lead there too, without a word about time.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_session_one_is_sent_to_sign_in() {
    let app = app_with_ada().await;
    let revoked = person(&app);
    revoked.log_in(ADA, PASSWORD).await;
    revoked.post("/api/logout", serde_json::json!({})).await.expect(204);
    let (nobody, made_up) = (person(&app), person(&app));
    made_up.set_cookie(SESSION, &format!("gpst_{}", "A".repeat(43)));
    for browser in [&revoked, &nobody, &made_up] {
        let address = sent_to(&browser.get("/account").await);
        assert_eq!(address, "/login?next=%2Faccount");
        let page = browser.get(&address).await.expect(200);
        assert!(!page.text.contains("expired"), "{}", page.text);
        browser.get(ME).await.expect_problem(401, "unauthenticated");
    }
    assert_eq!(sent_to(&nobody.get("/").await), "/account");
    assert_eq!(sent_to(&nobody.send(Method::HEAD, "/account", None).await), "/login?next=%2Faccount");
}

/// O05: what is no navigation gets the problem of the API, and nothing under /api ever redirects.
#[tokio::test(flavor = "multi_thread")]
async fn only_navigations_are_redirected() {
    let app = app_with_ada().await;
    for (name, value) in [("accept", "application/json"), ("accept", "*/*"), ("sec-fetch-mode", "cors")] {
        let program = app.browser().header(name, value);
        program.get("/account").await.expect_problem(401, "unauthenticated");
    }
    let script = app.browser().header("accept", "text/html").header("sec-fetch-mode", "cors");
    script.get("/account").await.expect(401);
    let by_accept = app.browser().header("accept", "text/html");
    assert_eq!(sent_to(&by_accept.get("/account").await), "/login?next=%2Faccount");
    for path in [ME, "/api/users/@me/sessions", "/api/organizations"] {
        person(&app).get(path).await.expect_problem(401, "unauthenticated");
    }
}

/// O05: whoever is signed in already is sent on at once.
#[tokio::test(flavor = "multi_thread")]
async fn the_sign_in_page_sends_on_who_is_signed_in() {
    let app = app_with_ada().await;
    let browser = person(&app);
    browser.log_in(ADA, PASSWORD).await;
    assert_eq!(sent_to(&browser.get("/login?next=%2Finvite%3Finvite_id%3Dx").await), "/invite?invite_id=x");
    assert_eq!(sent_to(&browser.get("/login").await), "/account");
}

/// Addresses that a browser would read as another site, or that are no paths.
const ELSEWHERE: [&str; 12] = [
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/.//evil.example",
    "/\t/evil.example",
    "/\r\nSet-Cookie: a=b",
    "https://evil.example/account",
    "https:evil.example",
    "javascript:alert(1)",
    "@evil.example",
    "account",
    "/caf\u{e9}",
];

/// O05: nobody is sent to another site after signing in, whatever the address of the sign-in page or a form says.
#[tokio::test(flavor = "multi_thread")]
async fn signing_in_leads_to_no_other_site() {
    let app = app_with_ada().await;
    let trusted = person(&app);
    walk(&app, &trusted, "/login", &[("remember_device", "yes")]).await;
    for next in ELSEWHERE {
        assert_eq!(sent_to(&trusted.get(&sign_in_with(next)).await), "/account", "{next:?}, signed in");
        let sent = submit(&trusted, "/login", &[("email", ADA), ("password", PASSWORD), ("next", next)]).await;
        assert_eq!(sent_to(&sent), "/account", "{next:?}");
        let other = person(&app);
        let page = other.get(&sign_in_with(next)).await.expect(200);
        assert!(page.text.contains("name=\"next\" value=\"&#x2f;account\""), "{next:?}: {}", page.text);
    }
    app.drain().await;
}

/// O05: the same where the path comes back in the form of the second step.
#[tokio::test(flavor = "multi_thread")]
async fn the_second_step_leads_to_no_other_site() {
    let app = app_with_ada().await;
    let browser = person(&app);
    let step = begin(&app, &browser).await;
    let page = browser.get(&step.replace("%2Faccount", "%2F%2Fevil.example")).await.expect(200);
    assert!(!page.text.contains("evil.example"), "{}", page.text);
    let code = harness::code_in(&app.mail_to(ADA).await.text);
    let login_id = step.split(['=', '&']).nth(1).unwrap();
    let fields = [("login_id", login_id), ("code", code.as_str()), ("next", "//evil.example")];
    assert_eq!(sent_to(&submit(&browser, "/login/email", &fields).await), "/account");
    app.drain().await;
}

async fn begin(app: &TestApp, browser: &harness::Caller<'_>) -> String {
    let page = browser.get("/login").await.expect(200);
    let step = sent_to(&fill(browser, &page, &[("email", ADA), ("password", PASSWORD)]).await);
    app.drain().await;
    step
}

fn sign_in_with(next: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
    format!("/login?{query}")
}
