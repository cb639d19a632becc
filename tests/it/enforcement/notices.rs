//! Demanding a second factor: by whom, and who is told.

use shared::{
    audit::{self, AuditEvent, Outcome},
    enforcement::{self, Shortfall},
    jobs::JobState,
    orgs::{self, Actor, Credential, Organization},
    users,
};

use harness::TestApp;

use super::{ADA, BOB, FIRST, app};

const SUBJECT: &str = "Your organization requires two-factor authentication";

async fn organization(app: &TestApp) -> Organization {
    let user = app.user(ADA).await;
    let found = orgs::of_user(app.kernel.db.reader(), user.id).await.unwrap();
    found.into_iter().find(|row| row.name == FIRST).unwrap()
}

async fn actor(app: &TestApp, amr: &str, has_factor: bool) -> Actor {
    let evidence = enforcement::Evidence { amr: amr.to_owned(), remembered_method: None, has_factor };
    let credential = Credential::Session { session_id: shared::ids::next(), evidence };
    Actor { user_id: Some(app.user(ADA).await.id), is_instance_admin: true, credential }
}

/// Changes the policy as the flow of organizations does; returns what the actor lacks.
async fn change(app: &TestApp, actor: &Actor, to: impl FnOnce(&mut Organization)) -> Option<Shortfall> {
    let before = organization(app).await;
    let mut after = before.clone();
    to(&mut after);
    let tx = app.kernel.db.write_tx().await.unwrap();
    let event = AuditEvent {
        action: "orgs.update",
        outcome: Outcome::Success,
        user_id: actor.user_id.map(|id| id.0),
        client: None,
        detail: serde_json::json!({}),
    };
    let audit_id = audit::record(&*tx, app.kernel.clock.as_ref(), event).await.unwrap();
    let clock = app.kernel.clock.as_ref();
    let lacks = enforcement::on_change(&tx, clock, actor, (&before, &after), audit_id).await.unwrap();
    if lacks.is_none() {
        tx.commit().await.unwrap();
        let columns = format!(
            "enforces_two_factor = {}, allows_email_mfa = {}",
            after.enforces_two_factor, after.allows_email_mfa
        );
        app.set_policy(FIRST, &columns).await;
    }
    lacks
}

/// L08: nobody demands what they do not do, and nobody tightens it past what they do.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_demands_a_factor_must_have_proven_one() {
    let app = app().await;
    let strict = |row: &mut Organization| row.enforces_two_factor = true;
    let lenient = |row: &mut Organization| (row.enforces_two_factor, row.allows_email_mfa) = (true, true);
    let by_mail = actor(&app, "pwd,email", false).await;
    assert_eq!(change(&app, &by_mail, strict).await, Some(Shortfall::Setup));
    assert_eq!(change(&app, &actor(&app, "pwd,email", true).await, strict).await, Some(Shortfall::Verification));
    assert_eq!(app.count_jobs("enforcement.notify_members", JobState::Queued).await, 0);
    assert_eq!(change(&app, &by_mail, |row| row.name = "Another name".to_owned()).await, None);
    assert_eq!(change(&app, &by_mail, lenient).await, None);
    assert_eq!(change(&app, &by_mail, |row| row.allows_email_mfa = false).await, Some(Shortfall::Setup));
    assert_eq!(change(&app, &actor(&app, "pwd,otp,mfa", true).await, strict).await, None);
    assert_eq!(change(&app, &by_mail, |row| row.enforces_two_factor = false).await, None);
    app.forget_jobs();
}

/// L08: each member is told once, by batches; who demanded it knows, and disabled users are not told.
#[tokio::test(flavor = "multi_thread")]
async fn every_member_is_told_once() {
    let app = app().await;
    let member = |number: u32| format!("member-{number}@example.com");
    for number in 0..450 {
        let tx = app.kernel.db.write_tx().await.unwrap();
        let email = users::Email::parse(&member(number)).unwrap();
        users::create(&*tx, &email, users::Profile::default(), false, app.now()).await.unwrap();
        tx.commit().await.unwrap();
    }
    app.execute(&format!(
        "INSERT INTO organization_members (organization_id, user_id, role, created_at)
         SELECT organizations.id, users.id, 'member', 0 FROM organizations CROSS JOIN users
         WHERE organizations.name = '{FIRST}' AND users.email LIKE 'member-%'"
    ))
    .await;
    let gone = app.user(&member(7)).await;
    users::disable(&app.kernel, gone.id).await.unwrap();
    let actor = actor(&app, "pwd,otp,mfa", true).await;
    assert_eq!(change(&app, &actor, |row| row.enforces_two_factor = true).await, None);
    app.drain().await;
    let told = app.mails().await.into_iter().filter(|mail| mail.subject == SUBJECT).map(|mail| mail.to);
    let mut told: Vec<_> = told.collect();
    told.sort();
    let mut expected: Vec<_> = (0..450).filter(|number| *number != 7).map(member).collect();
    expected.push(BOB.to_owned());
    expected.sort();
    assert_eq!(told.len(), expected.len());
    assert_eq!(told, expected);
    assert_eq!(app.count_jobs("enforcement.notify_members", JobState::Done).await, 3);
    let mail = app.mails_about(BOB, SUBJECT).await.remove(0);
    assert!(mail.text.contains(FIRST) && mail.text.contains("authenticator app or a passkey"), "{}", mail.text);
}

/// L08: a demand that ended before the notices went out is not told.
#[tokio::test(flavor = "multi_thread")]
async fn a_demand_that_ended_is_not_told() {
    let app = app().await;
    let actor = actor(&app, "pwd,otp,mfa", true).await;
    change(&app, &actor, |row| row.enforces_two_factor = true).await;
    change(&app, &actor, |row| row.enforces_two_factor = false).await;
    app.drain().await;
    assert!(app.mails_about(BOB, SUBJECT).await.is_empty());
}
