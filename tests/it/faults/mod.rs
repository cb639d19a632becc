//! What happens when the processes of an installation, its broker or its network are hurt.
//!
//! These tests take PostgreSQL, RabbitMQ and some time; they run when `GATEPOST_TEST_FULL` is set, as `make test-full` does.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod broker_outage;
mod clocks;
mod crash_points;
mod database;
mod deaths;
mod disk;
pub mod fleet;
mod key_sweep;
mod migrations;
mod postgresql;
mod repeated_request;
mod scaling;
pub mod stack;
mod volume;

/// Whether the tests that need real servers run.
pub fn full() -> bool {
    std::env::var_os("GATEPOST_TEST_FULL").is_some_and(|value| !value.is_empty() && value != "0")
}
