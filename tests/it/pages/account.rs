//! The account's page, and the way out.

use harness::{Settings, TestApp};
use shared::audit;

use super::{ADA, ME, PASSWORD, SESSION, app_with_ada, fill, person, sent_to, submit, walk};

/// O05: the page says who is signed in and where else, and its button ends this session and no other.
#[tokio::test(flavor = "multi_thread")]
async fn signing_out_ends_this_session_only() {
    let app = app_with_ada().await;
    let other = app.browser().user_agent("curl/8.5.0");
    other.log_in(ADA, PASSWORD).await;
    let browser = person(&app);
    assert_eq!(sent_to(&walk(&app, &browser, "/login", &[]).await), "/account");
    let page = browser.get("/account").await.expect(200);
    for expected in ["Firefox on Linux", "curl&#x2f;8.5.0", "password and mailed code", "this session"] {
        assert!(page.text.contains(expected), "{expected}: {}", page.text);
    }
    assert_eq!(page.text.matches("this session").count(), 1);
    let session = browser.cookie(SESSION).unwrap();
    let answer = fill(&browser, &page, &[]).await;
    assert_eq!(sent_to(&answer), "/login");
    assert!(answer.set_cookie(SESSION).unwrap().contains("Max-Age=0;"));
    let thief = person(&app);
    thief.set_cookie(SESSION, &session);
    thief.get(ME).await.expect_problem(401, "unauthenticated");
    other.get(ME).await.expect(200);
    let events = audit::list(app.kernel.db.reader(), "sessions.log_out", 10).await.unwrap();
    assert_eq!(events.len(), 1);
    // Once more does no harm, and a look does nothing at all.
    assert_eq!(sent_to(&submit(&thief, "/account/sign_out", &[]).await), "/login");
    other.get("/account/sign_out").await.expect_problem(405, "method_not_allowed");
    other.get(ME).await.expect(200);
}

/// O05, O12: no other site signs anybody in or out, and neither does a browser that withholds where the form comes from.
#[tokio::test(flavor = "multi_thread")]
async fn forms_of_other_sites_are_refused() {
    let app = app_with_ada().await;
    let browser = person(&app);
    browser.log_in(ADA, PASSWORD).await;
    let hashes = app.hasher.computed();
    let foreign = [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
        ("origin", "null"),
    ];
    let callers = foreign.map(|(name, value)| app.browser().header(name, value));
    for caller in callers.into_iter().chain([app.browser().plain()]) {
        caller.set_cookie(SESSION, &browser.cookie(SESSION).unwrap());
        for path in ["/login", "/login/two_factor", "/login/email", "/account/sign_out"] {
            let answer = submit(&caller, path, &[("email", ADA), ("password", PASSWORD)]).await;
            answer.expect_problem(403, "csrf_rejected");
            assert!(answer.headers.get("set-cookie").is_none());
        }
    }
    assert_eq!(app.hasher.computed(), hashes);
    browser.get(ME).await.expect(200);
    // A browser that has no fetch metadata sends the origin, which the pages allow it to.
    let page = person(&app).get("/login").await.expect(200);
    assert_eq!(page.header("referrer-policy"), Some("same-origin"));
    let old = app.browser().header("origin", &app.origin());
    old.set_cookie(SESSION, &browser.cookie(SESSION).unwrap());
    assert_eq!(sent_to(&submit(&old, "/account/sign_out", &[]).await), "/login");
}

/// O05: what users and programs call themselves is text on the page, and no secret is on it.
#[tokio::test(flavor = "multi_thread")]
async fn the_page_escapes_and_holds_no_secrets() {
    let app = TestApp::with(Settings::default()).await;
    let email = "o'neil&co@lovelace.test";
    app.browser().sign_up_verified(email).await;
    let browser = person(&app).user_agent("<img src=x onerror=alert(1)>");
    browser.log_in(email, PASSWORD).await;
    let page = browser.get("/account").await.expect(200);
    assert!(page.text.contains("o&#x27;neil&amp;co@lovelace.test"), "{}", page.text);
    assert!(page.text.contains("&lt;img src=x") && !page.text.contains("<img"), "{}", page.text);
    let secret = browser.cookie(SESSION).unwrap();
    assert!(!page.text.contains(&secret) && !page.text.contains("gpst_") && !page.text.contains(PASSWORD));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
}

/// O05: a session that owes a second factor sees its user, what it owes, and the way out; not where else they are.
#[tokio::test(flavor = "multi_thread")]
async fn a_limited_session_sees_what_it_owes() {
    let app = app_with_ada().await;
    let browser = person(&app);
    browser.log_in(ADA, PASSWORD).await;
    app.set_policy("My organization", "enforces_two_factor = TRUE, allows_email_mfa = FALSE").await;
    browser.get("/api/users/@me/sessions").await.expect_problem(403, "two_factor_setup_required");
    let page = browser.get("/account").await.expect(200);
    assert!(page.text.contains(ADA) && page.text.contains("role=\"status\""), "{}", page.text);
    assert!(!page.text.contains("Firefox"), "{}", page.text);
    assert_eq!(sent_to(&fill(&browser, &page, &[]).await), "/login");
    browser.get(ME).await.expect_problem(401, "unauthenticated");
}
