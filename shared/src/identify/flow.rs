//! Use cases: applying facts, the merge of a sign-in, splitting and deleting a person.

use std::collections::BTreeSet;

use sea_orm::DbErr;
use serde_json::json;
use uuid::Uuid;

use super::{
    ApplyFacts, NAMESPACE, RecordSignIn, accept,
    event::{Warning, WarningKind},
    fact::{Changes, Deed, Fact, is_illegal},
    merge::{Limits, State, TooLarge},
    store,
};
use crate::{
    chaos,
    clock::Timestamp,
    db::Tx,
    jobs,
    kernel::Kernel,
    projects::ProjectId,
    users::{self, UserId},
};

/// Ids that one replay covers.
const COMPONENT_IDS: usize = 20_000;
/// How often a component is looked up again that grew meanwhile.
const TRIES: usize = 16;

/// Why facts are not applied.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// A merge is too large, and was found to be so before.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// The database failed, or another worker was faster.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

/// What a job works on. Nobody else changes it until the transaction ends.
struct Part {
    before: State,
    /// Facts of the job that are later than all that their persons have seen.
    in_order: Vec<Fact>,
    /// Those that are not.
    late: Vec<Fact>,
    /// The ids that merges connect with the late ones, and all facts about them; `None` when they are too many.
    component: Option<(BTreeSet<String>, Vec<Fact>)>,
}

/// Makes persons what these facts say: those that are later than all that their persons have seen are applied to them,
/// and the components of the others are replayed. A merge that is too large is put aside into a job of its own.
///
/// # Errors
/// When the database fails, or a merge that was put aside is still too large. Nothing may be committed then.
pub async fn apply(kernel: &Kernel, tx: &Tx, job: &ApplyFacts) -> Result<(), ApplyError> {
    let project_id = job.project_id;
    store::plan_anew(tx).await?;
    let Some(Part { before, in_order: mut facts, late, component }) = hold(tx, job).await? else { return Ok(()) };
    let mut aside = Vec::new();
    if !late.is_empty() {
        match replay(tx, &before, component, &late).await {
            Ok(replayed) => facts.retain(|fact| !replayed.contains(&fact.uuid)),
            Err(ApplyError::TooLarge(_)) if !job.is_oversized => aside = late,
            Err(error) => return Err(error),
        }
    }
    let (mut after, mut warnings, mut applied) = (before.clone(), Vec::new(), Vec::new());
    for fact in facts {
        match after.apply(&fact, Limits::default()) {
            Ok(about) => {
                warnings.extend(about);
                applied.push(fact.uuid);
            }
            Err(error) if job.is_oversized => return Err(error.into()),
            Err(_) => aside.push(fact),
        }
    }
    store::save(tx, &before, &after).await?;
    chaos::point("merge.mid_tx");
    store::mark_applied(tx, project_id, &applied).await?;
    for fact in aside {
        warnings.push(put_aside(kernel, tx, project_id, &fact).await?);
    }
    accept::insert_warnings(tx, project_id, &warnings).await?;
    Ok(())
}

/// Locks what the open facts of a job look at, and the components of those that come late. What is to be locked is only
/// known once some of it is: then all is given back, and locked together. `None` when no fact is open.
async fn hold(tx: &Tx, job: &ApplyFacts) -> Result<Option<Part>, ApplyError> {
    let open = || store::pending(tx, job.project_id, &job.fact_ids);
    let mut ids = owned(&ids_of(&open().await?));
    for _ in 0..TRIES {
        if ids.is_empty() {
            return Ok(None);
        }
        let before = store::load(tx, job.project_id, &ids.iter().map(String::as_str).collect()).await?;
        // Another worker may have applied some before the locks were free.
        let (in_order, late): (Vec<_>, Vec<_>) = open().await?.into_iter().partition(|fact| before.is_in_order(fact));
        let Some(component) = store::closure(tx, job.project_id, &ids_of(&late), COMPONENT_IDS).await? else {
            return Ok(Some(Part { before, in_order, late, component: None }));
        };
        if component.is_subset(&ids) {
            let facts = store::facts_of(tx, job.project_id, &component.iter().map(String::as_str).collect()).await?;
            // A fact may have arrived in between that connects it with further ids.
            if ids_of(&facts).iter().all(|id| component.contains(*id)) {
                return Ok(Some(Part { before, in_order, late, component: Some((component, facts)) }));
            }
        }
        store::unload(tx).await?;
        ids.extend(component);
    }
    Err(DbErr::Custom("the component grows all the time".to_owned()).into())
}

fn owned(ids: &BTreeSet<&str>) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

fn ids_of(facts: &[Fact]) -> BTreeSet<&str> {
    facts.iter().flat_map(Fact::ids).collect()
}

/// Gives a fact a job of its own, which dies if the fact is still too large.
async fn put_aside(kernel: &Kernel, tx: &Tx, project_id: ProjectId, fact: &Fact) -> Result<Warning, DbErr> {
    let job = ApplyFacts { project_id, fact_ids: vec![fact.uuid], is_oversized: true };
    jobs::enqueue(tx, kernel.clock.as_ref(), &job).await?;
    Ok(Warning {
        kind: WarningKind::MergeTooLarge,
        event_uuid: fact.uuid,
        distinct_id: fact.distinct_id.clone(),
        detail: json!({ "limit_ids": COMPONENT_IDS, "other_distinct_id": fact.other() }),
        at: fact.at,
    })
}

/// Replays all facts that merges connect with the late ones, in their order. Returns which facts that were.
async fn replay(
    tx: &Tx,
    before: &State,
    component: Option<(BTreeSet<String>, Vec<Fact>)>,
    late: &[Fact],
) -> Result<BTreeSet<Uuid>, ApplyError> {
    let blamed = TooLarge(late.first().map_or_else(Uuid::nil, |fact| fact.uuid));
    let (ids, facts) = component.ok_or(blamed)?;
    let (before, project_id) = (before.part(&ids), before.project_id);
    let mut after = State::of(project_id);
    for (id, known) in &before.ids {
        after.ids.entry(id.clone()).or_default().buried = known.buried;
    }
    let mut warnings = Vec::new();
    for fact in &facts {
        warnings.extend(after.apply(fact, Limits::default())?);
    }
    // All ids are here: what each became is written, not the way there.
    after.moves.clear();
    store::save(tx, &before, &after).await?;
    chaos::point("merge.mid_tx");
    let uuids: Vec<Uuid> = facts.iter().map(|fact| fact.uuid).collect();
    store::forget_warnings(tx, project_id, &uuids).await?;
    accept::insert_warnings(tx, project_id, &warnings).await?;
    store::mark_applied(tx, project_id, &uuids).await?;
    Ok(uuids.into_iter().collect())
}

/// Merges what an anonymous client did into the user who signed in with it. The fact's id is made of the session and the
/// anonymous id, so that it exists once, beside whatever the client itself says.
///
/// # Errors
/// As [`apply`].
pub async fn record_sign_in(kernel: &Kernel, tx: &Tx, job: RecordSignIn) -> Result<(), ApplyError> {
    let (user, anonymous) = (job.user_id.to_string(), job.anonymous_distinct_id);
    let uuid = Uuid::new_v5(&NAMESPACE, format!("signin:{}:{anonymous}", job.session_id).as_bytes());
    if anonymous == user || is_illegal(&anonymous) {
        return Ok(());
    }
    if let Ok(id) = anonymous.parse()
        && users::find(&**tx, UserId(id)).await?.is_some()
    {
        let detail = json!({ "other_distinct_id": anonymous });
        let kind = WarningKind::UserAsAnonymous;
        let warning = Warning { kind, event_uuid: uuid, distinct_id: user, detail, at: job.signed_in_at };
        return Ok(accept::insert_warnings(tx, job.project_id, &[warning]).await?);
    }
    let deed = Deed::Merge { other: anonymous, is_unguarded: false };
    let fact = Fact { uuid, at: job.signed_in_at, distinct_id: user, deed, changes: Changes::default() };
    publish(kernel, tx, job.project_id, fact).await
}

/// Adds a fact of Gatepost's own and applies it.
async fn publish(kernel: &Kernel, tx: &Tx, project_id: ProjectId, fact: Fact) -> Result<(), ApplyError> {
    let fact_ids = vec![fact.uuid];
    accept::insert_facts(tx, project_id, &[fact]).await?;
    apply(kernel, tx, &ApplyFacts { project_id, fact_ids, is_oversized: false }).await
}

/// Gives every id of a person but `main` a person of its own. Without a `main`, the properties go, too. False when there
/// is no such person, or `main` is not its id.
///
/// # Errors
/// As [`apply`].
pub async fn split(
    kernel: &Kernel,
    tx: &Tx,
    (project_id, person_id): (ProjectId, Uuid),
    main: Option<&str>,
) -> Result<bool, ApplyError> {
    let ids = store::ids_of_person(tx, project_id, person_id).await?;
    let before = store::load(tx, project_id, &ids.iter().map(String::as_str).collect()).await?;
    let kept = main.or(ids.first().map(String::as_str)).filter(|main| ids.iter().any(|id| id == main));
    let (Some(kept), Some(person)) = (kept, before.persons.get(&person_id)) else { return Ok(false) };
    let unset = if main.is_some() { Vec::new() } else { person.properties.keys().cloned().collect() };
    let others = ids.iter().filter(|id| *id != kept).cloned().collect();
    let fact = Fact {
        uuid: crate::ids::next(),
        // After everything that the person has seen, also from a gateway whose clock is ahead.
        at: kernel.clock.now().max(Timestamp(person.last.0.0 + 1)),
        distinct_id: kept.to_owned(),
        deed: Deed::Split,
        changes: Changes { unset, ids: others, ..Changes::default() },
    };
    publish(kernel, tx, project_id, fact).await?;
    Ok(true)
}

/// Deletes a person with all that it was made of; nothing that happened until now brings it back. False when there is no
/// such person.
///
/// # Errors
/// When the database fails.
pub async fn delete(kernel: &Kernel, tx: &Tx, (project_id, person_id): (ProjectId, Uuid)) -> Result<bool, DbErr> {
    let ids = store::ids_of_person(tx, project_id, person_id).await?;
    let ids: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
    let before = store::load(tx, project_id, &ids).await?;
    if !before.persons.contains_key(&person_id) || before.persons.len() > 1 {
        return if before.persons.is_empty() {
            Ok(false)
        } else {
            Err(DbErr::Custom("the person was merged".to_owned()))
        };
    }
    let last = before.persons.values().map(|person| person.last.0).max();
    let until = kernel.clock.now().max(last.unwrap_or(Timestamp(0)));
    store::bury(tx, project_id, &ids, until).await?;
    Ok(true)
}

/// Deletes the persons of a user in all projects. Nothing brings them back, whenever it happens.
///
/// # Errors
/// When the database fails.
pub async fn delete_of_user(kernel: &Kernel, tx: &Tx, user_id: UserId) -> Result<(), DbErr> {
    let id = user_id.to_string();
    for person in store::persons_of_id(tx, &id).await? {
        delete(kernel, tx, person).await?;
    }
    store::entomb(tx, ProjectId(Uuid::nil()), &BTreeSet::from([id.as_str()]), Timestamp(i64::MAX)).await
}
