//! Creates `audit_events`: what happened; rows are never changed.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// Creates `audit_events`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("audit_events")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("at").big_integer().not_null())
            .col(ColumnDef::new("action").text().not_null())
            .col(ColumnDef::new("outcome").text().not_null())
            .col(ColumnDef::new("user_id").uuid().null())
            .col(ColumnDef::new("ip").text().null())
            .col(ColumnDef::new("user_agent").text().null())
            .col(ColumnDef::new("request_id").uuid().null())
            .col(ColumnDef::new("detail").text().not_null())
            .to_owned();
        manager.create_table(table).await?;
        manager
            .create_index(
                Index::create()
                    .name("audit_events_user_id_at_idx")
                    .table("audit_events")
                    .col("user_id")
                    .col("at")
                    .to_owned(),
            )
            .await?;
        manager
            .create_index(
                Index::create()
                    .name("audit_events_action_at_idx")
                    .table("audit_events")
                    .col("action")
                    .col("at")
                    .to_owned(),
            )
            .await?;
        append_only(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("audit_events").to_owned()).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            manager.get_connection().execute_unprepared("DROP FUNCTION audit_events_refuse()").await?;
        }
        Ok(())
    }
}

/// Makes the database itself refuse changes of what was recorded.
async fn append_only(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let db = manager.get_connection();
    if manager.get_database_backend() == DbBackend::Postgres {
        db.execute_unprepared(
            "CREATE FUNCTION audit_events_refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'audit_events is append-only'; END $$",
        )
        .await?;
        db.execute_unprepared(
            "CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE ON audit_events
             FOR EACH ROW EXECUTE FUNCTION audit_events_refuse()",
        )
        .await?;
        return Ok(());
    }
    for event in ["UPDATE", "DELETE"] {
        db.execute_unprepared(&format!(
            "CREATE TRIGGER audit_events_no_{} BEFORE {event} ON audit_events
             BEGIN SELECT RAISE(ABORT, 'audit_events is append-only'); END",
            event.to_lowercase()
        ))
        .await?;
    }
    Ok(())
}
