//! Creates `identify_verifications`: projects whose clients have to prove whom they identify.

use sea_orm_migration::prelude::*;

/// Creates `identify_verifications`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("identify_verifications")
            .col(ColumnDef::new("project_id").uuid().not_null().primary_key())
            .col(ColumnDef::new("key_id").text().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .foreign_key(
                ForeignKey::create()
                    .name("identify_verifications_project_id_fkey")
                    .from("identify_verifications", "project_id")
                    .to("projects", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("identify_verifications").to_owned()).await
    }
}
