//! Table `passkeys`.

use sea_orm::entity::prelude::*;

use super::PasskeyError;
use crate::{clock::Timestamp, fault::FieldError, users::UserId};

/// Longest label, in characters.
const MAX_LABEL: usize = 200;

crate::id_type!(
    /// Id of a passkey.
    PasskeyId
);

/// One WebAuthn credential that answered its first challenge.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "passkeys")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PasskeyId,
    /// Whose.
    pub user_id: UserId,
    /// What the authenticator knows the user by: random, the same for all passkeys of a user.
    pub user_handle: Uuid,
    /// What the authenticator knows the credential by; unique among all users.
    pub credential_id: Vec<u8>,
    /// Public key and properties, as JSON of `webauthn_rs`.
    pub credential: String,
    /// What the user calls it.
    pub label: String,
    /// How it can be reached, as the client said: comma-separated `AuthenticatorTransport` values.
    pub transports: String,
    /// Its last signature counter; 0 for authenticators that do not count.
    pub sign_count: i64,
    /// Whether it may be copied to further devices; fixed at its creation.
    pub is_backup_eligible: bool,
    /// Whether it was, when it was used last.
    pub is_backed_up: bool,
    /// Added.
    pub created_at: Timestamp,
    /// Last sign-in with it.
    pub last_used_at: Option<Timestamp>,
}

impl Model {
    /// How it can be reached.
    #[must_use]
    pub fn transports(&self) -> Vec<String> {
        self.transports.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
    }

    /// What kind of thing holds it: `platform`, `hybrid`, `hardware` or `unknown`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        let has = |wanted: &[&str]| self.transports.split(',').any(|name| wanted.contains(&name));
        match () {
            () if has(&["internal"]) => "platform",
            () if has(&["hybrid"]) => "hybrid",
            () if has(&["usb", "nfc", "ble", "smart-card"]) => "hardware",
            () => "unknown",
        }
    }
}

/// A label as it is stored: trimmed, neither empty nor too long, without control characters.
pub(super) fn label(text: &str) -> Result<String, PasskeyError> {
    let label = text.trim();
    let error = |code, detail: String| Err(PasskeyError::Invalid(vec![FieldError { pointer: "/label", code, detail }]));
    match label {
        "" => error("required", "A passkey has a name.".to_owned()),
        _ if label.chars().count() > MAX_LABEL => error("too_long", format!("at most {MAX_LABEL} characters")),
        _ if label.chars().any(char::is_control) => error("invalid", "no control characters".to_owned()),
        _ => Ok(label.to_owned()),
    }
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
