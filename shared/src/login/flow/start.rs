//! The first step: an address and a password.

use sea_orm::DbErr;
use serde_json::json;

use super::{
    SignedIn, break_glass, ensure_still_allowed, known_device, open, pending,
    persons::AnonymousClaim,
    two_factor::{self as second_step, TwoFactorStep},
};
use crate::{
    audit::{self, AuditEvent},
    break_glass::BreakGlassCode,
    client::Client,
    clock::Timestamp,
    devices,
    email_mfa::SendLoginCode,
    email_verification::{self, EmailVerificationError},
    enforcement::EMAIL_MFA,
    jobs,
    kernel::Kernel,
    lockout::{self, Authenticator, Reservation, Subject},
    login::{
        LoginError, LoginId,
        entity::{FirstFactor, LoginState},
        step::{self, Facts, Step},
        store::{self, Candidate},
    },
    password::{self, HashPool, Ticket},
    rate_limit::{self, Verdict},
    secret::Redacted,
    sessions::{Principal, Proof, Transport},
    two_factor::Method,
    users::{Email, User, UserId},
};

/// What a client sends to sign in.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// E-mail address.
    pub email: String,
    /// Password.
    pub password: Redacted<String>,
    /// How the session will be kept.
    pub transport: Transport,
    /// A code of the organization whose domain demands a provider.
    pub break_glass_code: Option<Redacted<String>>,
}

/// What the request brings along.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The live session that it carries.
    pub live: Option<Principal>,
    /// The cookie of a trusted device.
    pub device_token: Option<Redacted<String>>,
    /// The cookie of a device that signed in before.
    pub known_token: Option<Redacted<String>>,
    /// What the client did before it signed in.
    pub claim: Option<AnonymousClaim>,
}

/// What a step of a login leads to.
#[derive(Debug)]
pub enum Outcome {
    /// A session.
    SignedIn(Box<SignedIn>),
    /// A second factor.
    TwoFactorRequired(TwoFactorStep),
    /// A code by mail.
    EmailMfaRequired(PendingStep),
    /// Proof of the address by mail.
    EmailVerificationRequired,
}

/// A login that waits for a mailed code.
#[derive(Debug)]
pub struct PendingStep {
    /// Its id.
    pub login_id: LoginId,
    /// The secret that binds it to this client.
    pub login_token: Redacted<String>,
    /// How the client wants to keep its session.
    pub transport: Transport,
    /// The address, masked.
    pub masked_email: String,
    /// Good until.
    pub expires_at: Timestamp,
}

/// Checks an address and a password, in the documented order, and decides what comes next.
///
/// # Errors
/// When the attempt is refused; wrong, unknown and disabled are told apart by nothing.
pub async fn start(
    kernel: &Kernel,
    hasher: &HashPool,
    client: &Client,
    attempt: Attempt,
    context: &Context,
) -> Result<Outcome, LoginError> {
    let email = Email::parse(&attempt.email).ok();
    // Whoever cannot be served is told so before the database is asked.
    let ticket = hasher.reserve()?;
    let code = break_glass::ensure_allowed(kernel, email.as_ref(), attempt.break_glass_code.as_ref()).await?;
    let tried = email.as_ref().map_or(attempt.email.as_str(), Email::normalised);
    let reservation = reserve_attempt(kernel, client, tried, context).await?;
    let password = (email.as_ref(), attempt.password.expose().as_str());
    let (candidate, upgrade) = match verify(kernel, client, ticket, password, code.as_ref()).await {
        Ok(Verified::Right(candidate, upgrade)) => (*candidate, upgrade),
        Ok(Verified::Wrong(user_id)) => return refuse(kernel, client, (email.as_ref(), user_id), &reservation).await,
        Err(err) => {
            // Nothing was learnt about the password.
            lockout::give_back(kernel, kernel.db.writer(), &reservation).await?;
            return Err(err);
        }
    };
    if let Some((before, after)) = upgrade {
        let tx = kernel.db.write_tx().await?;
        password::upgrade(&*tx, candidate.user.id, &before, after).await?;
        tx.commit().await?;
    }
    let trusted_method = trusted_method(kernel, (&candidate.user, &candidate.two_factor.methods), context).await?;
    let next = step::next(facts(kernel, &candidate, trusted_method, context));
    let (user, methods) = (candidate.user, candidate.two_factor.methods);
    let first_factor = if code.is_some() { FirstFactor::BreakGlass } else { FirstFactor::Password };
    let way = (attempt.transport, &reservation);
    match next {
        Step::VerifyEmail => ask_for_proof(kernel, client, &user, Some(&reservation)).await,
        Step::SignIn => {
            let proof = proof(&user, trusted_method, context);
            sign_in(kernel, client, (user, proof, &first_factor), context, way).await
        }
        Step::TwoFactor => {
            let way = (attempt.transport, Some(&reservation), &first_factor);
            second_step::begin(kernel, client, (&user, methods), context, way).await
        }
        Step::EmailMfa => send_code(kernel, client, (&user, &first_factor), context, way).await,
        Step::EmailNotAvailable => {
            audit_stop(kernel, client, &user, "email_not_available", Some(&reservation)).await?;
            Err(LoginError::EmailNotAvailable)
        }
    }
}

/// Counts the attempt before anything is verified: for the account, and for the network unless the device is known.
async fn reserve_attempt(
    kernel: &Kernel,
    client: &Client,
    tried: &str,
    context: &Context,
) -> Result<Reservation, LoginError> {
    let device = known_device(kernel, tried, context).await?;
    let subject = Subject::of(tried, device.as_deref());
    let reservation = lockout::reserve(kernel, client, subject, Authenticator::Password).await?;
    if device.is_some() {
        return Ok(reservation);
    }
    if let Err(err) = count_network(kernel, client).await {
        lockout::give_back(kernel, kernel.db.writer(), &reservation).await?;
        return Err(err);
    }
    Ok(reservation)
}

/// Counts an attempt of the client's network before anything is verified.
async fn count_network(kernel: &Kernel, client: &Client) -> Result<(), LoginError> {
    let network = client.network();
    let scope = ("login.network", network.as_str());
    let limit = kernel.config.login.per_network;
    // One statement is a transaction of its own.
    match rate_limit::check(kernel.db.writer(), &kernel.keys, kernel.clock.now(), limit, scope).await? {
        Verdict::Allowed => Ok(()),
        Verdict::Denied(wait) => Err(LoginError::Throttled(wait)),
    }
}

type Upgrade = (password::StoredPassword, password::StoredPassword);

/// What became of a password.
pub(super) enum Verified {
    /// It is this candidate's, who may sign in.
    Right(Box<Candidate>, Option<Upgrade>),
    /// Nobody gets in with it; whose address it is, if anybody's.
    Wrong(Option<UserId>),
}

/// Whose password it is. Unknown and disabled users cost the same hash and the same queries. A code that stands in for a
/// provider is spent by the right password.
async fn verify(
    kernel: &Kernel,
    client: &Client,
    ticket: Ticket,
    (email, password): (Option<&Email>, &str),
    code: Option<&BreakGlassCode>,
) -> Result<Verified, LoginError> {
    let candidate = match email {
        Some(email) => store::find_candidate(kernel, email).await?,
        None => None,
    };
    let user_id = candidate.as_ref().map(|candidate| candidate.user.id);
    if password.len() > kernel.config.password.max_bytes {
        // No stored password is that long; the hash would only cost time.
        return Ok(Verified::Wrong(user_id));
    }
    let stored = candidate.as_ref().and_then(|candidate| candidate.stored.clone());
    let found = ticket.verify(stored.clone(), password).await?;
    let verified = match candidate {
        Some(candidate) if found.is_right && candidate.user.is_active() => {
            Verified::Right(Box::new(candidate), stored.zip(found.upgrade))
        }
        _ => Verified::Wrong(user_id),
    };
    break_glass::spend(kernel, client, verified, code).await
}

async fn refuse(
    kernel: &Kernel,
    client: &Client,
    (email, user_id): (Option<&Email>, Option<UserId>),
    reservation: &Reservation,
) -> Result<Outcome, LoginError> {
    let tx = kernel.db.write_tx().await?;
    let event = AuditEvent {
        action: "login.start",
        outcome: audit::Outcome::Failure,
        user_id: user_id.map(|id| id.0),
        client: Some(client),
        detail: json!({ "email": email.map(Email::masked) }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    lockout::fail(kernel, &tx, client, reservation, user_id).await?;
    tx.commit().await?;
    Err(LoginError::InvalidCredentials)
}

/// The method of the second step that this browser is trusted for.
pub(super) async fn trusted_method(
    kernel: &Kernel,
    (user, methods): (&User, &[Method]),
    context: &Context,
) -> Result<Option<&'static str>, DbErr> {
    let device_token = context.device_token.as_ref().map(|token| token.expose().as_str());
    let rememberable = methods.iter().filter(|method| method.is_rememberable()).map(|method| method.as_str());
    let skippable: Vec<_> = if methods.is_empty() { vec![EMAIL_MFA] } else { rememberable.collect() };
    for method in skippable {
        if devices::is_trusted(kernel, user, method, device_token).await? {
            return Ok(Some(method));
        }
    }
    Ok(None)
}

/// What a right password proves on this browser. Signing in again on a live session does not ask for a mailed code again,
/// which that session stands in for.
fn proof(user: &User, trusted_method: Option<&'static str>, context: &Context) -> Proof {
    let passed = |live: &Principal| {
        live.remembered_method.as_deref() == Some(EMAIL_MFA) || live.has_amr("pwd") && live.has_amr("email")
    };
    let live = context.live.as_ref().filter(|live| live.user.id == user.id);
    let remembered_method = trusted_method.or(live.is_some_and(passed).then_some(EMAIL_MFA));
    Proof { amr: vec!["pwd"], remembered_method }
}

fn facts(kernel: &Kernel, candidate: &Candidate, trusted_method: Option<&'static str>, context: &Context) -> Facts {
    Facts {
        is_verified: candidate.user.is_verified(),
        mail_is_available: kernel.config.mail.is_available(),
        mail_is_suppressed: candidate.mail_is_suppressed,
        is_reauthentication: context.live.as_ref().is_some_and(|live| live.user.id == candidate.user.id),
        has_second_factor: !candidate.two_factor.methods.is_empty(),
        device_is_trusted: trusted_method.is_some(),
        has_bypass: candidate.bypass_until.is_some_and(|until| until > kernel.clock.now()),
    }
}

pub(super) async fn ask_for_proof(
    kernel: &Kernel,
    client: &Client,
    user: &User,
    reservation: Option<&Reservation>,
) -> Result<Outcome, LoginError> {
    // The limit of resends holds here too; above it the answer is the same and no further mail goes out.
    email_verification::resend(kernel, client, &user.email).await.map_err(|err| {
        if let EmailVerificationError::Database(err) = err {
            LoginError::Database(err)
        } else {
            LoginError::EmailNotAvailable
        }
    })?;
    audit_stop(kernel, client, user, "email_verification_required", reservation).await?;
    Ok(Outcome::EmailVerificationRequired)
}

/// Records a right password that leads no further for now.
pub(super) async fn audit_stop(
    kernel: &Kernel,
    client: &Client,
    user: &User,
    next: &str,
    reservation: Option<&Reservation>,
) -> Result<(), DbErr> {
    let tx = kernel.db.write_tx().await?;
    if let Some(reservation) = reservation {
        lockout::succeed(kernel, &tx, reservation).await?;
    }
    let event = AuditEvent {
        action: "login.start",
        outcome: audit::Outcome::Failure,
        user_id: Some(user.id.0),
        client: Some(client),
        detail: json!({ "next": next }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await
}

async fn sign_in(
    kernel: &Kernel,
    client: &Client,
    (user, proof, first_factor): (User, Proof, &FirstFactor),
    context: &Context,
    (transport, reservation): (Transport, &Reservation),
) -> Result<Outcome, LoginError> {
    let tx = kernel.db.write_tx().await?;
    ensure_still_allowed(kernel, &tx, (first_factor, &user)).await?;
    lockout::succeed(kernel, &tx, reservation).await?;
    let signed_in = open(kernel, &tx, client, (user, context), (proof, transport)).await?;
    tx.commit().await?;
    Ok(Outcome::SignedIn(Box::new(signed_in)))
}

async fn send_code(
    kernel: &Kernel,
    client: &Client,
    (user, first_factor): (&User, &FirstFactor),
    context: &Context,
    (transport, reservation): (Transport, &Reservation),
) -> Result<Outcome, LoginError> {
    let now = kernel.clock.now();
    let tx = kernel.db.write_tx().await?;
    lockout::succeed(kernel, &tx, reservation).await?;
    let per_user = user.id.to_string();
    let limit = kernel.config.email_mfa.per_user;
    let verdict = rate_limit::check(&*tx, &kernel.keys, now, limit, ("email_mfa.user", &per_user)).await?;
    if let Verdict::Denied(wait) = verdict {
        tx.commit().await?;
        return Err(LoginError::Throttled(wait));
    }
    let expires_at = now + kernel.config.email_mfa.validity();
    let (row, login_id, login_token) = pending(
        kernel,
        client,
        (user, context.claim.as_ref()),
        (LoginState::EmailMfa, transport, first_factor),
        expires_at,
    );
    store::insert(&*tx, row).await?;
    jobs::enqueue(&tx, kernel.clock.as_ref(), &SendLoginCode { login_id: login_id.0, send: 1 }).await?;
    let event = AuditEvent {
        action: "login.start",
        outcome: audit::Outcome::Success,
        user_id: Some(user.id.0),
        client: Some(client),
        detail: json!({ "login_id": login_id, "next": "email_mfa" }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await?;
    let masked_email = user.address().map(|email| email.masked()).unwrap_or_default();
    Ok(Outcome::EmailMfaRequired(PendingStep { login_id, login_token, transport, masked_email, expires_at }))
}
