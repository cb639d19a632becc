//! The mail to the owner of an address that someone tried to sign up with.

use serde_json::json;
use shared::{signup::SendExistingAccountNotice, users};

use super::phrases;
use crate::{context::Context, mail::Mail, registry::JobError};

/// Tells the owner how to get in; nothing once the user is disabled.
pub async fn send_existing_account_notice(
    ctx: &Context,
    job: SendExistingAccountNotice,
) -> Result<Option<Mail>, JobError> {
    let user = users::find(ctx.kernel.db.reader(), job.user_id).await?.filter(users::User::is_active);
    Ok(user.map(|user| {
        let context = json!({
            "name": phrases::name(&user),
            "login_url": phrases::link(&ctx.kernel, "/", None),
            "reset_url": phrases::link(&ctx.kernel, "/reset", None),
        });
        Mail::new("signup/existing_account", &user.email, context)
    }))
}
