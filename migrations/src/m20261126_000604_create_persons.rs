//! Creates `persons`: who the distinct ids of a project belong to.

use sea_orm_migration::prelude::*;

/// Creates `persons`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("persons")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("project_id").uuid().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("properties").text().not_null())
            .col(ColumnDef::new("email").text().null())
            .col(ColumnDef::new("is_identified").boolean().not_null())
            .col(ColumnDef::new("version").big_integer().not_null())
            .col(ColumnDef::new("id_count").big_integer().not_null())
            .col(ColumnDef::new("last_at").big_integer().not_null())
            .col(ColumnDef::new("last_uuid").uuid().not_null())
            .to_owned();
        manager.create_table(table).await?;
        let index =
            Index::create().name("persons_project_id_id_idx").table("persons").col("project_id").col("id").to_owned();
        manager.create_index(index).await?;
        let index = Index::create()
            .name("persons_project_id_email_idx")
            .table("persons")
            .col("project_id")
            .col("email")
            .and_where(Expr::cust("email IS NOT NULL"))
            .to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("persons").to_owned()).await
    }
}
