//! One function per job, in the file of its slice.

mod api_keys;
mod backup_codes;
mod break_glass;
mod deletion;
mod devices;
mod domains;
mod email_mfa;
mod email_verification;
mod enforcement;
mod idempotency;
mod identify;
mod invites;
mod jobs;
mod lockout;
mod login;
mod mail;
mod notice;
mod passkey;
mod password;
mod persons;
mod phrases;
mod recovery;
mod secret_keys;
mod sessions;
mod signup;
mod social;
mod totp;
mod two_factor;
mod two_factor_reset;
mod users;

use std::time::Duration;

use crate::registry::{DuplicateHandler, Registry};

/// Rows that one sweep deletes in its transaction; the next window takes the next ones.
const SWEEP_BATCH: u64 = 5_000;

/// How long rows are kept for people who look into an incident, after they stopped to mean anything.
const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

/// Every job with its function.
///
/// # Errors
/// When two functions are bound to one job.
pub fn registry() -> Result<Registry, DuplicateHandler> {
    let mut registry = Registry::new();
    registry
        .mail(api_keys::notify_created)?
        .mail(api_keys::notify_expired)?
        .mail(api_keys::notify_expiring)?
        .mail(api_keys::notify_exposed)?
        .mail(backup_codes::notify_used)?
        .mail(break_glass::notify)?
        .mail(devices::notify_new_device)?
        .mail(domains::notify_proof_lost)?
        .mail(email_mfa::send_login_code)?
        .mail(email_verification::send_verification)?
        .mail(enforcement::notify_two_factor_required)?
        .mail(invites::notify_member_joined)?
        .mail(invites::send_invite)?
        .mail(lockout::notify_disabled)?
        .mail(lockout::notify_locked)?
        .mail(mail::send_test_mail)?
        .mail(passkey::notify_added)?
        .mail(passkey::notify_cloned)?
        .mail(passkey::notify_removed)?
        .mail(password::notify_changed)?
        .mail(recovery::send_reset_link)?
        .mail(secret_keys::notify_exposed)?
        .mail(signup::send_existing_account_notice)?
        .mail(social::notify_linked)?
        .mail(social::notify_unlinked)?
        .mail(totp::notify_disabled)?
        .mail(totp::notify_enabled)?
        .mail(two_factor::notify_passkeys)?
        .mail(two_factor_reset::notify_done)?
        .mail(two_factor_reset::send_link)?
        .mail(users::notify_email_changed)?
        .on(api_keys::sweep_expiry)?
        .on(deletion::purge_project)?
        .on(devices::sweep_devices)?
        .on(email_verification::sweep_verifications)?
        .on(enforcement::notify_members)?
        .on(idempotency::sweep_keys)?
        .on(identify::apply_facts)?
        .on(identify::delete_persons_of)?
        .on(identify::record_sign_in)?
        .on(invites::sweep_invites)?
        .on(jobs::sweep_finished_jobs)?
        .on(lockout::sweep_lockouts)?
        .on(login::sweep_logins)?
        .on(passkey::sweep_ceremonies)?
        .on(persons::sweep_events)?
        .on(recovery::sweep_resets)?
        .on(sessions::sweep_ended)?
        .on(social::sweep_logins)?
        .on(totp::reseal_secrets)?
        .on(two_factor_reset::sweep_resets)?
        .look(domains::sweep_proofs)?;
    Ok(registry)
}
