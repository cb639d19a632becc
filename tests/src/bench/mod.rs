//! Benchmarks: what the executable does, against a limit or a peer measured in the same run.
//!
//! ```text
//! start     time to ready on an existing database, resident memory idle, after logins, and after giving blocks back
//! session   GET /api/users/@me over 32 connections: alone, against an empty handler, and while 200 bad logins run
//! keys      GET /api/users/@me by API key, against an empty handler; what a garbage key costs
//! sweep     a million API keys, one in twenty due for a warning: rows per second, memory, killed in the middle
//! login     right passwords per second, against what the same cores hash with the same parameters
//! factor    logins that an app's code completes, against right passwords of the same users
//! overload  more logins than the pool takes: refusals, and memory meanwhile
//! delivery  from the answer to a request to the mail at the relay
//! capture   events per second that are durable, against a bare loop that inserts the same rows
//! timing    known and unknown addresses: medians and how well times tell them apart
//! growth    a login and a session check with a thousand to a million users
//! jobs      jobs from the table to done, against a bare lapin loop
//! persons   what clients captured, to the persons that it makes
//! peers     sign-ins and session checks, against better-auth on Node
//! ```
//!
//! The server is a process of its own; load comes from this process over plain keep-alive connections. Every line says
//! what is measured, the figure, and the bound that it is held against. A run of everything in the profile that ships writes
//! `benchmarks.md` in `docs/`.

mod client;
mod factor;
mod figures;
mod growth;
mod jobs;
mod keys;
mod peers;
mod persons;
mod postgres;
mod server;
mod suites;
mod throughput;

pub use client::Connection;
pub use figures::{Figures, Report};
pub use postgres::PostgresDatabase;
pub use server::{BenchServer, EmptyHandler};

/// The names of the suites, in the order in which they run.
const SUITES: [&str; 14] = [
    "start", "session", "keys", "login", "factor", "overload", "timing", "delivery", "capture", "growth", "jobs",
    "sweep", "persons", "peers",
];

/// Runs the suites that are named, or all of them, and prints a table.
///
/// # Errors
/// When a name is none of a suite, or the server does not start or answers what it must not.
pub async fn run(only: &[String]) -> anyhow::Result<()> {
    if let Some(unknown) = only.iter().find(|name| !SUITES.contains(&name.as_str())) {
        anyhow::bail!("there is no suite {unknown}; there are: {}", SUITES.join(", "));
    }
    let mut report = Report::default();
    for name in SUITES.into_iter().filter(|name| only.is_empty() || only.iter().any(|wanted| wanted == name)) {
        report.section(name);
        match name {
            "start" => suites::start(&mut report).await?,
            "session" => suites::session(&mut report).await?,
            "login" => suites::login(&mut report).await?,
            "factor" => factor::factor(&mut report).await?,
            "overload" => suites::overload(&mut report).await?,
            "timing" => suites::timing(&mut report).await?,
            "delivery" => suites::delivery(&mut report).await?,
            "capture" => throughput::capture(&mut report).await?,
            "growth" => growth::growth(&mut report).await?,
            "jobs" => jobs::jobs(&mut report).await?,
            "keys" => keys::authentication(&mut report).await?,
            "sweep" => keys::sweep(&mut report).await?,
            "persons" => persons::persons(&mut report).await?,
            _ => peers::peers(&mut report).await?,
        }
    }
    report.print();
    if only.is_empty() && !cfg!(debug_assertions) {
        report.write()?;
    }
    Ok(())
}
