//! Creates `person_tombstones`: distinct ids of deleted persons, and until when their events count for nothing.

use sea_orm_migration::prelude::*;

/// Creates `person_tombstones`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("person_tombstones")
            .col(ColumnDef::new("distinct_id").text().not_null())
            .col(ColumnDef::new("project_id").uuid().not_null())
            .col(ColumnDef::new("until").big_integer().not_null())
            .primary_key(Index::create().col("distinct_id").col("project_id"))
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("person_tombstones").to_owned()).await
    }
}
