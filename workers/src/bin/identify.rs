//! The worker of the queue `identify`.

use std::process::ExitCode;

use shared::jobs::Queue;

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    workers::run_queue(Queue::Identify).await
}
