//! Creates `ingestion_warnings`: what a project should know about the events it sends, each once.

use sea_orm_migration::prelude::*;

/// Creates `ingestion_warnings`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("ingestion_warnings")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("project_id").uuid().not_null())
            .col(ColumnDef::new("kind").text().not_null())
            .col(ColumnDef::new("event_uuid").uuid().null())
            .col(ColumnDef::new("distinct_id").text().not_null())
            .col(ColumnDef::new("detail").text().not_null())
            .col(ColumnDef::new("at").big_integer().not_null())
            .to_owned();
        manager.create_table(table).await?;
        let index = Index::create()
            .name("ingestion_warnings_project_id_at_id_idx")
            .table("ingestion_warnings")
            .col("project_id")
            .col("at")
            .col("id")
            .to_owned();
        manager.create_index(index).await?;
        let index = Index::create().name("ingestion_warnings_at_idx").table("ingestion_warnings").col("at").to_owned();
        manager.create_index(index).await?;
        let index = Index::create()
            .name("ingestion_warnings_event_uuid_idx")
            .table("ingestion_warnings")
            .col("event_uuid")
            .to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("ingestion_warnings").to_owned()).await
    }
}
