//! Use cases: looking for a kept answer, and keeping one.

use std::time::Duration;

use sea_orm::ActiveValue::Set;
use serde::{Deserialize, Serialize};

use super::{IdempotencyError, entity::ActiveModel, store};
use crate::{
    db::Tx,
    kernel::Kernel,
    secret::{self, Keyring, Sealed},
};

/// How long answers are kept.
const VALIDITY: Duration = Duration::from_secs(24 * 3600);
/// Longest key of a client.
const KEY_LENGTH: usize = 128;
/// What answers are sealed for.
const PURPOSE: &str = "idempotency.answer";

/// A request that carries an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    digest: Vec<u8>,
    fingerprint: Vec<u8>,
}

impl Attempt {
    /// A request: the client's key, who sent it (a credential, or an address where there is none), and what it asks for.
    ///
    /// # Errors
    /// When the key is none.
    pub fn new(keys: &Keyring, key: &str, caller: &[u8], request: [&[u8]; 3]) -> Result<Self, IdempotencyError> {
        let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
        if key.is_empty() || key.len() > KEY_LENGTH || !is_visible {
            return Err(IdempotencyError::Invalid);
        }
        let [method, target, body] = request;
        // Under a key of the installation's own: the digests tell nothing without it. They change when it is rotated.
        let digest = keys.blind("idempotency.key", &[key.as_bytes(), caller, method, target]).to_vec();
        let fingerprint = keys.blind("idempotency.request", &[method, target, body]).to_vec();
        Ok(Self { digest, fingerprint })
    }
}

/// A kept answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Status.
    pub status: u16,
    /// Headers, in their order.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
}

/// The answer that was given to this request before.
///
/// # Errors
/// When the key was used for another request, or the database fails.
pub async fn find(kernel: &Kernel, attempt: &Attempt) -> Result<Option<Kept>, IdempotencyError> {
    let found = store::find(kernel.db.reader(), &attempt.digest, kernel.clock.now()).await?;
    let Some(row) = found else { return Ok(None) };
    if !secret::equal(&row.fingerprint, &attempt.fingerprint) {
        return Err(IdempotencyError::Reused);
    }
    let sealed = Sealed { key_id: row.key_id, bytes: row.sealed };
    let opened = kernel.keys.open(PURPOSE, &[&row.digest], &sealed);
    Ok(opened.and_then(|plain| serde_json::from_slice(&plain).ok()))
}

/// Keeps the answer to this request in the transaction of its effect. False when another request with the same key has
/// committed meanwhile: the transaction must then be rolled back.
///
/// # Errors
/// When the database fails.
pub async fn keep(kernel: &Kernel, tx: &Tx, attempt: &Attempt, answer: &Kept) -> Result<bool, IdempotencyError> {
    let plain = serde_json::to_vec(answer).unwrap_or_default();
    let Some(sealed) = kernel.keys.seal(PURPOSE, &[&attempt.digest], &plain) else { return Ok(true) };
    let now = kernel.clock.now();
    let row = ActiveModel {
        digest: Set(attempt.digest.clone()),
        fingerprint: Set(attempt.fingerprint.clone()),
        key_id: Set(sealed.key_id),
        sealed: Set(sealed.bytes),
        expires_at: Set(now + VALIDITY),
    };
    match store::insert(&**tx, &attempt.digest, row, now).await {
        Ok(()) => Ok(true),
        Err(error) if crate::db::is_unique_violation(&error) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
