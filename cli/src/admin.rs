//! `gatepost admin`: interventions that only someone with access to the machine may make. Each is audited.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Subcommand;
use shared::{
    config::Config,
    email_mfa,
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
    /// Disable a user and end everything they hold.
    DisableUser {
        /// The user's address.
        email: String,
    },
}

/// Runs one intervention.
pub async fn run(config: Config, command: AdminCommand) -> anyhow::Result<bool> {
    let kernel = process::kernel(config).await?;
    let (AdminCommand::BypassEmailMfa { email, .. } | AdminCommand::DisableUser { email }) = &command;
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
        AdminCommand::DisableUser { .. } => {
            users::disable(&kernel, user.id).await.context("cannot disable the user")?;
            output::print("disabled");
        }
    }
    Ok(true)
}
