//! Secrets: minting, keyed derivation with key ids and rotation, and a wrapper that never prints.
//!
//! ```text
//! secrets.keys = ["2026b:…", "2026a:…"]     the first one signs, all of them verify
//!
//! derive(key_id, purpose, parts) = HMAC-SHA256(key, len(purpose) ‖ purpose ‖ len(part) ‖ part ‖ …)
//! ```
//!
//! Every input is length-prefixed, so two different lists of parts never give the same bytes (RFC 2104 for the MAC).
//! Mailed tokens and codes are derived, not stored: a row keeps the id of the key it was made with, so a second copy of
//! a mail is identical to the first even across a key rotation, and a database dump alone yields nothing usable.

use std::{fmt, sync::Arc};

use aes_gcm::{
    Aes256Gcm, KeyInit, Nonce,
    aead::{Aead, Payload},
    aes::{
        Aes256,
        cipher::{BlockDecrypt, BlockEncrypt},
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use rand::Rng as _;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;
use zeroize::Zeroizing;

/// A value that is never printed: its `Debug` is a placeholder and it has no `Display`.
#[derive(Clone, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(transparent)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Wraps a secret.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The secret itself; the call site is where to look for leaks.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Redacted<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[redacted]")
    }
}

/// Fills a buffer with unpredictable bytes from the operating system's generator.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that draws randomness")]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// A fresh bearer secret: `prefix` and 256 random bits in base64url without padding (RFC 4648, section 5).
#[must_use]
pub fn mint(prefix: &str) -> Redacted<String> {
    Redacted(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(random_bytes::<32>())))
}

/// SHA-256 of a secret with at least 128 random bits: what the database keeps in its place.
#[must_use]
pub fn digest(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

/// Compares two secrets in time that depends on their length only.
#[must_use]
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

/// Base64url without padding.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes base64url without padding; `None` for anything that is not the canonical text of some bytes.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Length of the random nonce before an encrypted value.
const NONCE_LENGTH: usize = 12;

/// An encrypted value and the key it is encrypted with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// Id of the key.
    pub key_id: String,
    /// Nonce, cipher text and tag.
    pub bytes: Vec<u8>,
}

/// What an encrypted value is bound to, in bytes that are never ambiguous.
fn associated(purpose: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

/// The installation's keys.
#[derive(Clone)]
pub struct Keyring {
    keys: Arc<Vec<(String, Vec<u8>)>>,
}

/// Why a list of keys was refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyringError {
    /// No key at all.
    #[error("secrets.keys is empty: set at least one key of the form \"id:material\"")]
    Empty,
    /// A key without an id or with too little material. The key's position, counted from 1.
    #[error(
        "secrets.keys entry {0} must read \"id:material\" with an id of 1 to 16 letters or digits and at least 32 characters of material"
    )]
    Malformed(usize),
    /// Two keys with one id.
    #[error("secrets.keys has two entries with the id {0:?}")]
    Duplicate(String),
}

impl Keyring {
    /// Reads keys of the form `id:material`; the first one signs.
    ///
    /// # Errors
    /// When there is none, one is malformed, or an id appears twice.
    pub fn parse<S: AsRef<str>>(entries: &[S]) -> Result<Self, KeyringError> {
        let mut keys: Vec<(String, Vec<u8>)> = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let (id, material) = entry.as_ref().split_once(':').ok_or(KeyringError::Malformed(index + 1))?;
            let id_is_plain = (1..=16).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !id_is_plain || material.len() < 32 {
                return Err(KeyringError::Malformed(index + 1));
            }
            if keys.iter().any(|(known, _)| known == id) {
                return Err(KeyringError::Duplicate(id.to_owned()));
            }
            keys.push((id.to_owned(), material.as_bytes().to_vec()));
        }
        if keys.is_empty() {
            return Err(KeyringError::Empty);
        }
        Ok(Self { keys: Arc::new(keys) })
    }

    /// The id of the key that signs now.
    #[must_use]
    pub fn current(&self) -> &str {
        self.keys.first().map_or("", |(id, _)| id.as_str())
    }

    /// The ids of all keys, the one that signs first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(id, _)| id.as_str())
    }

    /// 32 bytes derived from `parts` for `purpose` under the named key; `None` once that key has been removed.
    #[must_use]
    pub fn derive(&self, key_id: &str, purpose: &str, parts: &[&[u8]]) -> Option<[u8; 32]> {
        let (_, key) = self.keys.iter().find(|(id, _)| id == key_id)?;
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).ok()?;
        for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Some(mac.finalize().into_bytes().into())
    }

    /// Encrypts `plain` under the key that signs now (AES-256-GCM, NIST SP 800-38D). It opens for the same purpose and the
    /// same `parts` only, which is how a row is bound to its owner. `None` when there is no key.
    #[must_use]
    pub fn seal(&self, purpose: &str, parts: &[&[u8]], plain: &[u8]) -> Option<Sealed> {
        let key_id = self.current().to_owned();
        let nonce = random_bytes::<NONCE_LENGTH>();
        let payload = Payload { msg: plain, aad: &associated(purpose, parts) };
        let sealed = self.cipher(&key_id)?.encrypt(&Nonce::from(nonce), payload).ok()?;
        Some(Sealed { key_id, bytes: [nonce.as_slice(), &sealed].concat() })
    }

    /// What was sealed; `None` when it was altered, sealed for something else, or its key has been removed.
    #[must_use]
    pub fn open(&self, purpose: &str, parts: &[&[u8]], sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, msg) = sealed.bytes.split_first_chunk::<NONCE_LENGTH>()?;
        let payload = Payload { msg, aad: &associated(purpose, parts) };
        self.cipher(&sealed.key_id)?.decrypt(&Nonce::from(*nonce), payload).ok().map(Zeroizing::new)
    }

    /// Encryption has a key of its own, derived from the installation's.
    fn cipher(&self, key_id: &str) -> Option<Aes256Gcm> {
        let key = Zeroizing::new(self.derive(key_id, "seal.key", &[])?);
        Aes256Gcm::new_from_slice(key.as_slice()).ok()
    }

    /// Turns 16 bytes into others that mean nothing to anybody else: one block of AES-256 (FIPS 197), so that equal ones stay
    /// equal. `None` when there is no key.
    #[must_use]
    pub fn scramble(&self, purpose: &str, plain: [u8; 16]) -> Option<[u8; 16]> {
        let mut block = plain.into();
        self.block_cipher(self.current(), purpose)?.encrypt_block(&mut block);
        Some(block.into())
    }

    /// What 16 scrambled bytes may have been, for each key.
    pub fn unscramble(&self, purpose: &str, scrambled: [u8; 16]) -> impl Iterator<Item = [u8; 16]> {
        self.ids().filter_map(move |key_id| {
            let mut block = scrambled.into();
            self.block_cipher(key_id, purpose)?.decrypt_block(&mut block);
            Some(block.into())
        })
    }

    fn block_cipher(&self, key_id: &str, purpose: &str) -> Option<Aes256> {
        let key = Zeroizing::new(self.derive(key_id, "scramble.key", &[purpose.as_bytes()])?);
        Aes256::new_from_slice(key.as_slice()).ok()
    }

    /// A keyed digest under the key that signs now, for looking up an identifier without storing it.
    #[must_use]
    pub fn blind(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        self.derive(self.current(), purpose, parts).unwrap_or_default()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

/// Six decimal digits from derived bytes, by dynamic truncation as in RFC 4226, section 5.3.
#[must_use]
pub fn six_digits(derived: &[u8; 32]) -> String {
    let offset = usize::from(derived[31] & 0x0f);
    let window = derived.iter().skip(offset).take(4).fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
    format!("{:06}", (window & 0x7fff_ffff) % 1_000_000)
}

/// The token of a mailed link, taken apart: the id of a row, and a MAC over it that only the keys' owner can make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedId {
    /// The row that the token claims to be of.
    pub id: Uuid,
    mac: [u8; 32],
}

impl SignedId {
    /// Joins an id and its MAC.
    #[must_use]
    pub fn new(id: Uuid, mac: [u8; 32]) -> Self {
        Self { id, mac }
    }

    /// Takes a token apart; `None` when it is malformed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes: [u8; 48] = decode(text)?.try_into().ok()?;
        let (id, mac) = bytes.split_first_chunk::<16>()?;
        Some(Self { id: Uuid::from_bytes(*id), mac: mac.try_into().ok()? })
    }

    /// The token as it stands in a link: 64 characters.
    #[must_use]
    pub fn to_text(&self) -> String {
        encode(&[self.id.as_bytes().as_slice(), &self.mac].concat())
    }

    /// Whether the MAC is the expected one, compared in constant time. `None`, a removed key, never is.
    #[must_use]
    pub fn is_signed_with(&self, expected: Option<[u8; 32]>) -> bool {
        expected.is_some_and(|expected| equal(&expected, &self.mac))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(entries: &[&str]) -> Keyring {
        Keyring::parse(entries).unwrap()
    }

    const OLD: &str = "a:0123456789abcdef0123456789abcdef";
    const NEW: &str = "b:fedcba9876543210fedcba9876543210";

    /// W29: mailed tokens and codes are made of parts whose lengths are signed with them: a boundary that is moved, an empty
    /// part and one more part give something else.
    #[test]
    fn parts_are_never_ambiguous() {
        let keys = keyring(&[OLD]);
        assert_ne!(keys.derive("a", "p", &[b"ab", b"c"]), keys.derive("a", "p", &[b"a", b"bc"]));
        assert_ne!(keys.derive("a", "pa", &[b"b"]), keys.derive("a", "p", &[b"ab"]));
        // The same six bytes, cut in two places or one, or not at all.
        let bytes = b"abcdef";
        let mut seen = std::collections::BTreeSet::new();
        let mut ways = 0;
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let (head, middle, tail) = (&bytes[..first], &bytes[first..second], &bytes[second..]);
                seen.insert(keys.derive("a", "p", &[head, middle, tail]));
                ways += 1;
            }
            seen.insert(keys.derive("a", "p", &[&bytes[..first], &bytes[first..]]));
            ways += 1;
        }
        seen.extend([keys.derive("a", "p", &[bytes]), keys.derive("a", "pabc", &[b"def"]), keys.derive("a", "p", &[])]);
        assert_eq!(seen.len(), ways + 3);
    }

    #[test]
    fn a_rotated_key_still_verifies_until_it_is_removed() {
        let before = keyring(&[OLD]).derive("a", "p", &[b"x"]);
        let rotated = keyring(&[NEW, OLD]);
        assert_eq!(rotated.current(), "b");
        assert_eq!(rotated.derive("a", "p", &[b"x"]), before);
        assert_eq!(keyring(&[NEW]).derive("a", "p", &[b"x"]), None);
    }

    #[test]
    fn what_is_scrambled_is_read_with_its_key_and_for_its_purpose() {
        let (scrambled, both) = (keyring(&[OLD]).scramble("p", [7; 16]).unwrap(), keyring(&[NEW, OLD]));
        let reads = |keys: &Keyring, purpose| keys.unscramble(purpose, scrambled).any(|plain| plain == [7; 16]);
        assert!(keyring(&[OLD]).scramble("p", [7; 16]) == Some(scrambled) && scrambled != [7; 16]);
        assert!(reads(&both, "p") && !reads(&both, "q") && !reads(&keyring(&[NEW]), "p"));
    }

    #[test]
    fn what_is_sealed_opens_for_its_owner_only() {
        let keys = keyring(&[OLD]);
        let sealed = keys.seal("p", &[b"ada"], b"secret").unwrap();
        assert!(!sealed.bytes.windows(6).any(|window| window == b"secret"));
        assert_ne!(keys.seal("p", &[b"ada"], b"secret").unwrap(), sealed);
        assert_eq!(keys.open("p", &[b"ada"], &sealed).unwrap().as_slice(), b"secret");
        assert!(keys.open("p", &[b"bob"], &sealed).is_none());
        assert!(keys.open("q", &[b"ada"], &sealed).is_none());
        for index in 0..sealed.bytes.len() {
            let mut altered = sealed.clone();
            altered.bytes[index] ^= 1;
            assert!(keys.open("p", &[b"ada"], &altered).is_none(), "{index}");
        }
        assert!(keys.open("p", &[b"ada"], &Sealed { bytes: vec![0; 5], ..sealed }).is_none());
    }

    #[test]
    fn what_was_sealed_before_a_rotation_opens_until_the_key_is_removed() {
        let sealed = keyring(&[OLD]).seal("p", &[], b"secret").unwrap();
        let rotated = keyring(&[NEW, OLD]);
        assert_eq!(rotated.open("p", &[], &sealed).unwrap().as_slice(), b"secret");
        assert_eq!(rotated.seal("p", &[], b"secret").unwrap().key_id, "b");
        assert!(keyring(&[NEW]).open("p", &[], &sealed).is_none());
    }

    #[test]
    fn bad_key_lists_are_refused() {
        assert_eq!(Keyring::parse::<&str>(&[]).unwrap_err(), KeyringError::Empty);
        assert_eq!(Keyring::parse(&["a:short"]).unwrap_err(), KeyringError::Malformed(1));
        assert_eq!(Keyring::parse(&[OLD, OLD]).unwrap_err(), KeyringError::Duplicate("a".into()));
    }

    #[test]
    fn nothing_secret_is_printed() {
        assert_eq!(format!("{:?}", mint("gpst_")), "[redacted]");
        assert!(!format!("{:?}", keyring(&[OLD])).contains("0123"));
    }

    #[test]
    fn a_token_survives_its_text_and_nothing_else_parses() {
        let token = SignedId::new(crate::ids::next(), [7; 32]);
        let text = token.to_text();
        assert_eq!(SignedId::parse(&text), Some(token.clone()));
        assert!(token.is_signed_with(Some([7; 32])) && !token.is_signed_with(Some([8; 32])));
        assert!(!token.is_signed_with(None));
        for other in ["", "a", &text[1..], &format!("{text}A"), &text.replace(&text[..1], "+")] {
            assert_eq!(SignedId::parse(other), None, "{other}");
        }
    }

    #[test]
    fn codes_have_six_digits() {
        let keys = keyring(&[OLD]);
        for part in 0..200_u8 {
            let code = six_digits(&keys.blind("code", &[&[part]]));
            assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()));
        }
    }
}
