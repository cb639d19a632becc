//! Creates `distinct_id_uses`: when each distinct id was used first, with and without a person.

use sea_orm_migration::prelude::*;

/// Creates `distinct_id_uses`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("distinct_id_uses")
            .col(ColumnDef::new("project_id").uuid().not_null())
            .col(ColumnDef::new("distinct_id").text().not_null())
            .col(ColumnDef::new("is_personless").boolean().not_null())
            .col(ColumnDef::new("at").big_integer().not_null())
            .col(ColumnDef::new("uuid").uuid().not_null())
            .primary_key(Index::create().col("project_id").col("distinct_id").col("is_personless"))
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("distinct_id_uses").to_owned()).await
    }
}
