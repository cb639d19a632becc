//! Creates `project_secret_keys`: what programs of a project present, without a user.

use sea_orm_migration::prelude::*;

/// Creates `project_secret_keys`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let reference = |column: &str, to: &str, action| {
            ForeignKey::create()
                .name(format!("project_secret_keys_{column}_fkey"))
                .from("project_secret_keys", column.to_owned())
                .to(to.to_owned(), "id")
                .on_delete(action)
                .to_owned()
        };
        let text = |name: &str| ColumnDef::new(name.to_owned()).text().not_null().to_owned();
        let table = Table::create()
            .table("project_secret_keys")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("project_id").uuid().not_null())
            .col(text("label"))
            .col(text("secret_hash"))
            .col(text("mask"))
            .col(text("scopes"))
            .col(ColumnDef::new("created_by").uuid().null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("rolled_at").big_integer().null())
            .col(ColumnDef::new("used_at").big_integer().null())
            .foreign_key(&mut reference("project_id", "projects", ForeignKeyAction::Cascade))
            .foreign_key(&mut reference("created_by", "users", ForeignKeyAction::SetNull))
            .to_owned();
        manager.create_table(table).await?;
        let mut by_hash = Index::create();
        by_hash.name("project_secret_keys_secret_hash_idx").table("project_secret_keys").col("secret_hash").unique();
        manager.create_index(by_hash).await?;
        let mut by_label = Index::create();
        by_label.name("project_secret_keys_project_id_label_idx").table("project_secret_keys");
        manager.create_index(by_label.col("project_id").col("label").unique().to_owned()).await?;
        let mut by_creator = Index::create();
        by_creator.name("project_secret_keys_created_by_idx").table("project_secret_keys").col("created_by");
        manager.create_index(by_creator).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("project_secret_keys").to_owned()).await
    }
}
