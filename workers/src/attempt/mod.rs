//! One attempt at one job, from the claim to the record of how it ended.
//!
//! ```text
//! claim ── none: a duplicate, or too early
//!   ├─ purpose over ───────────────────────────────────────────────► expired
//!   ├─ unknown name or version ─► released for a while (a rolling upgrade), then dead
//!   └─ handler, within three quarters of the lease
//!        ├─ effect: handler + `done` in one transaction guarded by the fence; what looks elsewhere first does so before it
//!        ├─ mail: see `mail::deliver`
//!        ├─ Retry, time-out, panic ─► retrying, dead when attempts are used up
//!        ├─ Reject ────────────────► dead
//!        ├─ Configuration ─────────► released, the attempt does not count
//!        └─ the process stops ─────► released at once, nothing half done
//! ```
//!
//! A handler is dropped before its lease ends, so nobody else holds the job while it runs. What cannot be recorded,
//! because the database is away, is left to the reaper: the lease ends and the job is tried again.

use std::{
    any::Any,
    future::Future,
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use sea_orm::DbErr;
use shared::{
    chaos,
    db::Tx,
    jobs::{
        JobId,
        receipts::{self, Claim, Ending},
    },
    lifecycle::CancellationToken,
    telemetry,
};
use tracing::Instrument;

use crate::{
    context::Context,
    mail::{self, ledger},
    registry::{Binding, Bound, JobError, Registry},
};

/// Pauses between tries to record how an attempt ended.
const RECORD_PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(250), Duration::from_secs(2)];

/// What came of a handler that returned without an error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ran {
    /// The ending has been committed together with the effect.
    Committed(Ending),
    /// Another worker holds the job now; nothing was committed.
    Overtaken,
    /// Nothing was committed; this is how it ended.
    Ended(Ending),
}

/// Claims a job and runs it. Returns the class of its ending, or `None` when there was nothing to claim: the message was
/// a duplicate.
///
/// # Errors
/// When the database did not let the job be claimed; the message should go back to the broker.
pub async fn run(
    context: &Context,
    registry: &Registry,
    id: JobId,
    hurry: &CancellationToken,
) -> Result<Option<&'static str>, DbErr> {
    let claimed = context.claims.claim(&context.kernel, &context.owner, id).await?;
    let Some(claim) = claimed else {
        tracing::debug!(job_id = %id, "nothing to claim; the message was a duplicate");
        return Ok(None);
    };
    chaos::point("worker.after_claim");
    let span = tracing::info_span!("job", job_id = %claim.id, name = %claim.name, attempt = claim.attempt);
    telemetry::continue_trace(&span, claim.traceparent.as_deref());
    let class = perform(context, registry, &claim, hurry).instrument(span).await;
    Ok(Some(class))
}

async fn perform(context: &Context, registry: &Registry, claim: &Claim, hurry: &CancellationToken) -> &'static str {
    let started = Instant::now();
    let bound = registry.find(&claim.name, claim.version).filter(|_| chaos::knows(&claim.name));
    let ran = if claim.expires_at.is_some_and(|at| at <= context.kernel.clock.now()) {
        Ran::Ended(Ending::Expired)
    } else if let Some(bound) = bound {
        guarded(context, bound, claim, hurry).await
    } else {
        Ran::Ended(unknown(context, claim))
    };
    let ending = match ran {
        Ran::Committed(ending) => Some(ending),
        Ran::Overtaken => None,
        Ran::Ended(ending) => record(context, bound, claim, &ending).await.then_some(ending),
    };
    let class = ending.as_ref().map_or("overtaken", Ending::class);
    report(bound, ending.as_ref(), class, started.elapsed());
    class
}

/// Runs the handler so that neither a panic, nor a hang, nor the end of the process leaves anything half done.
async fn guarded(context: &Context, bound: &Bound, claim: &Claim, hurry: &CancellationToken) -> Ran {
    let limit = context.kernel.config.jobs.lease() * 3 / 4;
    let handler = AssertUnwindSafe(handle(context, &bound.binding, claim)).catch_unwind();
    let outcome = tokio::select! {
        biased;
        outcome = handler => outcome,
        () = tokio::time::sleep(limit) => Ok(Err(JobError::retry("the handler took too long"))),
        () = hurry.cancelled() => {
            return Ran::Ended(Ending::Released(Duration::ZERO, "the worker stopped".to_owned()));
        }
    };
    match outcome {
        Ok(Ok(ran)) => ran,
        Ok(Err(error)) => Ran::Ended(after(context, bound, claim, error)),
        Err(panic) => {
            let error = JobError::retry(format!("the handler panicked: {}", panic_text(panic.as_ref())));
            Ran::Ended(after(context, bound, claim, error))
        }
    }
}

async fn handle(context: &Context, binding: &Binding, claim: &Claim) -> Result<Ran, JobError> {
    chaos::point("worker.before_effect");
    match binding {
        Binding::Mail(handler) => match handler(context, &claim.payload).await? {
            None => Ok(Ran::Ended(Ending::Cancelled)),
            Some(mail) => mail::deliver(context, &mail, claim).await,
        },
        Binding::Effect(handler) => {
            let tx = context.kernel.db.group_tx().await?;
            handler(context, &tx, &claim.payload).await?;
            commit(context, claim, tx).await
        }
        Binding::Look(handler) => {
            let effect = handler(context, &claim.payload).await?;
            let tx = context.kernel.db.group_tx().await?;
            effect(context, &tx).await?;
            commit(context, claim, tx).await
        }
    }
}

/// Commits an effect together with the end of its job, if the job is still this worker's.
async fn commit(context: &Context, claim: &Claim, tx: Tx) -> Result<Ran, JobError> {
    if !receipts::finish(&*tx, claim, context.kernel.clock.now(), &Ending::Done).await? {
        tx.rollback().await?;
        return Ok(Ran::Overtaken);
    }
    tx.commit().await?;
    Ok(Ran::Committed(Ending::Done))
}

/// What follows from a handler's error.
fn after(context: &Context, bound: &Bound, claim: &Claim, error: JobError) -> Ending {
    let now = context.kernel.clock.now();
    match error {
        JobError::Retry(source) => Ending::after_failure(bound.catalog.retry, claim, now, source.to_string()),
        JobError::Reject(reason) => Ending::Dead(reason),
        JobError::Configuration(reason) => {
            if matches!(bound.binding, Binding::Mail(_)) {
                context.mail_is_broken(&reason);
            }
            Ending::Released(Duration::from_secs(context.kernel.config.mail.pause_seconds), reason)
        }
    }
}

/// A job that this version has no handler for: during an upgrade another worker may.
fn unknown(context: &Context, claim: &Claim) -> Ending {
    let patience = Duration::from_secs(context.kernel.config.jobs.unknown_patience_seconds);
    let reason = format!("no handler for {} version {}", claim.name, claim.version);
    if context.kernel.clock.now().since(claim.created_at) >= patience {
        return Ending::Dead(reason);
    }
    let pause = (patience / 60).clamp(Duration::from_secs(1), Duration::from_secs(60));
    Ending::Released(pause, reason)
}

/// Records an ending that came with no effect. False when the job is no longer this worker's, or nobody could be told.
async fn record(context: &Context, bound: Option<&Bound>, claim: &Claim, ending: &Ending) -> bool {
    let is_mail = bound.is_some_and(|bound| matches!(bound.binding, Binding::Mail(_)));
    // A first attempt that found nothing to send has opened no entry.
    let has_entry = is_mail && !(claim.attempt == 1 && matches!(ending, Ending::Cancelled));
    let recorded = persistently(|| async {
        let (db, now) = (&context.kernel.db, context.kernel.clock.now());
        if !has_entry {
            // One statement is a transaction of its own.
            return receipts::finish(db.writer(), claim, now, ending).await;
        }
        let tx = db.write_tx().await?;
        let is_ours = receipts::finish(&*tx, claim, now, ending).await?;
        if is_ours {
            ledger::settle(&tx, claim.id, ending).await?;
        }
        tx.commit().await?;
        Ok(is_ours)
    })
    .await;
    match recorded {
        Ok(is_ours) => {
            if matches!(ending, Ending::Released(Duration::ZERO, _)) {
                context.kernel.db.wake_relay();
            }
            is_ours
        }
        Err(error) => {
            tracing::error!(%error, "the end of the attempt could not be recorded; the reaper takes the job over");
            false
        }
    }
}

/// Tries a write again while the database does not answer.
pub(crate) async fn persistently<T, F, R>(mut write: F) -> Result<T, DbErr>
where
    F: FnMut() -> R + Send,
    R: Future<Output = Result<T, DbErr>> + Send,
{
    let mut last = None;
    for pause in RECORD_PAUSES {
        tokio::time::sleep(pause).await;
        match write().await {
            Ok(done) => return Ok(done),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| DbErr::Custom("nothing was tried".to_owned())))
}

fn report(bound: Option<&Bound>, ending: Option<&Ending>, class: &'static str, took: Duration) {
    let (queue, name) =
        bound.map_or(("unknown", "unknown"), |bound| (bound.catalog.queue.as_str(), bound.catalog.name));
    metrics::histogram!("gatepost_job_duration_seconds", "queue" => queue, "name" => name).record(took);
    metrics::counter!("gatepost_jobs_ended_total", "queue" => queue, "class" => class).increment(1);
    log(ending, class, u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
}

fn log(ending: Option<&Ending>, class: &'static str, milliseconds: u64) {
    match ending {
        Some(Ending::Done | Ending::Cancelled | Ending::Expired) => tracing::info!(class, milliseconds, "job ended"),
        Some(Ending::Dead(error)) => tracing::error!(error, "job is dead; `gatepost jobs retry` tries it again"),
        Some(Ending::Retrying(delay, error) | Ending::Released(delay, error)) => log_wait(class, *delay, error),
        None => log_wait(class, Duration::ZERO, "another worker holds the job now; nothing was committed"),
    }
}

fn log_wait(class: &'static str, delay: Duration, error: &str) {
    tracing::warn!(class, error, delay_seconds = delay.as_secs_f64(), "job goes back in line");
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests;
