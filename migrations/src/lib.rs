//! The database schema: one definition for PostgreSQL and SQLite.
//!
//! One file, one change. A change that has shipped is never edited; the next one expands, the release after contracts.
//! So the processes of a version run, and start, on the schema of the next one.
//! [`run`] applies what is missing under a lock, so any number of processes may start at once, and in one transaction, so
//! a process that is killed halfway leaves nothing half-done. Instants are microseconds in `BIGINT` columns.

mod m20261121_000001_create_users;
mod m20261121_000002_create_passwords;
mod m20261121_000003_create_sessions;
mod m20261121_000004_create_trusted_devices;
mod m20261121_000005_create_logins;
mod m20261121_000006_create_email_mfa_bypasses;
mod m20261121_000007_create_password_resets;
mod m20261121_000008_create_email_verifications;
mod m20261121_000009_create_jobs;
mod m20261121_000010_create_leases;
mod m20261121_000011_create_mail_deliveries;
mod m20261121_000012_create_rate_limits;
mod m20261121_000013_create_audit_events;
mod m20261121_000014_create_generations;
mod m20261125_000001_create_totps;
mod m20261125_000002_create_backup_codes;
mod m20261125_000020_create_passkeys;
mod m20261125_000021_create_passkey_ceremonies;
mod m20261125_000040_create_lockouts;
mod m20261125_000041_create_known_devices;
mod m20261125_000042_add_trusted_device_names;
mod m20261126_000001_create_organizations;
mod m20261126_000002_create_organization_members;
mod m20261126_000003_create_projects;
mod m20261126_000101_create_two_factor_passkeys;
mod m20261126_000201_add_audit_event_organizations;
mod m20261126_000202_add_organization_deletion;
mod m20261126_000203_add_project_deletion;
mod m20261126_000204_create_invites;
mod m20261126_000300_watch_policies;
mod m20261126_000301_add_session_remembered_methods;
mod m20261126_000302_create_two_factor_resets;
mod m20261126_000401_create_api_keys;
mod m20261126_000402_create_project_secret_keys;
mod m20261126_000403_extend_generations;
mod m20261126_000404_create_idempotency_keys;
mod m20261126_000601_create_events;
mod m20261126_000602_create_person_facts;
mod m20261126_000603_create_distinct_id_uses;
mod m20261126_000604_create_persons;
mod m20261126_000605_create_person_distinct_ids;
mod m20261126_000606_create_person_tombstones;
mod m20261126_000607_create_ingestion_warnings;
mod m20261126_000608_add_login_claims;
mod m20261126_000609_create_identify_verifications;
mod m20261126_000701_add_secret_key_exposure;
mod m20261128_000001_add_trusted_device_expiry_index;
mod m20261128_000002_add_distinct_id_project_indexes;
mod m20261129_000001_create_social_identities;
mod m20261129_000002_create_social_logins;
mod m20261129_000003_add_login_first_factors;
mod m20261129_000010_create_organization_domains;
mod m20261129_000011_create_break_glass_codes;

use std::collections::HashSet;

use sea_orm_migration::{
    prelude::*,
    sea_orm::{DatabaseConnection, DbBackend, SqliteTransactionMode, TransactionOptions, TransactionTrait},
};

/// The list of all changes, in order.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_create_users::Migration),
            Box::new(m20261121_000002_create_passwords::Migration),
            Box::new(m20261121_000003_create_sessions::Migration),
            Box::new(m20261121_000004_create_trusted_devices::Migration),
            Box::new(m20261121_000005_create_logins::Migration),
            Box::new(m20261121_000006_create_email_mfa_bypasses::Migration),
            Box::new(m20261121_000007_create_password_resets::Migration),
            Box::new(m20261121_000008_create_email_verifications::Migration),
            Box::new(m20261121_000009_create_jobs::Migration),
            Box::new(m20261121_000010_create_leases::Migration),
            Box::new(m20261121_000011_create_mail_deliveries::Migration),
            Box::new(m20261121_000012_create_rate_limits::Migration),
            Box::new(m20261121_000013_create_audit_events::Migration),
            Box::new(m20261121_000014_create_generations::Migration),
            Box::new(m20261125_000001_create_totps::Migration),
            Box::new(m20261125_000002_create_backup_codes::Migration),
            Box::new(m20261125_000020_create_passkeys::Migration),
            Box::new(m20261125_000021_create_passkey_ceremonies::Migration),
            Box::new(m20261125_000040_create_lockouts::Migration),
            Box::new(m20261125_000041_create_known_devices::Migration),
            Box::new(m20261125_000042_add_trusted_device_names::Migration),
            Box::new(m20261126_000001_create_organizations::Migration),
            Box::new(m20261126_000002_create_organization_members::Migration),
            Box::new(m20261126_000003_create_projects::Migration),
            Box::new(m20261126_000101_create_two_factor_passkeys::Migration),
            Box::new(m20261126_000201_add_audit_event_organizations::Migration),
            Box::new(m20261126_000202_add_organization_deletion::Migration),
            Box::new(m20261126_000203_add_project_deletion::Migration),
            Box::new(m20261126_000204_create_invites::Migration),
            Box::new(m20261126_000300_watch_policies::Migration),
            Box::new(m20261126_000301_add_session_remembered_methods::Migration),
            Box::new(m20261126_000302_create_two_factor_resets::Migration),
            Box::new(m20261126_000401_create_api_keys::Migration),
            Box::new(m20261126_000402_create_project_secret_keys::Migration),
            Box::new(m20261126_000403_extend_generations::Migration),
            Box::new(m20261126_000404_create_idempotency_keys::Migration),
            Box::new(m20261126_000601_create_events::Migration),
            Box::new(m20261126_000602_create_person_facts::Migration),
            Box::new(m20261126_000603_create_distinct_id_uses::Migration),
            Box::new(m20261126_000604_create_persons::Migration),
            Box::new(m20261126_000605_create_person_distinct_ids::Migration),
            Box::new(m20261126_000606_create_person_tombstones::Migration),
            Box::new(m20261126_000607_create_ingestion_warnings::Migration),
            Box::new(m20261126_000608_add_login_claims::Migration),
            Box::new(m20261126_000609_create_identify_verifications::Migration),
            Box::new(m20261126_000701_add_secret_key_exposure::Migration),
            Box::new(m20261128_000001_add_trusted_device_expiry_index::Migration),
            Box::new(m20261128_000002_add_distinct_id_project_indexes::Migration),
            Box::new(m20261129_000001_create_social_identities::Migration),
            Box::new(m20261129_000002_create_social_logins::Migration),
            Box::new(m20261129_000003_add_login_first_factors::Migration),
            Box::new(m20261129_000010_create_organization_domains::Migration),
            Box::new(m20261129_000011_create_break_glass_codes::Migration),
        ]
    }
}

/// Applies all changes that are missing. Processes that start together take turns.
///
/// # Errors
/// When the database refuses a change; nothing has changed then.
pub async fn run(db: &DatabaseConnection) -> Result<(), DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let tx = db.begin_with_options(options).await?;
    if db.get_database_backend() == DbBackend::Postgres {
        tx.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
        tx.execute_unprepared("SET LOCAL lock_timeout = '120s'").await?;
        tx.execute_unprepared("SELECT pg_advisory_xact_lock(7236020)").await?;
    }
    // The library refuses a schema with changes that it does not know, even when there is nothing to do.
    if !missing(&tx).await?.is_empty() {
        Migrator::up(&tx, None).await?;
    }
    tx.commit().await
}

/// Names of the changes that are missing. Empty when the schema is this version's or a later one's: changes expand before
/// they contract, so a process of the version before may start, and be started again, beside newer ones.
///
/// # Errors
/// When the database does not answer.
pub async fn missing<'c, C>(db: &'c C) -> Result<Vec<String>, DbErr>
where
    C: ConnectionTrait,
    &'c C: IntoSchemaManagerConnection<'c>,
{
    let applied: HashSet<String> = if SchemaManager::new(db).has_table("seaql_migrations").await? {
        Migrator::get_migration_models(db).await?.into_iter().map(|change| change.version).collect()
    } else {
        HashSet::new()
    };
    let known = Migrator::migrations().into_iter().map(|change| change.name().to_owned());
    Ok(known.filter(|name| !applied.contains(name)).collect())
}
