//! The code and the link of one send, derived by worker and gateway alike.

use uuid::Uuid;

use crate::{
    secret::{self, Keyring, SignedId},
    users::UserId,
};

/// What a code and a link are derived from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The pending login.
    pub login_id: Uuid,
    /// Which send of it.
    pub send: i32,
    /// Whose.
    pub user_id: UserId,
    /// The user's epoch when the login began: a password change voids the code.
    pub auth_epoch: i64,
    /// The key it is derived with.
    pub key_id: String,
}

impl Attempt {
    fn derive(&self, keys: &Keyring, purpose: &str) -> Option<[u8; 32]> {
        let parts: [&[u8]; 4] = [
            self.login_id.as_bytes(),
            &self.send.to_be_bytes(),
            self.user_id.0.as_bytes(),
            &self.auth_epoch.to_be_bytes(),
        ];
        keys.derive(&self.key_id, purpose, &parts)
    }

    /// The six digits; `None` once the key has been removed.
    #[must_use]
    pub fn code(&self, keys: &Keyring) -> Option<String> {
        self.derive(keys, "email_mfa.code").map(|derived| secret::six_digits(&derived))
    }

    /// The token of the link; `None` once the key has been removed.
    #[must_use]
    pub fn link_token(&self, keys: &Keyring) -> Option<SignedId> {
        self.derive(keys, "email_mfa.link").map(|mac| SignedId::new(self.login_id, mac))
    }

    /// Whether `code` is the one of this send; blanks do not matter.
    #[must_use]
    pub fn is_code(&self, keys: &Keyring, code: &str) -> bool {
        let typed: String = code.chars().filter(|letter| !letter.is_whitespace()).collect();
        self.code(keys).is_some_and(|expected| secret::equal(expected.as_bytes(), typed.as_bytes()))
    }

    /// Whether `link` is the one of this send.
    #[must_use]
    pub fn is_link(&self, keys: &Keyring, link: &SignedId) -> bool {
        link.is_signed_with(self.derive(keys, "email_mfa.link"))
    }
}
