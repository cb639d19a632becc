//! What operators see and rely on: what production refuses, the doctor's findings, metrics and what is built on them, traces.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod doctor;
mod metrics;
mod production;
mod rolling_restart;
mod secrets;
mod start;
mod traces;
