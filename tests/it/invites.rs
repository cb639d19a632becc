//! Invites: bound to one address, good once, and never more than whoever sent them may give.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "test code")]

use std::time::Duration;

use futures_util::future::join_all;
use harness::{Answer, Caller, PASSWORD, Settings, TestApp, code_in, token_in};
use serde_json::{Value, json};
use shared::jobs::JobState;

const DAY: Duration = Duration::from_secs(24 * 3600);
const SUBJECT: &str = "You are invited to join an organization";
const JOINED: &str = "Somebody joined your organization";

struct House<'a> {
    app: &'a TestApp,
    id: String,
    owner: Caller<'a>,
}

impl<'a> House<'a> {
    async fn of(app: &'a TestApp) -> Self {
        let owner = app.member("owner@example.com").await;
        let made = owner.post("/api/organizations", json!({ "name": "Acme" })).await.expect(200).json();
        Self { app, id: made["id"].as_str().expect("an id").to_owned(), owner }
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/organizations/{}{rest}", self.id)
    }

    async fn ask(&self, by: &Caller<'_>, email: &str, role: &str) -> Answer {
        by.post(&self.path("/invites"), json!({ "email": email, "role": role })).await
    }

    /// Invites an address as a member; processes the jobs. The path of the invite.
    async fn invite(&self, email: &str) -> String {
        let invite = self.ask(&self.owner, email, "member").await.expect(200).json();
        self.app.drain().await;
        format!("/api/invites/{}", invite["id"].as_str().expect("an id"))
    }

    async fn members(&self) -> Vec<String> {
        let page = self.owner.get(&self.path("/members")).await.expect(200).json();
        let items = page["items"].as_array().expect("items");
        items.iter().map(|item| item["email"].as_str().expect("an address").to_owned()).collect()
    }

    async fn waiting(&self) -> Value {
        self.owner.get(&self.path("/invites")).await.expect(200).json()["items"].clone()
    }
}

async fn accept(caller: &Caller<'_>, invite: &str) -> Answer {
    caller.post(&format!("{invite}/accept"), json!({})).await
}

fn id_of(invite: &str) -> &str {
    invite.rsplit('/').next().unwrap_or_default()
}

/// R07: the mail leads to a preview with a masked address; accepting works once, and the admins are told
#[tokio::test(flavor = "multi_thread")]
async fn an_invite_is_mailed_previewed_and_accepted_once() {
    let app = TestApp::new().await;
    let house = House::of(&app).await;
    let invite = house.invite("Bob.Builder@example.net").await;
    let mail = app.mail_to("Bob.Builder@example.net").await;
    assert_eq!(mail.subject, SUBJECT);
    assert!(mail.text.contains("Acme") && mail.text.contains(&format!("/invite?invite_id={}", id_of(&invite))));
    let preview = app.browser().get(&invite).await.expect(200).json();
    assert_eq!(
        (&preview["organization_name"], &preview["masked_email"], &preview["role"]),
        (&json!("Acme"), &json!("B***@e***.net"), &json!("member"))
    );
    assert!(!preview.to_string().to_lowercase().contains("builder"), "{preview}");
    assert_eq!(house.waiting().await[0]["email"], "Bob.Builder@example.net");

    let bob = app.member("bob.builder@example.net").await;
    let joined = accept(&bob, &invite).await.expect(200).json();
    assert_eq!((&joined["id"], &joined["role"]), (&json!(house.id), &json!("member")));
    bob.get(&house.path("/members")).await.expect(200);
    assert_eq!(house.waiting().await, json!([]));
    app.drain().await;
    let notice = app.mail_to("owner@example.com").await;
    assert_eq!(notice.subject, JOINED);
    assert!(notice.text.contains("b*** at e***.net") && notice.text.contains("Acme"), "{}", notice.text);
    assert_eq!(app.mails_about("bob.builder@example.net", JOINED).await.len(), 0);

    accept(&bob, &invite).await.expect_problem(400, "invalid_invite");
    app.browser().get(&invite).await.expect_problem(400, "invalid_invite");
    house.ask(&house.owner, "bob.builder@example.net", "admin").await.expect_problem(409, "already_member");
}

/// R07: expired, taken back, replaced and unknown invites are one answer
#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_an_invite_the_answer_is_the_same() {
    let app = TestApp::new().await;
    let house = House::of(&app).await;
    let bob = app.member("bob@example.com").await;
    let replaced = house.invite("bob@example.com").await;
    let revoked = house.invite("BOB@example.com").await;
    assert_eq!(house.waiting().await.as_array().map(Vec::len), Some(1));
    let path = house.path(&format!("/invites/{}", id_of(&revoked)));
    house.owner.delete(&path).await.expect(204);
    house.owner.delete(&path).await.expect_problem(404, "invite_not_found");
    let expired = house.invite("bob@example.com").await;
    app.browser().get(&expired).await.expect(200);
    app.advance(3 * DAY);
    let unknown = "/api/invites/019aa5c2-7b10-7c3e-9d41-2f6a8b0c1dff";
    let mut seen = Vec::new();
    for invite in [replaced.as_str(), &revoked, &expired, unknown] {
        let answers = [app.browser().get(invite).await, accept(&bob, invite).await];
        for answer in &answers {
            answer.expect_problem(400, "invalid_invite");
        }
        seen.push(answers[0].fingerprint());
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert_eq!(house.members().await, ["owner@example.com"]);
    assert_eq!(house.waiting().await, json!([]));
}

/// R08, T-MAIL-09: whoever has proven another address is refused, however they signed in; case and punycode do not matter
#[tokio::test(flavor = "multi_thread")]
async fn an_invite_is_bound_to_its_address() {
    let app = TestApp::new().await;
    let house = House::of(&app).await;
    let invite = house.invite("bob@bücher.example").await;
    let (eve, bob) = (app.member("eve@example.com").await, app.member("Bob@xn--bcher-kva.example").await);
    accept(&eve, &invite).await.expect_problem(403, "invite_for_another_address");
    // An address that was never proven is nobody's.
    app.execute("UPDATE users SET email_verified_at = NULL WHERE email_normalised LIKE 'bob@%'").await;
    accept(&bob, &invite).await.expect_problem(403, "invite_for_another_address");
    assert_eq!(house.members().await, ["owner@example.com"]);
    app.execute("UPDATE users SET email_verified_at = created_at WHERE email_normalised LIKE 'bob@%'").await;
    accept(&bob, &invite).await.expect(200);
    let trail = house.owner.get(&house.path("/audit_events?action=invites.accept")).await.expect(200).json();
    let outcomes: Vec<_> = trail["items"].as_array().expect("items").iter().map(|event| &event["outcome"]).collect();
    assert_eq!(outcomes, ["success", "failure", "failure"]);
    app.drain().await;
}

/// R07: 20 at once, one newcomer
#[tokio::test(flavor = "multi_thread")]
async fn of_parallel_acceptances_one_succeeds() {
    let app = TestApp::new().await;
    let house = House::of(&app).await;
    let invite = house.invite("bob@example.com").await;
    let bob = app.member("bob@example.com").await;
    let answers = join_all((0..20).map(|_| accept(&bob, &invite))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.expect_problem(400, "invalid_invite");
    }
    assert_eq!(house.members().await.len(), 2);
    app.drain().await;
    assert_eq!(app.mails_about("owner@example.com", JOINED).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn signing_up_with_an_invite_joins_once_the_address_is_proven() {
    let app = TestApp::new().await;
    let house = House::of(&app).await;
    let invite = house.invite("bob@example.com").await;
    let body = |email: &str| json!({ "email": email, "password": PASSWORD, "invite_id": id_of(&invite) });
    // With another address the invite is not theirs, and the answer tells nothing.
    let eve = app.browser().post("/api/signup", body("eve@example.com")).await.expect(202);
    let browser = app.browser();
    let bob = browser.post("/api/signup", body("Bob@example.com")).await.expect(202);
    assert_eq!(bob.text, eve.text);
    app.drain().await;
    assert_eq!(house.members().await, ["owner@example.com"]);
    for email in ["eve@example.com", "Bob@example.com"] {
        let code = code_in(&app.mail_to(email).await.text);
        browser.post("/api/email_verification/confirm", json!({ "email": email, "code": code })).await.expect(200);
    }
    app.drain().await;
    assert_eq!(house.members().await, ["owner@example.com", "Bob@example.com"]);
    assert_eq!(app.mails_about("owner@example.com", JOINED).await.len(), 1);
    browser.log_in("Bob@example.com", PASSWORD).await;
    browser.get(&house.path("")).await.expect(200);
    assert_eq!(house.waiting().await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_by_a_reset_link_accepts_too() {
    let app = TestApp::new().await;
    let house = House::of(&app).await;
    let invite = house.invite("bob@example.com").await;
    let browser = app.browser();
    let body = json!({ "email": "bob@example.com", "password": PASSWORD, "invite_id": id_of(&invite) });
    browser.post("/api/signup", body).await.expect(202);
    browser.post("/api/reset", json!({ "email": "bob@example.com" })).await.expect(204);
    app.drain().await;
    let reset = app.mails_about("bob@example.com", "Reset your password").await;
    let body = json!({ "token": token_in(&reset[0].text), "password": harness::OTHER_PASSWORD });
    browser.post("/api/reset/complete", body).await.expect(200);
    app.drain().await;
    assert_eq!(house.members().await, ["owner@example.com", "bob@example.com"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_invites_above_themselves_and_an_invite_dies_with_its_senders_power() {
    let app = TestApp::new().await;
    let house = House::of(&app).await;
    let admin_invite = house.ask(&house.owner, "admin@example.com", "admin").await.expect(200).json();
    app.drain().await;
    let admin = app.member("admin@example.com").await;
    let path = format!("/api/invites/{}", admin_invite["id"].as_str().expect("an id"));
    accept(&admin, &path).await.expect(200);
    app.drain().await;
    house.ask(&admin, "bob@example.com", "owner").await.expect_problem(403, "forbidden");
    let by_admin = house.ask(&admin, "bob@example.com", "admin").await.expect(200).json();
    app.drain().await;
    let by_admin = format!("/api/invites/{}", by_admin["id"].as_str().expect("an id"));
    app.browser().get(&by_admin).await.expect(200);

    let admin_id = app.user("admin@example.com").await.id;
    let member_path = house.path(&format!("/members/{admin_id}"));
    house.owner.patch(&member_path, json!({ "role": "member" })).await.expect(200);
    let bob = app.member("bob@example.com").await;
    accept(&bob, &by_admin).await.expect_problem(400, "invalid_invite");
    house.ask(&admin, "carol@example.com", "member").await.expect_problem(403, "forbidden");
    admin.get(&house.path("/invites")).await.expect_problem(403, "forbidden");
    assert_eq!(house.members().await, ["owner@example.com", "admin@example.com"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn invites_are_limited_by_address_and_by_sender() {
    let app = TestApp::with(Settings::with(|config| {
        config.invites.per_address.count = 2;
        config.invites.per_user.count = 4;
    }))
    .await;
    let house = House::of(&app).await;
    for _ in 0..2 {
        house.invite("bob@example.com").await;
    }
    let answer = house.ask(&house.owner, "bob@example.com", "member").await;
    answer.expect_problem(429, "throttled");
    assert!(answer.header("retry-after").is_some());
    house.invite("carol@example.com").await;
    house.invite("dave@example.com").await;
    house.ask(&house.owner, "erin@example.com", "member").await.expect_problem(429, "throttled");
    house.ask(&house.owner, "no address", "member").await.expect_problem(422, "validation_failed");
}

/// Q12: names that look like addresses, markup and line breaks are harmless in the mails of invites
#[tokio::test(flavor = "multi_thread")]
async fn names_are_harmless_in_the_mails_of_invites() {
    let app = TestApp::new().await;
    let owner = app.member("owner@example.com").await;
    let name = "https://evil.example/<b>win</b> {{777*777}}";
    let made = owner.post("/api/organizations", json!({ "name": name })).await.expect(200).json();
    owner.patch("/api/users/@me", json!({ "first_name": "www.evil.example" })).await.expect(200);
    let path = format!("/api/organizations/{}/invites", made["id"].as_str().expect("an id"));
    owner.post(&path, json!({ "email": "bob@example.com", "role": "member" })).await.expect(200);
    app.drain().await;
    let mail = app.mail_to("bob@example.com").await;
    for text in [&mail.text, &mail.html, &mail.subject] {
        assert!(!text.contains("evil.example") && !text.contains("603729"), "{text}");
    }
    assert!(!mail.html.contains("<b>"), "{}", mail.html);
    assert!(mail.text.contains("evil dot example") && mail.text.contains("{{777*777}}"), "{}", mail.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_an_invite_shows_and_acts_only_when_its_button_is_pressed() {
    let app = TestApp::new().await;
    let house = House::of(&app).await;
    let invite = house.invite("bob@example.com").await;
    let page = format!("/invite?invite_id={}", id_of(&invite));
    let browser = app.browser();
    let shown = browser.get(&page).await.expect(200).text;
    assert!(
        shown.contains("Acme") && shown.contains("b***@e***.com") && shown.contains("type=\"password\""),
        "{shown}"
    );
    let form = |password: &str| format!("invite_id={}&password={password}", id_of(&invite));
    let weak = browser.post_form("/invite", &form("password")).await.expect(422).text;
    assert!(weak.contains("top-10 common password"), "{weak}");
    let done = browser.post_form("/invite", &form("purple-lantern-47-glacier")).await.expect(200).text;
    assert!(done.contains("Look into your mailbox"), "{done}");
    app.drain().await;
    let code = code_in(&app.mail_to("bob@example.com").await.text);
    let proof = json!({ "email": "bob@example.com", "code": code });
    browser.post("/api/email_verification/confirm", proof).await.expect(200);
    app.drain().await;
    assert_eq!(house.members().await, ["owner@example.com", "bob@example.com"]);
    browser.get(&page).await.expect(400);

    // Somebody with an account accepts with one click, in the browser where they are signed in.
    let invite = house.invite("carol@example.com").await;
    let page = format!("/invite?invite_id={}", id_of(&invite));
    let (carol, eve) = (app.browser(), app.browser());
    for (browser, email) in [(&carol, "carol@example.com"), (&eve, "eve@example.com")] {
        browser.sign_up_verified(email).await;
        browser.log_in(email, PASSWORD).await;
    }
    assert!(eve.get(&page).await.expect(200).text.contains("another address"));
    let form = format!("invite_id={}", id_of(&invite));
    eve.post_form("/invite", &form).await.expect(403);
    assert!(carol.get(&page).await.expect(200).text.contains("Accept the invite"));
    assert_eq!(house.members().await.len(), 2, "looking is not accepting");
    assert!(carol.post_form("/invite", &form).await.expect(200).text.contains("You are a member of Acme now"));
    assert_eq!(house.members().await.len(), 3);
    app.drain().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invite_that_is_void_before_its_job_runs_is_not_mailed_and_old_ones_are_swept() {
    let app = TestApp::new().await;
    let house = House::of(&app).await;
    let invite = house.ask(&house.owner, "bob@example.com", "member").await.expect(200).json();
    let path = house.path(&format!("/invites/{}", invite["id"].as_str().expect("an id")));
    house.owner.delete(&path).await.expect(204);
    app.drain().await;
    assert_eq!(app.count_mails("bob@example.com").await, 0);
    assert_eq!(app.count_jobs("invites.send_invite", JobState::Cancelled).await, 1);
    app.advance(11 * DAY);
    let tx = app.kernel.db.write_tx().await.expect("a transaction");
    let sweep = shared::invites::SweepInvites { window: 1 };
    shared::jobs::enqueue(&tx, app.kernel.clock.as_ref(), &sweep).await.expect("a job");
    tx.commit().await.expect("a commit");
    app.drain().await;
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM invites").await, 0);
}
