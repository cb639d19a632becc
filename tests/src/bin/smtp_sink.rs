//! A mail server that takes everything and keeps each message as a file: `smtp_sink PORT FOLDER`.

use std::{path::PathBuf, process::ExitCode};

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().and_then(|port| port.parse().ok());
    let folder = arguments.next().map(PathBuf::from);
    let (Some(port), Some(folder)) = (port, folder) else {
        return ExitCode::from(2);
    };
    match harness::smtp::run_standalone(port, folder).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
