//! An authenticator app: RFC 6238 written down once more, from the RFCs, so that nothing of the product checks itself.

use shared::clock::Timestamp;

/// Block of SHA-1, in bytes.
const BLOCK: usize = 64;

/// An app that was given a secret.
#[derive(Clone, Debug)]
pub struct Authenticator {
    secret: Vec<u8>,
}

impl Authenticator {
    /// The app, after the secret was typed in.
    ///
    /// # Panics
    /// When it is not base32 (RFC 4648).
    #[must_use]
    pub fn of(base32: &str) -> Self {
        let (mut secret, mut buffer, mut bits) = (Vec::new(), 0_u32, 0);
        for letter in base32.bytes() {
            let value = match letter {
                b'A'..=b'Z' => letter - b'A',
                b'2'..=b'7' => letter - b'2' + 26,
                _ => panic!("{base32:?} is not base32"),
            };
            buffer = buffer << 5 | u32::from(value);
            bits += 5;
            if bits >= 8 {
                bits -= 8;
                secret.push(u8::try_from(buffer >> bits & 0xff).unwrap_or_default());
            }
        }
        Self { secret }
    }

    /// The secret.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// What it shows at this moment.
    #[must_use]
    pub fn code(&self, at: Timestamp) -> String {
        let step = u64::try_from(at.0 / 30_000_000).unwrap_or_default();
        let mac = hmac_sha1(&self.secret, &step.to_be_bytes());
        let offset = usize::from(mac[19] & 0x0f);
        let window = mac.iter().skip(offset).take(4).fold(0_u32, |value, byte| value << 8 | u32::from(*byte));
        format!("{:06}", (window & 0x7fff_ffff) % 1_000_000)
    }
}

/// RFC 2104.
fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    let mut block = [0; BLOCK];
    let digest = sha1(key);
    let key = if key.len() > BLOCK { digest.as_slice() } else { key };
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let padded = |pad: u8| block.iter().map(|byte| byte ^ pad).collect::<Vec<_>>();
    let inner = sha1(&[padded(0x36), message.to_vec()].concat());
    sha1(&[padded(0x5c), inner.to_vec()].concat())
}

/// RFC 3174.
fn sha1(message: &[u8]) -> [u8; 20] {
    let mut state = [0x6745_2301_u32, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % BLOCK != 56 {
        padded.push(0);
    }
    padded.extend_from_slice(&(message.len() as u64 * 8).to_be_bytes());
    for block in padded.chunks(BLOCK) {
        let mut words: Vec<u32> =
            block.chunks(4).map(|four| four.iter().fold(0, |word, byte| word << 8 | u32::from(*byte))).collect();
        for at in 16..80 {
            words.push((words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1));
        }
        let mut work = state;
        for (at, word) in words.iter().enumerate() {
            let [first, second, third, fourth, fifth] = work;
            let (mix, constant) = match at {
                0..20 => (second & third | !second & fourth, 0x5a82_7999),
                20..40 => (second ^ third ^ fourth, 0x6ed9_eba1),
                40..60 => (second & third | second & fourth | third & fourth, 0x8f1b_bcdc),
                _ => (second ^ third ^ fourth, 0xca62_c1d6_u32),
            };
            let sum = first.rotate_left(5).wrapping_add(mix).wrapping_add(fifth);
            work = [sum.wrapping_add(constant).wrapping_add(*word), first, second.rotate_left(30), third, fourth];
        }
        for (sum, add) in state.iter_mut().zip(work) {
            *sum = sum.wrapping_add(add);
        }
    }
    let mut digest = [0; 20];
    let bytes = state.iter().flat_map(|word| word.to_be_bytes());
    digest.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_what_the_rfc_says() {
        let app = Authenticator { secret: b"12345678901234567890".to_vec() };
        for (seconds, code) in [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924")] {
            assert_eq!(app.code(Timestamp(seconds * 1_000_000)), code);
        }
        assert_eq!(Authenticator::of("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").secret(), app.secret());
    }
}
