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

/// One index per question that relay, worker, reaper and sweep ask; each covers only the rows they look for.
async fn create_indexes(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    manager
        .create_index(Index::create().name("jobs_dedup_key_key").table("jobs").col("dedup_key").unique().to_owned())
        .await?;
    manager
        .create_index(
            Index::create()
                .name("jobs_queue_run_at_idx")
                .table("jobs")
                .col("queue")
                .col("run_at")
                .and_where(Expr::cust("state IN ('queued', 'retrying')"))
                .to_owned(),
        )
        .await?;
    manager
        .create_index(
            Index::create()
                .name("jobs_lease_until_idx")
                .table("jobs")
                .col("lease_until")
                .and_where(Expr::cust("state = 'running'"))
                .to_owned(),
        )
        .await?;
    manager
        .create_index(
            Index::create()
                .name("jobs_dispatched_at_idx")
                .table("jobs")
                .col("dispatched_at")
                .and_where(Expr::cust("state = 'dispatched'"))
                .to_owned(),
        )
        .await?;
    manager
        .create_index(
            Index::create()
                .name("jobs_expires_at_idx")
                .table("jobs")
                .col("expires_at")
                .and_where(Expr::cust("state IN ('queued', 'dispatched', 'retrying')"))
                .to_owned(),
        )
        .await?;
    manager
        .create_index(
            Index::create()
                .name("jobs_finished_at_idx")
                .table("jobs")
                .col("finished_at")
                .and_where(Expr::cust("state IN ('done', 'expired', 'cancelled')"))
                .to_owned(),
        )
        .await?;
    manager
        .create_index(
            Index::create()
                .name("jobs_state_queue_idx")
                .table("jobs")
                .col("state")
                .col("queue")
                .and_where(Expr::cust("state NOT IN ('done', 'expired', 'cancelled')"))
                .to_owned(),
        )
        .await
}
