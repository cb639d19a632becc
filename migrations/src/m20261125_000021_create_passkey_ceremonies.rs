//! Creates `passkey_ceremonies`: challenges that wait for their answer.

use sea_orm_migration::prelude::*;

/// Creates `passkey_ceremonies`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("passkey_ceremonies")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("purpose").text().not_null())
            .col(ColumnDef::new("user_id").uuid().null())
            .col(ColumnDef::new("binding").binary().not_null())
            .col(ColumnDef::new("state").text().not_null())
            .col(ColumnDef::new("expires_at").big_integer().not_null())
            .foreign_key(
                ForeignKey::create()
                    .name("passkey_ceremonies_user_id_fkey")
                    .from("passkey_ceremonies", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create()
                    .name("passkey_ceremonies_user_id_idx")
                    .table("passkey_ceremonies")
                    .col("user_id")
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("passkey_ceremonies_expires_at_idx")
                    .table("passkey_ceremonies")
                    .col("expires_at")
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("passkey_ceremonies").to_owned()).await
    }
}
