//! The notice of a login with a new device, and garbage collection of devices.

use std::time::Duration;

use serde_json::json;
use shared::{
    db::Tx,
    devices::{self, NotifyNewDevice, SweepDevices},
};

use super::{RETENTION, SWEEP_BATCH, phrases};
use crate::{context::Context, mail::Mail, registry::JobError};

/// Tells the user when, from where, with what and how they signed in. It cannot be switched off.
pub async fn notify_new_device(ctx: &Context, job: NotifyNewDevice) -> Result<Option<Mail>, JobError> {
    let found = devices::new_device_mail(&ctx.kernel, job.audit_id).await?;
    Ok(found.filter(|mail| mail.user.id == job.user_id).map(|mail| {
        let context = json!({
            "name": phrases::name(&mail.user),
            "time_utc": phrases::time_utc(mail.event.at),
            "ip": mail.event.ip.unwrap_or_else(|| "an unknown address".to_owned()),
            "device": phrases::device(mail.event.user_agent.as_deref()),
            "method": phrases::method(&mail.amr),
            "link": phrases::link(&ctx.kernel, "/login/not_me", Some(&mail.token)),
        });
        Mail::new("devices/unknown_device", &mail.user.email, context).owed()
    }))
}

/// Deletes devices that nobody has used for a long time.
pub async fn sweep_devices(ctx: &Context, tx: &Tx, _job: SweepDevices) -> Result<(), JobError> {
    let now = ctx.kernel.clock.now();
    let known = Duration::from_secs(ctx.kernel.config.devices.known_seconds);
    devices::sweep(&**tx, (now - RETENTION, now - known), SWEEP_BATCH).await?;
    Ok(())
}
