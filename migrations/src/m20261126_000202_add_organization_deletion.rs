//! Adds `organizations.deleted_at`: since when nothing reaches the organization, while a job removes what is left.

use sea_orm_migration::prelude::*;

/// Adds `organizations.deleted_at`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new("deleted_at").big_integer().null().to_owned();
        manager.alter_table(Table::alter().table("organizations").add_column(column).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("organizations").drop_column("deleted_at").to_owned()).await
    }
}
