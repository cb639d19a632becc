//! The rules that need no database.

use serde_json::{Map, Value, json};
use shared::{
    clock::Timestamp,
    identify::{
        CapturedEvent, Changes, Deed, Fact, PersonProcessing, WarningKind, is_illegal,
        merge::{Limits, State, changed, person_id},
        read,
    },
    ids,
    projects::ProjectId,
};

fn state() -> State {
    State::of(ProjectId::next())
}

fn merge(into: &str, other: &str, at: i64) -> Fact {
    let deed = Deed::Merge { other: other.to_owned(), is_unguarded: false };
    Fact { uuid: ids::next(), at: Timestamp(at), distinct_id: into.to_owned(), deed, changes: Changes::default() }
}

fn event(name: &str, distinct_id: &str, properties: &Value) -> CapturedEvent {
    CapturedEvent {
        uuid: ids::next(),
        event: name.to_owned(),
        distinct_id: distinct_id.to_owned(),
        at: Timestamp(1),
        received_at: Timestamp(1),
        properties: properties.as_object().cloned().unwrap_or_else(Map::new),
        set: Map::from_iter([("plan".to_owned(), json!("free"))]),
        set_once: Map::new(),
        unset: Vec::new(),
        person_processing: PersonProcessing::Process,
        may_merge_dangerously: false,
    }
}

/// ID-01:
#[test]
fn a_merge_with_itself_does_nothing() {
    let fact = read(&event("$identify", "x", &json!({ "$anon_distinct_id": "x" }))).fact.expect("a fact");
    assert_eq!(fact.deed, Deed::Set);
    let mut state = state();
    state.apply(&fact, Limits::default()).expect("applied");
    let person = state.person_of("x").expect("a person");
    assert!(!person.is_identified);
    assert_eq!(person.properties["plan"], "free");
}

/// ID-02:
#[test]
fn an_illegal_id_refuses_the_merge_and_keeps_the_event() {
    let words = [
        "anonymous",
        "guest",
        "distinctid",
        "distinct_id",
        "id",
        "not_authenticated",
        "email",
        "undefined",
        "true",
        "false",
        "[object Object]",
        "NaN",
        "None",
        "none",
        "null",
        "0",
        "",
    ];
    for word in words {
        for id in [word.to_owned(), format!("'{word}'"), format!("\"{word}\""), format!(" {word} ")] {
            for (into, other) in [(id.as_str(), "user"), ("user", id.as_str())] {
                let read = read(&event("$identify", into, &json!({ "$anon_distinct_id": other })));
                let kinds: Vec<_> = read.warnings.iter().map(|warning| warning.kind).collect();
                assert_eq!(kinds, [WarningKind::IllegalDistinctId], "{into:?} {other:?}");
                let fact = read.fact.expect("the event is kept");
                assert_eq!((fact.deed, fact.changes.set.is_empty()), (Deed::Set, false));
            }
        }
    }
    assert!(is_illegal(&"x".repeat(200)) && !is_illegal(&"x".repeat(199)), "ids that may have been cut");
}

/// ID-03:
#[test]
fn case_counts_for_some_illegal_ids_only() {
    for id in ["uNdEfInEd", "ANONYMOUS", "True", "Not_Authenticated", "NaN", "None", "null", " \"null\" ", "'Guest'"] {
        assert!(is_illegal(id), "{id}");
    }
    for id in
        ["nan", "NAN", "Null", "NULL", "NONE", "nONE", "[Object Object]", "00", "user", "'", "\"x\"", "anonymous1"]
    {
        assert!(!is_illegal(id), "{id}");
    }
}

/// ID-59:
#[test]
fn the_cookieless_sentinel_is_nobody() {
    for (id, properties) in [("$posthog_cookieless", json!({})), ("x", json!({ "$cookieless_mode": true }))] {
        let read = read(&event("x", id, &properties));
        assert!(read.fact.is_none());
        assert_eq!(read.warnings[0].kind, WarningKind::CookielessNotSupported);
    }
    let read = read(&event("$identify", "user", &json!({ "$anon_distinct_id": "$posthog_cookieless" })));
    assert_eq!(read.fact.expect("kept").deed, Deed::Set);
}

/// ID-13:
#[test]
fn set_beats_set_once_and_unset_beats_both() {
    let of = |value: &Value| value.as_object().cloned().expect("an object");
    let changes = Changes {
        set: of(&json!({ "a": "set", "gone": 1 })),
        set_once: of(&json!({ "a": "once", "b": "once", "c": "once", "n": "once" })),
        unset: vec!["gone".to_owned(), "old".to_owned()],
        ids: Vec::new(),
    };
    let before = of(&json!({ "b": "before", "n": null, "old": true }));
    let after = json!({ "a": "set", "b": "before", "c": "once", "n": null });
    assert_eq!(Value::Object(changed(&before, &changes)), after);
}

/// ID-04:
#[test]
fn a_persons_id_is_made_of_its_first_distinct_id() {
    assert_eq!(person_id("1", "user_1").to_string(), "131ecd7b-7aa1-5121-8fd3-5353d39dd23e");
    assert_eq!(person_id("1", "anon_7").to_string(), "1303c6c3-19f7-57ab-ba5c-5a66eedb3bf6");
    assert_eq!(person_id("1", "user_1:split").to_string(), "5b174076-46b8-5c8e-9df7-1db75de83979");
}

/// ID-04: an id that was used without a person keeps the person's id that its events already show.
#[test]
fn a_personless_id_names_the_person_unless_the_other_one_is_personless_too() {
    let project = ProjectId::next();
    let used = |id: &str| Fact { deed: Deed::Personless, ..merge(id, "", 1) };
    for (personless, seed) in [(&[][..], "user"), (&["anon"], "anon"), (&["user"], "user"), (&["anon", "user"], "user")]
    {
        let mut state = State::of(project);
        for id in personless {
            state.apply(&used(id), Limits::default()).expect("applied");
        }
        state.apply(&merge("user", "anon", 2), Limits::default()).expect("applied");
        let person = state.person_of("anon").expect("a person");
        assert_eq!(person.id, person_id(&project.to_string(), seed), "{personless:?}");
        assert!(person.is_identified && person.id_count == 2);
    }
}

/// T-ID-03: a cycle of merges ends in one person.
#[test]
fn a_cycle_of_merges_is_one_person() {
    let mut state = state();
    for (at, (into, other)) in (1..).zip([("a", "b"), ("b", "c"), ("c", "a"), ("a", "a")]) {
        if into != other {
            state.apply(&merge(into, other, at), Limits::default()).expect("applied");
        }
    }
    assert_eq!(state.persons.len(), 1);
    assert_eq!(state.person_of("c").expect("a person").id_count, 3);
}
