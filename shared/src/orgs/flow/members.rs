//! Use cases on members: who may change whom, and what may never happen to the last owner.

use sea_orm::{ConnectionTrait, DbErr};
use serde_json::json;

use super::{By, enter, record, refuse, require};
use crate::{
    audit::Outcome,
    clock::Timestamp,
    db::{self, Tx},
    kernel::Kernel,
    orgs::{Actor, OrgError, OrgId, Permission, Role, store},
    users::{self, User, UserId},
};

/// A user in an organization.
#[derive(Clone, Debug)]
pub struct Member {
    /// Who.
    pub user: User,
    /// As what.
    pub role: Role,
    /// Since when.
    pub created_at: Timestamp,
}

/// Whether someone of the role `own` may make a member of role `from` one of role `to`. Nobody raises anybody above
/// themselves or touches their equals, but owners do; everybody may step down.
fn may_change(own: Role, (from, to): (Role, Role), is_self: bool) -> bool {
    let may_touch = is_self || (own.may(Permission::ManageMembers) && from < own) || own.may(Permission::ManageOwners);
    may_touch && to <= own
}

/// Whether someone of the role `own` may remove a member of role `from`. Everybody may leave.
fn may_remove(own: Role, from: Role, is_self: bool) -> bool {
    may_change(own, (from, Role::Member), is_self)
}

/// The members of an organization, in the order of their ids, from after `page.1` on.
///
/// # Errors
/// When the actor is no member, or the database fails.
pub async fn list_members<C: ConnectionTrait>(
    db: &C,
    actor: &Actor,
    org_id: OrgId,
    page: (u64, Option<UserId>),
) -> Result<Vec<Member>, OrgError> {
    require(db, actor, org_id, Permission::View).await?;
    let rows = store::list_members(db, org_id, page).await?;
    let ids: Vec<UserId> = rows.iter().map(|row| row.user_id).collect();
    let users = users::list(db, &ids).await?;
    let find = |id| users.iter().find(|user| user.id == id).cloned();
    let members = rows
        .into_iter()
        .filter_map(|row| find(row.user_id).map(|user| Member { user, role: row.role, created_at: row.created_at }));
    Ok(members.collect())
}

/// Those who manage an organization and may sign in, at most `limit` of them.
///
/// # Errors
/// When the database fails.
pub async fn find_admins<C: ConnectionTrait>(db: &C, org_id: OrgId, limit: u64) -> Result<Vec<User>, DbErr> {
    let ids = store::list_admins(db, org_id, limit).await?;
    let mut users = users::list(db, &ids).await?;
    users.retain(User::is_active);
    Ok(users)
}

/// Gives a member another role.
///
/// # Errors
/// When there is no such member, the role of either does not allow it, or nobody would own the organization any more.
pub async fn update_member(
    kernel: &Kernel,
    by: By<'_>,
    org_id: OrgId,
    (user_id, role): (UserId, Role),
) -> Result<Member, OrgError> {
    const ACTION: &str = "orgs.update_member";
    let (tx, access) = enter(kernel, by, org_id, (Permission::View, ACTION)).await?;
    let present = store::find_role(&*tx, org_id, user_id).await?.ok_or(OrgError::NoMember)?;
    if !may_change(access.role, (present, role), by.actor.user_id == Some(user_id)) {
        refuse(kernel, tx, by, (org_id, ACTION), "forbidden").await?;
        return Err(OrgError::Forbidden);
    }
    if present == Role::Owner && role != Role::Owner && store::is_last_owner(&*tx, org_id, user_id).await? {
        refuse(kernel, tx, by, (org_id, ACTION), "last_owner").await?;
        return Err(OrgError::LastOwner);
    }
    if role != present {
        store::set_role(&*tx, org_id, user_id, role).await?;
        let detail = json!({ "member_id": user_id, "from": present.as_str(), "to": role.as_str() });
        record(kernel, &tx, by, org_id, (ACTION, Outcome::Success, detail)).await?;
    }
    let row = store::find_member(&*tx, org_id, user_id).await?.ok_or(OrgError::NoMember)?;
    let user = users::find(&*tx, user_id).await?.ok_or(OrgError::NoMember)?;
    tx.commit().await?;
    Ok(Member { user, role: row.role, created_at: row.created_at })
}

/// Removes a member, who may be the actor. Their access ends with the transaction: every request asks for membership.
///
/// # Errors
/// When there is no such member, the role of either does not allow it, or nobody would own the organization any more.
pub async fn remove_member(kernel: &Kernel, by: By<'_>, org_id: OrgId, user_id: UserId) -> Result<Role, OrgError> {
    const ACTION: &str = "orgs.remove_member";
    let (tx, access) = enter(kernel, by, org_id, (Permission::View, ACTION)).await?;
    let is_self = by.actor.user_id == Some(user_id);
    let role = store::find_role(&*tx, org_id, user_id).await?.ok_or(OrgError::NoMember)?;
    if !may_remove(access.role, role, is_self) {
        refuse(kernel, tx, by, (org_id, ACTION), "forbidden").await?;
        return Err(OrgError::Forbidden);
    }
    if role == Role::Owner && store::is_last_owner(&*tx, org_id, user_id).await? {
        refuse(kernel, tx, by, (org_id, ACTION), "last_owner").await?;
        return Err(OrgError::LastOwner);
    }
    store::delete_member(&*tx, org_id, user_id).await?;
    let detail = json!({ "member_id": user_id, "role": role.as_str(), "left": is_self });
    record(kernel, &tx, by, org_id, (ACTION, Outcome::Success, detail)).await?;
    tx.commit().await?;
    Ok(role)
}

/// Makes a user a member in the caller's transaction. False when they are one already, whose role stays; `None` when
/// there is no such organization any more.
///
/// # Errors
/// When the database fails.
pub async fn join(
    tx: &Tx,
    org_id: OrgId,
    (user_id, role): (UserId, Role),
    now: Timestamp,
) -> Result<Option<bool>, DbErr> {
    store::lock(&**tx, org_id).await?;
    if store::find(&**tx, org_id).await?.is_none() {
        return Ok(None);
    }
    if store::find_role(&**tx, org_id, user_id).await?.is_some() {
        return Ok(Some(false));
    }
    match store::insert_member(&**tx, org_id, user_id, role, now).await {
        Err(err) if db::is_unique_violation(&err) => Ok(Some(false)),
        outcome => outcome.map(|()| Some(true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLES: [Role; 3] = [Role::Member, Role::Admin, Role::Owner];

    #[test]
    fn nobody_raises_above_themselves_and_only_owners_touch_their_equals() {
        for (own, from, to) in ROLES
            .iter()
            .flat_map(|own| ROLES.iter().flat_map(move |from| ROLES.iter().map(move |to| (*own, *from, *to))))
        {
            let expected = match own {
                Role::Owner => true,
                Role::Admin => from == Role::Member && to <= Role::Admin,
                Role::Member => false,
            };
            assert_eq!(may_change(own, (from, to), false), expected, "{own:?} makes {from:?} {to:?}");
        }
    }

    #[test]
    fn everybody_may_step_down_and_leave() {
        for own in ROLES {
            assert!(may_remove(own, own, true));
            for to in ROLES {
                assert_eq!(may_change(own, (own, to), true), to <= own, "{own:?} to {to:?}");
            }
        }
    }
}
