//! Bytes that no honest party sends, into everything that parses them: envelopes, configuration, proxies' headers, tokens.
//!
//! Values come from proptest: arbitrary ones, and valid ones with a few characters changed. Each run draws others.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use harness::TestApp;
use proptest::{
    collection::vec,
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config as RunnerConfig, TestRunner},
};
use serde_json::json;
use shared::{broker::Dispatch, config::load_from, jobs::JobId};

/// Values that a strategy draws, for tests that await.
fn draw<S: Strategy>(strategy: S, count: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::new(RunnerConfig::default());
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// Text that can stand in a header.
fn header_text() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,200}", "[0-9a-fA-F:., \\[\\]]{0,80}", "(([0-9]{1,4}\\.){3}[0-9]{1,4},? ?){0,9}"]
}

proptest! {
    /// Fuzzing: what a broker hands over is an envelope or nothing, whatever bytes it is, and never a panic.
    #[test]
    fn bytes_from_the_broker_are_an_envelope_or_nothing(bytes in vec(any::<u8>(), 0..400)) {
        drop(serde_json::from_slice::<Dispatch>(&bytes));
    }

    /// Fuzzing: an envelope with some bytes changed is one or nothing; unchanged it is the same.
    #[test]
    fn a_changed_envelope_is_an_envelope_or_nothing(
        name in ".{0,40}", version: u16, attempt: u16, trace in proptest::option::of(".{0,60}"), at: usize, byte: u8,
    ) {
        let sent = Dispatch { job_id: JobId::next(), name, version, attempt, queue: None, traceparent: trace };
        let mut bytes = serde_json::to_vec(&sent).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Dispatch>(&bytes).unwrap(), sent);
        let at = at % bytes.len();
        bytes[at] = byte;
        drop(serde_json::from_slice::<Dispatch>(&bytes));
    }

    /// Fuzzing: any environment is a configuration or a refusal in words.
    #[test]
    fn any_environment_is_a_configuration_or_a_refusal(
        section in "(HTTP|DATABASE|BROKER|MAIL|JOBS|SECRETS|LOGIN|[A-Z_]{0,12})",
        key in "(LISTEN|URL|KEYS|PUBLIC_URL|TRUSTED_PROXIES|PER_NETWORK__COUNT|CONCURRENCY|[A-Z_]{0,20})",
        value in prop_oneof![".{0,80}", "-?[0-9]{0,25}", "[\\[\\]{}\",=. a-z0-9]{0,60}"],
    ) {
        if let Err(error) = load_from(None, std::iter::once((format!("GATEPOST__{section}__{key}"), value))) {
            prop_assert!(!error.to_string().is_empty());
        }
    }

    /// Fuzzing: any file is a configuration or a refusal in words.
    #[test]
    fn any_file_is_a_configuration_or_a_refusal(text in prop_oneof![".{0,200}", "(\\[[a-z_]{1,9}\\]\n|[a-z_]{1,9} ?= ?[\"\\[{0-9a-z.}\\]]{0,12}\n){0,8}"]) {
        let path = std::env::temp_dir().join(format!("gatepost-fuzz-{}", shared::ids::next()));
        std::fs::write(&path, text).unwrap();
        let loaded = load_from(Some(&path), std::iter::empty());
        std::fs::remove_file(&path).unwrap();
        if let Err(error) = loaded {
            prop_assert!(!error.to_string().is_empty());
        }
    }
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
