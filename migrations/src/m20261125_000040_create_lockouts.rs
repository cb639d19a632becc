//! Creates `lockouts`: attempts per account and client, and failures in a row per account and authenticator.

use sea_orm_migration::prelude::*;

/// Creates `lockouts`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("lockouts")
            .col(ColumnDef::new("key").text().not_null().primary_key())
            .col(ColumnDef::new("attempts").big_integer().not_null())
            .col(ColumnDef::new("denied").integer().not_null())
            .col(ColumnDef::new("expires_at").big_integer().not_null())
            .to_owned();
        manager.create_table(table).await?;
        let index = Index::create().name("lockouts_expires_at_idx").table("lockouts").col("expires_at").to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("lockouts").to_owned()).await
    }
}
