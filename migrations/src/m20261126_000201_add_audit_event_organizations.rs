//! Adds `audit_events.organization_id`: whose audit trail an event belongs to, and the index that its list reads.

use sea_orm_migration::prelude::*;

/// Adds `audit_events.organization_id`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // No foreign key: what happened in an organization stays on record when it is gone.
        let column = ColumnDef::new("organization_id").uuid().null().to_owned();
        manager.alter_table(Table::alter().table("audit_events").add_column(column).to_owned()).await?;
        let index = Index::create()
            .name("audit_events_organization_id_id_idx")
            .table("audit_events")
            .col("organization_id")
            .col("id")
            .to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = Index::drop().name("audit_events_organization_id_id_idx").table("audit_events").to_owned();
        manager.drop_index(index).await?;
        manager.alter_table(Table::alter().table("audit_events").drop_column("organization_id").to_owned()).await
    }
}
