//! One argon2id hash: computing it with borrowed memory, and its PHC string form.

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};

use crate::secret;

/// Bounds on parameters read from the database: a row must not make the server allocate what it likes.
const MAX_MEMORY_KIB: u32 = 262_144;
const MAX_PASSES: u32 = 16;

/// A hash as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPassword {
    /// PHC string (parameters, salt, hash).
    pub phc: String,
    /// Id of the key that peppered it.
    pub key_id: String,
}

/// Hashes `password` with a fresh salt into a PHC string. `None` when the parameters are out of range.
pub(super) fn hash(password: &[u8], pepper: &[u8], params: &Params, memory: &mut Vec<Block>) -> Option<String> {
    let salt = Salt::new(&secret::random_bytes::<16>()).ok()?;
    let mut out = [0; 32];
    compute(password, pepper, &salt, params, memory, &mut out)?;
    let phc = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).ok()?,
        salt: Some(salt),
        hash: Some(Output::new(&out).ok()?),
    };
    Some(phc.to_string())
}

/// Whether `password` gives the stored hash. A string that is no argon2id hash within bounds never matches.
pub(super) fn verify(password: &[u8], pepper: &[u8], phc: &str, memory: &mut Vec<Block>) -> bool {
    let Some((params, parsed)) = parse(phc) else { return false };
    let (Some(salt), Some(expected)) = (parsed.salt, parsed.hash) else { return false };
    let mut out = vec![0; expected.len()];
    compute(password, pepper, &salt, &params, memory, &mut out).is_some() && secret::equal(&out, expected.as_bytes())
}

/// Whether the hash was made with other parameters than these.
pub(super) fn is_outdated(phc: &str, params: &Params) -> bool {
    parse(phc).is_none_or(|(stored, _)| {
        (stored.m_cost(), stored.t_cost(), stored.p_cost()) != (params.m_cost(), params.t_cost(), params.p_cost())
    })
}

fn parse(phc: &str) -> Option<(Params, PasswordHash)> {
    let parsed = PasswordHash::new(phc).ok()?;
    if parsed.algorithm != Algorithm::Argon2id.ident() {
        return None;
    }
    let params = Params::try_from(&parsed).ok()?;
    (params.m_cost() <= MAX_MEMORY_KIB && params.t_cost() <= MAX_PASSES).then_some((params, parsed))
}

fn compute(
    password: &[u8],
    pepper: &[u8],
    salt: &[u8],
    params: &Params,
    memory: &mut Vec<Block>,
    out: &mut [u8],
) -> Option<()> {
    if memory.len() < params.block_count() {
        memory.resize(params.block_count(), Block::default());
    }
    let blocks = memory.get_mut(..params.block_count())?;
    let argon2 = Argon2::new_with_secret(pepper, Algorithm::Argon2id, Version::V0x13, params.clone()).ok()?;
    argon2.hash_password_into_with_memory(password, salt, out, blocks).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params() -> Params {
        Params::new(64, 1, 1, None).unwrap()
    }

    #[test]
    fn a_hash_verifies_with_its_password_and_pepper_only() {
        let mut memory = Vec::new();
        let phc = hash(b"right", b"pepper", &params(), &mut memory).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{phc}");
        assert!(verify(b"right", b"pepper", &phc, &mut memory));
        assert!(!verify(b"wrong", b"pepper", &phc, &mut memory));
        assert!(!verify(b"right", b"salt", &phc, &mut memory));
    }

    #[test]
    fn a_row_cannot_demand_terabytes() {
        let mut memory = Vec::new();
        let phc = hash(b"right", b"pepper", &params(), &mut memory).unwrap();
        let greedy = phc.replace("m=64", "m=4294967295");
        assert!(!verify(b"right", b"pepper", &greedy, &mut memory));
        for text in ["", "$", "plain", "$2b$12$abcdefghijklmnopqrstuv", "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaA"]
        {
            assert!(!verify(b"right", b"pepper", text, &mut memory), "{text}");
        }
    }

    #[test]
    fn other_parameters_are_outdated() {
        let phc = hash(b"right", b"pepper", &params(), &mut Vec::new()).unwrap();
        assert!(!is_outdated(&phc, &params()));
        assert!(is_outdated(&phc, &Params::new(128, 1, 1, None).unwrap()));
    }
}
