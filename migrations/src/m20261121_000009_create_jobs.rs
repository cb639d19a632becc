//! Creates `jobs`: outbox, state machine and dead-letter list.

use sea_orm_migration::prelude::*;

/// Creates `jobs`.
#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("jobs")
            .col(ColumnDef::new("id").uuid().not_null().primary_key())
            .col(ColumnDef::new("name").text().not_null())
            .col(ColumnDef::new("version").integer().not_null())
            .col(ColumnDef::new("queue").text().not_null())
            .col(ColumnDef::new("payload").text().not_null())
            .col(ColumnDef::new("dedup_key").text().null())
            .col(ColumnDef::new("state").text().not_null())
            .col(ColumnDef::new("attempt").integer().not_null())
            .col(ColumnDef::new("run_at").big_integer().not_null())
            .col(ColumnDef::new("expires_at").big_integer().null())
            .col(ColumnDef::new("lease_owner").text().null())
            .col(ColumnDef::new("lease_until").big_integer().null())
            .col(ColumnDef::new("fence").big_integer().not_null())
            .col(ColumnDef::new("last_error").text().null())
            .col(ColumnDef::new("org_id").uuid().null())
            .col(ColumnDef::new("traceparent").text().null())
            .col(ColumnDef::new("created_at").big_integer().not_null())
            .col(ColumnDef::new("dispatched_at").big_integer().null())
            .col(ColumnDef::new("finished_at").big_integer().null())
            .to_owned();
        manager.create_table(table).await?;
        create_indexes(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("jobs").to_owned()).await
    }
}

/// One index per question that relay, reaper, sweep and gauges ask; each covers only the rows they look for.
const PARTIAL_INDEXES: [(&str, &[&str], &str); 6] = [
    ("jobs_queue_run_at_idx", &["queue", "run_at"], "state IN ('queued', 'retrying')"),
    ("jobs_lease_until_idx", &["lease_until"], "state = 'running'"),
    ("jobs_dispatched_at_idx", &["dispatched_at"], "state = 'dispatched'"),
    ("jobs_expires_at_idx", &["expires_at"], "state IN ('queued', 'dispatched', 'retrying')"),
    ("jobs_finished_at_idx", &["finished_at"], "state IN ('done', 'expired', 'cancelled')"),
    ("jobs_state_queue_idx", &["state", "queue"], "state IN ('queued', 'dispatched', 'running', 'retrying', 'dead')"),
];

async fn create_indexes(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let dedup = Index::create().name("jobs_dedup_key_key").table("jobs").col("dedup_key").unique().to_owned();
    manager.create_index(dedup).await?;
    for (name, columns, rows) in PARTIAL_INDEXES {
        let mut index = Index::create();
        index.name(name).table("jobs").and_where(Expr::cust(rows));
        for column in columns {
            index.col(*column);
        }
        manager.create_index(index).await?;
    }
    Ok(())
}
