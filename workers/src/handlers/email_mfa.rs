//! The mail of a pending login.

use serde_json::json;
use shared::{email_mfa::SendLoginCode, login};

use super::phrases;
use crate::{context::Context, mail::Mail, registry::JobError};

/// Mails code and link of a pending login; nothing once the login has ended or a later send is in force.
pub async fn send_login_code(ctx: &Context, job: SendLoginCode) -> Result<Option<Mail>, JobError> {
    let found = login::login_code_mail(&ctx.kernel, job.login_id, job.send).await?;
    Ok(found.map(|mail| {
        let context = json!({
            "name": phrases::name(&mail.user),
            "code": mail.code,
            "link": phrases::link(&ctx.kernel, "/login/email", Some(&mail.token)),
            "expires_minutes": ctx.kernel.config.email_mfa.validity_seconds / 60,
            "time_utc": phrases::time_utc(mail.at),
            "ip": mail.ip,
            "device": phrases::device(mail.user_agent.as_deref()),
        });
        Mail::new("email_mfa/login_code", &mail.user.email, context).owed()
    }))
}
