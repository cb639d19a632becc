//! Adds `trusted_devices_expires_at_idx`: what the sweep of trusted devices reads.

use sea_orm_migration::prelude::*;

/// Adds `trusted_devices_expires_at_idx`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut index = Index::create();
        index.name("trusted_devices_expires_at_idx").table("trusted_devices").col("expires_at");
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = Index::drop().name("trusted_devices_expires_at_idx").table("trusted_devices").to_owned();
        manager.drop_index(index).await
    }
}
