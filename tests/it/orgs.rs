//! Organizations and members: who may change whom, and what may never happen to the last owner.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "test code")]

use std::{fs, time::Duration};

use futures_util::future::join_all;
use harness::{Answer, Caller, Settings, TestApp, generate::tree};
use sea_orm::Iterable;
use serde_json::{Value, json};
use shared::{
    audit,
    orgs::{self, OrgId, Permission, Role},
    users,
};

/// An organization with an owner, an admin and a member, each a program that is signed in.
struct Team<'a> {
    app: &'a TestApp,
    id: String,
    owner: Caller<'a>,
    admin: Caller<'a>,
    member: Caller<'a>,
}

impl<'a> Team<'a> {
    async fn of(app: &'a TestApp) -> Self {
        let (owner, admin, member) = (
            app.member("owner@example.com").await,
            app.member("admin@example.com").await,
            app.member("member@example.com").await,
        );
        let made = owner.post("/api/organizations", json!({ "name": " Acme " })).await.expect(200).json();
        let id = made["id"].as_str().expect("an id").to_owned();
        let team = Self { app, id, owner, admin, member };
        team.join("admin@example.com", Role::Admin).await;
        team.join("member@example.com", Role::Member).await;
        team
    }

    async fn join(&self, email: &str, role: Role) {
        let user = self.app.user(email).await;
        let tx = self.app.kernel.db.write_tx().await.expect("a transaction");
        let org_id = self.id.parse().expect("an id");
        assert_eq!(orgs::join(&tx, org_id, (user.id, role), self.app.now()).await.expect("a member"), Some(true));
        tx.commit().await.expect("a commit");
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/organizations/{}{rest}", self.id)
    }

    async fn path_of(&self, email: &str) -> String {
        self.path(&format!("/members/{}", self.app.user(email).await.id))
    }

    /// One makes another a role.
    async fn make(&self, by: &Caller<'_>, email: &str, role: &str) -> Answer {
        by.patch(&self.path_of(email).await, json!({ "role": role })).await
    }

    async fn remove(&self, by: &Caller<'_>, email: &str) -> Answer {
        by.delete(&self.path_of(email).await).await
    }

    async fn role_of(&self, email: &str) -> Option<Role> {
        let org_id: OrgId = self.id.parse().expect("an id");
        orgs::find_role(self.app.kernel.db.reader(), org_id, self.app.user(email).await.id).await.expect("a role")
    }
}

/// How many audited actions ended in this way.
async fn audited(app: &TestApp, action: &str, outcome: &str) -> usize {
    let rows = audit::list(app.kernel.db.reader(), action, 1000).await.expect("the trail");
    rows.iter().filter(|row| row.outcome == outcome && row.organization_id.is_some()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_organization_is_created_shown_listed_and_renamed() {
    let app = TestApp::new().await;
    let team = Team::of(&app).await;
    let shown = team.member.get(&team.path("")).await.expect(200).json();
    assert_eq!((&shown["name"], &shown["role"]), (&json!("Acme"), &json!("member")));
    assert_eq!((&shown["enforce_2fa"], &shown["members_can_use_personal_api_keys"]), (&json!(false), &json!(true)));
    assert!(shown.get("session_age_seconds").is_none());
    team.member.patch(&team.path(""), json!({ "name": "Mine" })).await.expect_problem(403, "forbidden");
    let renamed = team.admin.patch(&team.path(""), json!({ "name": "Acme & Co" })).await.expect(200).json();
    assert_eq!((&renamed["name"], &renamed["role"]), (&json!("Acme & Co"), &json!("admin")));

    for name in ["Second", "Third"] {
        team.owner.post("/api/organizations", json!({ "name": name })).await.expect(200);
    }
    let mut names = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = team.owner.get(&format!("/api/organizations?limit=2{cursor}")).await.expect(200).json();
        names.extend(page["items"].as_array().expect("items").iter().map(|item| item["name"].clone()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(names, ["Acme & Co", "Second", "Third"]);
    let page = team.member.get("/api/organizations/").await.expect(200).json();
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1));
}

/// T-KEY-06: members that the server sets cannot be sent, and nothing of such a request is done
#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_a_member_that_it_must_not_have_changes_nothing() {
    let app = TestApp::new().await;
    let team = Team::of(&app).await;
    let before = team.owner.get(&team.path("")).await.json();
    for body in [
        json!({ "name": "x", "id": "019aa5c2-7b10-7c3e-9d41-2f6a8b0c1dff" }),
        json!({ "name": "x", "role": "owner" }),
        json!({ "name": "x", "created_at": "2020-01-01T00:00:00Z" }),
        json!({ "name": "x", "enforces_two_factor": true }),
    ] {
        team.owner.patch(&team.path(""), body).await.expect_problem(422, "validation_failed");
    }
    let path = team.path_of("member@example.com").await;
    let body = json!({ "role": "admin", "user_id": app.user("admin@example.com").await.id });
    team.owner.patch(&path, body).await.expect_problem(422, "validation_failed");
    let body = json!({ "name": "x", "owner_id": app.user("member@example.com").await.id });
    team.owner.post("/api/organizations", body).await.expect_problem(422, "validation_failed");
    assert_eq!(team.owner.get(&team.path("")).await.json(), before);
    assert_eq!(team.role_of("member@example.com").await, Some(Role::Member));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_validated() {
    let app = TestApp::new().await;
    let team = Team::of(&app).await;
    for name in ["", "  ", "a\nb", &"x".repeat(101)] {
        for answer in [
            team.owner.post("/api/organizations", json!({ "name": name })).await,
            team.owner.patch(&team.path(""), json!({ "name": name })).await,
        ] {
            let problem = answer.expect_problem(422, "validation_failed");
            assert_eq!(problem["errors"][0]["pointer"], "/name", "{name:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_user_owns_so_many_organizations_and_no_more() {
    let app = TestApp::with(Settings::with(|config| config.orgs.max_owned_per_user = 2)).await;
    let owner = app.member("owner@example.com").await;
    for _ in 0..2 {
        owner.post("/api/organizations", json!({ "name": "One of many" })).await.expect(200);
    }
    owner.post("/api/organizations", json!({ "name": "Third" })).await.expect_problem(409, "limit_reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn admins_change_members_and_owners_change_everybody() {
    let app = TestApp::new().await;
    let team = Team::of(&app).await;
    app.add_user("peer@example.com").await;
    team.join("peer@example.com", Role::Admin).await;
    for (by, email, role) in [
        (&team.member, "member@example.com", "admin"),
        (&team.member, "peer@example.com", "member"),
        (&team.admin, "owner@example.com", "member"),
        (&team.admin, "peer@example.com", "member"),
        (&team.admin, "member@example.com", "owner"),
        (&team.admin, "admin@example.com", "owner"),
    ] {
        team.make(by, email, role).await.expect_problem(403, "forbidden");
    }
    assert_eq!(audited(&app, "orgs.update_member", "failure").await, 6);
    for email in ["owner@example.com", "peer@example.com"] {
        team.remove(&team.admin, email).await.expect_problem(403, "forbidden");
    }
    team.remove(&team.member, "peer@example.com").await.expect_problem(403, "forbidden");
    assert_eq!(audited(&app, "orgs.remove_member", "failure").await, 3);

    let raised = team.make(&team.admin, "member@example.com", "admin").await.expect(200).json();
    assert_eq!((&raised["email"], &raised["role"]), (&json!("member@example.com"), &json!("admin")));
    team.make(&team.owner, "peer@example.com", "owner").await.expect(200);
    team.make(&team.owner, "owner@example.com", "admin").await.expect(200);
    team.make(&team.owner, "owner@example.com", "owner").await.expect_problem(403, "forbidden");
    team.make(&team.admin, "admin@example.com", "member").await.expect(200);
    assert_eq!(audited(&app, "orgs.update_member", "success").await, 4);
    let members = team.admin.get(&team.path("/members")).await.expect(200).json();
    let roles: Vec<_> =
        members["items"].as_array().expect("items").iter().map(|item| (&item["email"], &item["role"])).collect();
    for (email, role) in [("owner", "admin"), ("admin", "member"), ("member", "admin"), ("peer", "owner")] {
        assert!(roles.contains(&(&json!(format!("{email}@example.com")), &json!(role))), "{email}: {roles:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_member_is_out_at_once_on_every_gateway() {
    let app = TestApp::new().await;
    let team = Team::of(&app).await;
    let other_gateway = app.another_gateway().await;
    let member = app.user("member@example.com").await;
    let elsewhere = app.browser().bearer(&app.open_session(&member).await).through(&other_gateway);
    elsewhere.get(&team.path("")).await.expect(200);
    let removed = team.remove(&team.admin, "member@example.com").await.expect(200).json();
    assert_eq!(removed, json!({ "user_id": member.id, "role": "member", "api_keys": [] }));
    for path in ["", "/members", "/audit_events", "/invites"] {
        elsewhere.get(&team.path(path)).await.expect_problem(404, "organization_not_found");
        team.member.get(&team.path(path)).await.expect_problem(404, "organization_not_found");
    }
    let left = elsewhere.get("/api/organizations").await.expect(200).json();
    assert_eq!(left["items"], json!([]));
    team.remove(&team.admin, "member@example.com").await.expect_problem(404, "user_not_found");
    // Leaving is removing oneself.
    team.remove(&team.admin, "admin@example.com").await.expect(200);
    team.admin.get(&team.path("")).await.expect_problem(404, "organization_not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_owner_who_can_sign_in_neither_leaves_nor_steps_down() {
    let app = TestApp::new().await;
    let team = Team::of(&app).await;
    team.make(&team.owner, "owner@example.com", "admin").await.expect_problem(409, "last_owner");
    team.remove(&team.owner, "owner@example.com").await.expect_problem(409, "last_owner");
    team.make(&team.owner, "admin@example.com", "owner").await.expect(200);
    users::disable(&app.kernel, app.user("admin@example.com").await.id).await.expect("disabled");
    team.remove(&team.owner, "owner@example.com").await.expect_problem(409, "last_owner");
    team.make(&team.owner, "member@example.com", "owner").await.expect(200);
    team.remove(&team.owner, "owner@example.com").await.expect(200);
    assert_eq!(team.role_of("member@example.com").await, Some(Role::Owner));
    assert_eq!(audited(&app, "orgs.remove_member", "failure").await, 2);
}

/// 20 at once, by two owners: each wants to leave, to step down and to be rid of the other.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_owners_who_go_at_once_one_stays() {
    let app = TestApp::new().await;
    for round in 0..4 {
        let emails = [format!("one{round}@example.com"), format!("two{round}@example.com")];
        let owners = [app.member(&emails[0]).await, app.member(&emails[1]).await];
        let made = owners[0].post("/api/organizations", json!({ "name": "Two" })).await.expect(200).json();
        let id = made["id"].as_str().expect("an id").to_owned();
        let org_id: OrgId = id.parse().expect("an id");
        let tx = app.kernel.db.write_tx().await.expect("a transaction");
        let second = app.user(&emails[1]).await.id;
        orgs::join(&tx, org_id, (second, Role::Owner), app.now()).await.expect("a member");
        tx.commit().await.expect("a commit");
        let mut paths = Vec::new();
        for email in &emails {
            paths.push(format!("/api/organizations/{id}/members/{}", app.user(email).await.id));
        }
        let answers = join_all((0..20).map(|number| {
            let (owner, own, other) = (&owners[number % 2], &paths[number % 2], &paths[(number + 1) % 2]);
            async move {
                match number / 2 % 3 {
                    0 => owner.delete(own).await,
                    1 => owner.patch(own, json!({ "role": "member" })).await,
                    _ => owner.delete(other).await,
                }
            }
        }))
        .await;
        let outcomes: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert!(outcomes.contains(&200), "{outcomes:?}");
        assert!(outcomes.iter().all(|status| [200, 403, 404, 409].contains(status)), "{outcomes:?}");
        let sql =
            format!("SELECT COUNT(*) AS number FROM organization_members WHERE role = 'owner' AND {}", of(&app, &id));
        assert_eq!(app.number(&sql).await, 1, "{outcomes:?}");
    }
}

/// A condition on an organization: ids are bytes on SQLite.
fn of(app: &TestApp, id: &str) -> String {
    if app.kernel.db.is_postgres() {
        format!("organization_id = '{id}'")
    } else {
        format!("hex(organization_id) = '{}'", id.replace('-', "").to_uppercase())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_stored_shown_cleared_and_audited() {
    let app = TestApp::new().await;
    let team = Team::of(&app).await;
    let policy = json!({
        "allow_email_mfa": true, "trust_idp_mfa": true, "session_age_seconds": 604_800, "trusted_device_seconds": 0,
        "members_can_use_personal_api_keys": false, "query_api_keys": true,
    });
    team.member.patch(&team.path(""), policy.clone()).await.expect_problem(403, "forbidden");
    let changed = team.admin.patch(&team.path(""), policy.clone()).await.expect(200).json();
    for (name, value) in policy.as_object().expect("an object") {
        assert_eq!(&changed[name], value, "{name}");
    }
    let (mut seen, mut wanted) = (team.member.get(&team.path("")).await.json(), changed);
    for answer in [&mut seen, &mut wanted] {
        answer["role"] = Value::Null;
    }
    assert_eq!(seen, wanted);
    let cleared = json!({ "session_age_seconds": null, "trusted_device_seconds": null });
    let cleared = team.owner.patch(&team.path(""), cleared).await.expect(200).json();
    assert_eq!((cleared.get("session_age_seconds"), cleared.get("trusted_device_seconds")), (None, None));
    assert_eq!(cleared["query_api_keys"], true);
    for (name, value) in [("session_age_seconds", 299), ("session_age_seconds", -1), ("trusted_device_seconds", -1)] {
        let answer = team.owner.patch(&team.path(""), json!({ name: value })).await;
        assert_eq!(answer.expect_problem(422, "validation_failed")["errors"][0]["pointer"], format!("/{name}"));
    }
    let rows = audit::list(app.kernel.db.reader(), "orgs.update", 10).await.expect("the trail");
    let outcomes: Vec<_> = rows.iter().map(|row| row.outcome.as_str()).collect();
    // The newest first: three that do not validate, the two changes, a member.
    assert_eq!(outcomes, ["failure", "failure", "failure", "success", "success", "failure"]);
    let detail: Value = serde_json::from_str(&rows[4].detail).expect("JSON");
    assert_eq!(detail, policy);
}

/// L08: whoever demands a second factor has one, and the members hear of it
#[tokio::test(flavor = "multi_thread")]
async fn only_who_has_a_second_factor_can_demand_one() {
    let app = TestApp::new().await;
    let owner = app.browser();
    owner.sign_up_verified("owner@example.com").await;
    owner.log_in("owner@example.com", harness::PASSWORD).await;
    let made = owner.get("/api/organizations").await.expect(200).json()["items"][0].clone();
    let path = format!("/api/organizations/{}", made["id"].as_str().expect("an id"));
    app.add_user("member@example.com").await;
    app.join("My organization", "member@example.com", "member").await;
    let demand = json!({ "enforce_2fa": true });
    owner.patch(&path, demand.clone()).await.expect_problem(403, "two_factor_setup_required");
    assert_eq!(owner.get(&path).await.expect(200).json()["enforce_2fa"], false);
    assert_eq!(audited(&app, "orgs.update", "failure").await, 1);
    let (authenticator, _) = owner.enable_totp().await;
    let code = json!({ "code": authenticator.code(app.now()) });
    owner.post("/api/users/@me/reauthenticate", code).await.expect(200);
    assert_eq!(owner.patch(&path, demand).await.expect(200).json()["enforce_2fa"], true);
    app.drain().await;
    assert_eq!(app.count_mails("member@example.com").await, 1);
}

/// O10: changing people or policy needs a proof of identity of the last two hours; a name and leaving do not
#[tokio::test(flavor = "multi_thread")]
async fn people_and_policy_need_a_recent_proof_of_identity() {
    const CODE: &str = "sensitive_action_required_reauth";
    let app = TestApp::new().await;
    let team = Team::of(&app).await;
    let stranger = app.member("stranger@example.com").await;
    app.advance(Duration::from_secs(2 * 3600 + 1));
    team.make(&team.owner, "member@example.com", "admin").await.expect_problem(403, CODE);
    team.remove(&team.owner, "member@example.com").await.expect_problem(403, CODE);
    team.owner.delete(&team.path("")).await.expect_problem(403, CODE);
    team.owner.patch(&team.path(""), json!({ "query_api_keys": false })).await.expect_problem(403, CODE);
    let invite = json!({ "email": "new@example.com", "role": "member" });
    team.owner.post(&team.path("/invites"), invite.clone()).await.expect_problem(403, CODE);
    // Whoever is no member does not even learn that a proof would be asked for.
    stranger.delete(&team.path("")).await.expect_problem(404, "organization_not_found");
    stranger.post(&team.path("/invites"), invite).await.expect_problem(404, "organization_not_found");
    assert_eq!(team.role_of("member@example.com").await, Some(Role::Member));

    team.owner.patch(&team.path(""), json!({ "name": "Renamed" })).await.expect(200);
    team.remove(&team.member, "member@example.com").await.expect(200);
    let owner = app.user("owner@example.com").await;
    let fresh = app.browser().bearer(&app.open_session(&owner).await);
    team.make(&fresh, "admin@example.com", "member").await.expect(200);
}

#[test]
fn the_documented_roles_are_those_of_the_code() {
    let page = fs::read_to_string(tree::root().join("docs/organizations.md")).expect("the page");
    for permission in Permission::iter() {
        let may = |role: Role| if role.may(permission) { "yes" } else { "no" };
        let cells = [Role::Member, Role::Admin, Role::Owner].map(may).join(" | ");
        let begin = format!("| `{permission:?}` |");
        let line = page.lines().find(|line| line.starts_with(&begin));
        let line = line.unwrap_or_else(|| panic!("docs/organizations.md has no line for {permission:?}"));
        assert!(line.ends_with(&format!("| {cells} |")), "{line}: the code says {cells}");
    }
}
