//! Creates `person_distinct_ids`: which person each distinct id belongs to.

use sea_orm_migration::prelude::*;

/// Creates `person_distinct_ids`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("person_distinct_ids")
            .col(ColumnDef::new("distinct_id").text().not_null())
            .col(ColumnDef::new("project_id").uuid().not_null())
            .col(ColumnDef::new("person_id").uuid().null())
            .col(ColumnDef::new("is_personless").boolean().not_null())
            .col(ColumnDef::new("last_at").big_integer().null())
            .col(ColumnDef::new("last_uuid").uuid().null())
            .primary_key(Index::create().col("distinct_id").col("project_id"))
            .to_owned();
        manager.create_table(table).await?;
        let index = Index::create()
            .name("person_distinct_ids_person_id_idx")
            .table("person_distinct_ids")
            .col("person_id")
            .to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("person_distinct_ids").to_owned()).await
    }
}
