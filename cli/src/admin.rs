//! `gatepost admin`: interventions that only someone with access to the machine may make. Each is audited.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Subcommand;
use shared::{
    config::Config,
    deletion, email_mfa, jobs,
    kernel::Kernel,
    totp::{self, ResealSecrets},
    users::{self, Email},
};

use crate::{output, process};

/// An intervention.
#[derive(Subcommand)]
pub enum AdminCommand {
    /// Let one user sign in without the e-mail step for a time, for instance while no mail can be sent.
    BypassEmailMfa {
        /// The user's address.
        email: String,
        /// For how many minutes.
        #[arg(long, default_value_t = 15)]
        minutes: u64,
        /// Why; it goes into the audit trail.
        #[arg(long)]
        reason: String,
    },
    /// Seal all secrets with the key that signs now, in batches by `gatepost worker sweep`; `gatepost doctor` counts what is
    /// left of older keys.
    Reencrypt,
    /// Delete a user and everything that is theirs, for good. Refused while an organization has no other owner.
    DeleteUser {
        /// The user's address.
        email: String,
    },
    /// Disable a user and end everything they hold.
    DisableUser {
        /// The user's address.
        email: String,
    },
}

/// Runs one intervention.
pub async fn run(config: Config, command: AdminCommand) -> anyhow::Result<bool> {
    let kernel = process::kernel(config).await?;
    let (AdminCommand::BypassEmailMfa { email, .. }
    | AdminCommand::DeleteUser { email }
    | AdminCommand::DisableUser { email }) = &command
    else {
        return reencrypt(&kernel).await;
    };
    let email = Email::parse(email)?;
    let user = users::find_by_email(kernel.db.reader(), &email).await?.context("no user has this address")?;
    match command {
        AdminCommand::BypassEmailMfa { minutes, reason, .. } => {
            if minutes == 0 || minutes > 24 * 60 {
                bail!("--minutes must be between 1 and 1440");
            }
            let duration = Duration::from_secs(minutes * 60);
            let until = email_mfa::grant_bypass(&kernel, user.id, duration, &reason).await?;
            output::print(&format!("the user may sign in without the e-mail step until {until}"));
        }
        AdminCommand::Reencrypt => {}
        AdminCommand::DeleteUser { .. } => {
            deletion::delete_user(&kernel, None, user.id).await.context("cannot delete the user")?;
            output::print("deleted");
        }
        AdminCommand::DisableUser { .. } => {
            users::disable(&kernel, user.id).await.context("cannot disable the user")?;
            output::print("disabled");
        }
    }
    Ok(true)
}

/// Enqueues the job that the schedule enqueues every hour; it goes on by itself until nothing is left.
async fn reencrypt(kernel: &Kernel) -> anyhow::Result<bool> {
    let current = kernel.keys.current();
    let counts = totp::count_by_key(kernel.db.reader()).await?;
    let left: i64 = counts.iter().filter(|(key_id, _)| key_id != current).map(|(_, count)| count).sum();
    let tx = kernel.db.write_tx().await?;
    // No window of the schedule is as large.
    let now = kernel.clock.now();
    jobs::enqueue(&tx, kernel.clock.as_ref(), &ResealSecrets::begin(now.0)).await?;
    tx.commit().await?;
    output::print(&format!(
        "{left} secrets will be sealed with the key {current:?}; `gatepost doctor` counts what is left"
    ));
    Ok(true)
}
