//! Creates `two_factor_resets`: wishes of administrators that a user may remove their second factors by mail.

use sea_orm_migration::prelude::*;

/// Creates `two_factor_resets`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let reference = |column: &str, on_delete| {
            ForeignKey::create()
                .name(format!("two_factor_resets_{column}_fkey"))
                .from("two_factor_resets", column.to_owned())
                .to("users", "id")
                .on_delete(on_delete)
                .to_owned()
        };
        let table = Table::create()
            .table("two_factor_resets")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("user_id").uuid().not_null())
            .col(ColumnDef::new("requested_by").uuid().null())
            .col(ColumnDef::new("auth_epoch").big_integer().not_null())
            .col(ColumnDef::new("key_id").text().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("expires_at").big_integer().not_null())
            .col(ColumnDef::new("used_at").big_integer().null())
            .col(ColumnDef::new("superseded_at").big_integer().null())
            .foreign_key(&mut reference("user_id", ForeignKeyAction::Cascade))
            .foreign_key(&mut reference("requested_by", ForeignKeyAction::SetNull))
            .to_owned();
        manager.create_table(table).await?;
        for column in ["user_id", "requested_by", "expires_at"] {
            let index = Index::create()
                .name(format!("two_factor_resets_{column}_idx"))
                .table("two_factor_resets")
                .col(column.to_owned())
                .to_owned();
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("two_factor_resets").to_owned()).await
    }
}
