//! Creates `leases`: who holds a role, and until when.

use sea_orm_migration::prelude::*;

/// Creates `leases`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("leases")
            .col(ColumnDef::new("role").text().not_null().primary_key())
            .col(ColumnDef::new("owner").text().not_null())
            .col(ColumnDef::new("term").big_integer().not_null())
            .col(ColumnDef::new("held_until").big_integer().not_null())
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("leases").to_owned()).await
    }
}
