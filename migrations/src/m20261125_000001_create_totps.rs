//! Creates `totps`: the authenticator app of a user, and one that is being set up.

use sea_orm_migration::prelude::*;

/// Creates `totps`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("totps")
            .col(ColumnDef::new("user_id").uuid().not_null().primary_key())
            .col(ColumnDef::new("key_id").text().null())
            .col(ColumnDef::new("sealed").binary().null())
            .col(ColumnDef::new("last_step").big_integer().not_null())
            .col(ColumnDef::new("enabled_at").big_integer().null())
            .col(ColumnDef::new("setup_key_id").text().null())
            .col(ColumnDef::new("setup_sealed").binary().null())
            .col(ColumnDef::new("setup_session_id").uuid().null())
            .col(ColumnDef::new("setup_expires_at").big_integer().null())
            .foreign_key(
                ForeignKey::create()
                    .name("totps_user_id_fkey")
                    .from("totps", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("totps").to_owned()).await
    }
}
