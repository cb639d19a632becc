//! Keys that a former installation issued.

use futures_util::future::join_all;
use harness::{Settings, TestApp};
use shared::key_format;

use super::*;

const LEGACY: &str = "phx_testkey0000000000000000000000000000000000000";
const HASHES: [&str; 2] = [
    "pbkdf2_sha256$260000$posthog_personal_api_key$tROh+IfTiEL9ZzFxhf/xiQT/nytYkpwfPtxD8OK3fiw=",
    "pbkdf2_sha256$390000$posthog_personal_api_key$4b1ujcPBDfahCyXzsikxakEWYe54dvlOqYQx2l7uW7A=",
];

/// Puts what a former installation stored in place of a key's hash.
async fn import(app: &TestApp, id: &str, hash: &str) {
    let (id, mask) = (sql(app, id.parse().unwrap()), key_format::mask(LEGACY));
    app.execute(&format!("UPDATE api_keys SET secret_hash = '{hash}', mask = '{mask}' WHERE id = {id}")).await;
}

/// D09, T-KEY-07: both formats authenticate, and are rewritten once, however many requests come at the same time.
#[tokio::test(flavor = "multi_thread")]
async fn former_hashes_are_rewritten_once_when_they_are_used() {
    for hash in HASHES {
        let app = TestApp::new().await;
        let (id, _) = key_of(&app, &signed_in(&app, ADA).await).await;
        import(&app, &id, hash).await;
        let callers: Vec<_> = (0..8).map(|_| program(&app, LEGACY)).collect();
        for answer in join_all(callers.iter().map(|caller| caller.get(CURRENT))).await {
            assert_eq!(answer.expect(200).json()["id"], id.as_str());
        }
        let fast =
            format!("SELECT COUNT(*) AS number FROM api_keys WHERE secret_hash = '{}'", key_format::hash(LEGACY));
        assert_eq!(app.number(&fast).await, 1);
        assert_eq!(audited(&app, "api_keys.upgrade").await.len(), 1);
        program(&app, LEGACY).get(ME).await.expect(200);
    }
}

/// W12, D10: a key that looks like a former one costs a slow hash only if its mask is a stored one, and few of them then.
#[tokio::test(flavor = "multi_thread")]
async fn guessing_former_keys_costs_no_slow_hashes() {
    let settings = Settings::with(|config| config.api_keys.legacy_per_network.count = 2);
    let app = TestApp::with(settings).await;
    let (id, _) = key_of(&app, &signed_in(&app, ADA).await).await;
    import(&app, &id, HASHES[0]).await;
    let guesser = |key: &str| app.browser_at("192.0.2.20").plain().bearer(key);
    for number in 0..20 {
        guesser(&format!("phx_guess{number:04}x")).get(ME).await.expect_problem(401, INVALID);
    }
    let limits = "SELECT COUNT(*) AS number FROM rate_limits WHERE key LIKE 'api_keys.legacy:%'";
    assert_eq!(app.number(limits).await, 0, "nothing was hashed");
    let fitting = LEGACY.replace("testkey", "tentkey");
    for _ in 0..2 {
        guesser(&fitting).get(ME).await.expect_problem(401, INVALID);
    }
    guesser(&fitting).get(ME).await.expect_problem(429, "throttled");
    program(&app, LEGACY).get(ME).await.expect(200);
    let other = Settings::with(|config| config.api_keys.legacy_prefixes.clear());
    let without = TestApp::with(other).await;
    program(&without, LEGACY).get(ME).await.expect_problem(401, "unauthenticated");
}
