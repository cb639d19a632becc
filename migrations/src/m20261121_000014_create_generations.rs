//! Creates `generations`: a number that moves with every change that can end a session or alter what it shows.
//!
//! Triggers move it, so that no statement can forget to, not even one that an operator types. Caches compare it before
//! they answer. Recording the use of a session does not move it.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// Creates `generations`.
#[derive(DeriveMigrationName)]
pub struct Migration;

const BUMP: &str = "UPDATE generations SET value = value + 1 WHERE name = 'identity'";

/// What moves the number.
const CAUSES: [(&str, &str); 3] = [
    ("sessions", "UPDATE OF revoked_at, auth_epoch, expires_at, reauthenticated_at"),
    ("users", "UPDATE"),
    ("users", "DELETE"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("generations")
            .col(ColumnDef::new("name").text().not_null().primary_key())
            .col(ColumnDef::new("value").big_integer().not_null())
            .to_owned();
        manager.create_table(table).await?;
        let db = manager.get_connection();
        db.execute_unprepared("INSERT INTO generations (name, value) VALUES ('identity', 1)").await?;
        let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
        if is_postgres {
            db.execute_unprepared(&format!(
                "CREATE FUNCTION generations_bump() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN {BUMP}; RETURN NULL; END $$"
            ))
            .await?;
        }
        for (table, event) in CAUSES {
            let name = format!("{table}_{}_generation", event.split(' ').next().unwrap_or_default().to_lowercase());
            let action = if is_postgres {
                "FOR EACH STATEMENT EXECUTE FUNCTION generations_bump()".to_owned()
            } else {
                format!("BEGIN {BUMP}; END")
            };
            db.execute_unprepared(&format!("CREATE TRIGGER {name} AFTER {event} ON {table} {action}")).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
        for (table, event) in CAUSES {
            let name = format!("{table}_{}_generation", event.split(' ').next().unwrap_or_default().to_lowercase());
            let of = if is_postgres { format!(" ON {table}") } else { String::new() };
            db.execute_unprepared(&format!("DROP TRIGGER {name}{of}")).await?;
        }
        if is_postgres {
            db.execute_unprepared("DROP FUNCTION generations_bump()").await?;
        }
        manager.drop_table(Table::drop().table("generations").to_owned()).await
    }
}
