//! Lets `generations` also move with what decides about API keys: the keys, who is a member where, and what the
//! organizations allow. Recording the use of a key, or a warning about it, does not move it.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// Extends `generations`.
#[derive(DeriveMigrationName)]
pub struct Migration;

const BUMP: &str = "UPDATE generations SET value = value + 1 WHERE name = 'identity'";

/// What moves the number: the trigger's name, the table and the event.
const CAUSES: [(&str, &str, &str); 10] = [
    (
        "api_keys_update_generation",
        "api_keys",
        "UPDATE OF secret_hash, scopes, organization_ids, project_ids, auth_epoch, expired_at, exposed_at",
    ),
    ("api_keys_delete_generation", "api_keys", "DELETE"),
    ("project_secret_keys_update_generation", "project_secret_keys", "UPDATE OF secret_hash, scopes"),
    ("project_secret_keys_delete_generation", "project_secret_keys", "DELETE"),
    ("organization_members_insert_generation", "organization_members", "INSERT"),
    ("organization_members_update_generation", "organization_members", "UPDATE"),
    ("organization_members_delete_generation", "organization_members", "DELETE"),
    ("organizations_api_keys_generation", "organizations", "UPDATE OF allows_member_api_keys, allows_query_api_keys"),
    ("organizations_delete_generation", "organizations", "DELETE"),
    ("projects_delete_generation", "projects", "DELETE"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let action = if manager.get_database_backend() == DbBackend::Postgres {
            "FOR EACH STATEMENT EXECUTE FUNCTION generations_bump()".to_owned()
        } else {
            format!("BEGIN {BUMP}; END")
        };
        for (name, table, event) in CAUSES {
            let sql = format!("CREATE TRIGGER {name} AFTER {event} ON {table} {action}");
            manager.get_connection().execute_unprepared(&sql).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
        for (name, table, _) in CAUSES {
            let of = if is_postgres { format!(" ON {table}") } else { String::new() };
            manager.get_connection().execute_unprepared(&format!("DROP TRIGGER {name}{of}")).await?;
        }
        Ok(())
    }
}
