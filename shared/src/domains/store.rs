//! Queries on `organization_domains`.

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, UpdateMany,
    sea_query::{Expr, ExprTrait},
};

use super::{
    DomainId,
    entity::{ActiveModel, Column, Entity, Model},
};
use crate::{clock::Timestamp, orgs::OrgId};

pub(super) async fn insert<C: ConnectionTrait>(db: &C, row: Model) -> Result<(), DbErr> {
    Entity::insert(row.into_active_model()).exec_without_returning(db).await.map(|_| ())
}

/// A domain of an organization.
pub(super) async fn find<C: ConnectionTrait>(db: &C, org_id: OrgId, id: DomainId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::OrganizationId.eq(org_id)).one(db).await
}

/// The domains of an organization, the newest first, from after `before` on.
pub(super) async fn list<C: ConnectionTrait>(
    db: &C,
    org_id: OrgId,
    (limit, before): (u64, Option<DomainId>),
) -> Result<Vec<Model>, DbErr> {
    let mut query = Entity::find().filter(Column::OrganizationId.eq(org_id));
    if let Some(before) = before {
        query = query.filter(Column::Id.lt(before));
    }
    query.order_by_desc(Column::Id).limit(limit).all(db).await
}

/// How many domains an organization claims.
pub(super) async fn count<C: ConnectionTrait>(db: &C, org_id: OrgId) -> Result<u64, DbErr> {
    Entity::find().filter(Column::OrganizationId.eq(org_id)).count(db).await
}

/// The rows that may say something about addresses at one of these domains: the proven ones, and those that still demand
/// a provider after their proof was lost.
pub(super) async fn governing<C: ConnectionTrait>(db: &C, domains: &[&str]) -> Result<Vec<Model>, DbErr> {
    let says_something =
        Condition::any().add(Column::VerifiedAt.is_not_null()).add(Column::SsoEnforcement.is_not_null());
    Entity::find().filter(Column::Domain.is_in(domains.iter().copied())).filter(says_something).all(db).await
}

/// The beginning of a change of a row, which fails when the row has changed since it was read.
fn change(seen: &Model, now: Timestamp) -> UpdateMany<Entity> {
    Entity::update_many()
        .set(ActiveModel { revision: Set(seen.revision + 1), updated_at: Set(now), ..ActiveModel::default() })
        .filter(Column::Id.eq(seen.id))
        .filter(Column::OrganizationId.eq(seen.organization_id))
        .filter(Column::Revision.eq(seen.revision))
}

async fn is_done<C: ConnectionTrait>(db: &C, update: UpdateMany<Entity>) -> Result<bool, DbErr> {
    Ok(update.exec(db).await?.rows_affected == 1)
}

/// Writes the settings of a row. False when it has changed since it was read.
pub(super) async fn set_settings<C: ConnectionTrait>(
    db: &C,
    (seen, wanted): (&Model, &Model),
    now: Timestamp,
) -> Result<bool, DbErr> {
    let update = change(seen, now)
        .col_expr(Column::JitProvisioning, Expr::value(wanted.jit_provisioning))
        .col_expr(Column::SsoEnforcement, Expr::value(wanted.sso_enforcement.clone()))
        .col_expr(Column::IncludeSubdomains, Expr::value(wanted.include_subdomains));
    is_done(db, update).await
}

/// Records that a domain was proven. False when the row has changed since it was read; a unique violation when another
/// organization was faster.
pub(super) async fn verify<C: ConnectionTrait>(db: &C, seen: &Model, now: Timestamp) -> Result<bool, DbErr> {
    let update = change(seen, now)
        .col_expr(Column::VerifiedAt, Expr::value(now))
        .col_expr(Column::LastCheckedAt, Expr::value(now))
        .col_expr(Column::FailedChecks, Expr::value(0))
        .col_expr(Column::LostAt, Expr::value(None::<Timestamp>))
        .filter(Column::VerifiedAt.is_null());
    is_done(db, update).await
}

/// Ends what other organizations, which lost their proof, still demand of a domain that was proven anew.
pub(super) async fn release_others<C: ConnectionTrait>(db: &C, proven: &Model, now: Timestamp) -> Result<(), DbErr> {
    Entity::update_many()
        .col_expr(Column::SsoEnforcement, Expr::value(None::<String>))
        .col_expr(Column::Revision, Expr::col(Column::Revision).add(1))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Domain.eq(proven.domain.as_str()))
        .filter(Column::Id.ne(proven.id))
        .filter(Column::VerifiedAt.is_null())
        .filter(Column::SsoEnforcement.is_not_null())
        .exec(db)
        .await
        .map(|_| ())
}

/// Records how many checks in a row found no proof. False when the row has changed since it was read.
pub(super) async fn record_check<C: ConnectionTrait>(
    db: &C,
    seen: &Model,
    failed_checks: i32,
    now: Timestamp,
) -> Result<bool, DbErr> {
    let update = change(seen, now)
        .col_expr(Column::LastCheckedAt, Expr::value(now))
        .col_expr(Column::FailedChecks, Expr::value(failed_checks));
    is_done(db, update).await
}

/// Takes the proof from a row: nobody joins by it any more, and what it demands stays. False when the row has changed
/// since it was read.
pub(super) async fn lose<C: ConnectionTrait>(db: &C, seen: &Model, now: Timestamp) -> Result<bool, DbErr> {
    let update = change(seen, now)
        .col_expr(Column::VerifiedAt, Expr::value(None::<Timestamp>))
        .col_expr(Column::LastCheckedAt, Expr::value(now))
        .col_expr(Column::FailedChecks, Expr::value(0))
        .col_expr(Column::LostAt, Expr::value(now))
        .col_expr(Column::JitProvisioning, Expr::value(false));
    is_done(db, update).await
}

/// Up to `limit` proven domains that were checked before `before`, in the order of their ids, from after `after` on.
pub(super) async fn list_due<C: ConnectionTrait>(
    db: &C,
    before: Timestamp,
    (limit, after): (u64, DomainId),
) -> Result<Vec<Model>, DbErr> {
    Entity::find()
        .filter(Column::VerifiedAt.is_not_null())
        .filter(Column::LastCheckedAt.lt(before))
        .filter(Column::Id.gt(after))
        .order_by_asc(Column::Id)
        .limit(limit)
        .all(db)
        .await
}

/// Deletes a domain of an organization. False when it has no such domain.
pub(super) async fn delete<C: ConnectionTrait>(db: &C, org_id: OrgId, id: DomainId) -> Result<bool, DbErr> {
    let delete = Entity::delete_many().filter(Column::Id.eq(id)).filter(Column::OrganizationId.eq(org_id));
    Ok(delete.exec(db).await?.rows_affected == 1)
}

/// Deletes all domains of an organization, whose addresses are free from then on.
///
/// # Errors
/// When the database fails.
pub async fn remove_all<C: ConnectionTrait>(db: &C, org_id: OrgId) -> Result<(), DbErr> {
    Entity::delete_many().filter(Column::OrganizationId.eq(org_id)).exec(db).await.map(|_| ())
}
