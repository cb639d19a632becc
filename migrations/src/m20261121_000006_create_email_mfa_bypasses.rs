//! Creates `email_mfa_bypasses`: an administrator's waiver of the e-mail step.

use sea_orm_migration::prelude::*;

/// Creates `email_mfa_bypasses`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("email_mfa_bypasses")
            .col(ColumnDef::new("user_id").uuid().not_null().primary_key())
            .col(ColumnDef::new("until").big_integer().not_null())
            .foreign_key(
                ForeignKey::create()
                    .name("email_mfa_bypasses_user_id_fkey")
                    .from("email_mfa_bypasses", "user_id")
                    .to("users", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("email_mfa_bypasses").to_owned()).await
    }
}
