//! What is not an event: sign-ins, splits, deletions, failing jobs, and the limits of what analytics may influence.

use std::time::Duration;

use harness::{PASSWORD, code_in, works};
use serde_json::{Value, json};
use shared::{
    identify::{self, ApplyFacts, DeletePersonsOf},
    jobs::JobState,
};

use super::{ADA, World, attempt};

const BOB: &str = "bob@byron.test";

/// Signs in with an anonymous id of the world's project; returns the user's id.
async fn sign_in(world: &World, email: &str, anonymous: &str) -> String {
    let app = &world.app;
    let browser = app.browser();
    let wish = json!({
        "email": email,
        "password": PASSWORD,
        "anonymous_distinct_id": anonymous,
        "project_token": world.project.project_token,
    });
    let pending = browser.post("/api/login", wish).await.expect(200).json();
    app.drain().await;
    let code = code_in(&app.mail_to(email).await.text);
    let body = json!({ "login_id": pending["email_mfa"]["login_id"], "code": code });
    let login = browser.post("/api/login/email_mfa", body).await.expect(200).json();
    assert_eq!(login["status"], "signed_in");
    app.drain().await;
    login["user"]["id"].as_str().expect("an id").to_owned()
}

/// ID-57:
#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_and_the_clients_identify_are_one_merge() {
    let world = World::new().await;
    let personless = json!({ "properties": { "$process_person_profile": false } });
    world.capture(vec![world.event("page", "anon-7", 1, &personless)]).await;
    let user = sign_in(&world, ADA, "anon-7").await;
    let person = world.person_of("anon-7").await.expect("the sign-in merged");
    assert!(person.ids.contains(&user) && person.is_identified);
    world.capture(vec![world.identify(&user, "anon-7", 3_590)]).await;
    let persons = world.persons().await;
    assert_eq!((persons.len(), persons[0].ids.len()), (1, 2));
    assert!(world.warnings().await.is_empty());
    sign_in(&world, ADA, "anon-7").await;
    assert_eq!(world.persons().await.len(), 1);
}

/// ID-58:
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_anonymous_id_takes_nobody_over() {
    let world = World::new().await;
    world.app.browser().sign_up_verified(BOB).await;
    let ada = sign_in(&world, ADA, "ada-anon").await;
    for forged in [ada.as_str(), "ada-anon"] {
        let bob = sign_in(&world, BOB, forged).await;
        let person = world.person_of(&ada).await.expect("Ada");
        assert_eq!(person.ids.len(), 2, "Ada is still Ada");
        assert!(!person.ids.contains(&bob));
    }
    assert!(world.has_warning("sign_in_with_id_of_a_user").await);
    assert!(world.has_warning("cannot_merge_already_identified").await);
    // Also before anything is known of Ada.
    let other = World::new().await;
    other.app.browser().sign_up_verified(BOB).await;
    let ada = other.app.user(ADA).await.id.to_string();
    sign_in(&other, BOB, &ada).await;
    assert!(other.person_of(&ada).await.is_none());
}

/// ID-60: with any anonymous id and any project token a login answers the same, and the same session comes of it.
#[tokio::test(flavor = "multi_thread")]
async fn analytics_identity_decides_nothing_about_a_login() {
    let world = World::new().await;
    let app = &world.app;
    let ada = app.user(ADA).await;
    world.capture(vec![world.identify(&ada.id.to_string(), "anon", 1)]).await;
    let odd =
        ["", "null", "anon", &ada.id.to_string(), &"x".repeat(5_000), "$posthog_cookieless", "'; DROP TABLE users"];
    let shape = |login: &Value| {
        let mut members: Vec<_> = login.as_object().expect("an object").keys().cloned().collect();
        members.sort();
        (login["status"].clone(), members)
    };
    for password in [PASSWORD, "wrong password"] {
        let plain = app.browser().post("/api/login", json!({ "email": ADA, "password": password })).await;
        for anonymous in odd {
            for project_token in [world.project.project_token.as_str(), "gpc_other", ""] {
                app.advance(Duration::from_secs(3_601));
                let wish = json!({ "email": ADA, "password": password, "anonymous_distinct_id": anonymous, "project_token": project_token });
                let answer = app.browser().post("/api/login", wish).await;
                assert_eq!(answer.status, plain.status, "{anonymous:?}");
                assert_eq!(shape(&answer.json()).0, shape(&plain.json()).0);
                app.drain().await;
            }
        }
    }
}

/// ID-60: whoever analytics takes a user for, every operation answers them as before.
#[tokio::test(flavor = "multi_thread")]
async fn analytics_identity_decides_nothing_about_any_operation() {
    let world = World::new().await;
    let app = &world.app;
    app.browser().sign_up_verified(BOB).await;
    let (bob, stranger) = (app.browser(), app.browser());
    bob.log_in(BOB, PASSWORD).await;
    let (ada, user) = (app.user(ADA).await.id.to_string(), app.user(BOB).await.id.to_string());
    let document = gateway::spec::document().expect("the document");
    let paths: Vec<String> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .filter(|(_, methods)| methods.get("get").is_some())
        .map(|(path, _)| path.replace("{project_id}", &world.project.id.to_string()).replace("{user_id}", &ada))
        .map(|path| {
            path.split('/')
                .map(|part| if part.starts_with('{') { ada.clone() } else { part.to_owned() })
                .collect::<Vec<_>>()
                .join("/")
        })
        .collect();
    let mut before = Vec::new();
    for path in &paths {
        before.push((bob.get(path).await.status, stranger.get(path).await.status));
    }
    // Bob, by all that analytics knows, is Ada; and his browser says so.
    let mut forced = world.event("$merge_dangerously", &ada, 9, &json!({ "properties": { "alias": user } }));
    forced.may_merge_dangerously = true;
    world.capture(vec![world.identify(&ada, "anon", 1), world.identify(&ada, &user, 2), forced]).await;
    assert!(world.person_of(&user).await.expect("a person").ids.contains(&ada));
    let cookie = json!({ "distinct_id": ada, "$user_state": "identified" }).to_string();
    for browser in [&bob, &stranger] {
        browser.set_cookie(
            &format!("ph_{}_posthog", world.project.project_token),
            &cookie.replace('"', "%22").replace(',', "%2C"),
        );
    }
    for (path, before) in paths.iter().zip(before) {
        assert_eq!((bob.get(path).await.status, stranger.get(path).await.status), before, "{path}");
    }
}

/// ID-29:
#[tokio::test(flavor = "multi_thread")]
async fn a_split_stays_when_the_merge_comes_again() {
    let world = World::new().await;
    let merges = vec![world.identify("user", "a", 1), world.identify("user", "b", 2)];
    let mut first = merges.clone();
    first.push(world.set("user", 3, &json!({ "plan": "free" })));
    world.capture(first).await;
    let person = world.person_of("user").await.expect("a person");
    let kernel = &world.app.kernel;
    let tx = kernel.db.write_tx().await.expect("a transaction");
    assert!(identify::split(kernel, &tx, (world.project.id, person.id), Some("user")).await.expect("a split"));
    tx.commit().await.expect("a commit");
    let check = async || {
        let main = world.person_of("user").await.expect("a person");
        assert_eq!((main.id, main.ids.len(), &main.properties["plan"]), (person.id, 1, &json!("free")));
        for id in ["a", "b"] {
            let split = world.person_of(id).await.expect("a person of its own");
            assert_eq!((split.ids.len(), split.is_identified), (1, false));
            assert_eq!(split.properties, json!({}));
        }
    };
    check().await;
    world.capture(merges).await;
    check().await;
    // A late event replays everything, the split included.
    world.capture(vec![world.event("page", "b", 0, &json!({}))]).await;
    check().await;
    // Even a further copy of the old merge under another id is older than the split.
    world.capture(vec![world.identify("user", "a", 4)]).await;
    check().await;
}

/// ID-30:
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_person_does_not_come_back() {
    let world = World::new().await;
    world.capture(vec![world.identify("user", "anon", 1), world.set("user", 2, &json!({ "plan": "free" }))]).await;
    let person = world.person_of("user").await.expect("a person");
    let kernel = &world.app.kernel;
    let tx = kernel.db.write_tx().await.expect("a transaction");
    assert!(identify::delete(kernel, &tx, (world.project.id, person.id)).await.expect("a deletion"));
    tx.commit().await.expect("a commit");
    assert!(world.persons().await.is_empty());
    let late = vec![
        world.identify("user", "anon", 1),
        world.set("anon", 3, &json!({ "plan": "late" })),
        world.event("page", "user", 4, &json!({})),
    ];
    world.capture(late).await;
    assert!(world.persons().await.is_empty(), "late events count for nothing");
    let mut other = world.identify("other", "anon", 5);
    other.set.insert("plan".to_owned(), json!("other"));
    world.capture(vec![other]).await;
    let persons = world.persons().await;
    assert_eq!((persons.len(), persons[0].ids.len()), (1, 1), "a merge with the dead merges nothing");
    // What happens later is someone else's.
    world.app.advance(Duration::from_secs(7_200));
    world.capture(vec![world.event("page", "user", 3_500, &json!({}))]).await;
    let again = world.person_of("user").await.expect("someone");
    assert!(again.id != person.id && again.properties.get("plan").is_none());
}

/// ID-30:
#[tokio::test(flavor = "multi_thread")]
async fn the_person_of_a_deleted_user_is_gone_for_good() {
    let world = World::new().await;
    let user = world.app.user(ADA).await;
    let id = user.id.to_string();
    world.capture(vec![world.identify(&id, "anon", 1)]).await;
    works::enqueue_one(&world.app, &DeletePersonsOf { user_id: user.id }).await;
    world.app.drain().await;
    assert!(world.persons().await.is_empty());
    world.app.advance(Duration::from_secs(7_200));
    world.capture(vec![world.identify(&id, "anon-2", 3_000), world.set(&id, 3_001, &json!({ "a": 1 }))]).await;
    assert!(world.person_of(&id).await.is_none());
}

/// ID-23:
#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_fails_is_dead_in_the_end_and_can_be_retried() {
    let world = World::new().await;
    let app = &world.app;
    app.execute("ALTER TABLE persons RENAME TO persons_away").await;
    world.accept(vec![world.identify("user", "anon", 1)]).await;
    let id = world.open_jobs::<ApplyFacts>().await[0];
    let mut attempts = 0;
    while works::job(app, id).await.0 != JobState::Dead {
        assert_eq!(
            app.number("SELECT COUNT(*) AS number FROM jobs WHERE state = 'done' AND name = 'identify.apply_facts'")
                .await,
            0
        );
        app.execute("UPDATE jobs SET run_at = 0 WHERE state = 'retrying'").await;
        attempt(app, id).await;
        attempts += 1;
        assert!(attempts < 100, "it is never given up");
    }
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM person_facts WHERE is_applied").await, 0);
    app.execute("ALTER TABLE persons_away RENAME TO persons").await;
    let db = app.kernel.db.writer();
    shared::jobs::operate::retry(db, id, app.now()).await.expect("a retry");
    app.drain().await;
    assert_eq!(world.persons().await[0].ids.len(), 2);
}

/// ID-22: what a killed worker had not committed is done by the next one, once.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ran_before_changes_nothing() {
    let world = World::new().await;
    let events = vec![world.identify("user", "anon", 1), world.set("user", 2, &json!({ "a": 1 }))];
    let fact_ids = events.iter().map(|event| event.uuid).collect();
    world.capture(events).await;
    let before = world.persons().await;
    let again = ApplyFacts { project_id: world.project.id, fact_ids, is_oversized: false };
    for _ in 0..3 {
        works::enqueue_one(&world.app, &again).await;
        world.app.drain().await;
    }
    assert_eq!(world.persons().await, before);
}
