//! What merges do to persons, through the job and the database.

use serde_json::json;
use shared::identify::{ApplyFacts, merge::person_id};
use uuid::Uuid;

use super::{World, attempt, query};

fn creator(event: &shared::identify::CapturedEvent) -> String {
    event.uuid.to_string()
}

/// ID-04:
#[tokio::test(flavor = "multi_thread")]
async fn two_unknown_ids_become_one_identified_person() {
    let world = World::new().await;
    let mut event = world.identify("user", "anon", 5);
    event.set_once.insert("plan".to_owned(), json!("once"));
    event.set.insert("plan".to_owned(), json!("set"));
    world.capture(vec![event.clone()]).await;
    let persons = world.persons().await;
    assert_eq!(persons.len(), 1);
    let person = &persons[0];
    assert_eq!(person.id, person_id(&world.project.id.to_string(), "user"));
    assert_eq!(person.ids.iter().collect::<Vec<_>>(), ["anon", "user"]);
    assert!(person.is_identified);
    assert_eq!(person.properties, json!({ "plan": "set", "$creator_event_uuid": creator(&event) }));
    assert_eq!(person.created_at, event.at);
}

/// ID-05, ID-06:
#[tokio::test(flavor = "multi_thread")]
async fn a_person_keeps_its_id_when_an_unknown_id_joins_it() {
    for (known, into, other) in [("anon", "user", "anon"), ("user", "user", "anon")] {
        let world = World::new().await;
        world.capture(vec![world.set(known, 1, &json!({ "plan": "free" }))]).await;
        let before = world.person_of(known).await.expect("a person");
        world.capture(vec![world.identify(into, other, 2)]).await;
        let persons = world.persons().await;
        assert_eq!(persons.len(), 1);
        assert_eq!((persons[0].id, persons[0].ids.len(), persons[0].is_identified), (before.id, 2, true));
        assert_eq!(persons[0].properties["plan"], "free");
    }
}

/// ID-07, ID-10:
#[tokio::test(flavor = "multi_thread")]
async fn an_anonymous_person_is_absorbed_with_all_its_ids() {
    let world = World::new().await;
    let first = world.set("anon", 1, &json!({ "plan": "anon", "seen": 1, "n": 3 }));
    let second = world.set("user", 3, &json!({ "plan": "user", "n": null }));
    world.capture(vec![first.clone(), world.event("$create_alias", "anon", 2, &json!({}))]).await;
    world.capture(vec![second.clone(), world.set("user", 4, &json!({ "more": 1 }))]).await;
    let (anon, user) =
        (world.person_of("anon").await.expect("a person"), world.person_of("user").await.expect("a person"));
    world.capture(vec![world.identify("user", "anon", 5)]).await;
    let persons = world.persons().await;
    assert_eq!(persons.len(), 1, "the absorbed one is gone");
    let person = &persons[0];
    assert_eq!((person.id, person.created_at, person.is_identified), (user.id, anon.created_at, true));
    assert_eq!(person.version, anon.version.max(user.version) + 1);
    let expected = json!({ "plan": "user", "seen": 1, "n": null, "more": 1, "$creator_event_uuid": creator(&second) });
    assert_eq!(person.properties, expected, "the target wins, also with null");
}

/// ID-08, ID-27, T-ID-03, T-ID-04:
#[tokio::test(flavor = "multi_thread")]
async fn an_identified_person_is_not_absorbed() {
    let world = World::new().await;
    world.capture(vec![world.identify("A", "anon", 1)]).await;
    let mut refused = world.identify("B", "anon", 2);
    refused.set.insert("plan".to_owned(), json!("b"));
    world.capture(vec![refused.clone()]).await;
    world.capture(vec![world.event("page", "fresh", 3, &json!({}))]).await;
    let (a, b) = (world.person_of("A").await.expect("A"), world.person_of("B").await.expect("B"));
    assert!(a.ids.contains("anon") && a.ids.len() == 2 && b.ids.len() == 1);
    assert!(b.is_identified);
    assert_eq!(b.properties["plan"], "b");
    let expected = [("cannot_merge_already_identified".to_owned(), refused.uuid)];
    assert_eq!(world.warnings().await.into_iter().collect::<Vec<_>>(), expected, "one warning");
    assert_eq!(world.person_of("fresh").await.expect("someone else").ids.len(), 1);
}

/// ID-09:
#[tokio::test(flavor = "multi_thread")]
async fn a_dangerous_merge_needs_the_secret_key() {
    let world = World::new().await;
    world.capture(vec![world.identify("A", "a", 1), world.identify("B", "b", 2)]).await;
    let mut event = world.event("$merge_dangerously", "A", 3, &json!({ "properties": { "alias": "B" } }));
    world.capture(vec![event.clone()]).await;
    assert_eq!(world.persons().await.len(), 2);
    assert!(world.has_warning("merge_dangerously_requires_secret_key").await);
    event.uuid = shared::ids::next();
    event.may_merge_dangerously = true;
    world.capture(vec![event]).await;
    assert_eq!(world.person_of("b").await.expect("one person").ids.len(), 4);
}

/// ID-11:
#[tokio::test(flavor = "multi_thread")]
async fn identify_without_an_anonymous_id_merges_nothing() {
    let world = World::new().await;
    world.capture(vec![world.event("$identify", "user", 1, &json!({ "properties": { "$set": { "a": 1 } } }))]).await;
    let person = world.person_of("user").await.expect("a person");
    assert!(!person.is_identified);
    assert_eq!((person.ids.len(), &person.properties["a"]), (1, &json!(1)));
}

/// ID-16:
#[tokio::test(flavor = "multi_thread")]
async fn properties_that_are_too_large_are_refused_once() {
    let world = World::new().await;
    world.capture(vec![world.set("user", 1, &json!({ "plan": "free" }))]).await;
    let event = world.set("user", 2, &json!({ "plan": "x".repeat(600 * 1024) }));
    world.capture(vec![event.clone()]).await;
    assert_eq!(world.person_of("user").await.expect("a person").properties["plan"], "free");
    assert!(world.has_warning("person_properties_size_violation").await);
    assert_eq!(world.app.number("SELECT COUNT(*) AS number FROM events").await, 2, "the event is kept");
    assert!(world.open_jobs::<ApplyFacts>().await.is_empty());
}

/// ID-17:
#[tokio::test(flavor = "multi_thread")]
async fn a_personless_event_makes_nobody() {
    let world = World::new().await;
    let says =
        |value: serde_json::Value| json!({ "$set": { "a": 1 }, "properties": { "$process_person_profile": value } });
    world.capture(vec![world.event("page", "anon", 1, &says(json!(false)))]).await;
    assert!(world.persons().await.is_empty());
    let refused = world.event("$identify", "user", 2, &says(json!(false)));
    assert_eq!(world.capture(vec![refused]).await.refused, 1);
    assert!(world.persons().await.is_empty());
    assert!(world.has_warning("invalid_event_when_process_person_profile_is_false").await);
    world.capture(vec![world.event("page", "user", 3, &says(json!("no")))]).await;
    assert_eq!(world.person_of("user").await.expect("processed").properties["a"], 1);
    assert!(world.has_warning("invalid_process_person_profile").await);
}

/// ID-17: a person that exists is changed by a personless event that comes a minute later.
#[tokio::test(flavor = "multi_thread")]
async fn a_personless_event_of_a_known_person_counts_after_a_minute() {
    let world = World::new().await;
    let late = |second: i64, value: i64| {
        let body = json!({ "$set": { "a": value }, "properties": { "$process_person_profile": false } });
        world.event("page", "user", second, &body)
    };
    world.capture(vec![world.set("user", 0, &json!({ "a": 0 })), late(60, 1)]).await;
    assert_eq!(world.person_of("user").await.expect("a person").properties["a"], 0);
    world.capture(vec![late(61, 2)]).await;
    assert_eq!(world.person_of("user").await.expect("a person").properties["a"], 2);
}

/// ID-20:
#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_twice_counts_once() {
    let world = World::new().await;
    let (event, other) = (world.identify("user", "anon", 1), world.set("user", 2, &json!({ "a": 1 })));
    world.capture(vec![event.clone(), other.clone(), event.clone()]).await;
    let before = world.persons().await;
    let again = world.capture(vec![other, event]).await;
    assert_eq!((again.stored, again.duplicates), (0, 2));
    assert_eq!(world.persons().await, before);
    assert_eq!(world.app.number("SELECT COUNT(*) AS number FROM events").await, 2);
}

/// ID-24:
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_merges_at_once_lose_nothing() {
    let world = World::new().await;
    for number in 0..50 {
        let anon = format!("anon-{number}");
        let key = format!("p{number}");
        world.accept(vec![world.set(&anon, number, &json!({ key: number }))]).await;
        world.accept(vec![world.identify("user", &anon, 100 + number)]).await;
    }
    at_once(&world).await;
    let persons = world.persons().await;
    assert_eq!((persons.len(), persons[0].ids.len()), (1, 51));
    for number in 0..50 {
        assert_eq!(persons[0].properties[format!("p{number}")], number);
    }
}

/// ID-25, T-ID-03:
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn crossing_merges_end_in_one_person() {
    let world = World::new().await;
    world.capture(vec![world.set("a", 1, &json!({ "x": 1 })), world.set("b", 2, &json!({ "y": 1 }))]).await;
    for (into, other, second) in [("a", "b", 3), ("b", "a", 4)] {
        world.accept(vec![world.identify(into, other, second)]).await;
    }
    at_once(&world).await;
    let persons = world.persons().await;
    assert_eq!((persons.len(), persons[0].ids.len()), (1, 2));
    assert_eq!((&persons[0].properties["x"], &persons[0].properties["y"]), (&json!(1), &json!(1)));
}

/// All open jobs at the same time, then whatever had to be repeated.
async fn at_once(world: &World) {
    let jobs = world.open_jobs::<ApplyFacts>().await;
    let attempts = jobs.into_iter().map(|id| attempt(&world.app, id));
    futures_util::future::join_all(attempts).await;
    world.is_without_deadlock().await;
    world.app.execute("UPDATE jobs SET run_at = 0 WHERE state = 'retrying'").await;
    world.app.drain().await;
}

/// ID-25: late events of persons that refused merges connect are replayed together, by whichever worker is first.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replays_that_cross_wait_for_one_another() {
    let world = World::new().await;
    let names: Vec<String> = (0..12).map(|number| format!("user-{number}")).collect();
    world.capture(names.iter().map(|name| world.identify(name, &format!("{name}-anon"), 100)).collect()).await;
    let refused = names.iter().zip(names.iter().cycle().skip(1)).map(|(into, other)| world.identify(into, other, 200));
    world.capture(refused.collect()).await;
    assert_eq!(world.persons().await.len(), names.len());
    for round in 0..4 {
        for (number, name) in (0..).zip(&names) {
            world.accept(vec![world.set(name, 110 + number, &json!({ "last": round }))]).await;
        }
        let jobs = world.open_jobs::<ApplyFacts>().await;
        assert!(jobs.len() >= names.len());
        at_once(&world).await;
    }
    assert_eq!(world.persons().await.len(), names.len());
}

/// T-ID-01, ID-18, ID-19, ID-20:
#[tokio::test(flavor = "multi_thread")]
async fn events_before_and_after_a_merge_are_the_users() {
    let world = World::new().await;
    let personless = json!({ "properties": { "$process_person_profile": false } });
    world.capture(vec![world.event("page", "anon", 1, &personless)]).await;
    let (one, two) = (world.identify("user", "anon", 10), world.identify("user", "anon2", 11));
    for batch in [vec![two.clone(), one.clone()], vec![one.clone()], vec![one, two]] {
        world.capture(batch).await;
    }
    world
        .capture(vec![world.event("page", "anon", 20, &personless), world.event("page", "anon2", 2, &json!({}))])
        .await;
    let persons = world.persons().await;
    assert_eq!((persons.len(), persons[0].ids.len()), (1, 3));
    let sql = "SELECT COUNT(*) AS number FROM events e JOIN person_distinct_ids i
               ON i.project_id = e.project_id AND i.distinct_id = e.distinct_id AND i.person_id IS NOT NULL";
    assert_eq!(world.app.number(sql).await, 5, "every event resolves to the person");
}

/// ID-10, ID-26: an event that arrives late takes its place in the order.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_event_takes_its_place() {
    let world = World::new().await;
    world.capture(vec![world.identify("B", "anon", 20)]).await;
    assert!(world.person_of("anon").await.expect("B").ids.contains("B"));
    let refused = query(&world.app, "SELECT id FROM ingestion_warnings").await;
    assert!(refused.is_empty());
    // It was A's before: B's claim is refused after all.
    world.capture(vec![world.identify("A", "anon", 10)]).await;
    assert!(world.person_of("anon").await.expect("A").ids.contains("A"));
    assert_eq!(world.person_of("B").await.expect("B").ids.len(), 1);
    assert!(world.has_warning("cannot_merge_already_identified").await);
    // And it was nobody's at all: the merge into A is no merge with an identified person any more.
    let ids: Vec<Uuid> = world.persons().await.iter().map(|person| person.id).collect();
    world.capture(vec![world.set("A", 15, &json!({ "late": true }))]).await;
    assert_eq!(world.persons().await.iter().map(|person| person.id).collect::<Vec<_>>(), ids);
    assert_eq!(world.person_of("A").await.expect("A").properties["late"], true);
}

/// ID-28:
#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_ids_merge_within_a_second() {
    let world = World::new().await;
    grow(&world, "big", 5_000).await;
    world.capture(vec![world.set("user", 1, &json!({ "a": 1 }))]).await;
    world.accept(vec![world.identify("user", "big", 3_000)]).await;
    let begin = std::time::Instant::now();
    world.app.drain().await;
    let took = begin.elapsed();
    assert!(took < std::time::Duration::from_secs(1), "{took:?}");
    assert_eq!(world.person_of("user").await.expect("a person").ids.len(), 5_001);
}

/// ID-28:
#[tokio::test(flavor = "multi_thread")]
async fn a_merge_that_is_too_large_moves_nothing_and_is_told() {
    let world = World::new().await;
    grow(&world, "big", 20_001).await;
    world.capture(vec![world.set("user", 1, &json!({ "a": 1 }))]).await;
    world.capture(vec![world.identify("user", "big", 3_000), world.set("user", 3_001, &json!({ "a": 2 }))]).await;
    assert_eq!(world.person_of("big").await.expect("a person").ids.len(), 20_001);
    let user = world.person_of("user").await.expect("a person");
    assert_eq!((user.ids.len(), &user.properties["a"]), (1, &json!(2)), "what is not too large goes on");
    assert!(world.has_warning("merge_too_large").await);
    assert_eq!(world.app.number("SELECT COUNT(*) AS number FROM jobs WHERE state = 'dead'").await, 1);
}

/// Gives an id's person this many ids, with the facts that merged them, as many merges did.
async fn grow(world: &World, id: &str, count: usize) {
    world.capture(vec![world.event("page", id, 0, &json!({}))]).await;
    let person = world.person_of(id).await.expect("a person");
    let (project, at) = (world.project.id, person.created_at.0 + 1);
    let tx = world.app.kernel.db.write_tx().await.expect("a transaction");
    for start in (1..count).step_by(2_000) {
        let numbers = start..count.min(start + 2_000);
        let ids: Vec<String> = numbers.clone().map(|number| format!("('{id}-{number}', $1, $2, false)")).collect();
        let facts: Vec<String> = numbers
            .clone()
            .enumerate()
            .map(|(place, number)| format!("($1, ${}, 'merge', {at}, '{id}', '{id}-{number}', true)", place + 2))
            .collect();
        let uuids: Vec<sea_orm::Value> = numbers.map(|_| shared::ids::next().into()).collect();
        for (sql, values) in [
            (
                format!(
                    "INSERT INTO person_distinct_ids (distinct_id, project_id, person_id, is_personless) VALUES {}",
                    ids.join(", ")
                ),
                vec![person.id.into()],
            ),
            (
                format!(
                    "INSERT INTO person_facts (project_id, uuid, kind, at, distinct_id, other, is_applied) VALUES {}",
                    facts.join(", ")
                ),
                uuids,
            ),
        ] {
            let values = std::iter::once(sea_orm::Value::from(project.0)).chain(values);
            let statement = sea_orm::Statement::from_sql_and_values(world.app.kernel.db.engine(), sql, values);
            sea_orm::ConnectionTrait::execute_raw(&*tx, statement).await.expect("ids");
        }
    }
    tx.commit().await.expect("a commit");
    world.app.execute(&format!("UPDATE persons SET id_count = {count}")).await;
}
