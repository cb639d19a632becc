//! Creates `projects`: what an organization measures, each with the public token that clients send.

use sea_orm_migration::prelude::*;

/// Creates `projects`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("projects")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("organization_id").uuid().not_null())
            .col(ColumnDef::new("name").text().not_null())
            .col(ColumnDef::new("project_token").text().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("updated_at").big_integer().not_null())
            .foreign_key(
                ForeignKey::create()
                    .name("projects_organization_id_fkey")
                    .from("projects", "organization_id")
                    .to("organizations", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await?;
        for (column, is_unique) in [("project_token", true), ("organization_id", false)] {
            let mut index = Index::create();
            index.name(format!("projects_{column}_idx")).table("projects").col(column.to_owned());
            if is_unique {
                index.unique();
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("projects").to_owned()).await
    }
}
