//! Creates `logins`: logins that wait for a further step.

use sea_orm_migration::prelude::*;

/// Creates `logins`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("logins")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("user_id").uuid().not_null())
            .col(ColumnDef::new("auth_epoch").big_integer().not_null())
            .col(ColumnDef::new("state").text().not_null())
            .col(ColumnDef::new("binding").binary().not_null())
            .col(ColumnDef::new("is_token_transport").boolean().not_null())
            .col(ColumnDef::new("key_id").text().not_null())
            .col(ColumnDef::new("send").integer().not_null())
            .col(ColumnDef::new("sent_at").big_integer().not_null())
            .col(ColumnDef::new("attempts").integer().not_null())
            .col(ColumnDef::new("ip").text().not_null())
            .col(ColumnDef::new("user_agent").text().null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("expires_at").big_integer().not_null())
            .col(ColumnDef::new("finished_at").big_integer().null())
            .foreign_key(
                ForeignKey::create()
                    .name("logins_user_id_fkey")
                    .from("logins", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await?;
        manager
            .create_index(Index::create().name("logins_user_id_idx").table("logins").col("user_id").to_owned())
            .await?;
        manager
            .create_index(Index::create().name("logins_expires_at_idx").table("logins").col("expires_at").to_owned())
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("logins").to_owned()).await
    }
}
