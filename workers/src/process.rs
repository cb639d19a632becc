//! A worker process, put together: the same parts as in `gatepost serve`, without the gateway.
//!
//! ```text
//! configuration ─► telemetry ─► database (migrated? else refuse) ─► clock ─► broker ─► relay, consumers, maintenance,
//! health ─► until SIGTERM, then `http.grace_seconds` to finish ─► close the broker ─► flush traces
//! ```

use std::{
    future::Future,
    pin::{Pin, pin},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, bail};
use shared::{
    broker::{self, Broker},
    config::{self, Config},
    jobs::{Queue, relay},
    kernel::{self, Kernel},
    lifecycle::{CancellationToken, Lifecycle, Readiness, terminated},
    telemetry::{self, Telemetry},
};

use crate::{consumer, context::Context, handlers, health, mail::Mailer};

/// Runs a worker process for `queues` until SIGTERM. `Ok(false)` means that a component ended by itself.
#[must_use]
pub fn run(config: Config, queues: Vec<Queue>) -> Pin<Box<dyn Future<Output = anyhow::Result<bool>> + Send>> {
    Box::pin(async move {
        let telemetry = Telemetry::start(&config.telemetry, "gatepost-worker")?;
        telemetry::metrics();
        let ended = Box::pin(work(config, &queues)).await;
        // The exporter blocks while it sends.
        let flushed = tokio::task::spawn_blocking(move || telemetry.flush()).await;
        flushed.context("flushing traces")?;
        ended
    })
}

/// Runs a worker process for one queue, configured by file and environment, and gives its exit code: what the executables of this crate call.
///
/// # Errors
/// When the process could not start.
#[must_use]
pub fn run_queue(queue: Queue) -> Pin<Box<dyn Future<Output = anyhow::Result<ExitCode>> + Send>> {
    Box::pin(async move {
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            bail!("TLS is already set up");
        }
        let is_orderly = run(config::load(None)?, vec![queue]).await?;
        Ok(if is_orderly { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

async fn work(config: Config, queues: &[Queue]) -> anyhow::Result<bool> {
    if config.broker.url.expose().starts_with("memory:") {
        bail!("broker.url is memory://, which only works with `gatepost serve`; a worker process needs amqp(s)://");
    }
    let (mut told_to_stop, mut lifecycle) = (pin!(terminated()), Lifecycle::new());
    let connecting = async {
        let kernel = Arc::new(open_kernel(config, &mut lifecycle).await?);
        let broker = broker::connect(&kernel.config.broker).await.context("connecting to the broker")?;
        anyhow::Ok((kernel, broker))
    };
    // The first process of a container is not ended by a signal that it does not listen for.
    let (kernel, broker) = tokio::select! {
        () = &mut told_to_stop => return Ok(true),
        connected = connecting => connected?,
    };
    start(&kernel, &broker, queues, &mut lifecycle).await?;
    let grace = Duration::from_secs(kernel.config.http.grace_seconds);
    tracing::info!(queues = ?queues.iter().map(|queue| queue.as_str()).collect::<Vec<_>>(), "working");
    let orderly = lifecycle.run_until(told_to_stop, grace).await;
    broker.close().await;
    Ok(orderly)
}

async fn start(
    kernel: &Arc<Kernel>,
    broker: &Arc<dyn Broker>,
    queues: &[Queue],
    lifecycle: &mut Lifecycle,
) -> anyhow::Result<()> {
    let readiness = lifecycle.readiness.clone();
    let mailer = Arc::new(Mailer::new(&kernel.config)?);
    let context = Arc::new(Context::new(Arc::clone(kernel), mailer, readiness.clone()));
    consumer::announce(&readiness, queues);
    if let Some(listen) = kernel.config.telemetry.metrics_listen {
        let bound = health::bind(listen).await.with_context(|| format!("telemetry.metrics_listen {listen}"))?;
        lifecycle.spawn("health", serve_health(bound, readiness.clone(), lifecycle.stopping()));
    }
    let relay = relay::run(Arc::clone(kernel), Arc::clone(broker), readiness, lifecycle.stopping());
    lifecycle.spawn(relay::COMPONENT, relay);
    consumer::spawn(context, Arc::new(handlers::registry()?), Arc::clone(broker), queues, lifecycle).await?;
    Ok(())
}

/// Connects to the database and refuses one whose schema is not this version's.
async fn open_kernel(config: Config, lifecycle: &mut Lifecycle) -> anyhow::Result<Kernel> {
    let (kernel, follower) = Kernel::connect(config).await?;
    let missing = migrations::missing(kernel.db.writer()).await.context("reading the schema's version")?;
    if let Some(first) = missing.first() {
        bail!("the schema lacks {} changes, the first is {first}; run `gatepost migrate`", missing.len());
    }
    if let Some(clock) = follower {
        lifecycle.spawn("clock", kernel::follow_database(kernel.db.clone(), clock, lifecycle.stopping()));
    }
    Ok(kernel)
}

async fn serve_health(bound: health::Bound, readiness: Readiness, stopping: CancellationToken) {
    if let Err(error) = bound.serve(readiness, stopping).await {
        tracing::error!(%error, "the health listener failed");
    }
}
