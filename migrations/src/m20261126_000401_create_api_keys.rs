//! Creates `api_keys`: what programs of a user present in the user's place.
//!
//! `active_at` is the latest of creation, roll and use: what the age of inactivity counts from.

use sea_orm_migration::prelude::*;

/// Creates `api_keys`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let instant = |name: &str| ColumnDef::new(name.to_owned()).big_integer().null().to_owned();
        let text = |name: &str| ColumnDef::new(name.to_owned()).text().not_null().to_owned();
        let table = Table::create()
            .table("api_keys")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("user_id").uuid().not_null())
            .col(text("label"))
            .col(text("secret_hash"))
            .col(text("mask"))
            .col(text("scopes"))
            .col(text("organization_ids"))
            .col(text("project_ids"))
            .col(ColumnDef::new("auth_epoch").big_integer().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("active_at").big_integer().not_null())
            .col(instant("rolled_at"))
            .col(instant("used_at"))
            .col(instant("warned_30_at"))
            .col(instant("warned_7_at"))
            .col(instant("expired_at"))
            .col(instant("exposed_at"))
            .col(instant("query_noted_at"))
            .col(instant("refusal_noted_at"))
            .foreign_key(
                ForeignKey::create()
                    .name("api_keys_user_id_fkey")
                    .from("api_keys", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await?;
        for (column, is_unique) in [("secret_hash", true), ("user_id", false), ("mask", false)] {
            let mut index = Index::create();
            index.name(format!("api_keys_{column}_idx")).table("api_keys").col(column.to_owned());
            if is_unique {
                index.unique();
            }
            manager.create_index(index).await?;
        }
        // What is still to be done about a key, by age: the sweep reads no row that it is done with.
        for (name, open) in [
            ("api_keys_expired_at_idx", "expired_at IS NULL"),
            ("api_keys_warned_7_at_idx", "warned_7_at IS NULL AND expired_at IS NULL"),
            ("api_keys_warned_30_at_idx", "warned_30_at IS NULL AND expired_at IS NULL"),
        ] {
            let mut index = Index::create();
            index.name(name).table("api_keys").col("active_at");
            let condition = Expr::cust(format!("{open} AND exposed_at IS NULL"));
            manager.create_index(index.and_where(condition).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("api_keys").to_owned()).await
    }
}
