//! Jobs from the table to done, in process and through RabbitMQ, against a bare lapin loop that publishes, has confirmed,
//! consumes and acknowledges as many messages through a queue of the same kind.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use futures_util::StreamExt as _;
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use shared::{
    broker::BrokerConfig,
    clock::{Clock as _, SystemClock},
    enforcement::NotifyMembers,
    ids,
    jobs::Job as _,
    orgs::OrgId,
    secret::Redacted,
    users::UserId,
};
use uuid::Uuid;

use super::{PostgresDatabase, Report};
use crate::{Installation, Process, free_port, rabbit};

/// The job: it looks for an organization that is gone, by its key, and has nothing to tell anybody. What is left is the cost
/// of the job system. A sweep would measure something else: its statement is planned anew whenever it runs.
const JOB: &str = NotifyMembers::NAME;
/// Jobs of one run.
const JOBS: u32 = 20_000;
/// Messages that the bare loop has under way before it waits for their confirms, as the relay has.
const BATCH: usize = 200;
/// How long one run may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Jobs per second of every way, against the bare loop.
pub async fn jobs(report: &mut Report) -> anyhow::Result<()> {
    let here = in_process().await?;
    report.told("jobs from the table to done, in process, SQLite", &format!("{here:.0}/s"));
    let Some(amqp) = broker().await else {
        report.told("jobs through RabbitMQ, and the bare lapin loop", "not measured: RabbitMQ does not answer");
        return Ok(());
    };
    let Some(database) = report.postgres().await? else { return Ok(()) };
    let before = bare_loop(&amqp).await?;
    let through = through_rabbitmq(&database, &amqp).await;
    database.remove().await?;
    let through = through?;
    // Before and after: a broker whose speed varies counts for both sides.
    let bare = f64::midpoint(before, bare_loop(&amqp).await?);
    report.told("bare lapin: publish, confirm, consume, acknowledge", &format!("{bare:.0}/s"));
    report.told("jobs through RabbitMQ, PostgreSQL, one worker process", &format!("{through:.0}/s"));
    for (what, rate) in [("in process", here), ("through RabbitMQ", through)] {
        let ratio = rate / bare;
        report.held(&format!("jobs {what} / bare lapin"), &format!("{ratio:.2}"), ">= 0.3", ratio >= 0.3);
    }
    Ok(())
}

/// The RabbitMQ that `GATEPOST_TEST_AMQP` names, if it answers.
async fn broker() -> Option<String> {
    let url = std::env::var_os("GATEPOST_TEST_AMQP")
        .map_or_else(|| "amqp://guest:guest@127.0.0.1:5672".to_owned(), |value| value.to_string_lossy().into_owned());
    Connection::connect(&url, ConnectionProperties::default()).await.is_ok().then_some(url)
}

async fn in_process() -> anyhow::Result<f64> {
    let installation = quiet(Installation::new());
    migrate(&installation).await?;
    let file = installation.folder.join("gatepost.db");
    let db = Database::connect(format!("sqlite://{}", file.display())).await?;
    fill(&db).await?;
    let _process = installation.start("serve", &["serve"]);
    drain(&db).await
}

async fn through_rabbitmq(database: &PostgresDatabase, amqp: &str) -> anyhow::Result<f64> {
    // As the bare loop does without TLS.
    let url = database.url_without_tls()?;
    let installation = quiet(Installation::new())
        .set("DATABASE__URL", &url)
        .set("BROKER__URL", amqp)
        .set("BROKER__PREFIX", database.name());
    let rate = run_fleet(&installation, &url).await;
    // The processes have ended; what they left behind goes.
    let broker = BrokerConfig {
        url: Redacted::new(amqp.to_owned()),
        timeout_seconds: 5,
        heartbeat_seconds: 10,
        prefix: database.name().to_owned(),
        delivery_limit: 20,
    };
    rabbit::delete_topology(&broker).await?;
    rate
}

/// A gateway, whose relay hands the jobs over, and one worker.
async fn run_fleet(installation: &Installation, database: &str) -> anyhow::Result<f64> {
    migrate(installation).await?;
    let db = Database::connect(database).await?;
    fill(&db).await?;
    let mut fleet: [Process; 2] = [
        installation.start("gateway", &["gateway"]),
        installation.start("worker", &["worker", NotifyMembers::QUEUE.as_str()]),
    ];
    let rate = drain(&db).await;
    for process in &mut fleet {
        process.kill().await;
    }
    db.close().await?;
    rate
}

fn quiet(installation: Installation) -> Installation {
    installation
        .set("HTTP__LISTEN", &format!("127.0.0.1:{}", free_port()))
        .set("TELEMETRY__LOG_FILTER", "warn")
        .set("TELEMETRY__METRICS_LISTEN", "")
}

async fn migrate(installation: &Installation) -> anyhow::Result<()> {
    let done = installation.command(&["migrate"]).stdout(std::process::Stdio::null()).status().await?;
    ensure!(done.success(), "the migration failed");
    Ok(())
}

async fn fill(db: &DatabaseConnection) -> anyhow::Result<()> {
    let now = SystemClock.now().0;
    let (organization_id, audit_id, after_user_id) = (OrgId(ids::next()), ids::next(), UserId(Uuid::nil()));
    let payload = serde_json::to_string(&NotifyMembers { organization_id, audit_id, after_user_id })?;
    let (id, numbers) = match db.get_database_backend() {
        DbBackend::Postgres => ("gen_random_uuid()", format!("generate_series(1, {JOBS})")),
        DbBackend::Sqlite | DbBackend::MySql | _ => (
            "randomblob(16)",
            format!(
                "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {JOBS}) SELECT i FROM n)"
            ),
        ),
    };
    let statement = format!(
        "INSERT INTO jobs (id, name, version, queue, payload, state, attempt, run_at, fence, created_at)
         SELECT {id}, '{JOB}', {}, '{}', '{payload}', 'queued', 0, {now}, 0, {now} FROM {numbers} AS numbers",
        NotifyMembers::VERSION,
        NotifyMembers::QUEUE,
    );
    db.execute_unprepared(&statement).await?;
    Ok(())
}

/// Waits until all are done; jobs per second from the first one's end to the last one's.
async fn drain(db: &DatabaseConnection) -> anyhow::Result<f64> {
    let begin = Instant::now();
    while is_any_left(db).await? {
        ensure!(begin.elapsed() < PATIENCE, "the jobs were not done in time");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let sql = format!(
        "SELECT COUNT(*) AS done, MAX(finished_at) - MIN(finished_at) AS micros FROM jobs \
         WHERE name = '{JOB}' AND state = 'done'"
    );
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?.context("a count")?;
    let (done, micros): (i64, i64) = (row.try_get("", "done")?, row.try_get("", "micros")?);
    ensure!(done == i64::from(JOBS), "{done} of {JOBS} jobs are done");
    #[expect(clippy::cast_precision_loss, reason = "a rate")]
    Ok(done as f64 / (micros as f64 / 1e6))
}

/// Counting them would cost the database what the jobs could use.
async fn is_any_left(db: &DatabaseConnection) -> anyhow::Result<bool> {
    let sql = format!(
        "SELECT 1 AS one FROM jobs WHERE state IN ('queued', 'dispatched', 'running', 'retrying', 'dead') \
         AND queue = '{}' LIMIT 1",
        NotifyMembers::QUEUE
    );
    Ok(db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?.is_some())
}

/// Messages per second through a quorum queue, published in batches and acknowledged one by one.
async fn bare_loop(amqp: &str) -> anyhow::Result<f64> {
    let connection = Connection::connect(amqp, ConnectionProperties::default()).await?;
    let queue = format!("gatepost_bench_{}", ids::next().simple());
    let publishing = connection.create_channel().await?;
    publishing.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    publishing.queue_declare(queue.as_str().into(), durable, arguments).await?;
    let consuming = connection.create_channel().await?;
    consuming.basic_qos(8, BasicQosOptions::default()).await?;
    let begin = Instant::now();
    let (published, consumed) = tokio::join!(publish(&publishing, &queue), consume(&consuming, &queue));
    published?;
    consumed?;
    let rate = f64::from(JOBS) / begin.elapsed().as_secs_f64();
    publishing.queue_delete(queue.as_str().into(), QueueDeleteOptions::default()).await?;
    connection.close(200, "done".into()).await?;
    Ok(rate)
}

async fn publish(channel: &Channel, queue: &str) -> anyhow::Result<()> {
    let properties = BasicProperties::default().with_delivery_mode(2);
    let payload = [b'x'; 160];
    for _ in 0..JOBS as usize / BATCH {
        let mut confirms = Vec::with_capacity(BATCH);
        for _ in 0..BATCH {
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            confirms.push(channel.basic_publish("".into(), queue.into(), options, &payload, properties.clone()).await?);
        }
        for confirm in confirms {
            ensure!(confirm.await?.is_ack(), "the broker refused a message");
        }
    }
    Ok(())
}

async fn consume(channel: &Channel, queue: &str) -> anyhow::Result<()> {
    let consumer = channel
        .basic_consume(queue.into(), "bench".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await?;
    let mut deliveries = consumer.take(JOBS as usize);
    while let Some(delivery) = deliveries.next().await {
        delivery?.ack(BasicAckOptions::default()).await?;
    }
    Ok(())
}
