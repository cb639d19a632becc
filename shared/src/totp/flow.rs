//! Use cases: setting an app up, and checking its codes.

use qrcode::{QrCode, render::svg};
use sea_orm::{ConnectionTrait, DbErr};
use totp_rs::{Builder, Totp};
use uuid::Uuid;

use super::{ResealSecrets, entity::Model, store};
use crate::{
    clock::Timestamp,
    db::Tx,
    jobs,
    kernel::Kernel,
    secret::{self, Redacted, Sealed},
    users::{User, UserId},
};

/// What secrets are sealed for.
const PURPOSE: &str = "totp.secret";

/// What an app is set up with; it cannot be read again.
#[derive(Debug)]
pub struct Setup {
    /// The secret in base32 (RFC 4648), for typing.
    pub secret: Redacted<String>,
    /// The `otpauth://` address, for apps.
    pub otpauth_url: Redacted<String>,
    /// The address as a QR code, an SVG document.
    pub qr_svg: Redacted<String>,
    /// Confirm until.
    pub expires_at: Timestamp,
}

/// Why a setup was not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is none, it is of another session, or it is over.
    SetupExpired,
    /// The code is wrong.
    WrongCode,
}

/// Begins a setup in place of an earlier one. An app that is in force stays so until the new one is confirmed.
///
/// # Errors
/// When the database fails.
pub async fn begin(kernel: &Kernel, tx: &Tx, user: &User, session_id: Uuid) -> Result<Setup, DbErr> {
    let bytes = secret::random_bytes::<20>();
    let config = &kernel.config.totp;
    let totp = app(&bytes, &config.issuer, &user.email).map_err(internal)?;
    let otpauth_url = totp.to_url().map_err(internal)?;
    let qr = QrCode::new(otpauth_url.as_bytes()).map_err(internal)?;
    let qr_svg = qr.render::<svg::Color<'_>>().min_dimensions(240, 240).build();
    let expires_at = kernel.clock.now() + config.setup();
    let sealed = seal(kernel, user.id, &bytes)?;
    store::set_setup(&**tx, user.id, sealed, session_id, expires_at).await?;
    Ok(Setup {
        secret: Redacted::new(totp.secret().to_base32()),
        otpauth_url: Redacted::new(otpauth_url),
        qr_svg: Redacted::new(qr_svg),
        expires_at,
    })
}

/// Puts a setup in force with its first code, in place of what was in force. A wrong code leaves the setup as it is.
///
/// # Errors
/// When the database fails.
pub async fn confirm(
    kernel: &Kernel,
    tx: &Tx,
    user_id: UserId,
    session_id: Uuid,
    code: &str,
) -> Result<Result<(), Refusal>, DbErr> {
    let now = kernel.clock.now();
    let row = store::find_for_update(&**tx, user_id).await?;
    let live = |row: &Model| {
        row.setup_session_id == Some(session_id) && row.setup_expires_at.is_some_and(|expires_at| expires_at > now)
    };
    let setup = row.filter(live).and_then(|row| row.setup_key_id.zip(row.setup_sealed));
    let Some((key_id, bytes)) = setup else { return Ok(Err(Refusal::SetupExpired)) };
    let setup = Sealed { key_id, bytes };
    let Some(step) = matching_step(kernel, user_id, &setup, code) else { return Ok(Err(Refusal::WrongCode)) };
    let is_enabled = store::enable(&**tx, user_id, setup, step, now).await?;
    Ok(if is_enabled { Ok(()) } else { Err(Refusal::SetupExpired) })
}

/// Whether `code` is right now, and was not accepted before. A right one is used up.
///
/// # Errors
/// When the database fails.
pub async fn verify(kernel: &Kernel, tx: &Tx, user_id: UserId, code: &str) -> Result<bool, DbErr> {
    let row = store::find_for_update(&**tx, user_id).await?.filter(|row| row.enabled_at.is_some());
    let Some((key_id, bytes)) = row.and_then(|row| row.key_id.zip(row.sealed)) else { return Ok(false) };
    let sealed = Sealed { key_id, bytes };
    let Some(step) = matching_step(kernel, user_id, &sealed, code) else { return Ok(false) };
    let is_old = sealed.key_id != kernel.keys.current();
    let resealed = match open(kernel, user_id, &sealed).filter(|_| is_old) {
        Some(secret) => Some(seal(kernel, user_id, &secret)?),
        None => None,
    };
    store::accept(&**tx, user_id, &sealed.bytes, step, resealed).await
}

/// Whether the user has an app in force.
///
/// # Errors
/// When the database fails.
pub async fn is_enabled<C: ConnectionTrait>(db: &C, user_id: UserId) -> Result<bool, DbErr> {
    store::is_enabled(db, user_id).await
}

/// Removes the user's app. False when there is none in force.
///
/// # Errors
/// When the database fails.
pub async fn remove(tx: &Tx, user_id: UserId) -> Result<bool, DbErr> {
    store::remove(&**tx, user_id).await
}

/// Seals the next secrets of older keys with the key that signs now, and enqueues the job that goes on after them. What is
/// replaced meanwhile, and what does not open, stays as it is. Returns how many were sealed anew.
///
/// # Errors
/// When the database fails.
pub async fn reseal(kernel: &Kernel, tx: &Tx, job: &ResealSecrets) -> Result<u64, DbErr> {
    let (current, batch) = (kernel.keys.current(), kernel.config.totp.reseal_batch.max(1));
    let rows = store::find_older(&**tx, current, job.after_id, batch).await?;
    let is_full = u64::try_from(rows.len()).unwrap_or(u64::MAX) == batch;
    let last = rows.last().map(|row| row.user_id).filter(|_| is_full);
    let mut resealed = 0;
    for row in rows {
        let in_force = row.key_id.zip(row.sealed).map(|(key_id, bytes)| (false, Sealed { key_id, bytes }));
        let setup = row.setup_key_id.zip(row.setup_sealed).map(|(key_id, bytes)| (true, Sealed { key_id, bytes }));
        for (is_setup, sealed) in in_force.into_iter().chain(setup).filter(|(_, sealed)| sealed.key_id != current) {
            let Some(secret) = open(kernel, row.user_id, &sealed) else {
                tracing::error!(user_id = %row.user_id, key_id = sealed.key_id, "a TOTP secret does not open and cannot be sealed anew");
                continue;
            };
            let fresh = seal(kernel, row.user_id, &secret)?;
            let is_ours = store::replace_sealed(&**tx, row.user_id, (is_setup, sealed.bytes), fresh).await?;
            resealed += u64::from(is_ours);
        }
    }
    if let Some(after_id) = last {
        jobs::enqueue(tx, kernel.clock.as_ref(), &ResealSecrets { window: job.window, after_id }).await?;
    }
    Ok(resealed)
}

/// The time step of a right code: the present one, the one before or the one after.
fn matching_step(kernel: &Kernel, user_id: UserId, sealed: &Sealed, code: &str) -> Option<i64> {
    let typed: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
    if typed.len() != 6 || !typed.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let Some(secret) = open(kernel, user_id, sealed) else {
        tracing::error!(%user_id, key_id = sealed.key_id, "a TOTP secret does not open: its key is gone or the row is not the user's");
        return None;
    };
    let seconds = u64::try_from(kernel.clock.now().0 / 1_000_000).ok()?;
    let step = app(&secret, "", "").ok()?.check(&typed, seconds)?;
    i64::try_from(step).ok()
}

/// Names lose their colons, which separate issuer and account in the address.
fn app(secret: &[u8], issuer: &str, account: &str) -> Result<Totp, totp_rs::TotpError> {
    let issuer = (!issuer.is_empty()).then(|| issuer.replace(':', " "));
    Builder::new().with_secret(secret).with_issuer(issuer).with_account_name(account.replace(':', " ")).build()
}

fn seal(kernel: &Kernel, user_id: UserId, secret: &[u8]) -> Result<Sealed, DbErr> {
    kernel.keys.seal(PURPOSE, &[user_id.0.as_bytes()], secret).ok_or_else(|| internal("the secret cannot be sealed"))
}

fn open(kernel: &Kernel, user_id: UserId, sealed: &Sealed) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    kernel.keys.open(PURPOSE, &[user_id.0.as_bytes()], sealed)
}

/// What cannot happen: the request fails, and the log says of what.
fn internal(cause: impl std::fmt::Display) -> DbErr {
    DbErr::Custom(cause.to_string())
}
