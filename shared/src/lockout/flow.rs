//! Use cases: counting an attempt, and what its outcome does to the count.

use std::time::Duration;

use sea_orm::{ConnectionTrait, DbErr};
use serde_json::json;
use uuid::Uuid;

use super::{LockoutError, NotifyDisabled, NotifyLocked, store};
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    clock::micros,
    db::Tx,
    jobs,
    kernel::Kernel,
    rate_limit::{self, Verdict},
    secret::{self, Keyring},
    users::{self, Email, Mark, UserId},
};

/// How long failures in a row are remembered after the last one.
const STREAK: Duration = Duration::from_hours(365 * 24);

const PER_ACCOUNT: &str = "lockout.account";

/// What can fail. All share one count per account and client; failures in a row are counted for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authenticator {
    /// The password.
    Password,
    /// A mailed code or link.
    EmailCode,
    /// A time-based one-time password.
    Totp,
    /// A backup code.
    BackupCode,
    /// A passkey.
    Passkey,
}

impl Authenticator {
    /// Its name in the audit trail.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::EmailCode => "email_code",
            Self::Totp => "totp",
            Self::BackupCode => "backup_code",
            Self::Passkey => "passkey",
        }
    }

    /// Whether trying often enough would find it. A signature is not found that way: failures of passkeys count, and
    /// nothing but failures of passkeys holds a passkey off.
    const fn is_guessable(self) -> bool {
        match self {
            Self::Password | Self::EmailCode | Self::Totp | Self::BackupCode => true,
            Self::Passkey => false,
        }
    }
}

/// Whose account is tried.
#[derive(Clone, Copy, Debug)]
enum Account<'a> {
    /// By this address, or by what was sent in place of one.
    Address(&'a str),
    /// By something that looked like a passkey of the address with this mark.
    Decoy(Mark),
}

/// Whose account is tried, and with what device.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    account: Account<'a>,
    device: Option<&'a [u8]>,
}

impl<'a> Subject<'a> {
    /// The account of a normalised address, or of what was sent in place of one. `device` is the one that signed in to it
    /// before: what `devices::find_known` gives.
    #[must_use]
    pub const fn of(address: &'a str, device: Option<&'a [u8]>) -> Self {
        Self { account: Account::Address(address), device }
    }

    /// The account whose passkey a decoy seemed to be. It is counted like the passkey that it stands in place of.
    #[must_use]
    pub const fn decoy(mark: Mark) -> Self {
        Self { account: Account::Decoy(mark), device: None }
    }

    fn mark(&self, keys: &Keyring) -> Mark {
        match self.account {
            Account::Address(address) => users::mark(keys, address),
            Account::Decoy(mark) => mark,
        }
    }

    /// Whom a notice is about. What comes of decoys reaches nobody, and must not stand in the way of what does.
    fn id(&self, keys: &Keyring) -> Uuid {
        let purpose = match self.account {
            Account::Address(_) => "lockout.account",
            Account::Decoy(_) => "lockout.decoy",
        };
        let digest = keys.blind(purpose, &[&self.mark(keys)]);
        digest.first_chunk::<16>().map_or_else(Uuid::nil, |bytes| Uuid::from_bytes(*bytes))
    }

    /// The key of its count.
    fn client_key(&self, keys: &Keyring, client: &Client) -> String {
        let kind: &[u8] = if self.device.is_some() { b"device" } else { b"network" };
        self.keyed(keys, client, &[kind])
    }

    /// The key of its count of passkeys alone.
    fn passkey_key(&self, keys: &Keyring, client: &Client) -> String {
        let kind: &[u8] = if self.device.is_some() { b"device" } else { b"network" };
        self.keyed(keys, client, &[b"passkey", kind])
    }

    fn keyed(&self, keys: &Keyring, client: &Client, kind: &[&[u8]]) -> String {
        let network = client.network();
        let from = self.device.unwrap_or(network.as_bytes());
        let mark = self.mark(keys);
        let parts = [kind, &[mark.as_slice(), from]].concat();
        format!("client:{}", secret::encode(&keys.blind("lockout", &parts)))
    }

    /// The key of the failures in a row.
    fn streak_key(&self, keys: &Keyring, authenticator: Authenticator) -> String {
        let parts: [&[u8]; 3] = [b"streak", &self.mark(keys), authenticator.as_str().as_bytes()];
        format!("streak:{}", secret::encode(&keys.blind("lockout", &parts)))
    }
}

/// An attempt that was counted and may be verified.
#[derive(Clone, Debug)]
pub struct Reservation {
    account_id: Uuid,
    /// The count that decided.
    client_key: String,
    /// A further count that a failure goes into.
    shared_key: Option<String>,
    streak_key: String,
    authenticator: Authenticator,
    in_a_row: i64,
    is_known_device: bool,
    /// No further one is allowed in this window.
    is_last: bool,
}

impl Reservation {
    /// Whether it was counted among the attempts from everywhere.
    const fn is_slowed_down(&self) -> bool {
        !self.is_known_device && self.authenticator.is_guessable()
    }
}

/// Counts an attempt before anything is verified. One that is refused is not counted.
///
/// # Errors
/// When it must not be verified, or the database fails.
pub async fn reserve(
    kernel: &Kernel,
    client: &Client,
    subject: Subject<'_>,
    authenticator: Authenticator,
) -> Result<Reservation, LockoutError> {
    // Each statement is a transaction of its own.
    let (config, db, now) = (&kernel.config.lockout, kernel.db.writer(), kernel.clock.now());
    let (limit, window) = (config.per_client, config.per_client.window());
    let shared_key = subject.client_key(&kernel.keys, client);
    let (client_key, shared_key) = if authenticator.is_guessable() {
        (shared_key, None)
    } else {
        (subject.passkey_key(&kernel.keys, client), Some(shared_key))
    };
    let streak_key = subject.streak_key(&kernel.keys, authenticator);
    let counted = if limit.count > 0 {
        store::reserve(db, (&client_key, &streak_key), (limit.count, now + window), now).await?
    } else if config.in_a_row > 0 {
        store::Counted::unlimited(store::in_a_row(kernel.db.reader(), &streak_key).await?)
    } else {
        store::Counted::unlimited(0)
    };
    if config.in_a_row > 0 && counted.in_a_row >= i64::from(config.in_a_row) {
        return Err(LockoutError::Disabled);
    }
    if counted.is_denied {
        // The clocks of gateways are not quite the same.
        let wait = counted.expires_at.since(now).min(window).max(Duration::from_secs(1));
        return Err(LockoutError::Locked { wait, window });
    }
    let reservation = Reservation {
        account_id: subject.id(&kernel.keys),
        client_key,
        shared_key,
        streak_key,
        authenticator,
        in_a_row: counted.in_a_row,
        is_known_device: subject.device.is_some(),
        is_last: limit.count > 0 && counted.attempts >= i64::from(limit.count),
    };
    if !reservation.is_slowed_down() {
        return Ok(reservation);
    }
    let account = reservation.account_id.to_string();
    match rate_limit::check(db, &kernel.keys, now, config.per_account, (PER_ACCOUNT, &account)).await? {
        Verdict::Allowed => Ok(reservation),
        Verdict::Denied(wait) => {
            store::give_back(db, &reservation.client_key).await?;
            notify_of_many(kernel, client, subject).await?;
            Err(LockoutError::SlowedDown(wait))
        }
    }
}

/// The attempt was not verified after all: it does not count.
///
/// # Errors
/// When the database fails; it then counts.
pub async fn give_back<C: ConnectionTrait>(kernel: &Kernel, db: &C, reservation: &Reservation) -> Result<(), DbErr> {
    if kernel.config.lockout.per_client.count > 0 {
        store::give_back(db, &reservation.client_key).await?;
    }
    if reservation.is_slowed_down() {
        let (account, limit) = (reservation.account_id.to_string(), kernel.config.lockout.per_account);
        rate_limit::give_back(db, &kernel.keys, limit, (PER_ACCOUNT, &account)).await?;
    }
    Ok(())
}

/// The proof was right: the attempt does not count, and the authenticator's failures in a row end. Earlier failures of
/// the client stay until [`forget`], or whoever knows the password could guess codes without end.
///
/// # Errors
/// When the database fails.
pub async fn succeed(kernel: &Kernel, tx: &Tx, reservation: &Reservation) -> Result<(), DbErr> {
    give_back(kernel, &**tx, reservation).await?;
    if reservation.in_a_row > 0 {
        store::forget(&**tx, [&reservation.streak_key; 2]).await?;
    }
    Ok(())
}

/// The client signed in: its count of this account begins anew. Counts of others, and of other accounts, stay.
///
/// # Errors
/// When the database fails.
pub async fn forget(kernel: &Kernel, tx: &Tx, client: &Client, subject: Subject<'_>) -> Result<(), DbErr> {
    if kernel.config.lockout.per_client.count == 0 {
        return Ok(());
    }
    let keys = &kernel.keys;
    store::forget(&**tx, [&subject.client_key(keys, client), &subject.passkey_key(keys, client)]).await
}

/// The authenticator was set anew: its failures in a row end, and this client may try it.
///
/// # Errors
/// When the database fails.
pub async fn enable(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    subject: Subject<'_>,
    authenticator: Authenticator,
) -> Result<(), DbErr> {
    let client_key = subject.client_key(&kernel.keys, client);
    store::forget(&**tx, [&client_key, &subject.streak_key(&kernel.keys, authenticator)]).await
}

/// The proof was wrong, in the transaction that audits it. What this brings about is the same for addresses without an
/// account: `user_id` is `None` then.
///
/// # Errors
/// When the database fails.
pub async fn fail(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    reservation: &Reservation,
    user_id: Option<UserId>,
) -> Result<(), DbErr> {
    let (config, now) = (&kernel.config.lockout, kernel.clock.now());
    if config.in_a_row > 0 && reservation.authenticator.is_guessable() {
        let failures = store::extend(&**tx, &reservation.streak_key, now + STREAK).await?;
        if failures == i64::from(config.in_a_row) {
            let detail = json!({ "authenticator": reservation.authenticator.as_str(), "failures": failures });
            let audit_id = audit_lock(kernel, tx, client, (user_id, "lockout.disable", detail)).await?;
            jobs::enqueue(tx, kernel.clock.as_ref(), &NotifyDisabled { audit_id }).await?;
        }
    }
    let mut is_last = reservation.is_last;
    if let Some(shared_key) = reservation.shared_key.as_ref().filter(|_| config.per_client.count > 0) {
        let (allowed, until) = (config.per_client.count, now + config.per_client.window());
        let counted = store::reserve(&**tx, (shared_key, &reservation.streak_key), (allowed, until), now).await?;
        is_last |= !counted.is_denied && counted.attempts >= i64::from(allowed);
    }
    if is_last {
        let detail = json!({
            "authenticator": reservation.authenticator.as_str(),
            "is_known_device": reservation.is_known_device,
            "seconds": config.per_client.per_seconds,
        });
        let audit_id = audit_lock(kernel, tx, client, (user_id, "lockout.lock", detail)).await?;
        enqueue_notice(kernel, tx, reservation.account_id, audit_id).await?;
    }
    Ok(())
}

/// Tells the owner, once per window, that the account is tried from many places.
async fn notify_of_many(kernel: &Kernel, client: &Client, subject: Subject<'_>) -> Result<(), DbErr> {
    let tx = kernel.db.write_tx().await?;
    let email = match subject.account {
        Account::Address(address) => Email::parse(address).ok(),
        Account::Decoy(_) => None,
    };
    let user = match email {
        Some(email) => users::find_by_email(&*tx, &email).await?,
        None => None,
    };
    let user_id = user.map(|user| user.id);
    let audit_id = audit_lock(kernel, &tx, client, (user_id, "lockout.slow_down", json!({}))).await?;
    // Rolled back when the owner was told already: a flood writes nothing.
    if enqueue_notice(kernel, &tx, subject.id(&kernel.keys), audit_id).await? {
        tx.commit().await
    } else {
        tx.rollback().await
    }
}

async fn audit_lock(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    (user_id, action, detail): (Option<UserId>, &'static str, serde_json::Value),
) -> Result<Uuid, DbErr> {
    let user_id = user_id.map(|user_id| user_id.0);
    let event = AuditEvent { action, outcome: Outcome::Failure, user_id, client: Some(client), detail };
    audit::record(&**tx, kernel.clock.as_ref(), event).await
}

/// False when the owner was told in this window.
async fn enqueue_notice(kernel: &Kernel, tx: &Tx, account_id: Uuid, audit_id: Uuid) -> Result<bool, DbErr> {
    let length = micros(kernel.config.lockout.per_client.window()).max(1);
    let window = kernel.clock.now().0.div_euclid(length);
    let job = NotifyLocked { account_id, audit_id, window };
    Ok(jobs::enqueue(tx, kernel.clock.as_ref(), &job).await?.is_some())
}
