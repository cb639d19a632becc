//! The worker of the queue `notify`.

use std::process::ExitCode;

use shared::jobs::Queue;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    workers::run_queue(Queue::Notify).await
}
