//! Creates `users`: a user; one per normalised address.

use sea_orm_migration::prelude::*;

/// Creates `users`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("users")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("email").text().not_null())
            .col(ColumnDef::new("email_normalised").text().not_null().unique_key())
            .col(ColumnDef::new("email_verified_at").big_integer().null())
            .col(ColumnDef::new("pending_email").text().null())
            .col(ColumnDef::new("pending_email_until").big_integer().null())
            .col(ColumnDef::new("first_name").text().null())
            .col(ColumnDef::new("last_name").text().null())
            .col(ColumnDef::new("username").text().null())
            .col(ColumnDef::new("image_url").text().null())
            .col(ColumnDef::new("is_instance_admin").boolean().not_null())
            .col(ColumnDef::new("auth_epoch").big_integer().not_null())
            .col(ColumnDef::new("disabled_at").big_integer().null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("updated_at").big_integer().not_null())
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("users").to_owned()).await
    }
}
