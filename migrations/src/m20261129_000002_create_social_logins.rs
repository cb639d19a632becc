//! Creates `social_logins`: sign-ins that wait for a provider.

use sea_orm_migration::prelude::*;

/// Creates `social_logins`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("social_logins")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("provider").text().not_null())
            .col(ColumnDef::new("issuer").text().not_null())
            .col(ColumnDef::new("binding").binary().not_null())
            .col(ColumnDef::new("key_id").text().not_null())
            .col(ColumnDef::new("user_id").uuid().null())
            .col(ColumnDef::new("session_id").uuid().null())
            .col(ColumnDef::new("next").text().not_null())
            .col(ColumnDef::new("expires_at").big_integer().not_null())
            .foreign_key(
                ForeignKey::create()
                    .name("social_logins_user_id_fkey")
                    .from("social_logins", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create().name("social_logins_user_id_idx").table("social_logins").col("user_id").to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("social_logins_expires_at_idx")
                    .table("social_logins")
                    .col("expires_at")
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("social_logins").to_owned()).await
    }
}
