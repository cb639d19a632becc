//! Queries on `organizations` and `organization_members`.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait,
};

use super::{
    OrgId, Role,
    entity::{ActiveModel, Column, Entity, Model, member},
};
use crate::{clock::Timestamp, users::UserId};

/// The organization with this id.
///
/// # Errors
/// When the database fails.
pub async fn find<C: ConnectionTrait>(db: &C, id: OrgId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).one(db).await
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
    let organizations = Entity::find().filter(Column::Id.is_in(ids)).order_by_asc(Column::Id).all(db).await?;
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
        allows_query_api_keys: Set(true),
        created_at: Set(now),
        updated_at: Set(now),
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
