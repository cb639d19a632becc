//! The first step with a provider: whose account an identity signs in, and what comes next.
//!
//! ```text
//! identity linked ─► its user, whatever their address at the provider is by now
//! address not vouched for ─► refused, whether there is such an account or not
//! address of a proven account ─► linked      of an unproven one ─► its credentials go, then linked
//! of nobody ─► a new account, if newcomers are let in, or the organization of the domain lets them join
//! then ─► a member, if the organization of the domain wants that
//! ```

use sea_orm::DbErr;
use serde_json::json;

use super::{Context, Outcome, ask_for_proof, ensure_still_allowed, open, trusted_method, two_factor as second_step};
use crate::{
    audit::{self, AuditEvent},
    client::Client,
    db::{self, Tx},
    devices,
    domains::{self, Newcomer},
    email_verification, invites,
    kernel::Kernel,
    login::{LoginError, entity::FirstFactor},
    passkey, password, sessions,
    sessions::{Proof, Transport},
    signup,
    social::{self, Arrived, Profile, SocialError},
    two_factor,
    users::{self, Email, User, UserId},
};

/// Signs in whom a provider identified.
///
/// # Errors
/// When the identity signs nobody in, or its user may not sign in this way.
pub async fn finish_social(
    kernel: &Kernel,
    client: &Client,
    profile: &Profile,
    context: &Context,
) -> Result<Outcome, LoginError> {
    let user = match resolve(kernel, client, profile).await {
        // Two first sign-ins at once: the second one finds what the first one made.
        Err(LoginError::Database(err)) if db::is_unique_violation(&err) => resolve(kernel, client, profile).await?,
        resolved => resolved?,
    };
    if !user.is_verified() && kernel.config.mail.is_available() {
        return ask_for_proof(kernel, client, &user, None).await;
    }
    let first_factor = FirstFactor::Provider(profile.provider.clone());
    let methods = two_factor::methods(kernel.db.reader(), user.id).await?;
    let trusted = if methods.is_empty() { None } else { trusted_method(kernel, (&user, &methods), context).await? };
    if !methods.is_empty() && trusted.is_none() {
        let way = (Transport::Cookie, None, &first_factor);
        return second_step::begin(kernel, client, (&user, methods), context, way).await;
    }
    let proof = Proof { amr: vec![first_factor.amr()], remembered_method: trusted };
    let tx = kernel.db.write_tx().await?;
    ensure_still_allowed(kernel, &tx, (&first_factor, &user)).await?;
    let signed_in = open(kernel, &tx, client, (user, context), (proof, Transport::Cookie)).await?;
    tx.commit().await?;
    Ok(Outcome::SignedIn(Box::new(signed_in)))
}

/// The user that an identity signs in, once they may sign in with it.
async fn resolve(kernel: &Kernel, client: &Client, profile: &Profile) -> Result<User, LoginError> {
    let tx = kernel.db.write_tx().await?;
    let user = match social::find_owner(&*tx, profile).await? {
        Some(Arrived { identity, user }) => {
            ensure_allowed(kernel, &tx, &user, &profile.provider).await?;
            social::record_use(kernel, &tx, identity).await?;
            user
        }
        None => admit(kernel, &tx, client, profile).await?,
    };
    if let Some(vouched) = profile.email.as_ref().filter(|_| profile.is_email_verified) {
        domains::admit(kernel, &tx, client, (&user, vouched)).await?;
    }
    tx.commit().await?;
    Ok(user)
}

async fn ensure_allowed(kernel: &Kernel, tx: &Tx, user: &User, provider: &str) -> Result<(), LoginError> {
    if let Some(email) = user.address() {
        domains::ensure_provider_allowed(kernel, &**tx, (&email, provider)).await??;
    }
    if user.is_active() { Ok(()) } else { Err(SocialError::AccountDisabled.into()) }
}

/// The account of an identity that was never seen: that of its address, or a new one.
async fn admit(kernel: &Kernel, tx: &Tx, client: &Client, profile: &Profile) -> Result<User, LoginError> {
    let email = profile.email.as_ref().ok_or(SocialError::Incomplete)?;
    domains::ensure_provider_allowed(kernel, &**tx, (email, &profile.provider)).await??;
    if !profile.is_email_verified {
        return Err(SocialError::EmailNotVerified.into());
    }
    let user_id = match find_held(tx, email).await? {
        Some(user) => {
            ensure_allowed(kernel, tx, &user, &profile.provider).await?;
            if !user.is_verified() {
                // Without mail no address is ever proven, and accounts with whatever address are in use, the administrator's
                // among them. Their owners link a provider from inside.
                if !kernel.config.mail.is_available() {
                    return Err(SocialError::EmailNotVerified.into());
                }
                take_over(kernel, tx, client, &user).await?;
            }
            user.id
        }
        None => create(kernel, tx, client, (profile, email)).await?,
    };
    social::attach(kernel, tx, client, user_id, profile).await?;
    let user = users::find(&**tx, user_id).await?;
    Ok(user.ok_or_else(|| DbErr::RecordNotFound(format!("user {user_id}")))?)
}

/// The account of an address, which is nobody else's until the transaction ends: without that, an address that changes
/// meanwhile would leave its former owner linked to the account.
async fn find_held(tx: &Tx, email: &Email) -> Result<Option<User>, DbErr> {
    let Some(found) = users::find_by_email(&**tx, email).await? else { return Ok(None) };
    Ok(users::lock(&**tx, found.id).await?.filter(|user| user.email_normalised == email.normalised()))
}

async fn create(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    (profile, email): (&Profile, &Email),
) -> Result<UserId, LoginError> {
    if !kernel.config.social.allow_signup {
        match domains::judge_newcomer(&**tx, email).await? {
            Newcomer::Joins => {}
            Newcomer::IsNotLetIn => return Err(LoginError::JitNotEnabled),
            Newcomer::IsNobodys => return Err(SocialError::SignupDisabled.into()),
        }
    }
    if profile.names.first_name.is_none() && profile.names.last_name.is_none() {
        return Err(SocialError::Incomplete.into());
    }
    let user_id = signup::add_user(kernel, tx, email, profile.names.clone()).await?;
    users::mark_verified(&**tx, user_id, kernel.clock.now()).await?;
    let event = AuditEvent {
        action: "social.sign_up",
        outcome: audit::Outcome::Success,
        user_id: Some(user_id.0),
        client: Some(client),
        detail: json!({ "provider": profile.provider }),
    };
    audit::record(&**tx, kernel.clock.as_ref(), event).await?;
    Ok(user_id)
}

/// Gives an account whose address nobody had proven to the owner of the address. Whoever made it may not be them, so that
/// everything that was set up with it goes.
async fn take_over(kernel: &Kernel, tx: &Tx, client: &Client, user: &User) -> Result<(), LoginError> {
    let now = kernel.clock.now();
    password::remove(&**tx, user.id).await?;
    passkey::remove_all(&**tx, user.id).await?;
    two_factor::remove_all(tx, user.id).await?;
    social::remove_all(&**tx, user.id).await?;
    email_verification::cancel_all(tx, user.id, now).await?;
    devices::forget_all(tx, user.id, now).await?;
    let auth_epoch = users::bump_epoch(&**tx, user.id, now).await?;
    sessions::settle(tx, user.id, None, auth_epoch, now).await?;
    users::mark_verified(&**tx, user.id, now).await?;
    invites::accept_claimed(kernel, tx, client, user).await?;
    let event = AuditEvent {
        action: "social.take_over",
        outcome: audit::Outcome::Success,
        user_id: Some(user.id.0),
        client: Some(client),
        detail: json!({}),
    };
    audit::record(&**tx, kernel.clock.as_ref(), event).await?;
    Ok(())
}
