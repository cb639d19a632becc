//! Mails and garbage collection of invites.

use serde_json::json;
use shared::{
    db::Tx,
    invites::{self, NotifyMemberJoined, SendInvite, SweepInvites},
    users::{Email, User},
};

use super::{RETENTION, SWEEP_BATCH, phrases};
use crate::{context::Context, mail::Mail, registry::JobError};

/// Mails an invite to its address; nothing once it opens nothing.
pub async fn send_invite(ctx: &Context, job: SendInvite) -> Result<Option<Mail>, JobError> {
    let found = invites::invite_mail(&ctx.kernel, job.invite_id).await?;
    Ok(found.map(|(invite, organization, sender)| {
        let link = phrases::link(&ctx.kernel, "/invite", None);
        let context = json!({
            "organization": organization.name,
            "sender": called(&sender),
            "role": invite.role.as_str(),
            "link": format!("{link}?invite_id={}", invite.id),
            "until_utc": phrases::time_utc(invite.expires_at),
        });
        Mail::new("invites/invited", &invite.address, context)
    }))
}

/// Tells one who manages the organization of a newcomer.
pub async fn notify_member_joined(ctx: &Context, job: NotifyMemberJoined) -> Result<Option<Mail>, JobError> {
    let found = invites::joined_mail(&ctx.kernel, &job).await?;
    Ok(found.map(|joined| {
        let context = json!({
            "name": phrases::name(&joined.admin),
            "organization": joined.organization.name,
            "member": called(&joined.member),
            "role": joined.role.as_str(),
            "time_utc": phrases::time_utc(joined.event.at),
        });
        Mail::new("invites/member_joined", &joined.admin.email, context)
    }))
}

/// Deletes invites that were over long ago.
pub async fn sweep_invites(ctx: &Context, tx: &Tx, _job: SweepInvites) -> Result<(), JobError> {
    invites::sweep(&**tx, ctx.kernel.clock.now() - RETENTION, SWEEP_BATCH).await?;
    Ok(())
}

/// What to call a user before others: their names, or else their address without giving it away.
fn called(user: &User) -> String {
    let names: Vec<&str> = [&user.first_name, &user.last_name].into_iter().filter_map(Option::as_deref).collect();
    if names.is_empty() {
        Email::parse(&user.email).map(|email| email.masked()).unwrap_or_default()
    } else {
        names.join(" ")
    }
}
