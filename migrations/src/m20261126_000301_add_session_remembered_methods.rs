//! Adds `sessions.remembered_method`: what a trusted device stood in for when the session was opened.

use sea_orm_migration::prelude::*;

/// Adds `sessions.remembered_method`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new("remembered_method").text().null().to_owned();
        manager.alter_table(Table::alter().table("sessions").add_column(column).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("sessions").drop_column("remembered_method").to_owned()).await
    }
}
