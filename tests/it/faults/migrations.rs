//! Migrations that are killed halfway, and that several processes run at once.

use std::time::Duration;

use futures_util::future::join_all;
use harness::{Installation, free_port, works::PATIENCE};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};

use super::{
    full,
    stack::{OwnDatabase, Stack},
};

/// Everything that a schema is made of, as sorted lines.
async fn schema(db: &DatabaseConnection) -> Vec<String> {
    let sql = if db.get_database_backend() == DbBackend::Postgres {
        "SELECT CONCAT_WS(' ', table_name, column_name, data_type, is_nullable, column_default) AS line
             FROM information_schema.columns WHERE table_schema = 'public'
             UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
             UNION ALL SELECT CONCAT_WS(' ', conrelid::regclass::text, conname, pg_get_constraintdef(oid))
             FROM pg_constraint WHERE connamespace = 'public'::regnamespace
             UNION ALL SELECT version FROM seaql_migrations ORDER BY 1"
    } else {
        "SELECT sql AS line FROM sqlite_master WHERE sql IS NOT NULL
              UNION ALL SELECT version FROM seaql_migrations ORDER BY 1"
    };
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
    rows.iter().map(|row| row.try_get("", "line").unwrap()).collect()
}

async fn schema_of(url: &str) -> Vec<String> {
    let db = Database::connect(url).await.unwrap();
    let lines = schema(&db).await;
    db.close().await.unwrap();
    lines
}

async fn migrate(installation: &Installation) -> bool {
    installation.command(&["migrate"]).output().await.unwrap().status.success()
}

/// Kills the migration after ever longer times, then runs three of them at once, and once more.
async fn hurt(installation: &Installation) {
    let mut was_killed = 0;
    for milliseconds in [10, 20, 40, 60, 80, 120, 160, 240] {
        let mut process = installation.start("migrate", &["migrate"]);
        if process.wait(Duration::from_millis(milliseconds)).await.is_none() {
            process.kill().await;
            was_killed += 1;
        }
    }
    assert!(was_killed >= 2, "it was never killed halfway");
    let together = join_all((0..3).map(|_| migrate(installation))).await;
    assert_eq!(together, [true; 3], "{}", installation.logs());
    assert!(migrate(installation).await, "there is nothing left to do");
}

/// T-DB-07: on SQLite a migration that is killed halfway leaves nothing half done, and three at once take turns.
#[tokio::test(flavor = "multi_thread")]
async fn sqlite_migrations_survive_being_killed_and_run_together() {
    let (clean, hurt_one) = (Installation::new(), Installation::new());
    assert!(migrate(&clean).await);
    hurt(&hurt_one).await;
    let url = |installation: &Installation| format!("sqlite://{}", installation.folder.join("gatepost.db").display());
    let (expected, found) = (schema_of(&url(&clean)).await, schema_of(&url(&hurt_one)).await);
    assert!(expected.len() > 50, "the schema was not read");
    assert_eq!(found, expected);
}

/// Adds a change that this version does not know to what was applied.
async fn pretend_a_later_version(url: &str) {
    let db = Database::connect(url).await.unwrap();
    let sql = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m29990101_000001_of_a_later_version', 0)";
    db.execute_unprepared(sql).await.unwrap();
    db.close().await.unwrap();
}

/// Upgrades: a process that is started again after the next version changed the schema starts, so an upgrade may be taken back
/// and a crash in the middle of one is none.
#[tokio::test(flavor = "multi_thread")]
async fn a_process_starts_on_the_schema_of_the_next_version() {
    let port = free_port();
    let installation = Installation::new().set("HTTP__LISTEN", &format!("127.0.0.1:{port}"));
    assert!(migrate(&installation).await);
    pretend_a_later_version(&format!("sqlite://{}", installation.folder.join("gatepost.db").display())).await;
    assert!(migrate(&installation).await, "there is nothing to do");
    let mut process = installation.start("serve", &["serve"]);
    installation.wait_for(&format!("http://127.0.0.1:{port}/health/ready"), PATIENCE).await;
    process.signal("TERM").await;
    assert_eq!(process.wait(PATIENCE).await, Some(true), "{}", installation.logs());
}

/// Upgrades: on PostgreSQL and RabbitMQ, where gateways and workers find out for themselves whether they fit.
#[tokio::test(flavor = "multi_thread")]
async fn full_gateways_and_workers_start_on_the_schema_of_the_next_version() {
    if !full() {
        return;
    }
    let mut stack = Stack::on_shared(&[]).await;
    pretend_a_later_version(&stack.database.url).await;
    for name in ["gateway", "mail"] {
        stack.process(name).kill().await;
        stack.launch(name);
    }
    stack.is_ready().await;
}

/// T-DB-07: on PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn full_postgresql_migrations_survive_being_killed_and_run_together() {
    if !full() {
        return;
    }
    let (clean, hurt_one) = (OwnDatabase::create().await, OwnDatabase::create().await);
    let on = |database: &OwnDatabase| Installation::new().set("DATABASE__URL", &database.url);
    assert!(migrate(&on(&clean)).await);
    hurt(&on(&hurt_one)).await;
    let (expected, found) = (schema_of(&clean.url).await, schema_of(&hurt_one.url).await);
    assert!(expected.len() > 50, "the schema was not read");
    assert_eq!(found, expected);
}
