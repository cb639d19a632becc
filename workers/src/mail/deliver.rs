//! Sends the mail of a job, so that the ledger and the job always agree.
//!
//! ```text
//! render ─► tx: still ours? within budget? `sending` ─► SMTP ─┬─ 250 ─► tx: `handed_over` + job done
//!                                                             ├─ refused ─► tx: `rejected` + job dead
//!                                                             ├─ no answer ─► `unknown`, tried again
//!                                                             └─ later, or the operator ─► `sending`, tried again
//! ```
//!
//! A crash between 250 and commit sends the same bytes again, under the same `Message-ID`.

use std::time::Instant;

use sea_orm::DbErr;
use shared::{
    chaos,
    jobs::receipts::{self, Claim, Ending},
};

use tracing::Instrument as _;

use super::{
    Mail, MailTransport, Outgoing, SendError, Unsendable,
    ledger::{self, Entry, Opening},
};
use crate::{
    attempt::{Ran, persistently},
    context::Context,
    registry::JobError,
};

/// Sends a mail for the job of `claim`.
pub(crate) async fn deliver(context: &Context, mail: &Mail, claim: &Claim) -> Result<Ran, JobError> {
    let Some(transport) = context.mailer.transport.as_deref() else {
        tracing::info!("this installation sends no mail");
        return Ok(Ran::Ended(Ending::Cancelled));
    };
    let message = compose(context, mail, claim)?;
    if let Some(refused) = open(context, claim, (&message.recipient, mail.is_owed)).await? {
        return Ok(refused);
    }
    match send(transport, &message).await {
        Ok(reply) => {
            chaos::point("mail.after_250_before_commit");
            context.mail_works();
            conclude(context, claim, Entry::HandedOver, &reply, Ending::Done).await
        }
        Err(SendError::Rejected(reply)) => {
            // The relay took our credentials and our sender, so mail works.
            context.mail_works();
            conclude(context, claim, Entry::Rejected, &reply, Ending::Dead(reply.clone())).await
        }
        Err(SendError::Unknown(reply)) => {
            note(context, claim, Entry::Unknown, &reply).await?;
            Err(JobError::retry(reply))
        }
        Err(SendError::Transient(reply)) => {
            note(context, claim, Entry::Sending, &reply).await?;
            Err(JobError::retry(reply))
        }
        Err(SendError::Configuration(reply)) => {
            note(context, claim, Entry::Sending, &reply).await?;
            Err(JobError::Configuration(reply))
        }
    }
}

/// Opens the ledger; says how the attempt ends when the mail may not be sent.
async fn open(context: &Context, claim: &Claim, (recipient, is_owed): (&str, bool)) -> Result<Option<Ran>, DbErr> {
    let tx = context.kernel.db.write_tx().await?;
    let opening = ledger::open(&tx, &context.kernel, claim, (recipient, is_owed)).await?;
    tx.commit().await?;
    Ok(match opening {
        Opening::Clear => None,
        Opening::Overtaken => Some(Ran::Overtaken),
        Opening::Suppressed => Some(Ran::Ended(Ending::Dead("recipient suppressed".to_owned()))),
        Opening::OverBudget => {
            tracing::warn!("the recipient got too many mails; this one is not sent");
            Some(Ran::Ended(Ending::Cancelled))
        }
    })
}

fn compose(context: &Context, mail: &Mail, claim: &Claim) -> Result<Outgoing, JobError> {
    let mailer = &context.mailer;
    let rendered = mailer
        .renderer
        .render(mail.template, &mail.context)
        .map_err(|error| JobError::Reject(format!("the template {}: {error}", mail.template)))?;
    mailer
        .letterhead
        .write(claim.id, claim.created_at, &mail.to, rendered)
        .map_err(|error: Unsendable| JobError::Reject(error.to_string()))
}

async fn send(transport: &dyn MailTransport, message: &Outgoing) -> Result<String, SendError> {
    let started = Instant::now();
    let outcome = transport.send(message).instrument(tracing::info_span!("smtp")).await;
    let class = outcome.as_ref().map_or_else(SendError::class, |_| "handed_over");
    metrics::histogram!("gatepost_mail_send_seconds", "class" => class).record(started.elapsed());
    outcome.map(|receipt| receipt.reply)
}

/// Commits what became of the mail together with the end of its job.
async fn conclude(
    context: &Context,
    claim: &Claim,
    entry: Entry,
    reply: &str,
    ending: Ending,
) -> Result<Ran, JobError> {
    let is_ours = persistently(|| async {
        let now = context.kernel.clock.now();
        let tx = context.kernel.db.write_tx().await?;
        if !receipts::finish(&*tx, claim, now, &ending).await? {
            tx.rollback().await?;
            return Ok(false);
        }
        ledger::write(&tx, claim.id, entry, reply, now).await?;
        tx.commit().await?;
        Ok(true)
    })
    .await?;
    Ok(if is_ours { Ran::Committed(ending) } else { Ran::Overtaken })
}

/// Writes down a try after which the job goes on.
async fn note(context: &Context, claim: &Claim, entry: Entry, reply: &str) -> Result<(), DbErr> {
    let tx = context.kernel.db.write_tx().await?;
    ledger::write(&tx, claim.id, entry, reply, context.kernel.clock.now()).await?;
    tx.commit().await
}
