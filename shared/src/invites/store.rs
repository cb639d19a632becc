//! Queries on `invites`.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect, sea_query::Expr,
};

use super::{
    InviteId,
    entity::{ActiveModel, Column, Entity, Model},
};
use crate::{
    clock::Timestamp,
    db,
    orgs::{OrgId, Role},
    users::{Email, UserId},
};

/// What a new row says.
pub(super) struct Request<'a> {
    pub org_id: OrgId,
    pub email: &'a Email,
    pub role: Role,
    pub invited_by: Option<UserId>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

fn is_live(now: Timestamp) -> Condition {
    Condition::all().add(Column::AcceptedAt.is_null()).add(Column::RevokedAt.is_null()).add(Column::ExpiresAt.gt(now))
}

/// Adds an invite in place of earlier ones of the same address to the same organization.
pub(super) async fn insert<C: ConnectionTrait>(db: &C, request: Request<'_>) -> Result<Model, DbErr> {
    Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(request.created_at))
        .filter(Column::OrganizationId.eq(request.org_id))
        .filter(Column::AddressNormalised.eq(request.email.normalised()))
        .filter(is_live(request.created_at))
        .exec(db)
        .await?;
    let row = ActiveModel {
        id: Set(InviteId::next()),
        organization_id: Set(request.org_id),
        address: Set(request.email.address().to_owned()),
        address_normalised: Set(request.email.normalised().to_owned()),
        role: Set(request.role),
        invited_by: Set(request.invited_by),
        claimed_by: Set(None),
        created_at: Set(request.created_at),
        expires_at: Set(request.expires_at),
        accepted_at: Set(None),
        revoked_at: Set(None),
    };
    Entity::insert(row).exec_with_returning(db).await
}

/// The invite with this id, while it can be accepted.
pub(super) async fn find_live<C: ConnectionTrait>(
    db: &C,
    id: InviteId,
    now: Timestamp,
) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(is_live(now)).one(db).await
}

/// The invites of an organization that can be accepted, the newest first, from after `before` on.
pub(super) async fn list<C: ConnectionTrait>(
    db: &C,
    org_id: OrgId,
    (limit, before): (u64, Option<InviteId>),
    now: Timestamp,
) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::find().filter(Column::OrganizationId.eq(org_id)).filter(is_live(now));
    if let Some(before) = before {
        query = query.filter(Column::Id.lt(before));
    }
    query.order_by_desc(Column::Id).limit(limit).all(db).await
}

/// Takes an invite of an organization back. False when it has no such invite that can be accepted.
pub(super) async fn revoke<C: ConnectionTrait>(
    db: &C,
    org_id: OrgId,
    id: InviteId,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let update = Entity::update_many().col_expr(Column::RevokedAt, Expr::value(now)).filter(is_live(now));
    let result = update.filter(Column::Id.eq(id)).filter(Column::OrganizationId.eq(org_id)).exec(db).await?;
    Ok(result.rows_affected == 1)
}

/// Spends an invite. False when somebody else did, or it is no longer good.
pub(super) async fn consume<C: ConnectionTrait>(db: &C, id: InviteId, now: Timestamp) -> Result<bool, DbErr> {
    let update = Entity::update_many().col_expr(Column::AcceptedAt, Expr::value(now)).filter(is_live(now));
    Ok(update.filter(Column::Id.eq(id)).exec(db).await?.rows_affected == 1)
}

/// Remembers who signed up with an invite of this address.
pub(super) async fn claim<C: ConnectionTrait>(
    db: &C,
    id: InviteId,
    (user_id, email): (UserId, &Email),
    now: Timestamp,
) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::ClaimedBy, Expr::value(user_id))
        .filter(is_live(now))
        .filter(Column::Id.eq(id))
        .filter(Column::AddressNormalised.eq(email.normalised()))
        .exec(db)
        .await
        .map(|_| ())
}

/// The invites that a user signed up with and that can be accepted.
pub(super) async fn list_claimed<C: ConnectionTrait>(
    db: &C,
    user_id: UserId,
    now: Timestamp,
) -> Result<Vec<Model>, DbErr> {
    Entity::find().filter(Column::ClaimedBy.eq(user_id)).filter(is_live(now)).order_by_asc(Column::Id).all(db).await
}

/// Deletes up to `batch` invites that expired before `before`; returns how many.
///
/// # Errors
/// When the database fails.
pub async fn sweep<C: ConnectionTrait>(db: &C, before: Timestamp, batch: u64) -> Result<u64, DbErr> {
    db::sweep(db, Entity, Column::ExpiresAt, Column::ExpiresAt.lt(before), batch).await
}
