//! Creates `passkeys`: WebAuthn credentials of users.

use sea_orm_migration::prelude::*;

/// Creates `passkeys`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("passkeys")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("user_id").uuid().not_null())
            .col(ColumnDef::new("user_handle").uuid().not_null())
            .col(ColumnDef::new("credential_id").binary().not_null())
            .col(ColumnDef::new("credential").text().not_null())
            .col(ColumnDef::new("label").text().not_null())
            .col(ColumnDef::new("transports").text().not_null())
            .col(ColumnDef::new("sign_count").big_integer().not_null())
            .col(ColumnDef::new("is_backup_eligible").boolean().not_null())
            .col(ColumnDef::new("is_backed_up").boolean().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("last_used_at").big_integer().null())
            .foreign_key(
                ForeignKey::create()
                    .name("passkeys_user_id_fkey")
                    .from("passkeys", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create()
                    .name("passkeys_credential_id_idx")
                    .table("passkeys")
                    .col("credential_id")
                    .unique()
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(Index::create().name("passkeys_user_id_idx").table("passkeys").col("user_id").to_owned())
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("passkeys").to_owned()).await
    }
}
