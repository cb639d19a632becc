//! What a project's events make of its persons, read one by one in their order: the rules of the specification once more,
//! over plain maps, with no code of the product.
//!
//! It knows no facts, no components and no fast path: each event is looked at, whether the product keeps it or not. It
//! knows what the product does on purpose otherwise: an id without a person does not join an identified one as the target
//! of a merge, and `$unset` always wins.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use shared::{
    clock::Timestamp,
    identify::{CapturedEvent, PersonProcessing},
};
use uuid::{Uuid, uuid};

use super::Seen;

/// What no id of a merge may be; the histories use no others.
pub const ILLEGAL: [&str; 2] = ["null", "Guest"];
const NAMESPACE: Uuid = uuid!("932979b4-65c3-4424-8467-0b66ec27bc22");
/// In microseconds.
const MINUTE: i64 = 60_000_000;

struct Person {
    created_at: Timestamp,
    properties: Map<String, Value>,
    is_identified: bool,
    version: i64,
}

/// The persons of one project.
pub struct Oracle {
    project: String,
    persons: BTreeMap<Uuid, Person>,
    owners: BTreeMap<String, Uuid>,
    personless: BTreeSet<String>,
    warnings: BTreeSet<(String, Uuid)>,
}

/// Persons and warnings.
pub type Outcome = (Vec<Seen>, BTreeSet<(String, Uuid)>);

/// What these events make, whichever order they are given in and however often each.
pub fn outcome(project: &str, events: &[CapturedEvent]) -> Outcome {
    let mut oracle = Oracle {
        project: project.to_owned(),
        persons: BTreeMap::new(),
        owners: BTreeMap::new(),
        personless: BTreeSet::new(),
        warnings: BTreeSet::new(),
    };
    let in_order: BTreeMap<_, _> = events.iter().map(|event| ((event.at, event.uuid), event)).collect();
    for event in in_order.into_values() {
        oracle.read(event);
    }
    let ids_of =
        |id: &Uuid| oracle.owners.iter().filter(|(_, owner)| *owner == id).map(|(name, _)| name.clone()).collect();
    let seen = oracle.persons.iter().map(|(id, person)| Seen {
        id: *id,
        created_at: person.created_at,
        properties: Value::Object(person.properties.clone()),
        is_identified: person.is_identified,
        version: person.version,
        ids: ids_of(id),
    });
    (seen.collect(), oracle.warnings)
}

impl Oracle {
    fn read(&mut self, event: &CapturedEvent) {
        if event.person_processing == PersonProcessing::Personless {
            return self.read_personless(event);
        }
        let property = |name: &str| event.properties.get(name).and_then(Value::as_str);
        let (other, is_guarded) = match event.event.as_str() {
            "$identify" => (property("$anon_distinct_id"), true),
            "$create_alias" => (property("alias"), true),
            "$merge_dangerously" if event.may_merge_dangerously => (property("alias"), false),
            _ => (None, true),
        };
        let is_illegal = |id: &str| ILLEGAL.contains(&id);
        match other {
            Some(other) if other != event.distinct_id && is_illegal(other) => {
                self.warn("cannot_merge_with_illegal_distinct_id", event);
                self.change(event);
            }
            Some(other) if other != event.distinct_id => self.merge(event, other, is_guarded),
            _ => self.change(event),
        }
    }

    /// Nobody's, unless its id has a person that began more than a minute before.
    fn read_personless(&mut self, event: &CapturedEvent) {
        let Some(owner) = self.owners.get(&event.distinct_id) else {
            self.personless.insert(event.distinct_id.clone());
            return;
        };
        if event.at.0 > self.persons[owner].created_at.0 + MINUTE {
            self.change(event);
        }
    }

    fn warn(&mut self, kind: &str, event: &CapturedEvent) {
        self.warnings.insert((kind.to_owned(), event.uuid));
    }

    /// Gets or creates the person of an id, and changes its properties. Whoever begins has version 0, whatever it begins with.
    fn change(&mut self, event: &CapturedEvent) {
        let is_first = !self.owners.contains_key(&event.distinct_id);
        if is_first {
            self.create(event, &event.distinct_id, &[&event.distinct_id]);
        }
        let person = self.persons.get_mut(&self.owners[&event.distinct_id]).expect("a person");
        let after = changed(&person.properties, event);
        if after != person.properties {
            person.properties = after;
            person.version += i64::from(!is_first);
        }
    }

    fn create(&mut self, event: &CapturedEvent, seed: &str, ids: &[&str]) {
        let id = Uuid::new_v5(&NAMESPACE, format!("{}:{seed}", self.project).as_bytes());
        let properties = Map::from_iter([("$creator_event_uuid".to_owned(), json!(event.uuid.to_string()))]);
        let person = Person { created_at: event.at, properties, is_identified: false, version: 0 };
        assert!(self.persons.insert(id, person).is_none(), "two persons that begin with {seed}");
        self.owners.extend(ids.iter().map(|name| ((*name).to_owned(), id)));
    }

    /// Section 1.3, with its numbers.
    fn merge(&mut self, event: &CapturedEvent, other: &str, is_guarded: bool) {
        let into = event.distinct_id.clone();
        let (target, source) = (self.owners.get(&into).copied(), self.owners.get(other).copied());
        let is_identified = source.is_some_and(|source| self.persons[&source].is_identified);
        match (target, source) {
            // 6
            (None, None) => {
                let is_only_other = self.personless.contains(other) && !self.personless.contains(&into);
                self.create(event, if is_only_other { other } else { &into }, &[&into, other]);
                let person = self.persons.get_mut(&self.owners[&into]).expect("a person");
                person.properties = changed(&person.properties, event);
            }
            // 4
            (Some(target), None) => {
                self.owners.insert(other.to_owned(), target);
                self.change(event);
            }
            (None, Some(source)) if !is_identified || !is_guarded => {
                self.owners.insert(into.clone(), source);
                self.change(event);
            }
            // 5a
            (Some(target), Some(source)) if target == source => self.change(event),
            // 5c
            (_, Some(_)) if is_identified && is_guarded => {
                self.warn("cannot_merge_already_identified", event);
                self.change(event);
            }
            // 5d
            (Some(target), Some(source)) => self.absorb(event, target, source),
            (None, Some(_)) => unreachable!("the cases above are all"),
        }
        // 2
        self.persons.get_mut(&self.owners[&into]).expect("a person").is_identified = true;
    }

    fn absorb(&mut self, event: &CapturedEvent, target: Uuid, source: Uuid) {
        let gone = self.persons.remove(&source).expect("a person");
        for owner in self.owners.values_mut().filter(|owner| **owner == source) {
            *owner = target;
        }
        let person = self.persons.get_mut(&target).expect("a person");
        for (name, value) in gone.properties {
            person.properties.entry(name).or_insert(value);
        }
        person.properties = changed(&person.properties, event);
        person.created_at = person.created_at.min(gone.created_at);
        person.version = person.version.max(gone.version) + 1;
    }
}

/// Section 1.4.
fn changed(before: &Map<String, Value>, event: &CapturedEvent) -> Map<String, Value> {
    let mut after = before.clone();
    if ["$exception", "$$heatmap", "$groupidentify"].contains(&event.event.as_str()) {
        return after;
    }
    for (name, value) in &event.set_once {
        // A null is no value that is set once; a null that is there is one.
        if !value.is_null() && !after.contains_key(name) {
            after.insert(name.clone(), value.clone());
        }
    }
    for (name, value) in &event.set {
        after.insert(name.clone(), value.clone());
    }
    for name in &event.unset {
        after.remove(name);
    }
    after
}
