//! Looking once a week whether proofs still stand.

use std::time::Duration;

use harness::{TestApp, dns::Zone, provider::Person};
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Value, json};
use shared::{
    domains::SweepProofs,
    ids,
    jobs::{Job, JobState, enqueue},
};

use super::{CORP, RECORD, World, text};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const NEARLY_A_WEEK: Duration = Duration::from_secs(7 * 24 * 3600 - 60);
const SUBJECT: &str = "A domain of your organization is no longer verified";

/// Lets time pass and the scheduled job run, which looks at the domains that are due.
async fn check_after(app: &TestApp, time: Duration) {
    app.advance(time);
    let window = app.number("SELECT COUNT(*) AS number FROM jobs").await;
    let tx = app.kernel.db.write_tx().await.expect("a transaction");
    enqueue(&tx, app.kernel.clock.as_ref(), &SweepProofs::begin(window)).await.expect("a job");
    tx.commit().await.expect("a commit");
    app.drain().await;
}

/// N23, W22: gone three weeks in a row: not verified, nobody joins, the demand stays, administrators are told once
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_that_is_gone_is_lost_and_told() {
    let world = World::new().await;
    let house = world.house("owner@example.com").await;
    for (email, role) in [("admin@example.com", "admin"), ("member@example.com", "member")] {
        world.app.member(email).await;
        world.app.join("Acme", email, role).await;
    }
    let domain = house.prove(CORP, json!({ "jit_provisioning": true, "sso_enforcement": "google" })).await;
    world.names.remove(RECORD);
    for _ in 0..2 {
        check_after(&world.app, WEEK + Duration::from_secs(1)).await;
        let kept = house_get(&world, &domain).await;
        assert_eq!(kept, (true, true), "not yet");
    }
    assert_eq!(world.app.mails_about("owner@example.com", SUBJECT).await.len(), 0);
    check_after(&world.app, WEEK + Duration::from_secs(1)).await;
    assert_eq!(house_get(&world, &domain).await, (false, false));
    for _ in 0..2 {
        check_after(&world.app, WEEK + Duration::from_secs(1)).await;
    }
    for (email, mails) in [("owner@example.com", 1), ("admin@example.com", 1), ("member@example.com", 0)] {
        assert_eq!(world.app.mails_about(email, SUBJECT).await.len(), mails, "{email}");
    }
    let mail = world.app.mails_about("owner@example.com", SUBJECT).await.remove(0);
    assert!(mail.text.contains(RECORD) && mail.text.contains(&text(&domain["challenge_value"])), "{}", mail.text);
    assert_eq!(world.audited("domains.lose_proof").await.len(), 1);
    // The demand fails closed, and nobody joins.
    let login = json!({ "email": "ada@corp.example", "password": harness::PASSWORD });
    world.app.browser().post("/api/login", login).await.expect_problem(403, "sso_enforced");
    assert_eq!(world.joined("google", &Person::of("1", "ada@corp.example")).await, []);
}

/// Whether a domain is verified, and whether newcomers join.
async fn house_get(world: &World, domain: &Value) -> (bool, bool) {
    let sql = "SELECT verified_at IS NOT NULL AS is_verified, jit_provisioning FROM organization_domains WHERE id = $1";
    let id: uuid::Uuid = text(&domain["id"]).parse().expect("an id");
    let statement = Statement::from_sql_and_values(world.app.kernel.db.engine(), sql, [id.into()]);
    let row = world.app.kernel.db.writer().query_one_raw(statement).await.expect("a row").expect("a row");
    (row.try_get("", "is_verified").expect("a flag"), row.try_get("", "jit_provisioning").expect("a flag"))
}

/// N23, W22: a name server that fails or is silent changes nothing, and a record that is back ends the count
#[tokio::test(flavor = "multi_thread")]
async fn only_an_answer_counts_and_a_record_that_is_back_ends_the_count() {
    let world = World::with(|config| config.domains.lookup_seconds = 2).await;
    let house = world.house("owner@example.com").await;
    let domain = house.prove(CORP, json!({ "jit_provisioning": true })).await;
    let after = WEEK + Duration::from_secs(1);
    for zone in [Zone::Failure, Zone::Silence, Zone::Failure, Zone::Failure] {
        world.names.set(RECORD, zone);
        check_after(&world.app, after).await;
    }
    assert_eq!(house_get(&world, &domain).await, (true, true));
    for zone in [Zone::Other, Zone::Other, Zone::Failure] {
        world.names.set(RECORD, zone);
        check_after(&world.app, after).await;
    }
    house.publish(&domain);
    check_after(&world.app, after).await;
    world.names.remove(RECORD);
    check_after(&world.app, after).await;
    check_after(&world.app, after).await;
    assert_eq!(house_get(&world, &domain).await, (true, true));
    check_after(&world.app, after).await;
    assert_eq!(house_get(&world, &domain).await, (false, false));
    assert_eq!(world.app.mails_about("owner@example.com", SUBJECT).await.len(), 1);
}

/// N23: within a week of a check nobody is asked; afterwards every domain once, however many there are
#[tokio::test(flavor = "multi_thread")]
async fn every_domain_is_asked_about_once_a_week() {
    const COUNT: usize = 150;
    let world = World::new().await;
    let house = world.house("owner@example.com").await;
    house.prove(CORP, json!({})).await;
    for number in 0..COUNT {
        let sql = format!(
            "INSERT INTO organization_domains (id, organization_id, domain, challenge, verified_at, last_checked_at,
               failed_checks, jit_provisioning, include_subdomains, revision, created_at, updated_at)
             VALUES ($1, $2, 'c{number}.example', 'challenge-{number}', 1, 1, 0, TRUE, FALSE, 0, 1, 1)"
        );
        let organization: uuid::Uuid = house.id.parse().expect("an id");
        let values = [ids::next().into(), organization.into()];
        let statement = Statement::from_sql_and_values(world.app.kernel.db.engine(), sql, values);
        world.app.kernel.db.writer().execute_raw(statement).await.expect("a domain");
    }
    let asked = |number: usize| world.names.count(&format!("_gatepost-challenge.c{number}.example"));
    let before = world.names.count(RECORD);
    check_after(&world.app, NEARLY_A_WEEK).await;
    assert!((0..COUNT).all(|number| asked(number) == 1));
    assert_eq!(world.names.count(RECORD), before, "it was checked when it was proven");
    check_after(&world.app, Duration::from_secs(120)).await;
    assert!((0..COUNT).all(|number| asked(number) == 1));
    assert_eq!(world.names.count(RECORD), before + 1);
    assert!(world.app.count_jobs(SweepProofs::NAME, JobState::Done).await >= 4, "batch by batch");
}

/// W22: whoever proves a domain anew has it, and what an organization that lost it still demands ends
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_domain_is_free_for_the_next_proof() {
    let world = World::with(|config| config.domains.checks_until_lost = 1).await;
    let (old, new) = (world.house("old@example.com").await, world.house("new@example.com").await);
    let lost = old.prove(CORP, json!({ "sso_enforcement": "google", "include_subdomains": true })).await;
    let claim = new.claim(CORP).await;
    new.publish(&claim);
    new.verify(&claim).await.expect_problem(409, "domain_taken");
    check_after(&world.app, WEEK + Duration::from_secs(1)).await;
    assert!(!house_get(&world, &lost).await.0);
    let login = |email: &str| json!({ "email": email, "password": harness::PASSWORD });
    let browser = world.app.browser();
    browser.post("/api/login", login("ada@sub.corp.example")).await.expect_problem(403, "sso_enforced");
    // Sessions have ended in that week.
    let owner = world.app.user("new@example.com").await;
    let owner = world.app.browser().bearer(&world.app.open_session(&owner).await);
    let path = new.path(&format!("/{}/verify", text(&claim["id"])));
    assert_eq!(owner.post(&path, json!({})).await.expect(200).json()["is_verified"], true);
    for email in ["ada@corp.example", "ada@sub.corp.example"] {
        browser.post("/api/login", login(email)).await.expect_problem(401, "invalid_credentials");
    }
}
