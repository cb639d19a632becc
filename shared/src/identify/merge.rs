//! How facts make persons: the whole algorithm, over values.
//!
//! The replay and the fast path both run [`State::apply`]; they differ in how much of the world they load.
//! A state that does not hold all ids of a person remembers who was absorbed by whom in [`State::moves`].

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::{
    NAMESPACE,
    event::{Warning, WarningKind},
    fact::{Changes, Deed, Fact, Moment},
};
use crate::{clock::Timestamp, projects::ProjectId};

/// A personless event this much later than its person began belongs to the person after all.
const UPGRADE_AFTER: Duration = Duration::from_secs(60);

/// What bounds a person.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the properties, as JSON.
    pub property_bytes: usize,
    /// Ids that one merge moves.
    pub moved_ids: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { property_bytes: 512 * 1024, moved_ids: 20_000 }
    }
}

/// A merge would move more ids than one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the merge of event {0} would move too many ids")]
pub struct TooLarge(pub Uuid);

/// One person.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// Id.
    pub id: Uuid,
    /// When the first of its events happened.
    pub created_at: Timestamp,
    /// Properties.
    pub properties: Map<String, Value>,
    /// Whether a merge had it as its target.
    pub is_identified: bool,
    /// Grows with every change.
    pub version: i64,
    /// How many ids it has.
    pub id_count: i64,
    /// The latest fact that looked at it.
    pub last: Moment,
}

/// What is known of a distinct id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Whose it is.
    pub person: Option<Uuid>,
    /// Whether it was used without a person.
    pub is_personless: bool,
    /// The latest fact that looked at it while it had no person.
    pub last: Option<Moment>,
    /// Until when its events count for nothing, when its person was deleted.
    pub buried: Option<Timestamp>,
}

/// Persons and ids of a part of a project that no fact connects with the rest.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Whose.
    pub project_id: ProjectId,
    /// Persons.
    pub persons: BTreeMap<Uuid, Person>,
    /// Ids.
    pub ids: BTreeMap<String, Known>,
    /// Absorbed persons, each with the one that absorbed it, in the order in which it happened.
    pub moves: Vec<(Uuid, Uuid)>,
}

/// The id of the person that begins with this distinct id.
#[must_use]
pub fn person_id(project_id: &str, distinct_id: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, format!("{project_id}:{distinct_id}").as_bytes())
}

impl State {
    /// Nothing yet.
    #[must_use]
    pub const fn of(project_id: ProjectId) -> Self {
        Self { project_id, persons: BTreeMap::new(), ids: BTreeMap::new(), moves: Vec::new() }
    }

    /// What it says of these ids, which are all that their persons have.
    #[must_use]
    pub fn part(&self, ids: &BTreeSet<String>) -> Self {
        let ids: BTreeMap<_, _> = self
            .ids
            .iter()
            .filter(|(id, _)| ids.contains(*id))
            .map(|(id, known)| (id.clone(), known.clone()))
            .collect();
        let persons = ids.values().filter_map(|known| self.persons.get(&known.person?));
        let persons = persons.map(|person| (person.id, person.clone())).collect();
        Self { project_id: self.project_id, persons, ids, moves: Vec::new() }
    }

    /// The person of an id.
    #[must_use]
    pub fn person_of(&self, distinct_id: &str) -> Option<&Person> {
        self.persons.get(&self.ids.get(distinct_id)?.person?)
    }

    /// Whether the fact is later than all that its ids and their persons have seen.
    #[must_use]
    pub fn is_in_order(&self, fact: &Fact) -> bool {
        let seen = |id: &str| {
            let known = self.ids.get(id)?;
            self.person_of(id).map(|person| person.last).or(known.last)
        };
        fact.ids().all(|id| seen(id).is_none_or(|seen| seen < fact.moment()))
    }

    /// The fact as it counts, now that persons may have been deleted: not at all, or without its merge.
    #[must_use]
    pub fn alive(&self, fact: &Fact) -> Option<Fact> {
        let is_buried =
            |id: &str| self.ids.get(id).and_then(|known| known.buried).is_some_and(|until| fact.at <= until);
        if is_buried(&fact.distinct_id) {
            return None;
        }
        let is_detached = fact.other().is_some_and(is_buried);
        Some(Fact { deed: if is_detached { Deed::Detached } else { fact.deed.clone() }, ..fact.clone() })
    }

    /// Applies a fact. It must be later than all that were applied to its persons.
    ///
    /// # Errors
    /// When it would move too many ids; nothing has changed then.
    pub fn apply(&mut self, fact: &Fact, limits: Limits) -> Result<Vec<Warning>, TooLarge> {
        let Some(fact) = self.alive(fact) else { return Ok(Vec::new()) };
        let mut warnings = Vec::new();
        match &fact.deed {
            Deed::Set => self.set(&fact, limits, &mut warnings),
            Deed::Detached => {
                self.set(&fact, limits, &mut warnings);
                self.identify(&fact.distinct_id);
            }
            Deed::Personless => self.use_personless(&fact, limits, &mut warnings),
            Deed::Split => self.split(&fact),
            Deed::Merge { other, is_unguarded } => {
                self.merge(&fact, (other, *is_unguarded), limits, &mut warnings)?;
            }
        }
        self.see(&fact);
        Ok(warnings)
    }

    fn known(&mut self, distinct_id: &str) -> &mut Known {
        self.ids.entry(distinct_id.to_owned()).or_default()
    }

    fn person_mut(&mut self, distinct_id: &str) -> Option<&mut Person> {
        let id = self.ids.get(distinct_id)?.person?;
        self.persons.get_mut(&id)
    }

    fn identify(&mut self, distinct_id: &str) {
        if let Some(person) = self.person_mut(distinct_id) {
            person.is_identified = true;
        }
    }

    /// Records that the fact looked at its ids.
    fn see(&mut self, fact: &Fact) {
        for id in fact.ids() {
            if let Some(person) = self.person_mut(id) {
                person.last = person.last.max(fact.moment());
            } else {
                self.known(id).last = Some(fact.moment());
            }
        }
    }

    /// The id of a person that begins with an id. Whoever comes after a deleted person is someone else.
    fn seed(&self, distinct_id: &str) -> Uuid {
        let project_id = self.project_id.to_string();
        match self.ids.get(distinct_id).and_then(|known| known.buried) {
            Some(until) => person_id(&project_id, &format!("{distinct_id}:{}", until.0)),
            None => person_id(&project_id, distinct_id),
        }
    }

    /// A person for ids that have none.
    fn create(&mut self, fact: &Fact, seed: &str, ids: &[&str]) {
        let id = self.seed(seed);
        let creator = ("$creator_event_uuid".to_owned(), Value::String(fact.uuid.to_string()));
        let person = Person {
            id,
            created_at: fact.at,
            properties: Map::from_iter([creator]),
            is_identified: false,
            version: 0,
            id_count: i64::try_from(ids.len()).unwrap_or(i64::MAX),
            last: fact.moment(),
        };
        self.persons.insert(id, person);
        for distinct_id in ids {
            self.known(distinct_id).person = Some(id);
        }
    }

    /// Gets or creates the person of the fact's id, and changes its properties.
    fn set(&mut self, fact: &Fact, limits: Limits, warnings: &mut Vec<Warning>) {
        let is_begun = self.person_of(&fact.distinct_id).is_none();
        if is_begun {
            self.create(fact, &fact.distinct_id, &[&fact.distinct_id]);
        }
        self.change(fact, is_begun, limits, warnings);
    }

    /// Changes properties. The version grows unless the fact has made it what it is already.
    fn change(&mut self, fact: &Fact, is_counted: bool, limits: Limits, warnings: &mut Vec<Warning>) {
        let Some(person) = self.person_mut(&fact.distinct_id) else { return };
        let changed = changed(&person.properties, &fact.changes);
        if changed == person.properties {
            return;
        }
        if is_within(&changed, limits) {
            person.properties = changed;
            person.version += i64::from(!is_counted);
        } else {
            warnings.push(warning(fact, WarningKind::PropertiesSize, json!({ "limit_bytes": limits.property_bytes })));
        }
    }

    fn use_personless(&mut self, fact: &Fact, limits: Limits, warnings: &mut Vec<Warning>) {
        match self.person_of(&fact.distinct_id).map(|person| person.created_at) {
            Some(begin) if fact.at > begin + UPGRADE_AFTER => self.change(fact, false, limits, warnings),
            Some(_) => {}
            None => self.known(&fact.distinct_id).is_personless = true,
        }
    }

    /// The other id, and its person if it has one, become those of the fact's id.
    fn merge(
        &mut self,
        fact: &Fact,
        (other, is_unguarded): (&str, bool),
        limits: Limits,
        warnings: &mut Vec<Warning>,
    ) -> Result<(), TooLarge> {
        let into = fact.distinct_id.as_str();
        let is_counted = match (self.person_of(into).cloned(), self.person_of(other).cloned()) {
            (None, None) => {
                let is_used = |id: &str| self.ids.get(id).is_some_and(|known| known.is_personless);
                let seed = if is_used(other) && !is_used(into) { other } else { into };
                self.create(fact, seed, &[into, other]);
                true
            }
            (Some(person), None) => self.adopt(other, person.id),
            (Some(target), Some(source)) if target.id == source.id => false,
            (target, Some(source)) if source.is_identified && !is_unguarded => {
                // Also an id without a person does not join an identified one: it would be taken for it.
                if target.is_none() {
                    self.create(fact, into, &[into]);
                }
                let detail = json!({ "source_person_distinct_id": other, "target_person_distinct_id": into });
                warnings.push(warning(fact, WarningKind::AlreadyIdentified, detail));
                target.is_none()
            }
            (None, Some(person)) => self.adopt(into, person.id),
            (Some(target), Some(source)) => {
                if source.id_count > limits.moved_ids {
                    return Err(TooLarge(fact.uuid));
                }
                self.absorb(fact, (target, source), limits, warnings);
                true
            }
        };
        self.identify(into);
        self.change(fact, is_counted, limits, warnings);
        Ok(())
    }

    /// Adds an id to a person; its version stays.
    fn adopt(&mut self, distinct_id: &str, id: Uuid) -> bool {
        self.known(distinct_id).person = Some(id);
        if let Some(person) = self.persons.get_mut(&id) {
            person.id_count += 1;
        }
        false
    }

    fn absorb(
        &mut self,
        fact: &Fact,
        (mut target, source): (Person, Person),
        limits: Limits,
        warnings: &mut Vec<Warning>,
    ) {
        let mut properties = source.properties;
        properties.extend(std::mem::take(&mut target.properties));
        if is_within(&properties, limits) {
            target.properties = properties;
        } else if let Some(kept) = self.persons.get(&target.id) {
            target.properties.clone_from(&kept.properties);
            warnings.push(warning(fact, WarningKind::PropertiesSize, json!({ "limit_bytes": limits.property_bytes })));
        }
        target.created_at = target.created_at.min(source.created_at);
        target.version = target.version.max(source.version) + 1;
        target.id_count += source.id_count;
        target.last = target.last.max(source.last);
        for known in self.ids.values_mut().filter(|known| known.person == Some(source.id)) {
            known.person = Some(target.id);
        }
        self.moves.push((source.id, target.id));
        self.persons.remove(&source.id);
        self.persons.insert(target.id, target);
    }

    /// Every listed id that is still the person's gets a person of its own.
    fn split(&mut self, fact: &Fact) {
        let Some(main) = self.person_of(&fact.distinct_id).cloned() else { return };
        for distinct_id in fact.changes.ids.iter().filter(|id| **id != fact.distinct_id) {
            if self.ids.get(distinct_id).and_then(|known| known.person) != Some(main.id) {
                continue;
            }
            let mut id = self.seed(distinct_id);
            if id == main.id {
                id = person_id(&self.project_id.to_string(), &format!("{distinct_id}:split"));
            }
            let person = Person {
                id,
                created_at: fact.at,
                properties: Map::new(),
                is_identified: false,
                version: main.version + 1,
                id_count: 1,
                last: fact.moment(),
            };
            self.persons.insert(id, person);
            self.known(distinct_id).person = Some(id);
            if let Some(main) = self.persons.get_mut(&main.id) {
                main.id_count -= 1;
            }
        }
        if let Some(main) = self.persons.get_mut(&main.id) {
            main.properties = changed(&main.properties, &fact.changes);
            main.version += 1;
        }
    }
}

/// What properties become: `$set` over what is there over `$set_once`, and `$unset` wins.
#[must_use]
pub fn changed(properties: &Map<String, Value>, changes: &Changes) -> Map<String, Value> {
    let mut outcome = changes.set_once.clone();
    outcome.extend(properties.clone());
    outcome.extend(changes.set.clone());
    outcome.retain(|key, _| !changes.unset.contains(key));
    outcome
}

fn is_within(properties: &Map<String, Value>, limits: Limits) -> bool {
    serde_json::to_string(properties).is_ok_and(|text| text.len() <= limits.property_bytes)
}

fn warning(fact: &Fact, kind: WarningKind, detail: Value) -> Warning {
    let (event_uuid, distinct_id) = (fact.uuid, fact.distinct_id.clone());
    Warning { kind, event_uuid, distinct_id, detail, at: fact.at }
}
