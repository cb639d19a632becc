//! Creates `email_verifications`: addresses to be proven.

use sea_orm_migration::prelude::*;

/// Creates `email_verifications`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("email_verifications")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("user_id").uuid().null())
            .col(ColumnDef::new("address").text().not_null())
            .col(ColumnDef::new("address_normalised").text().not_null())
            .col(ColumnDef::new("previous_address").text().null())
            .col(ColumnDef::new("password_phc").text().null())
            .col(ColumnDef::new("password_key_id").text().null())
            .col(ColumnDef::new("key_id").text().not_null())
            .col(ColumnDef::new("attempts").integer().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("code_expires_at").big_integer().not_null())
            .col(ColumnDef::new("link_expires_at").big_integer().not_null())
            .col(ColumnDef::new("used_at").big_integer().null())
            .col(ColumnDef::new("cancelled_at").big_integer().null())
            .foreign_key(
                ForeignKey::create()
                    .name("email_verifications_user_id_fkey")
                    .from("email_verifications", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create()
                    .name("email_verifications_user_id_idx")
                    .table("email_verifications")
                    .col("user_id")
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("email_verifications_address_normalised_idx")
                    .table("email_verifications")
                    .col("address_normalised")
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("email_verifications_link_expires_at_idx")
                    .table("email_verifications")
                    .col("link_expires_at")
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("email_verifications").to_owned()).await
    }
}
