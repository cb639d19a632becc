//! Creates `sessions`: what a finished login yields.

use sea_orm_migration::prelude::*;

/// Creates `sessions`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("sessions")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("user_id").uuid().not_null())
            .col(ColumnDef::new("digest").binary().not_null())
            .col(ColumnDef::new("auth_epoch").big_integer().not_null())
            .col(ColumnDef::new("amr").text().not_null())
            .col(ColumnDef::new("ip").text().not_null())
            .col(ColumnDef::new("user_agent").text().null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("reauthenticated_at").big_integer().not_null())
            .col(ColumnDef::new("seen_at").big_integer().not_null())
            .col(ColumnDef::new("expires_at").big_integer().not_null())
            .col(ColumnDef::new("revoked_at").big_integer().null())
            .foreign_key(
                ForeignKey::create()
                    .name("sessions_user_id_fkey")
                    .from("sessions", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create().name("sessions_digest_key").table("sessions").col("digest").unique().to_owned(),
            )
            .await?;
        manager
            .create_index(Index::create().name("sessions_user_id_idx").table("sessions").col("user_id").to_owned())
            .await?;
        manager
            .create_index(
                Index::create().name("sessions_expires_at_idx").table("sessions").col("expires_at").to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("sessions_revoked_at_idx")
                    .table("sessions")
                    .col("revoked_at")
                    .and_where(Expr::cust("revoked_at IS NOT NULL"))
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("sessions").to_owned()).await
    }
}
