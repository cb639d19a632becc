//! Creates `person_facts`: the person events, of which persons are a function.

use sea_orm_migration::prelude::*;

/// Creates `person_facts`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("person_facts")
            .col(ColumnDef::new("project_id").uuid().not_null())
            .col(ColumnDef::new("uuid").uuid().not_null())
            .col(ColumnDef::new("kind").text().not_null())
            .col(ColumnDef::new("at").big_integer().not_null())
            .col(ColumnDef::new("distinct_id").text().not_null())
            .col(ColumnDef::new("other").text().null())
            .col(ColumnDef::new("changes").text().null())
            .col(ColumnDef::new("is_applied").boolean().not_null())
            .primary_key(Index::create().col("project_id").col("uuid"))
            .to_owned();
        manager.create_table(table).await?;
        let index = Index::create()
            .name("person_facts_project_id_distinct_id_idx")
            .table("person_facts")
            .col("project_id")
            .col("distinct_id")
            .to_owned();
        manager.create_index(index).await?;
        let index = Index::create()
            .name("person_facts_project_id_other_idx")
            .table("person_facts")
            .col("project_id")
            .col("other")
            .and_where(Expr::cust("other IS NOT NULL"))
            .to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("person_facts").to_owned()).await
    }
}
