//! Use cases: judging a new password, changing one.
//!
//! What a change means for sessions is decided by `password_change`, because sessions stand above this slice.

use super::{HashPool, PasswordConfig, PasswordError, StoredPassword, store, strength};
use crate::{
    blocklist,
    fault::FieldError,
    kernel::Kernel,
    orgs,
    rate_limit::{self, Verdict},
    users::{Email, User, UserId},
};

/// Judges a new password off the runtime's threads.
///
/// # Errors
/// Every rule that fails, each pointing at `pointer`.
pub async fn validate(
    kernel: &Kernel,
    password: &str,
    (email, names): (Option<&Email>, &[Option<&str>]),
    pointer: &'static str,
) -> Result<(), PasswordError> {
    let mut known = strength::known_about(email, names);
    known.extend(strength::known_of_service(&kernel.config));
    // Without mail nothing follows the password, unless the user sets a second factor up.
    let circumstances = strength::Circumstances { known, is_only_factor: !kernel.config.mail.is_available() };
    let (config, password) = (kernel.config.password.clone(), zeroize::Zeroizing::new(password.to_owned()));
    let judged = tokio::task::spawn_blocking(move || judge(&config, &password, &circumstances, pointer)).await;
    match judged {
        Ok(errors) if errors.is_empty() => Ok(()),
        Ok(errors) => Err(PasswordError::Rejected(errors)),
        Err(_) => Err(PasswordError::Overloaded(super::Overloaded)),
    }
}

/// Judges a new password of a user: what is known of them are their address, their names, and those of their organizations.
///
/// # Errors
/// Every rule that fails, each pointing at `pointer`; or the database fails.
pub async fn validate_for(
    kernel: &Kernel,
    password: &str,
    user: &User,
    pointer: &'static str,
) -> Result<(), PasswordError> {
    let organizations = orgs::list_of_user(kernel.db.reader(), user.id).await?;
    let own = [user.first_name.as_deref(), user.last_name.as_deref()];
    let others = organizations.iter().map(|(organization, _)| Some(organization.name.as_str()));
    let names: Vec<_> = own.into_iter().chain(others).collect();
    validate(kernel, password, (user.address().as_ref(), &names), pointer).await
}

/// Every rule that a new password breaks.
fn judge(
    config: &PasswordConfig,
    password: &str,
    circumstances: &strength::Circumstances,
    pointer: &'static str,
) -> Vec<FieldError> {
    let mut errors = strength::check(config, password, circumstances, pointer).err().unwrap_or_default();
    if is_breached(config, password) {
        let detail = "It is in a list of passwords that leaked elsewhere, and that attackers try first.".to_owned();
        errors.push(FieldError { pointer, code: "password_breached", detail });
    }
    errors
}

/// Whether the list of breached passwords has this one. While the list cannot be searched the rule is left out: the others
/// hold, and whoever has to replace a password that somebody else knows must be able to.
fn is_breached(config: &PasswordConfig, password: &str) -> bool {
    let Some(path) = &config.breached_file else { return false };
    blocklist::contains(path, password).unwrap_or_else(|error| {
        metrics::counter!("gatepost_breached_list_failures_total").increment(1);
        tracing::error!(%error, "password.breached_file cannot be searched; a password was set without looking there");
        false
    })
}

/// Checks the current password of `user` where there is one, judges the new one and returns the hash to store.
///
/// # Errors
/// When the current password is missing or wrong or was tried too often, the new one breaks rules, or no hash can be
/// computed in time.
pub async fn change(
    kernel: &Kernel,
    hasher: &HashPool,
    user: &User,
    current: Option<&str>,
    replacement: &str,
) -> Result<StoredPassword, PasswordError> {
    if let Some(stored) = store::find(kernel.db.reader(), user.id).await? {
        let Some(current) = current else { return Err(rejected("required", "The current password is required.")) };
        reserve_attempt(kernel, user.id).await?;
        if !hasher.reserve()?.verify(Some(stored), current).await?.is_right {
            return Err(rejected("incorrect_password", "The current password is wrong."));
        }
    }
    validate_for(kernel, replacement, user, "/new_password").await?;
    Ok(hasher.reserve()?.hash(replacement).await?)
}

/// Counts the try before anything is verified.
async fn reserve_attempt(kernel: &Kernel, user_id: UserId) -> Result<(), PasswordError> {
    let per_user = user_id.to_string();
    let (now, limit) = (kernel.clock.now(), kernel.config.password.change_per_user);
    let scope = ("password.change", per_user.as_str());
    match rate_limit::check(kernel.db.writer(), &kernel.keys, now, limit, scope).await? {
        Verdict::Allowed => Ok(()),
        Verdict::Denied(wait) => Err(PasswordError::Throttled(wait)),
    }
}

fn rejected(code: &'static str, detail: &str) -> PasswordError {
    PasswordError::Rejected(vec![FieldError { pointer: "/current_password", code, detail: detail.to_owned() }])
}
