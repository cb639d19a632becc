//! Creates `known_devices`: browsers and programs that a user signed in with.

use sea_orm_migration::prelude::*;

/// Creates `known_devices`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("known_devices")
            .col(ColumnDef::new("user_id").uuid().not_null())
            .col(ColumnDef::new("digest").binary().not_null())
            .col(ColumnDef::new("seen_at").big_integer().not_null())
            .col(ColumnDef::new("previous_seen_at").big_integer().null())
            .col(ColumnDef::new("expires_at").big_integer().not_null())
            .primary_key(Index::create().name("known_devices_pkey").col("user_id").col("digest"))
            .foreign_key(
                ForeignKey::create()
                    .name("known_devices_user_id_fkey")
                    .from("known_devices", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await?;
        let index =
            Index::create().name("known_devices_expires_at_idx").table("known_devices").col("expires_at").to_owned();
        manager.create_index(index).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("known_devices").to_owned()).await
    }
}
