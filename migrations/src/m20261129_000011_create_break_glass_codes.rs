//! Creates `break_glass_codes`: by which owners sign in where their organization's provider does not work.

use sea_orm_migration::prelude::*;

/// Creates `break_glass_codes`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let reference = |column: &str, to: &str, action: ForeignKeyAction| {
            ForeignKey::create()
                .name(format!("break_glass_codes_{column}_fkey"))
                .from("break_glass_codes", column.to_owned())
                .to(to.to_owned(), "id")
                .on_delete(action)
                .to_owned()
        };
        let table = Table::create()
            .table("break_glass_codes")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("organization_id").uuid().not_null())
            .col(ColumnDef::new("digest").binary().not_null())
            .col(ColumnDef::new("created_by").uuid().null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("used_by").uuid().null())
            .col(ColumnDef::new("used_at").big_integer().null())
            .foreign_key(&mut reference("organization_id", "organizations", ForeignKeyAction::Cascade))
            .foreign_key(&mut reference("created_by", "users", ForeignKeyAction::SetNull))
            .foreign_key(&mut reference("used_by", "users", ForeignKeyAction::SetNull))
            .to_owned();
        manager.create_table(table).await?;
        for column in ["organization_id", "created_by", "used_by"] {
            let mut index = Index::create();
            index.name(format!("break_glass_codes_{column}_idx")).table("break_glass_codes").col(column);
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("break_glass_codes").to_owned()).await
    }
}
