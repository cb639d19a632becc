//! Domains that demand a provider: exactly these, in whatever spelling.

use harness::{PASSWORD, Settings, TestApp, enforcing};
use serde_json::json;

use super::{FRESH_PASSWORD, complete, new_token, request, try_password};

fn rules() -> Settings {
    Settings::with(|config| config.domains = enforcing(&["corp.example=saml", "bücher.example=google"]))
}

/// C03: the answer names the provider, for users and strangers alike, and nothing is written.
#[tokio::test(flavor = "multi_thread")]
async fn an_enforced_domain_is_sent_to_its_provider() {
    let app = TestApp::with(rules()).await;
    app.browser().sign_up_verified("ada@lovelace.test").await;
    app.execute("UPDATE users SET email = 'ada@corp.example', email_normalised = 'ada@corp.example'").await;
    let rows = app.row_counts().await;
    let known = request(&app.browser(), "ada@corp.example").await;
    let problem = known.expect_problem(403, "sso_enforced");
    assert!(problem["detail"].as_str().unwrap().contains("saml"), "{problem}");
    assert_eq!(request(&app.browser(), "nobody@corp.example").await.fingerprint(), known.fingerprint());
    assert_eq!(app.row_counts().await, rows);
}

/// T-RST-07: for reset, login and sign-up.
#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_of_an_enforced_domain_is_recognised() {
    let app = TestApp::with(rules()).await;
    let spellings = [
        ("ada@corp.example", "saml"),
        ("ADA@CORP.Example", "saml"),
        ("ada@corp.example.", "saml"),
        ("  ada@corp.example\n", "saml"),
        ("ada+tag@corp.example", "saml"),
        ("ada@ｃｏｒｐ.example", "saml"),
        ("ada@corp。example", "saml"),
        ("ada@co\u{ad}rp.example", "saml"),
        ("ada@bücher.example", "google"),
        ("ada@BÜCHER.example", "google"),
        ("ada@bu\u{308}cher.example", "google"),
        ("ada@xn--bcher-kva.example", "google"),
        ("ada@XN--BCHER-KVA.example.", "google"),
    ];
    for (email, provider) in spellings {
        let signup = app.browser().post("/api/signup", json!({ "email": email, "password": PASSWORD })).await;
        for answer in
            [request(&app.browser(), email).await, try_password(&app.browser(), email, PASSWORD).await, signup]
        {
            assert_eq!(answer.status, 403, "{email}: {}", answer.text);
            let problem = answer.expect_problem(403, "sso_enforced");
            assert!(problem["detail"].as_str().unwrap().contains(provider), "{email}: {problem}");
        }
    }
    assert_eq!((app.row_counts().await["jobs"], app.row_counts().await["users"]), (0, 0));
}

/// T-RST-07: look-alikes, sub-domains and parents are other domains.
#[tokio::test(flavor = "multi_thread")]
async fn other_domains_are_not_enforced() {
    let app = TestApp::with(rules()).await;
    for email in [
        "ada@sub.corp.example",
        "ada@notcorp.example",
        "ada@corp.example.test",
        "ada@example",
        "ada@bucher.example",
        "corp.example@lovelace.test",
        // A Cyrillic letter in place of the first one.
        "ada@сorp.example",
    ] {
        assert_eq!(request(&app.browser(), email).await.status, 204, "{email}");
        let refusal = try_password(&app.browser(), email, PASSWORD).await;
        refusal.expect_problem(401, "invalid_credentials");
    }
    app.drain().await;
}

/// C16, W27: a rule that came after the link holds when the link is used, and leaves everything as it is. The status is the one
/// that `sso_enforced` has everywhere, 403.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_came_after_the_link_holds_at_its_use() {
    let app = TestApp::new().await;
    let email = "ada@corp.example";
    app.browser().sign_up_verified(email).await;
    let token = new_token(&app, email).await;
    let mut config = (*app.kernel.config).clone();
    (rules().change)(&mut config);
    let ruled = app.gateway_with_config(config);
    let browser = app.browser().through(&ruled);
    let refused = complete(&browser, &token, FRESH_PASSWORD).await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (403, Some("sso_enforced")));
    app.drain().await;
    app.browser().log_in(email, PASSWORD).await;
    complete(&app.browser(), &token, FRESH_PASSWORD).await.expect(200);
    app.drain().await;
}
