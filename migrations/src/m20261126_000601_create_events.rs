//! Creates `events`: what clients captured, each once.

use sea_orm_migration::prelude::*;

/// Creates `events`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("events")
            .col(ColumnDef::new("project_id").uuid().not_null())
            .col(ColumnDef::new("uuid").uuid().not_null())
            .col(ColumnDef::new("event").text().not_null())
            .col(ColumnDef::new("distinct_id").text().not_null())
            .col(ColumnDef::new("at").big_integer().not_null())
            .col(ColumnDef::new("received_at").big_integer().not_null())
            .col(ColumnDef::new("is_personless").boolean().not_null())
            .col(ColumnDef::new("properties").text().not_null())
            .primary_key(Index::create().col("project_id").col("uuid"))
            .to_owned();
        manager.create_table(table).await?;
        let index = Index::create()
            .name("events_project_id_at_uuid_idx")
            .table("events")
            .col("project_id")
            .col("at")
            .col("uuid")
            .to_owned();
        manager.create_index(index).await?;
        let index = Index::create()
            .name("events_project_id_distinct_id_at_idx")
            .table("events")
            .col("project_id")
            .col("distinct_id")
            .col("at")
            .to_owned();
        manager.create_index(index).await?;
        let index = Index::create().name("events_received_at_idx").table("events").col("received_at").to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("events").to_owned()).await
    }
}
