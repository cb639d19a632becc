//! Creates `organization_members`: which users belong to which organizations, and as what.

use sea_orm_migration::prelude::*;

/// Creates `organization_members`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let reference = |column: &str, to: &str| {
            ForeignKey::create()
                .name(format!("organization_members_{column}_fkey"))
                .from("organization_members", column.to_owned())
                .to(to.to_owned(), "id")
                .on_delete(ForeignKeyAction::Cascade)
                .to_owned()
        };
        let table = Table::create()
            .table("organization_members")
            .col(ColumnDef::new("organization_id").uuid().not_null())
            .col(ColumnDef::new("user_id").uuid().not_null())
            .col(ColumnDef::new("role").text().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .primary_key(Index::create().name("organization_members_pkey").col("organization_id").col("user_id"))
            .foreign_key(&mut reference("organization_id", "organizations"))
            .foreign_key(&mut reference("user_id", "users"))
            .to_owned();
        manager.create_table(table).await?;
        let index = Index::create()
            .name("organization_members_user_id_idx")
            .table("organization_members")
            .col("user_id")
            .to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("organization_members").to_owned()).await
    }
}
