//! The pages behind mailed links, and those of signing in.

use poem::http::Method;

use super::TestApp;

#[tokio::test]
async fn pages_are_for_people() {
    let app = TestApp::new().await;
    for (path, expected) in [
        ("/reset", "Send link"),
        ("/verify_email?token=abc%22%3E%3Cscript%3E", "Confirm e-mail address"),
        ("/login/email?token=abc", "Continue signing in"),
        ("/login/email?login_id=abc", "one-time-code"),
        ("/login/email", "Open the link of the mail"),
        ("/login", "Forgot your password?"),
        ("/login?reason=expired&next=%22%3E%3Cscript%3E", "Your session has expired"),
    ] {
        let page = app.get(path).await;
        assert_eq!(page.status(), 200, "{path}");
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}");
        assert!(page.header("content-security-policy").contains("style-src 'self'"), "{path}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        assert!(page.text.contains(expected) && !page.text.contains("<script"), "{path}: {}", page.text);
    }
    let style = app.get("/assets/gatepost.css").await;
    assert_eq!(style.header("content-type"), "text/css; charset=utf-8");
    assert!(style.header("cache-control").contains("max-age"));
}

#[tokio::test]
async fn failures_are_pages_too() {
    let app = TestApp::new().await;
    let browser = [("accept", "text/html")];
    let page = app.send(Method::GET, "/reset?token=abc", &browser, "").await;
    assert_eq!(page.status(), 400);
    assert!(page.text.contains("The link is not valid"), "{}", page.text);
    let page = app.send(Method::GET, "/nowhere", &browser, "").await;
    assert!(page.status() == 404 && page.text.contains("Not found"));
    assert_eq!(app.send(Method::GET, "/api/nowhere", &browser, "").await.code(), "not_found");
    for (path, form) in [
        ("/verify_email", "token=abc"),
        ("/login/email", "token=abc"),
        ("/login/email", "login_id=x&code=1"),
        ("/login/two_factor", "login_id=x&code=1"),
        ("/reset", "token=abc&password=correct+horse+battery"),
    ] {
        let page = app.form(path, form).await;
        assert_eq!(page.status(), 400, "{path}: {}", page.text);
        assert!(page.text.contains("<h1>"), "{path}");
    }
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let app = TestApp::new().await;
    for headers in
        [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site")]
    {
        for path in ["/reset", "/verify_email", "/login", "/login/email", "/login/two_factor", "/account/sign_out"] {
            let answer = app.send(Method::POST, path, &[FORM, headers, ("origin", "null")], "token=abc").await;
            assert_eq!(answer.code(), "csrf_rejected", "{path} with {headers:?}");
        }
    }
    for headers in [vec![FORM], vec![FORM, ("origin", "null")]] {
        for path in ["/login", "/login/email", "/login/two_factor", "/account/sign_out"] {
            let answer = app.send(Method::POST, path, &headers, "token=abc").await;
            assert_eq!(answer.code(), "csrf_rejected", "a cookie counts here: {path} {headers:?}");
        }
    }
}

#[tokio::test]
async fn forms_of_our_own_pages_are_taken_as_browsers_send_them() {
    let app = TestApp::new().await;
    // A page with `Referrer-Policy: no-referrer` sends `Origin: null`; without TLS there is no `Sec-Fetch-Site` either.
    for headers in [vec![FORM, ("sec-fetch-site", "same-origin"), ("origin", "null")], vec![FORM, ("origin", "null")]] {
        for path in ["/reset", "/verify_email"] {
            let answer = app.send(Method::POST, path, &headers, "token=abc").await;
            assert_ne!(answer.status(), 403, "{path} with {headers:?}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn asking_for_a_link_tells_nothing() {
    let app = TestApp::new().await;
    for email in ["nobody%40example.com", "no+address", ""] {
        let page = app.form("/reset", &format!("email={email}")).await;
        assert_eq!(page.status(), 200, "{}", page.text);
        assert!(page.text.contains("Look into your mailbox"));
    }
}
