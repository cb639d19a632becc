//! `gatepost jobs`: list, show, retry, cancel.

use clap::Subcommand;
use sea_orm::ActiveEnum;
use serde_json::json;
use shared::{
    audit::{self, AuditEvent, Outcome},
    config::Config,
    jobs::{JobId, JobState, operate},
};

use crate::{output, process};

/// What to do with jobs.
#[derive(Subcommand)]
pub enum JobsCommand {
    /// The newest jobs.
    List {
        /// queued, dispatched, running, retrying, done, dead, expired or cancelled
        #[arg(long)]
        state: Option<String>,
        /// mail, notify, sweep or identify
        #[arg(long)]
        queue: Option<String>,
        /// Wire name, such as `recovery.send_reset_link`
        #[arg(long)]
        name: Option<String>,
        /// How many.
        #[arg(long, default_value_t = 50)]
        limit: u64,
    },
    /// Everything about one job.
    Show {
        /// Its id.
        id: JobId,
    },
    /// Put a dead or cancelled job back in line.
    Retry {
        /// Its id.
        id: JobId,
    },
    /// Call a waiting job off.
    Cancel {
        /// Its id.
        id: JobId,
    },
}

/// Runs one of the commands.
pub async fn run(config: Config, command: JobsCommand) -> anyhow::Result<bool> {
    let kernel = process::kernel(config).await?;
    let db = kernel.db.reader();
    match command {
        JobsCommand::List { state, queue, name, limit } => {
            let state = state.map(|state| JobState::try_from_value(&state)).transpose()?;
            let filter = operate::Filter { state, queue, name, before: None };
            for job in operate::list(db, &filter, limit).await? {
                let error = job.last_error.as_deref().unwrap_or_default();
                output::print(&format!(
                    "{}  {:<10}  {:<8}  {:<40}  attempt {:>2}  {}  {error}",
                    job.id,
                    job.state.as_str(),
                    job.queue,
                    job.name,
                    job.attempt,
                    job.run_at
                ));
            }
            Ok(true)
        }
        JobsCommand::Show { id } => {
            let Some(job) = operate::find(db, id).await? else { anyhow::bail!("no job {id}") };
            output::print(&format!("{job:#?}"));
            Ok(true)
        }
        JobsCommand::Retry { id } => change(&kernel, id, "jobs.retry").await,
        JobsCommand::Cancel { id } => change(&kernel, id, "jobs.cancel").await,
    }
}

async fn change(kernel: &shared::kernel::Kernel, id: JobId, action: &'static str) -> anyhow::Result<bool> {
    let now = kernel.clock.now();
    let tx = kernel.db.write_tx().await?;
    let done = match action {
        "jobs.retry" => operate::retry(&*tx, id, now).await?,
        _ => operate::cancel(&*tx, id, now).await?,
    };
    let event = AuditEvent {
        action,
        outcome: if done { Outcome::Success } else { Outcome::Failure },
        user_id: None,
        client: None,
        detail: json!({ "job_id": id, "by": "command line" }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await?;
    output::print(if done {
        "done"
    } else {
        "not possible: the job is running, has ended otherwise, or its purpose is over"
    });
    Ok(done)
}
