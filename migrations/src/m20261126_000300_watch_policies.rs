//! Makes the generation of `generations` move with what organizations demand of their members, too.
//!
//! Sessions are cached with it: what the organizations of a user demand, and whether the user has a factor. That it moves
//! with who belongs where is the matter of another change.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// Adds the triggers.
#[derive(DeriveMigrationName)]
pub struct Migration;

const BUMP: &str = "UPDATE generations SET value = value + 1 WHERE name = 'identity'";

/// What moves the number.
const CAUSES: [(&str, &str); 5] = [
    (
        "organizations",
        "UPDATE OF enforces_two_factor, allows_email_mfa, trusts_idp_mfa, session_age_seconds, trusted_device_seconds",
    ),
    ("totps", "UPDATE OF enabled_at"),
    ("totps", "DELETE"),
    ("passkeys", "INSERT"),
    ("passkeys", "DELETE"),
];

fn trigger(table: &str, event: &str) -> String {
    format!("{table}_{}_rules_generation", event.split(' ').next().unwrap_or_default().to_lowercase())
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let action = if manager.get_database_backend() == DbBackend::Postgres {
            "FOR EACH STATEMENT EXECUTE FUNCTION generations_bump()".to_owned()
        } else {
            format!("BEGIN {BUMP}; END")
        };
        for (table, event) in CAUSES {
            let name = trigger(table, event);
            let sql = format!("CREATE TRIGGER {name} AFTER {event} ON {table} {action}");
            manager.get_connection().execute_unprepared(&sql).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
        for (table, event) in CAUSES {
            let of = if is_postgres { format!(" ON {table}") } else { String::new() };
            let sql = format!("DROP TRIGGER {}{of}", trigger(table, event));
            manager.get_connection().execute_unprepared(&sql).await?;
        }
        Ok(())
    }
}
