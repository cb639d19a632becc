//! Queries on `break_glass_codes`.

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, sea_query::Expr,
};

use super::{
    BreakGlassCodeId,
    entity::{Column, Entity, Model},
};
use crate::{clock::Timestamp, orgs::OrgId, users::UserId};

pub(super) async fn insert<C: ConnectionTrait>(db: &C, row: Model) -> Result<(), DbErr> {
    Entity::insert(row.into_active_model()).exec_without_returning(db).await.map(|_| ())
}

/// The code of an organization that nobody has used.
pub(super) async fn find_live<C: ConnectionTrait>(db: &C, org_id: OrgId) -> Result<Option<Model>, DbErr> {
    let live = Entity::find().filter(Column::OrganizationId.eq(org_id)).filter(Column::UsedAt.is_null());
    live.order_by_desc(Column::Id).one(db).await
}

/// Deletes the codes of an organization that nobody has used; returns how many.
pub(super) async fn delete_live<C: ConnectionTrait>(db: &C, org_id: OrgId) -> Result<u64, DbErr> {
    let delete = Entity::delete_many().filter(Column::OrganizationId.eq(org_id)).filter(Column::UsedAt.is_null());
    delete.exec(db).await.map(|result| result.rows_affected)
}

/// Spends a code of an organization. False when somebody else did, or it is gone.
pub(super) async fn spend<C: ConnectionTrait>(
    db: &C,
    (org_id, id): (OrgId, BreakGlassCodeId),
    user_id: UserId,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let result = Entity::update_many()
        .col_expr(Column::UsedBy, Expr::value(user_id))
        .col_expr(Column::UsedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::OrganizationId.eq(org_id))
        .filter(Column::UsedAt.is_null())
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}
