//! Ids that look like those of passkeys, for addresses that have none.
//!
//! ```text
//! first 16 bytes = scramble(mark of the address ‖ number ‖ 0 0 0)        the rest is derived from them
//! ```
//!
//! Whoever has the keys reads the mark of the address in them, so that an answer which names a decoy is counted like one which
//! names a passkey of that address: neither what is answered nor what is held off afterwards tells them apart.

use crate::{
    secret::Keyring,
    users::{Email, Mark, mark},
};

const PURPOSE: &str = "passkey.decoy";

/// Decoy number `index` of an address, always the same for it; `length` is 16 to 80 bytes.
#[must_use]
pub fn decoy(keys: &Keyring, email: &Email, (index, length): (u8, usize)) -> Vec<u8> {
    let mut plain = [0; 16];
    let parts = mark(keys, email.normalised()).into_iter().chain([index]);
    plain.iter_mut().zip(parts).for_each(|(place, byte)| *place = byte);
    let head = keys.scramble(PURPOSE, plain).unwrap_or_default();
    let more = |part: u8| keys.blind("passkey.decoy_tail", &[&head, &[part]]);
    let mut id = [head.as_slice(), &more(0), &more(1)].concat();
    id.truncate(length);
    id
}

/// The mark of the address whose decoy this is; `None` for what is none.
#[must_use]
pub fn marked(keys: &Keyring, credential_id: &[u8]) -> Option<Mark> {
    let head = credential_id.first_chunk::<16>()?;
    let plain = keys.unscramble(PURPOSE, *head).find(|plain| plain.ends_with(&[0; 3]))?;
    plain.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoy_tells_its_address_to_the_keys_alone() {
        let keys = Keyring::parse(&["one:insecure-key-for-development-only-0000"]).unwrap();
        let other = Keyring::parse(&["one:insecure-key-for-development-only-0001"]).unwrap();
        let email = Email::parse("ada@lovelace.test").unwrap();
        for (index, length) in [(0, 16), (1, 20), (2, 64), (2, 80)] {
            let id = decoy(&keys, &email, (index, length));
            assert_eq!(id.len(), length);
            assert_eq!(marked(&keys, &id), Some(mark(&keys, email.normalised())));
            assert_eq!(marked(&other, &id), None);
        }
        assert_eq!(marked(&keys, &[7; 32]), None);
        assert_eq!(marked(&keys, &[7; 15]), None);
    }
}
