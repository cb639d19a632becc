//! Queries on `projects`.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, sea_query::Expr,
};

use super::{
    ProjectId,
    entity::{ActiveModel, Column, Entity, Model},
};
use crate::{clock::Timestamp, orgs::OrgId};

/// The project with this id, whoever asks: for jobs and for code that has passed the gate.
///
/// # Errors
/// When the database fails.
pub async fn find<C: ConnectionTrait>(db: &C, id: ProjectId) -> Result<Option<Model>, DbErr> {
    Entity::find_by_id(id).filter(Column::DeletedAt.is_null()).one(db).await
}

/// The project that clients name by this token.
///
/// # Errors
/// When the database fails.
pub async fn find_by_token<C: ConnectionTrait>(db: &C, project_token: &str) -> Result<Option<Model>, DbErr> {
    let named = Entity::find().filter(Column::ProjectToken.eq(project_token));
    named.filter(Column::DeletedAt.is_null()).one(db).await
}

/// The projects of these organizations, in the order of their creation.
///
/// # Errors
/// When the database fails.
pub async fn list_of_organizations<C: ConnectionTrait>(db: &C, org_ids: &[OrgId]) -> Result<Vec<Model>, DbErr> {
    let of_them = Column::OrganizationId.is_in(org_ids.iter().copied());
    Entity::find().filter(of_them).filter(Column::DeletedAt.is_null()).order_by_asc(Column::Id).all(db).await
}

/// The projects of these organizations, in the order of their creation, from after `after` on.
pub(super) async fn page<C: ConnectionTrait>(
    db: &C,
    org_ids: &[OrgId],
    (limit, after): (u64, Option<ProjectId>),
) -> Result<Vec<Model>, DbErr> {
    let of_them = Column::OrganizationId.is_in(org_ids.iter().copied());
    let mut query = Entity::find().filter(of_them).filter(Column::DeletedAt.is_null());
    if let Some(after) = after {
        query = query.filter(Column::Id.gt(after));
    }
    query.order_by_asc(Column::Id).limit(limit).all(db).await
}

/// How many projects an organization has.
pub(super) async fn count<C: ConnectionTrait>(db: &C, org_id: OrgId) -> Result<u64, DbErr> {
    let of_it = Entity::find().filter(Column::OrganizationId.eq(org_id));
    of_it.filter(Column::DeletedAt.is_null()).count(db).await
}

/// Gives a project a name; `None` when there is no such project.
pub(super) async fn set_name<C: ConnectionTrait>(
    db: &C,
    id: ProjectId,
    name: &str,
    now: Timestamp,
) -> Result<Option<Model>, DbErr> {
    change(db, id, (Column::Name, name), now).await
}

/// Gives a project a token; `None` when there is no such project.
pub(super) async fn set_project_token<C: ConnectionTrait>(
    db: &C,
    id: ProjectId,
    project_token: &str,
    now: Timestamp,
) -> Result<Option<Model>, DbErr> {
    change(db, id, (Column::ProjectToken, project_token), now).await
}

async fn change<C: ConnectionTrait>(
    db: &C,
    id: ProjectId,
    (column, value): (Column, &str),
    now: Timestamp,
) -> Result<Option<Model>, DbErr> {
    let rows = Entity::update_many()
        .col_expr(column, Expr::value(value))
        .col_expr(Column::UpdatedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::DeletedAt.is_null())
        .exec_with_returning(db)
        .await?;
    Ok(rows.into_iter().next())
}

/// Takes a project out of use: no token names it and nobody reaches it. False when it was before.
///
/// # Errors
/// When the database fails.
pub async fn close<C: ConnectionTrait>(db: &C, id: ProjectId, now: Timestamp) -> Result<bool, DbErr> {
    let result = Entity::update_many()
        .col_expr(Column::DeletedAt, Expr::value(now))
        .filter(Column::Id.eq(id))
        .filter(Column::DeletedAt.is_null())
        .exec(db)
        .await?;
    Ok(result.rows_affected == 1)
}

/// Removes the row of a project that was closed, and everything that refers to it. The organization that it was of, and
/// whether that has further projects, closed ones included; `None` when the row was gone.
///
/// # Errors
/// When the database fails.
pub async fn purge<C: ConnectionTrait>(db: &C, id: ProjectId) -> Result<Option<(OrgId, bool)>, DbErr> {
    let row = Entity::find_by_id(id).filter(Column::DeletedAt.is_not_null()).one(db).await?;
    let Some(row) = row else { return Ok(None) };
    Entity::delete_by_id(id).exec(db).await?;
    let left = Entity::find().filter(Column::OrganizationId.eq(row.organization_id)).count(db).await?;
    Ok(Some((row.organization_id, left > 0)))
}

/// Adds a project.
///
/// # Errors
/// When the database fails.
pub(super) async fn insert<C: ConnectionTrait>(
    db: &C,
    org_id: OrgId,
    name: &str,
    project_token: String,
    now: Timestamp,
) -> Result<ProjectId, DbErr> {
    let id = ProjectId::next();
    let row = ActiveModel {
        id: Set(id),
        organization_id: Set(org_id),
        name: Set(name.to_owned()),
        project_token: Set(project_token),
        created_at: Set(now),
        updated_at: Set(now),
        deleted_at: Set(None),
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(id)
}
