//! The server, driven by a client that writes raw lines.

mod client;
mod dialogue;
mod faults;
mod lifecycle;
mod security;

use std::time::Duration;

const SOON: Duration = Duration::from_secs(5);
