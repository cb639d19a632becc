//! Creates `rate_limits`: theoretical arrival times of the generic cell rate algorithm.

use sea_orm_migration::prelude::*;

/// Creates `rate_limits`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("rate_limits")
            .col(ColumnDef::new("key").text().not_null().primary_key())
            .col(ColumnDef::new("tat").big_integer().not_null())
            .col(ColumnDef::new("denied").integer().not_null())
            .to_owned();
        manager.create_table(table).await?;
        manager
            .create_index(Index::create().name("rate_limits_tat_idx").table("rate_limits").col("tat").to_owned())
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("rate_limits").to_owned()).await
    }
}
