//! Creates `mail_deliveries`: what became of each mail.

use sea_orm_migration::prelude::*;

/// Creates `mail_deliveries`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("mail_deliveries")
            .col(ColumnDef::new("job_id").uuid().not_null().primary_key())
            .col(ColumnDef::new("recipient_hash").binary().not_null())
            .col(ColumnDef::new("state").text().not_null())
            .col(ColumnDef::new("provider_reply").text().null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("handed_over_at").big_integer().null())
            .to_owned();
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create()
                    .name("mail_deliveries_recipient_hash_created_at_idx")
                    .table("mail_deliveries")
                    .col("recipient_hash")
                    .col("created_at")
                    .and_where(Expr::cust("state = 'rejected'"))
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("mail_deliveries").to_owned()).await
    }
}
