//! Creates `passwords`: the password of a user.

use sea_orm_migration::prelude::*;

/// Creates `passwords`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("passwords")
            .col(ColumnDef::new("user_id").uuid().not_null().primary_key())
            .col(ColumnDef::new("phc").text().not_null())
            .col(ColumnDef::new("key_id").text().not_null())
            .col(ColumnDef::new("updated_at").big_integer().not_null())
            .foreign_key(
                ForeignKey::create()
                    .name("passwords_user_id_fkey")
                    .from("passwords", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("passwords").to_owned()).await
    }
}
