//! Creates `organization_domains`: which e-mail domains organizations claim, and what holds for those that they proved.

use sea_orm_migration::prelude::*;

/// Creates `organization_domains`. Many may claim a domain; of those who proved it there is one.
#[derive(DeriveMigrationName)]
pub struct Migration;

const TABLE: &str = "organization_domains";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table(TABLE)
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("organization_id").uuid().not_null())
            .col(ColumnDef::new("domain").text().not_null())
            .col(ColumnDef::new("challenge").text().not_null())
            .col(ColumnDef::new("verified_at").big_integer().null())
            .col(ColumnDef::new("last_checked_at").big_integer().null())
            .col(ColumnDef::new("failed_checks").integer().not_null())
            .col(ColumnDef::new("lost_at").big_integer().null())
            .col(ColumnDef::new("jit_provisioning").boolean().not_null())
            .col(ColumnDef::new("sso_enforcement").text().null())
            .col(ColumnDef::new("include_subdomains").boolean().not_null())
            .col(ColumnDef::new("revision").big_integer().not_null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("updated_at").big_integer().not_null())
            .foreign_key(
                ForeignKey::create()
                    .name("organization_domains_organization_id_fkey")
                    .from(TABLE, "organization_id")
                    .to("organizations", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(table).await?;
        let index = |columns: &[&'static str], suffix: &str| {
            let mut index = Index::create();
            index.name(format!("{TABLE}_{}_{suffix}", columns.join("_"))).table(TABLE);
            for column in columns {
                index.col(*column);
            }
            index
        };
        let proven = || Expr::cust("verified_at IS NOT NULL");
        manager.create_index(index(&["organization_id", "domain"], "key").unique().to_owned()).await?;
        manager.create_index(index(&["domain"], "idx")).await?;
        manager.create_index(index(&["domain"], "key").unique().and_where(proven()).to_owned()).await?;
        manager.create_index(index(&["last_checked_at"], "idx").and_where(proven()).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table(TABLE).to_owned()).await
    }
}
