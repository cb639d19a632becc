//! Use cases: the rules of a user, a change of a policy, and telling members of it.

use sea_orm::{ConnectionTrait, DbErr};
use uuid::Uuid;

use super::{Demand, NotifyMembers, NotifyTwoFactorRequired, Rules, Shortfall};
use crate::{
    audit,
    clock::Clock,
    db::Tx,
    jobs,
    orgs::{self, Actor, OrgId, Organization},
    users::{self, User, UserId},
};

/// Members whose notices are enqueued in one transaction.
const BATCH: u64 = 200;

/// What all organizations of a user demand together.
///
/// # Errors
/// When the database fails.
pub async fn rules_of<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<Rules, DbErr> {
    Ok(Rules::of(&orgs::of_user(db, user_id).await?))
}

/// What a change of a policy means: who changes the demand must meet it, and members are told of a demand that is new.
/// Belongs into the transaction of the change, whose audit row is `audit_id`. `Some` is what the actor lacks; the
/// transaction must then not commit.
///
/// # Errors
/// When the database fails.
pub async fn on_change(
    tx: &Tx,
    clock: &dyn Clock,
    actor: &Actor,
    (before, after): (&Organization, &Organization),
    audit_id: Uuid,
) -> Result<Option<Shortfall>, DbErr> {
    let (was, demand) = (Demand::of(before), Demand::of(after));
    if was == demand || demand.is_none() {
        return Ok(None);
    }
    if let Some(shortfall) = actor.credential.shortfall(after) {
        return Ok(Some(shortfall));
    }
    if was.is_none() {
        let (organization_id, after_user_id) = (after.id, UserId(Uuid::nil()));
        jobs::enqueue(tx, clock, &NotifyMembers { organization_id, audit_id, after_user_id }).await?;
    }
    Ok(None)
}

/// Enqueues the notices of one batch of members, and the next batch if there may be one. Whoever made the change knows.
///
/// # Errors
/// When the database fails.
pub async fn tell_members(tx: &Tx, clock: &dyn Clock, job: &NotifyMembers) -> Result<(), DbErr> {
    let NotifyMembers { organization_id, audit_id, after_user_id } = *job;
    let organization = orgs::find(&**tx, organization_id).await?;
    if !organization.is_some_and(|organization| organization.enforces_two_factor) {
        return Ok(());
    }
    let changed_by = audit::find(&**tx, audit_id).await?.and_then(|event| event.user_id).map(UserId);
    let members = orgs::member_ids(&**tx, organization_id, after_user_id, BATCH).await?;
    for user_id in members.iter().copied().filter(|user_id| Some(*user_id) != changed_by) {
        jobs::enqueue(tx, clock, &NotifyTwoFactorRequired { organization_id, user_id, audit_id }).await?;
    }
    let is_full = u64::try_from(members.len()).is_ok_and(|count| count == BATCH);
    if let Some(after_user_id) = members.last().copied().filter(|_| is_full) {
        jobs::enqueue(tx, clock, &NotifyMembers { organization_id, audit_id, after_user_id }).await?;
    }
    Ok(())
}

/// Whom to tell about which organization; `None` when it no longer demands a factor, or the user left or is disabled.
///
/// # Errors
/// When the database fails.
pub async fn required_notice<C: ConnectionTrait>(
    db: &C,
    (organization_id, user_id): (OrgId, UserId),
) -> Result<Option<(User, Organization)>, DbErr> {
    let organization = orgs::find(db, organization_id).await?.filter(|found| found.enforces_two_factor);
    let is_member = orgs::find_role(db, organization_id, user_id).await?.is_some();
    let user = users::find(db, user_id).await?.filter(|user| is_member && user.is_active());
    Ok(user.zip(organization))
}
