//! The two-factor step: a code of the app, a passkey or a backup code, from the client that began the login.

use serde_json::json;

use super::{
    AnonymousClaim, Outcome, SignedIn, ensure_still_allowed, find_bound, open, pending, persons, refuse, reserve,
    start::Context,
};
use crate::{
    audit::{self, AuditEvent},
    client::Client,
    clock::Timestamp,
    db::Tx,
    devices,
    kernel::Kernel,
    lockout::{self, Authenticator, Reservation},
    login::{
        LoginError, LoginId,
        entity::{FirstFactor, LoginState, Model},
        store,
    },
    passkey::{self, Challenge, PasskeyError},
    secret::Redacted,
    sessions::{Proof, Transport},
    two_factor::{self, Amr, Method, Offer},
    users::{self, User},
};

/// A login that waits for a second factor.
#[derive(Debug)]
pub struct TwoFactorStep {
    /// Its id.
    pub login_id: LoginId,
    /// The secret that binds it to this client.
    pub login_token: Redacted<String>,
    /// How the client wants to keep its session.
    pub transport: Transport,
    /// What passes the step for this user.
    pub methods: Vec<Method>,
    /// Good until.
    pub expires_at: Timestamp,
}

/// A wish to finish a login with a second factor.
#[derive(Clone, Debug)]
pub struct TwoFactorCompletion {
    /// The pending login.
    pub login_id: LoginId,
    /// The secret that binds the login to the client that began it.
    pub login_token: Redacted<String>,
    /// The proof.
    pub offer: Option<Offer>,
    /// Whether this browser is to be trusted from now on. A backup code does not make it so.
    pub remember_device: bool,
}

/// Leaves the login waiting for a second factor.
pub(super) async fn begin(
    kernel: &Kernel,
    client: &Client,
    (user, methods): (&User, Vec<Method>),
    context: &Context,
    (transport, reservation, first_factor): (Transport, Option<&Reservation>, &FirstFactor),
) -> Result<Outcome, LoginError> {
    let expires_at = kernel.clock.now() + kernel.config.login.two_factor();
    let (row, login_id, login_token) = pending(
        kernel,
        client,
        (user, context.claim.as_ref()),
        (LoginState::TwoFactor, transport, first_factor),
        expires_at,
    );
    let tx = kernel.db.write_tx().await?;
    if let Some(reservation) = reservation {
        lockout::succeed(kernel, &tx, reservation).await?;
    }
    store::insert(&*tx, row).await?;
    let event = AuditEvent {
        action: "login.start",
        outcome: audit::Outcome::Success,
        user_id: Some(user.id.0),
        client: Some(client),
        detail: json!({ "login_id": login_id, "next": "two_factor" }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await?;
    Ok(Outcome::TwoFactorRequired(TwoFactorStep { login_id, login_token, transport, methods, expires_at }))
}

/// Finishes a login with a second factor. The try is counted, for the user and for this login, before it is verified.
///
/// # Errors
/// When the login is not this client's, has ended or expired, there were too many tries, or the proof is wrong.
pub async fn complete_two_factor(
    kernel: &Kernel,
    client: &Client,
    wish: TwoFactorCompletion,
    context: &Context,
) -> Result<SignedIn, LoginError> {
    let (id, waits_for) = (wish.login_id, LoginState::TwoFactor);
    let pending = find_bound(kernel, (id, waits_for), &wish.login_token).await?;
    let offer = wish.offer.ok_or(LoginError::CodeRequired)?;
    let method = offer.method();
    let (reservation, device) = reserve(kernel, client, (&pending, authenticator(method)), context).await?;
    let max_attempts = kernel.config.two_factor.max_attempts;
    let tx = kernel.db.write_tx().await?;
    let checked = check(kernel, &tx, client, (id, &offer), device.as_deref()).await;
    let (pending, user, verdict) = match checked {
        Ok(checked) => checked,
        Err(err) => {
            drop(tx);
            // Nothing was verified.
            lockout::give_back(kernel, kernel.db.writer(), &reservation).await?;
            // Another request may have ended it in between; what it is now says why.
            find_bound(kernel, (id, waits_for), &wish.login_token).await?;
            return Err(err);
        }
    };
    let Some(amr) = verdict else {
        lockout::fail(kernel, &tx, client, &reservation, Some(user.id)).await?;
        let refusal = refuse(kernel, tx, client, &pending, ("login.two_factor", max_attempts)).await?;
        let is_passkey = method == Method::Passkey && matches!(refusal, LoginError::InvalidCode);
        return Err(if is_passkey { PasskeyError::Rejected.into() } else { refusal });
    };
    lockout::succeed(kernel, &tx, &reservation).await?;
    two_factor::forget_attempts(kernel, &tx, (user.id, device.as_deref())).await?;
    let remembered = (wish.remember_device && method.is_rememberable()).then_some(method);
    finish(kernel, tx, client, (pending, user), (amr, remembered, context)).await
}

/// What the offer counts as.
const fn authenticator(method: Method) -> Authenticator {
    match method {
        Method::Totp => Authenticator::Totp,
        Method::BackupCode => Authenticator::BackupCode,
        Method::Passkey => Authenticator::Passkey,
    }
}

/// Counts the try and looks at it. Nothing was verified when this fails.
async fn check(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    (id, offer): (LoginId, &Offer),
    device: Option<&[u8]>,
) -> Result<(Model, User, Option<Amr>), LoginError> {
    let (pending, user) = take(kernel, tx, (id, offer.method()), device).await?;
    let verdict = two_factor::verify(kernel, tx, client, (user.id, id.0), offer).await?;
    Ok((pending, user, verdict))
}

/// Counts a try for the pending login and, of what can be guessed, for its user.
async fn take(
    kernel: &Kernel,
    tx: &Tx,
    (id, method): (LoginId, Method),
    device: Option<&[u8]>,
) -> Result<(Model, User), LoginError> {
    let max_attempts = kernel.config.two_factor.max_attempts;
    let reserved = store::reserve_attempt(&**tx, (id, LoginState::TwoFactor), max_attempts, kernel.clock.now()).await?;
    let pending = reserved.ok_or(LoginError::TooManyAttempts)?;
    let user = users::find(&**tx, pending.user_id).await?;
    let user = user.filter(|user| user.is_active() && user.auth_epoch == pending.auth_epoch);
    let user = user.ok_or(LoginError::Expired)?;
    if method == Method::Passkey {
        return Ok((pending, user));
    }
    match two_factor::reserve(kernel, tx, (user.id, device)).await? {
        Some(wait) => Err(LoginError::TooManyCodes(wait)),
        None => Ok((pending, user)),
    }
}

/// What passes the step of a login that waits for it, for the client that began it.
///
/// # Errors
/// When the login is not this client's, has ended or expired.
pub async fn two_factor_methods(
    kernel: &Kernel,
    login: (LoginId, &Redacted<String>),
) -> Result<Vec<Method>, LoginError> {
    let pending = find_waiting(kernel, login).await?;
    Ok(two_factor::methods(kernel.db.reader(), pending.user_id).await?)
}

/// The login that waits for a second factor, if this client began it and its user is as they were.
async fn find_waiting(
    kernel: &Kernel,
    (login_id, login_token): (LoginId, &Redacted<String>),
) -> Result<Model, LoginError> {
    let pending = find_bound(kernel, (login_id, LoginState::TwoFactor), login_token).await?;
    let user = users::find(kernel.db.reader(), pending.user_id).await?;
    let unchanged = |user: &User| user.is_active() && user.auth_epoch == pending.auth_epoch;
    user.filter(unchanged).ok_or(LoginError::Expired)?;
    Ok(pending)
}

/// Makes a challenge that the passkeys of the login's user may answer, for this login.
///
/// # Errors
/// When the login is not this client's, has ended or expired, or its user has no passkey as second factor.
pub async fn start_two_factor_passkey(
    kernel: &Kernel,
    client: &Client,
    login: (LoginId, &Redacted<String>),
) -> Result<Challenge, LoginError> {
    let pending = find_waiting(kernel, login).await?;
    if !two_factor::methods(kernel.db.reader(), pending.user_id).await?.contains(&Method::Passkey) {
        return Err(LoginError::NoPasskeys);
    }
    Ok(passkey::start_second_factor(kernel, client, (pending.user_id, &pending.id.to_string())).await?)
}

async fn finish(
    kernel: &Kernel,
    tx: Tx,
    client: &Client,
    (pending, user): (Model, User),
    (amr, remembered, context): (Amr, Option<Method>, &Context),
) -> Result<SignedIn, LoginError> {
    let first_factor = FirstFactor::read(&pending.first_factor);
    ensure_still_allowed(kernel, &tx, (&first_factor, &user)).await?;
    if !store::finish(&*tx, (pending.id, pending.state), LoginState::Done, kernel.clock.now()).await? {
        return Err(LoginError::NotFound);
    }
    let device = if let Some(method) = remembered {
        let previous = context.device_token.as_ref().map(|token| token.expose().as_str());
        devices::trust(kernel, &tx, client, (&user, method.as_str()), previous).await?
    } else {
        None
    };
    let transport = if pending.is_token_transport { Transport::Token } else { Transport::Cookie };
    let proof = Proof::of([&[first_factor.amr()], amr].concat());
    let mut signed_in = open(kernel, &tx, client, (user, context), (proof, transport)).await?;
    signed_in.device = device;
    persons::publish(kernel, &tx, AnonymousClaim::kept_with(&pending).as_ref(), &signed_in).await?;
    tx.commit().await?;
    Ok(signed_in)
}
