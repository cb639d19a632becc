//! How keys for programs look: a prefix that scanners find, random letters and digits, and a checksum.
//!
//! ```text
//! gpx_ 3kTMd2nAc1pRB6rVfJgzAH  0vLwY7sQeX9uZiKo5NbtPy  2Zk9Qa
//!      22 + 22 letters and digits: 256 random bits       CRC-32 (IEEE 802.3) of all before, in base 62
//! ```
//!
//! The checksum proves nothing to an attacker; it lets garbage be refused without asking the database, and lets scanners
//! tell keys from look-alikes. At rest there is the SHA-256 only, and a mask for people.

use crate::secret::{Redacted, digest, random_bytes};

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Digits of half of the random part.
const HALF: usize = 22;
/// Digits of the checksum.
const CHECKSUM: usize = 6;

/// A fresh key.
#[must_use]
pub fn mint(prefix: &str) -> Redacted<String> {
    let mut text = prefix.to_owned();
    for half in [random_bytes::<16>(), random_bytes::<16>()] {
        text.push_str(&base_62(u128::from_be_bytes(half), HALF));
    }
    let checksum = base_62(u128::from(crc32fast::hash(text.as_bytes())), CHECKSUM);
    Redacted::new(text + &checksum)
}

/// Whether a text is what [`mint`] could have made for this prefix.
#[must_use]
pub fn is_sound(prefix: &str, text: &str) -> bool {
    let length = prefix.len() + 2 * HALF + CHECKSUM;
    if text.len() != length || !text.starts_with(prefix) {
        return false;
    }
    let Some((before, checksum)) = text.split_at_checked(length - CHECKSUM) else { return false };
    let mut rest = crc32fast::hash(before.as_bytes());
    // From the last digit to the first: asked of every key that anybody presents, without making a text of its own.
    let is_digit = |byte: u8| {
        let index = usize::try_from(rest % 62).unwrap_or_default();
        rest /= 62;
        DIGITS.get(index) == Some(&byte)
    };
    checksum.bytes().rev().all(is_digit)
}

/// What people see of a key: its first and last four characters.
#[must_use]
pub fn mask(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    let first: String = letters.iter().take(4).collect();
    let last: String = letters.iter().skip(letters.len().saturating_sub(4).max(4)).collect();
    format!("{first}...{last}")
}

/// What the database keeps of a key: `sha256$` and the digest in hexadecimal.
#[must_use]
pub fn hash(text: &str) -> String {
    const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| HEXADECIMAL.get(usize::from(value)).map_or('0', |letter| char::from(*letter));
    let digits = digest(text).into_iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    "sha256$".chars().chain(digits).collect()
}

fn base_62(mut value: u128, length: usize) -> String {
    let mut digits = vec!['0'; length];
    for digit in digits.iter_mut().rev() {
        let index = usize::try_from(value % 62).unwrap_or_default();
        *digit = DIGITS.get(index).map_or('0', |letter| char::from(*letter));
        value /= 62;
    }
    digits.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(crc32fast::hash(b"123456789"), 0xcbf4_3926);
        assert_eq!(base_62(u128::MAX, HALF), "7n42DGM5Tflk9n8mt7Fhc7");
    }

    #[test]
    fn what_is_minted_is_sound_and_nothing_else_is() {
        let text = mint("gpx_").expose().clone();
        assert_eq!(text.len(), 54);
        assert!(is_sound("gpx_", &text) && !is_sound("gps_", &text));
        assert_ne!(mint("gpx_").expose(), &text);
        for at in 4..text.len() {
            let mut letters: Vec<char> = text.chars().collect();
            letters[at] = if letters[at] == 'a' { 'b' } else { 'a' };
            let altered: String = letters.into_iter().collect();
            assert!(!is_sound("gpx_", &altered), "{altered}");
        }
        for other in ["", "gpx_", &text[..53], &format!("{text}0"), &"ä".repeat(27)] {
            assert!(!is_sound("gpx_", other), "{other}");
        }
    }

    /// D02: the vectors of the specification.
    #[test]
    fn hash_and_mask_are_the_documented_ones() {
        let text = "phx_testkey0000000000000000000000000000000000000";
        assert_eq!(hash(text), "sha256$f1d5fbfb1148e5031d46edf4161d9cfb1fac751d0930f3a995f2f9de54a0f599");
        assert_eq!(mask(text), "phx_...0000");
        assert_eq!(mask("abc"), "abc...");
    }
}
