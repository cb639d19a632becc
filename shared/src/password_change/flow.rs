//! The use case: changing a password.

use serde_json::json;

use super::PasswordChangeError;
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    domains, jobs,
    kernel::Kernel,
    lockout::{self, Authenticator, Subject},
    password::{self, HashPool, NotifyPasswordChanged, StoredPassword},
    sessions::{self, Principal},
    two_factor, users,
};

/// What the user sends.
#[derive(Clone, Copy)]
pub struct PasswordChange<'a> {
    /// The current password, where there is one.
    pub current: Option<&'a str>,
    /// The new one.
    pub replacement: &'a str,
}

/// Replaces the password of the signed-in user. Their present session stays, everything else they hold ends.
///
/// # Errors
/// When the current password is missing or wrong, or a first one is set without a fresh proof of identity or where the
/// domain demands a provider; when the new one breaks rules, no hash can be computed in time, or the database fails.
pub async fn change_password(
    kernel: &Kernel,
    hasher: &HashPool,
    client: &Client,
    principal: &Principal,
    wish: PasswordChange<'_>,
) -> Result<(), PasswordChangeError> {
    let user = &principal.user;
    let stored = match judge(kernel, hasher, principal, wish).await {
        Ok(stored) => stored,
        Err(err) => {
            audit_change(kernel, client, user.id, Outcome::Failure).await?;
            return Err(err);
        }
    };
    let now = kernel.clock.now();
    let tx = kernel.db.write_tx().await?;
    password::set(&*tx, user.id, stored, now).await?;
    let auth_epoch = users::bump_epoch(&*tx, user.id, now).await?;
    sessions::settle(&tx, user.id, Some(principal.session_id), auth_epoch, now).await?;
    let subject = Subject::of(&user.email_normalised, None);
    lockout::enable(kernel, &tx, client, subject, Authenticator::Password).await?;
    let audit_id = audit::record(&*tx, kernel.clock.as_ref(), event(client, user.id, Outcome::Success)).await?;
    jobs::enqueue(&tx, kernel.clock.as_ref(), &NotifyPasswordChanged { user_id: user.id, audit_id }).await?;
    tx.commit().await?;
    Ok(())
}

/// The hash to store, if this session may set it.
async fn judge(
    kernel: &Kernel,
    hasher: &HashPool,
    principal: &Principal,
    wish: PasswordChange<'_>,
) -> Result<StoredPassword, PasswordChangeError> {
    let user = &principal.user;
    if password::find(kernel.db.reader(), user.id).await?.is_none() {
        // Nothing else says that it is the user who adds this way to sign in.
        two_factor::require_fresh(kernel, principal).await?;
        if let Some(email) = user.address() {
            domains::ensure_password_allowed(kernel, kernel.db.reader(), &email).await??;
        }
    }
    Ok(password::change(kernel, hasher, user, wish.current, wish.replacement).await?)
}

async fn audit_change(
    kernel: &Kernel,
    client: &Client,
    user_id: users::UserId,
    outcome: Outcome,
) -> Result<(), PasswordChangeError> {
    let tx = kernel.db.write_tx().await?;
    audit::record(&*tx, kernel.clock.as_ref(), event(client, user_id, outcome)).await?;
    tx.commit().await?;
    Ok(())
}

fn event(client: &Client, user_id: users::UserId, outcome: Outcome) -> AuditEvent<'_> {
    AuditEvent { action: "password.change", outcome, user_id: Some(user_id.0), client: Some(client), detail: json!({}) }
}
