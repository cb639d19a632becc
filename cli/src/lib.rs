//! The executable `gatepost`: one binary for every process of an installation.
//!
//! ```text
//! serve              gateway, relay, workers and scheduler in one process; creates and migrates its database
//! gateway            the API and the relay                 worker <queue…>   the workers of these queues
//! migrate            applies missing schema changes        config            the effective configuration, secrets masked
//! jobs …             list, show, retry, cancel             doctor            checks every part of the way of a mail
//! openapi            prints the API document               health            asks a running process whether it is ready
//! admin …            interventions that are audited
//! ```

mod admin;
mod doctor;
mod health;
mod jobs;
mod output;
mod process;
mod show;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use shared::jobs::Queue;

/// Requests make many small allocations on many threads; jemalloc serves them faster than the C library does, and gives
/// back what is not used (see `.cargo/config.toml`).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Gatepost: an auth platform whose side effects are jobs.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// Configuration file; `gatepost.toml` in the working directory unless given.
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run everything in one process (the default).
    Serve,
    /// Run the API, the pages and the relay.
    Gateway,
    /// Run the workers of one or more queues.
    Worker {
        /// mail, notify, sweep, identify
        #[arg(required = true)]
        queues: Vec<Queue>,
    },
    /// Apply missing schema changes.
    Migrate,
    /// Print the API document.
    Openapi,
    /// Print the effective configuration, secrets masked.
    Config,
    /// Check configuration, database, broker, workers and mail, and name the step that fails.
    Doctor {
        /// Send a test mail through the real queue to this address.
        #[arg(long)]
        mail_to: Option<String>,
    },
    /// Ask a running process whether it is ready.
    Health {
        /// Address of the health endpoint.
        #[arg(default_value = "http://127.0.0.1:8080/health/ready")]
        url: String,
    },
    /// Look at jobs and re-drive them.
    #[command(subcommand)]
    Jobs(jobs::JobsCommand),
    /// Interventions of an administrator; each is audited.
    #[command(subcommand)]
    Admin(admin::AdminCommand),
}

/// Runs the command line and gives its exit code: what the executables of this crate call.
#[must_use]
pub fn main() -> ExitCode {
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        output::error("TLS is already set up");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(err) => {
            output::error(&format!("cannot start: {err}"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(Box::pin(run(Arguments::parse())));
    runtime.shutdown_timeout(std::time::Duration::from_secs(5));
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(err) => {
            output::error(&format!("{err:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs one command; false when it ran and the answer is no.
async fn run(arguments: Arguments) -> anyhow::Result<bool> {
    let command = arguments.command.unwrap_or(Command::Serve);
    if let Command::Health { url } = &command {
        return health::ask(url).await;
    }
    if let Command::Openapi = command {
        output::print(&show::openapi()?);
        return Ok(true);
    }
    let config = shared::config::load(arguments.config.as_deref())?;
    match command {
        Command::Serve => process::serve(config).await,
        Command::Gateway => Box::pin(process::gateway(config)).await,
        Command::Worker { queues } => workers::run(config, queues).await,
        Command::Migrate => process::migrate(config).await.map(|()| true),
        Command::Config => show::config(arguments.config.as_deref()).map(|()| true),
        Command::Doctor { mail_to } => doctor::examine(config, mail_to).await,
        Command::Jobs(command) => jobs::run(config, command).await,
        Command::Admin(command) => admin::run(config, command).await,
        Command::Health { .. } | Command::Openapi => Ok(true),
    }
}
