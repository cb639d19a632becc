//! Headers and tokens that no honest party sends, to a server. What parses them without one is in `fuzz`.
//!
//! Values come from proptest: arbitrary ones, and valid ones with a few characters changed. Each run draws others.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use harness::TestApp;
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config as RunnerConfig, TestRunner},
};
use serde_json::json;

/// Values that a strategy draws, for tests that await.
fn draw<S: Strategy>(strategy: S, count: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::new(RunnerConfig::default());
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// Text that can stand in a header.
fn header_text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,200}", "[0-9a-fA-F:., \\[\\]]{0,80}", "(([0-9]{1,4}\\.){3}[0-9]{1,4},? ?){0,9}"]
}

/// Fuzzing: whatever a proxy or somebody behind it writes into the headers about the client, the answer is the usual one.
#[tokio::test(flavor = "multi_thread")]
async fn headers_about_the_client_never_break_a_request() {
    let app = TestApp::new().await;
    for (name, values) in [
        ("x-forwarded-for", draw(header_text(), 150)),
        ("forwarded", draw(header_text(), 50)),
        ("x-real-ip", draw(header_text(), 50)),
        (
            "traceparent",
            draw(
                prop_oneof![header_text().boxed(), "[0-9a-f]{2}-[0-9a-f]{30,34}-[0-9a-f]{16}-[0-9a-f]{2}".boxed()],
                50,
            ),
        ),
    ] {
        for value in values {
            let answer = app.browser().header(name, &value).get("/api/users/@me").await;
            assert_eq!(answer.status, 401, "{name}: {value:?}");
        }
    }
}

/// Fuzzing: what is no token, code or id is refused as such wherever one is expected, and is never an error of the server.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_token_is_refused() {
    let app = TestApp::new().await;
    let words =
        || prop_oneof!["[!-~]{0,120}", "[A-Za-z0-9_.-]{1,90}", "(gps|gpr|gpv|gpk|gpc|phx)_[A-Za-z0-9_.-]{0,90}"];
    for word in draw(words(), 150) {
        let answer = app.browser().bearer(&word).get("/api/users/@me").await;
        assert!(matches!(answer.status, 400 | 401), "bearer {word:?}: {}", answer.status);
    }
    for word in draw(prop_oneof![words().boxed(), ".{0,60}".boxed()], 100) {
        for (path, body) in [
            ("/api/reset/validate", json!({ "reset_token": word })),
            ("/api/email_verification/confirm", json!({ "email": "a@example.com", "code": word })),
            ("/api/login/email_mfa", json!({ "login_id": word, "login_token": word, "code": "123456" })),
        ] {
            let answer = app.browser().post(path, body).await;
            assert!((400..500).contains(&answer.status), "{path} {word:?}: {}", answer.status);
        }
    }
}
