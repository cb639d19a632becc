//! Adds to `logins` what the first step proved: a password, or an identity at a provider.

use sea_orm_migration::prelude::*;

/// Adds the column. Logins that wait while it is added began with a password.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new("first_factor").text().not_null().default("pwd").to_owned();
        manager.alter_table(Table::alter().table("logins").add_column(column).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("logins").drop_column("first_factor").to_owned()).await
    }
}
