//! The processes that have a gateway, put together from their parts; `workers::run` is the one that has none.
//!
//! ```text
//!            gateway   relay   workers + maintenance   migrates
//! serve         ×        ×              ×                 ×
//! gateway       ×        ×
//! migrate                                                 ×
//! ```

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use gateway::{AppParts, AppState, metrics_listener, server, state::Keys};
use shared::{
    blocklist,
    broker::{self, Broker},
    capture::{self, Capture},
    clock::DatabaseClock,
    config::Config,
    jobs::{Queue, reaper, relay},
    kernel::{self, Kernel},
    lifecycle::{Lifecycle, terminated},
    password::HashPool,
    sessions::SessionCache,
    social::Providers,
    telemetry::{self, Telemetry},
};
use workers::{Context, mail::Mailer};

/// The kernel alone, for commands that do one thing and end.
pub async fn kernel(config: Config) -> anyhow::Result<Kernel> {
    let (kernel, _) = Kernel::connect(config).await?;
    ensure_migrated(&kernel).await?;
    Ok(kernel)
}

/// Applies missing schema changes.
pub async fn migrate(config: Config) -> anyhow::Result<()> {
    let (kernel, _) = Kernel::connect(config).await?;
    migrations::run(kernel.db.writer()).await.context("the schema could not be changed")?;
    crate::output::print("the schema is up to date");
    Ok(())
}

/// Everything in one process.
pub async fn serve(config: Config) -> anyhow::Result<bool> {
    let starting = Box::pin(async {
        let parts = Parts::begin(config, "gatepost").await?;
        migrations::run(parts.kernel.db.writer()).await.context("the schema could not be changed")?;
        if is_in_process(&parts.kernel.config) {
            reaper::after_restart(&parts.kernel).await?;
        }
        Ok(parts)
    });
    run(starting, &Queue::ALL).await
}

/// The API, the pages and the relay.
pub async fn gateway(config: Config) -> anyhow::Result<bool> {
    if is_in_process(&config) {
        bail!("broker.url is memory://, which only works with `gatepost serve`; name a RabbitMQ");
    }
    let starting = Box::pin(async {
        let parts = Parts::begin(config, "gatepost-gateway").await?;
        ensure_migrated(&parts.kernel).await?;
        Ok(parts)
    });
    run(starting, &[]).await
}

/// Starts and runs until SIGTERM, which is heard while it starts, too: the first process of a container is not ended by a
/// signal that it does not listen for.
async fn run(starting: impl Future<Output = anyhow::Result<Parts>> + Send, queues: &[Queue]) -> anyhow::Result<bool> {
    let mut told_to_stop = pin!(terminated());
    let parts = tokio::select! {
        () = &mut told_to_stop => return Ok(true),
        parts = starting => parts?,
    };
    parts.run(queues, told_to_stop).await
}

fn is_in_process(config: &Config) -> bool {
    config.broker.url.expose().starts_with("memory:")
}

async fn ensure_migrated(kernel: &Kernel) -> anyhow::Result<()> {
    let missing = migrations::missing(kernel.db.writer()).await?;
    if let Some(first) = missing.first() {
        bail!("the schema lacks {} changes, the first is {first}; run `gatepost migrate`", missing.len());
    }
    Ok(())
}

/// What every long-running process has.
struct Parts {
    telemetry: Telemetry,
    kernel: Arc<Kernel>,
    follower: Option<Arc<DatabaseClock>>,
    broker: Arc<dyn Broker>,
}

impl Parts {
    async fn begin(config: Config, service: &'static str) -> anyhow::Result<Self> {
        let telemetry = Telemetry::start(&config.telemetry, service)?;
        telemetry::metrics().context("metrics could not be set up")?;
        let (kernel, follower) = Kernel::connect(config).await?;
        let broker = broker::connect(&kernel.config.broker).await?;
        Ok(Self { telemetry, kernel: Arc::new(kernel), follower, broker })
    }

    /// Runs until told to stop; false when a component ended by itself.
    async fn run(self, queues: &[Queue], told_to_stop: impl Future<Output = ()> + Send) -> anyhow::Result<bool> {
        let mut lifecycle = Lifecycle::new();
        let stopping = lifecycle.stopping();
        if let Some(clock) = self.follower {
            lifecycle.spawn("clock", kernel::follow_database(self.kernel.db.clone(), clock, stopping.clone()));
        }
        let relay = relay::run(
            Arc::clone(&self.kernel),
            Arc::clone(&self.broker),
            lifecycle.readiness.clone(),
            stopping.clone(),
        );
        lifecycle.spawn(relay::COMPONENT, relay);
        if !queues.is_empty() {
            let mailer = Arc::new(Mailer::new(&self.kernel.config)?);
            let context = Context::new(Arc::clone(&self.kernel), mailer, lifecycle.readiness.clone());
            let registry = Arc::new(workers::handlers::registry()?);
            workers::spawn(Arc::new(context), registry, Arc::clone(&self.broker), queues, &mut lifecycle).await?;
        }
        spawn_listeners(&self.kernel, &mut lifecycle).await?;
        let http = &self.kernel.config.http;
        let grace = Duration::from_secs(http.drain_seconds.saturating_add(http.grace_seconds));
        let orderly = lifecycle.run_until(told_to_stop, grace).await;
        self.broker.close().await;
        tokio::task::block_in_place(|| self.telemetry.flush());
        Ok(orderly)
    }
}

/// The public listener and the operators' one.
async fn spawn_listeners(kernel: &Arc<Kernel>, lifecycle: &mut Lifecycle) -> anyhow::Result<()> {
    let stopping = lifecycle.stopping();
    if let Some(list) = &kernel.config.password.breached_file {
        blocklist::examine(list)?;
    }
    let hasher = HashPool::start(&kernel.config.password, &kernel.keys)?;
    let capture = Arc::new(Capture::new(&kernel.config.capture));
    if let Some(batcher) = capture.batcher() {
        lifecycle.spawn(capture::COMPONENT, batcher.run(Arc::clone(kernel)));
    }
    let state = AppState::from(AppParts {
        kernel: Arc::clone(kernel),
        hasher: Arc::new(hasher),
        sessions: SessionCache::default(),
        keys: Keys::default(),
        providers: Providers::default(),
        capture,
        readiness: lifecycle.readiness.clone(),
        draining: stopping.clone(),
    });
    if let Some(listen) = kernel.config.telemetry.metrics_listen {
        let bound = server::bind(listen).await.with_context(|| format!("telemetry.metrics_listen {listen}"))?;
        let (state, stopping) = (state.clone(), stopping.clone());
        lifecycle.spawn("metrics", async move { report(metrics_listener::serve(bound, state, stopping).await) });
    }
    let listen = kernel.config.http.listen;
    let bound = server::bind(listen).await.with_context(|| format!("http.listen {listen}"))?;
    tracing::info!(address = %bound.address(), url = %kernel.config.http.public_url, "the gateway listens");
    lifecycle.spawn("gateway", async move {
        let config = state.kernel.config.clone();
        report(bound.serve(gateway::app(state), &config.http, stopping).await);
    });
    Ok(())
}

fn report(outcome: std::io::Result<()>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "a listener failed");
    }
}
