//! Creates `invites`: who may join which organization, bound to an address.

use sea_orm_migration::prelude::*;

/// Creates `invites`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let reference = |column: &str, to: &str, action: ForeignKeyAction| {
            ForeignKey::create()
                .name(format!("invites_{column}_fkey"))
                .from("invites", column.to_owned())
                .to(to.to_owned(), "id")
                .on_delete(action)
                .to_owned()
        };
        let table = Table::create()
            .table("invites")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("organization_id").uuid().not_null())
            .col(ColumnDef::new("address").text().not_null())
            .col(ColumnDef::new("address_normalised").text().not_null())
            .col(ColumnDef::new("role").text().not_null())
            .col(ColumnDef::new("invited_by").uuid().null())
            .col(ColumnDef::new("claimed_by").uuid().null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("expires_at").big_integer().not_null())
            .col(ColumnDef::new("accepted_at").big_integer().null())
            .col(ColumnDef::new("revoked_at").big_integer().null())
            .foreign_key(&mut reference("organization_id", "organizations", ForeignKeyAction::Cascade))
            .foreign_key(&mut reference("invited_by", "users", ForeignKeyAction::SetNull))
            .foreign_key(&mut reference("claimed_by", "users", ForeignKeyAction::SetNull))
            .to_owned();
        manager.create_table(table).await?;
        let indexes: [&[&str]; 4] =
            [&["organization_id", "address_normalised"], &["claimed_by"], &["invited_by"], &["expires_at"]];
        for columns in indexes {
            let mut index = Index::create();
            index.name(format!("invites_{}_idx", columns.join("_"))).table("invites");
            for column in columns {
                index.col((*column).to_owned());
            }
            manager.create_index(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("invites").to_owned()).await
    }
}
