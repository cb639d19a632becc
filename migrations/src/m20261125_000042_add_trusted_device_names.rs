//! Adds `trusted_devices.name`: what the user calls the device.

use sea_orm_migration::prelude::*;

/// Adds `trusted_devices.name`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::alter().table("trusted_devices").add_column(ColumnDef::new("name").text().null()).to_owned();
        manager.alter_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("trusted_devices").drop_column("name").to_owned()).await
    }
}
