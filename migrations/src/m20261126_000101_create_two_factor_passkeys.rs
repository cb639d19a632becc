//! Creates `two_factor_passkeys`: users whose passkeys are a second factor.

use sea_orm_migration::prelude::*;

/// Creates `two_factor_passkeys`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("two_factor_passkeys")
            .col(ColumnDef::new("user_id").uuid().not_null().primary_key())
            .col(ColumnDef::new("enabled_at").big_integer().not_null())
            .foreign_key(
                ForeignKey::create()
                    .name("two_factor_passkeys_user_id_fkey")
                    .from("two_factor_passkeys", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("two_factor_passkeys").to_owned()).await
    }
}
