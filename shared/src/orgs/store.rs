//! Queries on `organizations` and `organization_members`.

use sea_orm::{
    ActiveValue::{self, Set},
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Expr, LockType},
};

use super::{
    OrgId, PolicyChange, Role, Span,
    entity::{ActiveModel, Column, Entity, Model, member},
};
use crate::{
    clock::Timestamp,
    users::{self, User, UserId},
};

/// The organization with this id, unless it was deleted.
///
/// # Errors
/// When the database fails.
pub async fn find<C: ConnectionTrait>(db: &C, id: OrgId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::DeletedAt.is_null()).one(db).await
}

/// Makes further transactions that change this organization wait for this one. SQLite has one writer anyway.
///
/// # Errors
/// When the database fails.
pub async fn lock<C: ConnectionTrait>(db: &C, id: OrgId) -> Result<(), DbErr> {
    // Rows that merely refer to the organization may still be added.
    Entity::find_by_id(id).lock(LockType::NoKeyUpdate).one(db).await.map(|_| ())
}

/// What a user is in an organization.
///
/// # Errors
/// When the database fails.
pub async fn find_role<C: ConnectionTrait>(db: &C, id: OrgId, user_id: UserId) -> Result<Option<Role>, DbErr> {
    let row = member::Entity::find_by_id((id, user_id)).one(db).await?;
    Ok(row.map(|row| row.role))
}

/// The organizations of a user with the role in each, in the order of their creation.
///
/// # Errors
/// When the database fails.
pub async fn list_of_user<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<Vec<(Model, Role)>, DbErr> {
    let memberships = member::Entity::find().filter(member::Column::UserId.eq(user_id)).all(db).await?;
    let ids = memberships.iter().map(|membership| membership.organization_id);
    let existing = Entity::find().filter(Column::Id.is_in(ids)).filter(Column::DeletedAt.is_null());
    let organizations = existing.order_by_asc(Column::Id).all(db).await?;
    let role = |id| memberships.iter().find(|membership| membership.organization_id == id).map(|row| row.role);
    Ok(organizations.into_iter().filter_map(|row| role(row.id).map(|role| (row, role))).collect())
}

/// The organizations of a user, in no order.
///
/// # Errors
/// When the database fails.
pub async fn of_user<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<Vec<Model>, DbErr> {
    let memberships = member::Entity::find()
        .select_only()
        .column(member::Column::OrganizationId)
        .filter(member::Column::UserId.eq(user_id))
        .into_query();
    Entity::find().filter(Column::Id.in_subquery(memberships)).all(db).await
}

/// Up to `limit` members, those after `after` in the order of their ids.
///
/// # Errors
/// When the database fails.
pub async fn member_ids<C: ConnectionTrait>(
    db: &C,
    id: OrgId,
    after: UserId,
    limit: u64,
) -> Result<Vec<UserId>, DbErr> {
    let members = member::Entity::find()
        .filter(member::Column::OrganizationId.eq(id))
        .filter(member::Column::UserId.gt(after))
        .order_by_asc(member::Column::UserId)
        .limit(limit);
    Ok(members.all(db).await?.into_iter().map(|row| row.user_id).collect())
}

/// Adds an organization with the policy that nothing is demanded.
///
/// # Errors
/// When the database fails.
pub(super) async fn insert<C: ConnectionTrait>(db: &C, name: &str, now: Timestamp) -> Result<OrgId, DbErr> {
    let id = OrgId::next();
    let row = ActiveModel {
        id: Set(id),
        name: Set(name.to_owned()),
        enforces_two_factor: Set(false),
        allows_email_mfa: Set(false),
        trusts_idp_mfa: Set(false),
        session_age_seconds: Set(None),
        trusted_device_seconds: Set(None),
        allows_member_api_keys: Set(true),
        // What stands in a query stands in the logs of proxies; whoever needs it turns it on.
        allows_query_api_keys: Set(false),
        created_at: Set(now),
        updated_at: Set(now),
        deleted_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(id)
}

/// Adds a member.
///
/// # Errors
/// A unique violation when the user is one already.
pub(super) async fn insert_member<C: ConnectionTrait>(
    db: &C,
    id: OrgId,
    user_id: UserId,
    role: Role,
    now: Timestamp,
) -> Result<(), DbErr> {
    let row =
        member::ActiveModel { organization_id: Set(id), user_id: Set(user_id), role: Set(role), created_at: Set(now) };
    member::Entity::insert(row).exec_without_returning(db).await.map(|_| ())
}

/// Changes the name and the policy; `None` when there is no such organization.
pub(super) async fn update<C: ConnectionTrait>(
    db: &C,
    id: OrgId,
    (name, policy): (Option<&str>, &PolicyChange),
    now: Timestamp,
) -> Result<Option<Model>, DbErr> {
    let flag = |value: Option<bool>| value.map_or(ActiveValue::NotSet, Set);
    let span = |span| match span {
        Span::Keep => ActiveValue::NotSet,
        Span::Clear => Set(None),
        Span::Seconds(seconds) => Set(Some(seconds)),
    };
    let row = ActiveModel {
        name: name.map_or(ActiveValue::NotSet, |name| Set(name.to_owned())),
        enforces_two_factor: flag(policy.enforces_two_factor),
        allows_email_mfa: flag(policy.allows_email_mfa),
        trusts_idp_mfa: flag(policy.trusts_idp_mfa),
        session_age_seconds: span(policy.session_age),
        trusted_device_seconds: span(policy.trusted_device),
        allows_member_api_keys: flag(policy.allows_member_api_keys),
        allows_query_api_keys: flag(policy.allows_query_api_keys),
        updated_at: Set(now),
        ..ActiveModel::default()
    };
    let changed = Entity::update_many().set(row).filter(Column::Id.eq(id)).filter(Column::DeletedAt.is_null());
    Ok(changed.exec_with_returning(db).await?.into_iter().next())
}

/// How many organizations a user owns.
pub(super) async fn count_owned<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<u64, DbErr> {
    let owned = member::Entity::find().filter(member::Column::UserId.eq(user_id));
    owned.filter(member::Column::Role.eq(Role::Owner)).count(db).await
}

/// One member.
pub(super) async fn find_member<C: ConnectionTrait>(
    db: &C,
    id: OrgId,
    user_id: UserId,
) -> Result<Option<member::Model>, DbErr> {
    member::Entity::find_by_id((id, user_id)).one(db).await
}

/// Members in the order of their ids, from after `after` on.
pub(super) async fn list_members<C: ConnectionTrait>(
    db: &C,
    id: OrgId,
    (limit, after): (u64, Option<UserId>),
) -> Result<Vec<member::Model>, DbErr> {
    let mut query = member::Entity::find().filter(member::Column::OrganizationId.eq(id));
    if let Some(after) = after {
        query = query.filter(member::Column::UserId.gt(after));
    }
    query.order_by_asc(member::Column::UserId).limit(limit).all(db).await
}

/// Members who are admins or owners.
pub(super) async fn list_admins<C: ConnectionTrait>(db: &C, id: OrgId, limit: u64) -> Result<Vec<UserId>, DbErr> {
    let rows = member::Entity::find()
        .filter(member::Column::OrganizationId.eq(id))
        .filter(member::Column::Role.is_in([Role::Admin, Role::Owner]))
        .order_by_asc(member::Column::UserId)
        .limit(limit)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(|row| row.user_id).collect())
}

/// Whether no other owner can sign in.
pub(super) async fn is_last_owner<C: ConnectionTrait>(db: &C, id: OrgId, user_id: UserId) -> Result<bool, DbErr> {
    let others = member::Entity::find()
        .filter(member::Column::OrganizationId.eq(id))
        .filter(member::Column::Role.eq(Role::Owner))
        .filter(member::Column::UserId.ne(user_id))
        .all(db)
        .await?;
    let ids: Vec<UserId> = others.iter().map(|row| row.user_id).collect();
    Ok(!users::list(db, &ids).await?.iter().any(User::is_active))
}

/// Gives a member another role.
pub(super) async fn set_role<C: ConnectionTrait>(db: &C, id: OrgId, user_id: UserId, role: Role) -> Result<(), DbErr> {
    member::Entity::update_many()
        .set(member::ActiveModel { role: Set(role), ..member::ActiveModel::default() })
        .filter(member::Column::OrganizationId.eq(id))
        .filter(member::Column::UserId.eq(user_id))
        .exec(db)
        .await
        .map(|_| ())
}

/// Removes a member.
pub(super) async fn delete_member<C: ConnectionTrait>(db: &C, id: OrgId, user_id: UserId) -> Result<(), DbErr> {
    member::Entity::delete_by_id((id, user_id)).exec(db).await.map(|_| ())
}

/// Removes all members.
pub(super) async fn delete_members<C: ConnectionTrait>(db: &C, id: OrgId) -> Result<(), DbErr> {
    member::Entity::delete_many().filter(member::Column::OrganizationId.eq(id)).exec(db).await.map(|_| ())
}

/// Records that an organization was deleted.
pub(super) async fn mark_deleted<C: ConnectionTrait>(db: &C, id: OrgId, now: Timestamp) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::DeletedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::DeletedAt.is_null())
        .exec(db)
        .await
        .map(|_| ())
}

/// Removes the row of an organization that was deleted, and everything that refers to it.
///
/// # Errors
/// When the database fails.
pub async fn purge<C: ConnectionTrait>(db: &C, id: OrgId) -> Result<(), DbErr> {
    let deleted = Entity::delete_many().filter(Column::Id.eq(id)).filter(Column::DeletedAt.is_not_null());
    deleted.exec(db).await.map(|_| ())
}
