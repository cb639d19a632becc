//! Queries on `projects`.

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder};

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
    Entity::find_by_id(id).one(db).await
}

/// The project that clients name by this token.
///
/// # Errors
/// When the database fails.
pub async fn find_by_token<C: ConnectionTrait>(db: &C, project_token: &str) -> Result<Option<Model>, DbErr> {
    Entity::find().filter(Column::ProjectToken.eq(project_token)).one(db).await
}

/// The projects of these organizations, in the order of their creation.
///
/// # Errors
/// When the database fails.
pub async fn list_of_organizations<C: ConnectionTrait>(db: &C, org_ids: &[OrgId]) -> Result<Vec<Model>, DbErr> {
    let of_them = Column::OrganizationId.is_in(org_ids.iter().copied());
    Entity::find().filter(of_them).order_by_asc(Column::Id).all(db).await
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
    };
    Entity::insert(row).exec_without_returning(db).await?;
    Ok(id)
}
