//! The use case: signing up.

use sea_orm::DbErr;
use serde_json::json;

use super::{SendExistingAccountNotice, SignupError};
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    db::{self, Tx},
    domains, email_verification,
    fault::FieldError,
    invites::{self, InviteId},
    jobs,
    kernel::Kernel,
    orgs,
    password::{self, HashPool, StoredPassword},
    projects,
    rate_limit::{self, Verdict},
    users::{self, Email, Profile, UserId},
};

/// The organization that the first user of an installation owns.
const FIRST_ORGANIZATION: &str = "My organization";
/// The project that it begins with.
const FIRST_PROJECT: &str = "Default project";

/// What a newcomer sends.
#[derive(Clone, Debug)]
pub struct SignUp {
    /// E-mail address.
    pub email: String,
    /// Password.
    pub password: crate::secret::Redacted<String>,
    /// Names.
    pub profile: Profile,
    /// The invite that they come with. It is accepted once its address is proven; one of another address is ignored.
    pub invite_id: Option<InviteId>,
}

/// Signs a newcomer up. Succeeds alike for a free and a taken address.
///
/// # Errors
/// When a field does not validate, the network signed up too often, the domain demands a provider, no hash can be
/// computed in time, or the database fails.
pub async fn sign_up(kernel: &Kernel, hasher: &HashPool, client: &Client, wish: SignUp) -> Result<(), SignupError> {
    let ticket = hasher.reserve()?;
    let (email, profile) = judge(kernel, &wish).await?;
    domains::ensure_password_allowed(kernel, kernel.db.reader(), &email).await??;
    reserve(kernel, client).await?;
    let stored = ticket.hash(wish.password.expose()).await?;
    let newcomer = (&email, wish.invite_id);
    match write(kernel, client, newcomer, profile.clone(), stored.clone()).await {
        // Two sign-ups for one address at once: the second one finds the first one's user.
        Err(err) if db::is_unique_violation(&err) => write(kernel, client, newcomer, profile, stored).await?,
        outcome => outcome?,
    }
    Ok(())
}

/// Checks all fields and reports every one that fails.
async fn judge(kernel: &Kernel, wish: &SignUp) -> Result<(Email, Profile), SignupError> {
    let mut errors = Vec::new();
    let email = Email::parse(&wish.email);
    if email.is_err() {
        let detail = "This is not an e-mail address.".to_owned();
        errors.push(FieldError { pointer: "/email", code: "invalid_email", detail });
    }
    let names = [wish.profile.first_name.as_deref(), wish.profile.last_name.as_deref()];
    let known = (email.as_ref().ok(), names.as_slice());
    match password::validate(kernel, wish.password.expose(), known, "/password").await.map_err(SignupError::from) {
        Ok(()) => {}
        Err(SignupError::Invalid(rejected)) => errors.extend(rejected),
        Err(other) => return Err(other),
    }
    match (email, wish.profile.clone().validated()) {
        (Ok(email), Ok(profile)) if errors.is_empty() => Ok((email, profile)),
        (_, profile) => {
            errors.extend(profile.err().unwrap_or_default());
            Err(SignupError::Invalid(errors))
        }
    }
}

/// Counts the sign-up against its network before anything costly happens.
async fn reserve(kernel: &Kernel, client: &Client) -> Result<(), SignupError> {
    let limit = kernel.config.email_verification.signup_per_network;
    let network = client.network();
    let scope = ("signup.network", network.as_str());
    // One statement is a transaction of its own.
    match rate_limit::check(kernel.db.writer(), &kernel.keys, kernel.clock.now(), limit, scope).await? {
        Verdict::Allowed => Ok(()),
        Verdict::Denied(wait) => Err(SignupError::Throttled(wait)),
    }
}

async fn write(
    kernel: &Kernel,
    client: &Client,
    (email, invite_id): (&Email, Option<InviteId>),
    profile: Profile,
    stored: StoredPassword,
) -> Result<(), DbErr> {
    let tx = kernel.db.write_tx().await?;
    let existing = users::find_by_email(&*tx, email).await?;
    let user_id = match &existing {
        None => add(kernel, &tx, email, profile, stored).await?,
        Some(user) if user.is_verified() || !user.is_active() => {
            jobs::enqueue(&tx, kernel.clock.as_ref(), &SendExistingAccountNotice { user_id: user.id }).await?;
            user.id
        }
        Some(user) => {
            let on_record = user.address();
            let email = on_record.as_ref().unwrap_or(email);
            email_verification::start(kernel, &tx, Some(user.id), email, Some(stored)).await?;
            user.id
        }
    };
    if let Some(invite_id) = invite_id
        && existing.as_ref().is_none_or(|user| user.is_active() && !user.is_verified())
    {
        invites::claim(kernel, &tx, invite_id, (user_id, email)).await?;
    }
    let event = AuditEvent {
        action: "signup.sign_up",
        outcome: if existing.is_none() { Outcome::Success } else { Outcome::Failure },
        user_id: Some(user_id.0),
        client: Some(client),
        detail: json!({ "existing": existing.is_some() }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await
}

async fn add(
    kernel: &Kernel,
    tx: &Tx,
    email: &Email,
    profile: Profile,
    stored: StoredPassword,
) -> Result<UserId, DbErr> {
    let user_id = add_user(kernel, tx, email, profile).await?;
    password::set(&**tx, user_id, stored, kernel.clock.now()).await?;
    if kernel.config.mail.is_available() {
        email_verification::start(kernel, tx, Some(user_id), email, None).await?;
    }
    Ok(user_id)
}

/// Adds a user without a password whose address is not proven yet, in the caller's transaction. The first one of an
/// installation is its admin, and owns a first organization.
///
/// # Errors
/// A unique violation when the address is taken.
pub async fn add_user(kernel: &Kernel, tx: &Tx, email: &Email, profile: Profile) -> Result<UserId, DbErr> {
    let now = kernel.clock.now();
    let is_first = if users::is_empty(&**tx).await? {
        users::lock_while_empty(&**tx).await?;
        users::is_empty(&**tx).await?
    } else {
        false
    };
    let user_id = users::create(&**tx, email, profile, is_first, now).await?;
    if is_first {
        let org_id = orgs::create(tx, FIRST_ORGANIZATION, user_id, now).await?;
        projects::create(tx, org_id, FIRST_PROJECT, now).await?;
    }
    Ok(user_id)
}
