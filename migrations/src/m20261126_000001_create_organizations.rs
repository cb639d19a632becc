//! Creates `organizations`: who users work for, and the policy that its members live under.

use sea_orm_migration::prelude::*;

/// Creates `organizations`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("organizations")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("name").text().not_null())
            .col(ColumnDef::new("enforces_two_factor").boolean().not_null())
            .col(ColumnDef::new("allows_email_mfa").boolean().not_null())
            .col(ColumnDef::new("trusts_idp_mfa").boolean().not_null())
            .col(ColumnDef::new("session_age_seconds").big_integer().null())
            .col(ColumnDef::new("trusted_device_seconds").big_integer().null())
            .col(ColumnDef::new("allows_member_api_keys").boolean().not_null())
            .col(ColumnDef::new("allows_query_api_keys").boolean().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("updated_at").big_integer().not_null())
            .to_owned();
        manager.create_table(table).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("organizations").to_owned()).await
    }
}
