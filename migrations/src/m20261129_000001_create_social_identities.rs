//! Creates `social_identities`: whom providers know our users as.

use sea_orm_migration::prelude::*;

/// Creates `social_identities`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("social_identities")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("user_id").uuid().not_null())
            .col(ColumnDef::new("provider").text().not_null())
            .col(ColumnDef::new("issuer").text().not_null())
            .col(ColumnDef::new("subject").text().not_null())
            .col(ColumnDef::new("email").text().null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("last_used_at").big_integer().null())
            .foreign_key(
                ForeignKey::create()
                    .name("social_identities_user_id_fkey")
                    .from("social_identities", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create()
                    .name("social_identities_provider_issuer_subject_idx")
                    .table("social_identities")
                    .col("provider")
                    .col("issuer")
                    .col("subject")
                    .unique()
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("social_identities_user_id_idx")
                    .table("social_identities")
                    .col("user_id")
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("social_identities").to_owned()).await
    }
}
