//! What organizations say about keys.

use harness::TestApp;
use serde_json::json;
use shared::{
    api_keys,
    orgs::{self, OrgError, Permission},
};

use super::*;

async fn principal_of(app: &TestApp, key: &str) -> Result<orgs::Actor, api_keys::ApiKeyError> {
    let client = shared::client::Client {
        ip: std::net::IpAddr::from([192, 0, 2, 1]),
        user_agent: None,
        request_id: shared::ids::next(),
        traceparent: None,
    };
    let (sessions, keys) = (shared::sessions::SessionCache::default(), api_keys::KeyCache::default());
    let presented = (key, api_keys::Place::Header);
    let principal = api_keys::authenticate(&app.kernel, (&sessions, &keys), &client, presented).await?;
    Ok(principal.actor)
}

/// D14: a key that is limited to an organization passes its gate and no other; its maker must be a member there.
#[tokio::test(flavor = "multi_thread")]
async fn a_limited_key_stays_within_its_limits() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    signed_in(&app, BOB).await;
    let home = organization(&app, ADA).await;
    let (other, foreign) = (another_organization(&app, ADA).await, another_organization(&app, BOB).await);
    let body = |org: orgs::OrgId| json!({ "label": "x", "scopes": ["*"], "scoped_organizations": [org] });
    create(&browser, body(foreign)).await.expect_problem(404, "organization_not_found");
    let created = create(&browser, body(home)).await.expect(201).json();
    app.drain().await;
    assert_eq!(created["scoped_organizations"], json!([home]));
    let actor = principal_of(&app, &text(&created, "value")).await.unwrap();
    let gate = async |org| orgs::require(app.kernel.db.reader(), &actor, org, Permission::View).await.map(|_| ());
    assert!(gate(home).await.is_ok());
    assert!(matches!(gate(other).await, Err(OrgError::OutOfReach)));
    assert!(matches!(gate(foreign).await, Err(OrgError::NotFound)));
    let fault = shared::fault::Fault::from(OrgError::OutOfReach);
    assert_eq!((fault.kind.status, fault.kind.code), (403, "api_key_out_of_reach"));
    let reached = orgs::list_reachable(app.kernel.db.reader(), &actor).await.unwrap();
    assert_eq!(reached.iter().map(|(org, _)| org.id).collect::<Vec<_>>(), [home]);
}

/// D14: a key that is limited to projects brings their organizations, and reaches no other project of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_can_be_limited_to_projects() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let home = organization(&app, ADA).await;
    let tx = app.kernel.db.write_tx().await.unwrap();
    let (one, two) = (
        shared::projects::create(&tx, home, "One", app.now()).await.unwrap(),
        shared::projects::create(&tx, home, "Two", app.now()).await.unwrap(),
    );
    tx.commit().await.unwrap();
    let body = json!({ "label": "x", "scopes": ["*"], "scoped_projects": [one] });
    let created = create(&browser, body).await.expect(201).json();
    app.drain().await;
    assert_eq!(created["scoped_organizations"], json!([home]));
    let actor = principal_of(&app, &text(&created, "value")).await.unwrap();
    let gate = async |id| shared::projects::require(app.kernel.db.reader(), &actor, id, Permission::View).await;
    assert_eq!(gate(one).await.unwrap().0.id, one);
    assert!(gate(two).await.is_err());
}

/// D15: whoever is no member any more reaches nothing of the organization, from the next request on.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_membership_is_lost_for_keys_at_once() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let home = organization(&app, ADA).await;
    let body = json!({ "label": "x", "scopes": ["*"], "scoped_organizations": [home] });
    let created = create(&browser, body).await.expect(201).json();
    app.drain().await;
    let key = text(&created, "value");
    let actor = principal_of(&app, &key).await.unwrap();
    program(&app, &key).get(ME).await.expect(200);
    app.execute("DELETE FROM organization_members").await;
    let refused = orgs::require(app.kernel.db.reader(), &actor, home, Permission::View).await;
    assert!(matches!(refused, Err(OrgError::NotFound)));
    program(&app, &key).get(ME).await.expect_problem(403, "api_key_out_of_reach");
}

/// D20, D21, D26, T-KEY-05: once an organization does not allow keys of members, their next request is refused, whatever
/// it asks for; admins' keys go on; allowing them again is enough.
#[tokio::test(flavor = "multi_thread")]
async fn an_organization_switches_keys_of_its_members_off_and_on() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let home = organization(&app, ADA).await;
    let (id, unlimited) = key_of(&app, &browser).await;
    let body = json!({ "label": "x", "scopes": ["*"], "scoped_organizations": [home] });
    let limited = text(&create(&browser, body).await.expect(201).json(), "value");
    app.drain().await;
    set_role(&app, home, ADA, "member").await;
    let actor = principal_of(&app, &unlimited).await.unwrap();
    for key in [&unlimited, &limited] {
        program(&app, key).get(ME).await.expect(200);
    }
    app.execute("UPDATE organizations SET allows_member_api_keys = FALSE").await;
    for key in [&unlimited, &limited] {
        program(&app, key).get(ME).await.expect_problem(403, "api_keys_not_allowed");
        program(&app, key).get(CURRENT).await.expect_problem(403, "api_keys_not_allowed");
    }
    let refused = orgs::require(app.kernel.db.reader(), &actor, home, Permission::View).await;
    assert!(matches!(refused, Err(OrgError::KeysNotAllowed)));
    assert_eq!(browser.get(ME).await.status, 200, "sessions are no keys");
    let rows = audited(&app, "api_keys.refuse").await;
    assert_eq!(rows.len(), 2, "each key once: {rows:?}");
    assert!(rows.iter().any(|row| row["api_key_id"] == id.as_str()));
    for role in ["admin", "owner"] {
        set_role(&app, home, ADA, role).await;
        program(&app, &limited).get(ME).await.expect(200);
    }
    set_role(&app, home, ADA, "member").await;
    program(&app, &limited).get(ME).await.expect_problem(403, "api_keys_not_allowed");
    app.execute("UPDATE organizations SET allows_member_api_keys = TRUE").await;
    for key in [&unlimited, &limited] {
        program(&app, key).get(ME).await.expect(200);
    }
}

/// D21: a key that reaches further than the organization that refuses it is refused there, and not elsewhere.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_holds_where_it_was_made() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let home = organization(&app, ADA).await;
    let other = another_organization(&app, ADA).await;
    let (_, key) = key_of(&app, &browser).await;
    set_role(&app, home, ADA, "member").await;
    let off = format!("UPDATE organizations SET allows_member_api_keys = FALSE WHERE id = {}", sql(&app, home.0));
    app.execute(&off).await;
    program(&app, &key).get(ME).await.expect(200);
    let actor = principal_of(&app, &key).await.unwrap();
    let gate = async |org| orgs::require(app.kernel.db.reader(), &actor, org, Permission::View).await.map(|_| ());
    assert!(matches!(gate(home).await, Err(OrgError::KeysNotAllowed)));
    assert!(gate(other).await.is_ok());
    let reached = orgs::list_reachable(app.kernel.db.reader(), &actor).await.unwrap();
    assert_eq!(reached.iter().map(|(org, _)| org.id).collect::<Vec<_>>(), [other]);
}

/// D27: which keys of a member reach an organization, and whether they were used in the last seven days.
#[tokio::test(flavor = "multi_thread")]
async fn admins_see_which_keys_touch_their_organization() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, ADA).await;
    let (home, user) = (organization(&app, ADA).await, app.user(ADA).await.id);
    let other = another_organization(&app, ADA).await;
    let (id, key) = key_of(&app, &browser).await;
    let body = json!({ "label": "elsewhere", "scopes": ["*"], "scoped_organizations": [other] });
    create(&browser, body).await.expect(201);
    app.drain().await;
    let touching = async || api_keys::touching(&app.kernel, user, home).await.unwrap();
    let before = touching().await;
    assert_eq!(before.len(), 1, "{before:?}");
    assert_eq!((before[0].id.to_string(), before[0].is_recent), (id, false));
    program(&app, &key).get(ME).await.expect(200);
    assert!(touching().await[0].is_recent);
    app.advance(std::time::Duration::from_secs(7 * 86_400 + 1));
    assert!(!touching().await[0].is_recent);
    assert_eq!(api_keys::touching(&app.kernel, user, other).await.unwrap().len(), 2);
}
