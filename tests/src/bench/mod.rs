//! Benchmarks: what the executable does, against a limit or a peer measured in the same run.
//!
//! ```text
//! start     time to ready on an existing database, resident memory idle, after logins, and after giving blocks back
//! session   GET /api/users/@me over 32 connections: alone, against an empty handler, and while 200 bad logins run
//! login     right passwords per second, against what the same cores hash with the same parameters
//! overload  more logins than the pool takes: refusals, and memory meanwhile
//! delivery  from the answer to a request to the mail at the relay
//! timing    known and unknown addresses: medians and how well times tell them apart
//! ```
//!
//! The server is a process of its own; load comes from this process over plain keep-alive connections. Every line says
//! what is measured, the figure, and the bound that it is held against.

mod client;
mod figures;
mod server;
mod suites;

pub use client::Connection;
pub use figures::{Figures, Report};
pub use server::{BenchServer, EmptyHandler};

/// Runs the suites that are named, or all of them, and prints a table.
///
/// # Errors
/// When the server does not start or answers what it must not.
pub async fn run(only: &[String]) -> anyhow::Result<()> {
    let is_wanted = |suite: &str| only.is_empty() || only.iter().any(|name| name == suite);
    let mut report = Report::default();
    if is_wanted("start") {
        suites::start(&mut report).await?;
    }
    if is_wanted("session") {
        suites::session(&mut report).await?;
    }
    if is_wanted("login") {
        suites::login(&mut report).await?;
    }
    if is_wanted("overload") {
        suites::overload(&mut report).await?;
    }
    if is_wanted("timing") {
        suites::timing(&mut report).await?;
    }
    if is_wanted("delivery") {
        suites::delivery(&mut report).await?;
    }
    report.print();
    Ok(())
}
