//! Creates `idempotency_keys`: answers that are given again to requests that are sent again.

use sea_orm_migration::prelude::*;

/// Creates `idempotency_keys`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("idempotency_keys")
            .col(ColumnDef::new("digest").binary().not_null().primary_key())
            .col(ColumnDef::new("fingerprint").binary().not_null())
            .col(ColumnDef::new("key_id").text().not_null())
            .col(ColumnDef::new("sealed").binary().not_null())
            .col(ColumnDef::new("expires_at").big_integer().not_null())
            .to_owned();
        manager.create_table(table).await?;
        let mut index = Index::create();
        index.name("idempotency_keys_expires_at_idx").table("idempotency_keys").col("expires_at");
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("idempotency_keys").to_owned()).await
    }
}
