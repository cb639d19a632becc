//! How old a session may become.

use std::time::Duration;

use harness::TestApp;
use serde_json::json;

use super::{ADA, BOB, FIRST, OTHER, PROBE, app, found, signed_in, with_proof};

const DAY: u64 = 86_400;

fn days(app: &TestApp, count: u64) {
    app.advance(Duration::from_secs(count * DAY));
}

/// O03, W24: a shorter age ends living sessions at once, on every gateway and with an empty cache; a longer one lets them
/// live on, up to the installation's.
#[tokio::test(flavor = "multi_thread")]
async fn an_age_applies_to_sessions_that_live() {
    let app = app().await;
    let browser = signed_in(&app, BOB).await;
    let other = app.another_gateway().await;
    let token = browser.cookie("gatepost_session").unwrap();
    let there = app.browser().through(&other);
    there.set_cookie("gatepost_session", &token);
    days(&app, 8);
    for caller in [&browser, &there] {
        caller.get(PROBE).await.expect(200);
    }
    app.set_policy(FIRST, &format!("session_age_seconds = {}", 7 * DAY)).await;
    let fresh = app.another_gateway().await;
    let with_empty_cache = app.browser().through(&fresh);
    with_empty_cache.set_cookie("gatepost_session", &token);
    for caller in [&browser, &there, &with_empty_cache] {
        caller.get(PROBE).await.expect_problem(401, "session_expired");
    }
    app.set_policy(FIRST, &format!("session_age_seconds = {}", 9 * DAY)).await;
    browser.get(PROBE).await.expect(200);
    days(&app, 1);
    browser.get(PROBE).await.expect_problem(401, "session_expired");
    app.set_policy(FIRST, &format!("session_age_seconds = {}", 900 * DAY)).await;
    browser.get(PROBE).await.expect(200);
    days(&app, 81);
    browser.get(PROBE).await.expect_problem(401, "session_expired");
}

/// O04: of several organizations the shortest age wins, to the second; who belongs to none of them has the installation's.
#[tokio::test(flavor = "multi_thread")]
async fn the_shortest_age_of_all_organizations_wins() {
    let app = app().await;
    found(&app, ADA).await;
    app.join(OTHER, BOB, "member").await;
    app.set_policy(FIRST, &format!("session_age_seconds = {}", 30 * DAY)).await;
    app.set_policy(OTHER, "session_age_seconds = 3600").await;
    app.browser().sign_up_verified("eve@example.com").await;
    let (both, none) = (signed_in(&app, BOB).await, signed_in(&app, "eve@example.com").await);
    let begin = app.now();
    app.advance(Duration::from_secs(3500));
    both.get(PROBE).await.expect(200);
    let left = Duration::from_secs(100).checked_sub(app.now().since(begin + Duration::from_secs(3500))).unwrap();
    app.advance(left);
    both.get(PROBE).await.expect_problem(401, "session_expired");
    none.get(PROBE).await.expect(200);
    app.execute(&format!(
        "DELETE FROM organization_members WHERE role = 'member' AND organization_id IN
         (SELECT id FROM organizations WHERE name = '{OTHER}')"
    ))
    .await;
    both.get(PROBE).await.expect(200);
    days(&app, 30);
    both.get(PROBE).await.expect_problem(401, "session_expired");
}

/// O03: what a login and the list of sessions tell of the end is what holds, and the cookie lives as long.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_that_is_told_is_the_one_that_holds() {
    let app = app().await;
    app.set_policy(FIRST, "session_age_seconds = 3600").await;
    let browser = app.browser();
    let login = browser.log_in(BOB, harness::PASSWORD).await;
    let listed = browser.get(PROBE).await.expect(200).json();
    assert_eq!(listed["items"][0]["expires_at"], login["session"]["expires_at"]);
    let renewed = browser.post("/api/users/@me/reauthenticate", json!({ "password": harness::PASSWORD })).await;
    let cookie = renewed.expect(200).set_cookie("gatepost_session").unwrap();
    let age: u64 = cookie.split("Max-Age=").nth(1).unwrap().split(';').next().unwrap().parse().unwrap();
    assert!((3500..=3600).contains(&age), "{cookie}");
    // Sessions that are too old by the rule are not listed.
    app.advance(Duration::from_secs(3601));
    let program = with_proof(&app, BOB, &["pwd"]).await;
    assert_eq!(program.get(PROBE).await.expect(200).json()["items"].as_array().unwrap().len(), 1);
}
