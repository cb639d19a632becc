//! Adds `project_secret_keys.exposed_at`: since when the key is known to have leaked, and is refused. `generations` moves
//! with it.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// Adds `project_secret_keys.exposed_at`.
#[derive(DeriveMigrationName)]
pub struct Migration;

const TABLE: &str = "project_secret_keys";
const TRIGGER: &str = "project_secret_keys_update_generation";

async fn watch(manager: &SchemaManager<'_>, columns: &str) -> Result<(), DbErr> {
    let action = if manager.get_database_backend() == DbBackend::Postgres {
        "FOR EACH STATEMENT EXECUTE FUNCTION generations_bump()"
    } else {
        "BEGIN UPDATE generations SET value = value + 1 WHERE name = 'identity'; END"
    };
    let sql = format!("CREATE TRIGGER {TRIGGER} AFTER UPDATE OF {columns} ON {TABLE} {action}");
    manager.get_connection().execute_unprepared(&sql).await.map(|_| ())
}

async fn forget(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let of = if manager.get_database_backend() == DbBackend::Postgres { format!(" ON {TABLE}") } else { String::new() };
    manager.get_connection().execute_unprepared(&format!("DROP TRIGGER {TRIGGER}{of}")).await.map(|_| ())
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = ColumnDef::new("exposed_at").big_integer().null().to_owned();
        manager.alter_table(Table::alter().table(TABLE).add_column(column).to_owned()).await?;
        forget(manager).await?;
        watch(manager, "secret_hash, scopes, exposed_at").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        forget(manager).await?;
        manager.alter_table(Table::alter().table(TABLE).drop_column("exposed_at").to_owned()).await?;
        watch(manager, "secret_hash, scopes").await
    }
}
