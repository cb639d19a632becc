//! Creates `password_resets`: requests for a new password.

use sea_orm_migration::prelude::*;

/// Creates `password_resets`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("password_resets")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("user_id").uuid().null())
            .col(ColumnDef::new("auth_epoch").big_integer().not_null())
            .col(ColumnDef::new("key_id").text().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("expires_at").big_integer().not_null())
            .col(ColumnDef::new("used_at").big_integer().null())
            .col(ColumnDef::new("superseded_at").big_integer().null())
            .foreign_key(
                ForeignKey::create()
                    .name("password_resets_user_id_fkey")
                    .from("password_resets", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create().name("password_resets_user_id_idx").table("password_resets").col("user_id").to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("password_resets_expires_at_idx")
                    .table("password_resets")
                    .col("expires_at")
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("password_resets").to_owned()).await
    }
}
