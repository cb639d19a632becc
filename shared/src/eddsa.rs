//! `EdDSA` for `webauthn_rs`, which reads Ed25519 keys and verifies nothing with them.
//!
//! ```text
//! registration   an Ed25519 key? taken out, an ES256 key in its place ─► webauthn_rs ─► the Ed25519 key put back
//! assertion      by an Ed25519 key? its signature verified here ─► signed anew with ES256 ─► webauthn_rs
//! ```
//!
//! Every check of a ceremony stays the library's: type, challenge, origin, RP id, flags, counter, credential id. The
//! signature is ours, and is verified before anything is put in its place. The private half of an ES256 key that stands in
//! lives in one call and signs once; its public half is stored nowhere. An answer with any other key reaches the library as
//! it came. See `docs/decisions/0006-eddsa-beside-the-library.md`.

use std::{collections::BTreeMap, ops::Range};

use ed25519_dalek::{Signature, VerifyingKey};
use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_cbor_2::Value;
use sha2::{Digest, Sha256};
use webauthn_rs::prelude::{
    AuthenticationResult, COSEAlgorithm, COSEEC2Key, COSEKey, COSEKeyType, COSEOKPKey, Credential,
    DiscoverableAuthentication, ECDSACurve, EDDSACurve, Passkey, PasskeyRegistration, PublicKeyCredential,
    RegisterPublicKeyCredential, Webauthn, WebauthnError, WebauthnResult,
};

/// `EdDSA` among the COSE algorithms (RFC 9053, section 2.2).
pub const ALGORITHM: i32 = -8;

/// Where authenticator data says how long the credential id is: after RP id hash, flags, counter and AAGUID (WebAuthn,
/// section 6.1).
const ID_LENGTH: Range<usize> = 53..55;

/// What is before the 32 bytes of x in an Ed25519 `COSE_Key`: kty OKP, alg `EdDSA`, crv Ed25519. CTAP2 has one form of it.
const ED25519: [u8; 10] = [0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20];

/// What is before x, and what is before y, in an ES256 `COSE_Key`.
const ES256: ([u8; 10], [u8; 3]) = ([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20], [0x22, 0x58, 0x20]);

/// As the library's `finish_passkey_registration`, for Ed25519 keys too.
///
/// # Errors
/// When the answer does not verify.
pub fn finish_registration(
    rp: &Webauthn,
    answer: &RegisterPublicKeyCredential,
    challenge: &PasskeyRegistration,
) -> WebauthnResult<Passkey> {
    let Some(offer) = Offer::read(&answer.response.attestation_object) else {
        return rp.finish_passkey_registration(answer, challenge);
    };
    let public_key = offer.public_key;
    offer.check_statement(&read_key(&public_key)?, &answer.response.client_data_json)?;
    let mut answer = answer.clone();
    answer.response.attestation_object = offer.with(&StandIn::generate()?)?;
    let mut credential = Credential::from(rp.finish_passkey_registration(&answer, challenge)?);
    let key = COSEKeyType::EC_OKP(COSEOKPKey { curve: EDDSACurve::ED25519, x: public_key.to_vec() });
    credential.cred = COSEKey { type_: COSEAlgorithm::EDDSA, key };
    Ok(credential.into())
}

/// As the library's `finish_discoverable_authentication_v2`, for Ed25519 keys too.
///
/// # Errors
/// When the answer does not verify. Of `CredentialPossibleCompromise` the signature was right.
pub fn finish_authentication(
    rp: &Webauthn,
    answer: &PublicKeyCredential,
    challenge: DiscoverableAuthentication,
    passkey: &Passkey,
) -> WebauthnResult<AuthenticationResult> {
    let COSEKeyType::EC_OKP(COSEOKPKey { curve: EDDSACurve::ED25519, x }) = &passkey.get_public_key().key else {
        return rp.finish_discoverable_authentication_v2(answer, challenge, passkey);
    };
    let signed = signed_bytes(&answer.response.authenticator_data, &answer.response.client_data_json);
    verify(&read_key(x)?, &signed, &answer.response.signature)?;
    let stand_in = StandIn::generate()?;
    let mut answer = answer.clone();
    answer.response.signature = stand_in.sign(&signed)?;
    let mut credential = Credential::from(passkey.clone());
    credential.cred = stand_in.key();
    rp.finish_discoverable_authentication_v2(&answer, challenge, Passkey::from(credential))
}

/// A public key in its only encoding. A key of small order is none: there are signatures of it for any message.
fn read_key(bytes: &[u8]) -> WebauthnResult<VerifyingKey> {
    let bytes: &[u8; 32] = bytes.try_into().map_err(|_| WebauthnError::COSEKeyEDDSAXInvalid)?;
    VerifyingKey::from_bytes(bytes)
        .ok()
        .filter(|key| !key.is_weak() && key.to_edwards().compress().as_bytes() == bytes)
        .ok_or(WebauthnError::COSEKeyEDDSAXInvalid)
}

/// RFC 8032, section 5.1.7, without the factor 8: one signature of a message is not two.
fn verify(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> WebauthnResult<()> {
    let signature = Signature::from_slice(signature).map_err(|_| WebauthnError::SignatureInvalid)?;
    key.verify_strict(message, &signature).map_err(|_| WebauthnError::AuthenticationFailure)
}

/// What an authenticator signs (WebAuthn, section 6.3.3).
fn signed_bytes(authenticator_data: &[u8], client_data: &[u8]) -> Vec<u8> {
    [authenticator_data, &Sha256::digest(client_data)].concat()
}

/// An attestation object with an Ed25519 key.
struct Offer {
    object: BTreeMap<Value, Value>,
    authenticator_data: Vec<u8>,
    /// Where its `COSE_Key` is in there.
    place: Range<usize>,
    public_key: [u8; 32],
}

impl Offer {
    /// `None` for an object that is damaged or has another key, in the library's eyes or in these.
    fn read(attestation_object: &[u8]) -> Option<Self> {
        let Value::Map(object) = serde_cbor_2::from_slice(attestation_object).ok()? else { return None };
        let Value::Bytes(authenticator_data) = object.get(&text("authData"))?.clone() else { return None };
        let id_length = authenticator_data.get(ID_LENGTH)?.try_into().ok()?;
        let start = ID_LENGTH.end + usize::from(u16::from_be_bytes(id_length));
        let (public_key, _) = authenticator_data.get(start..)?.strip_prefix(&ED25519)?.split_first_chunk()?;
        let public_key = *public_key;
        let place = start..start + ED25519.len() + public_key.len();
        Some(Self { object, authenticator_data, place, public_key })
    }

    /// No attestation was asked for. What comes nevertheless is an empty statement, or the key's own signature (WebAuthn,
    /// section 8.2, self attestation), which has to be right.
    fn check_statement(&self, key: &VerifyingKey, client_data: &[u8]) -> WebauthnResult<()> {
        let member = |name| self.object.get(&text(name));
        let (Some(Value::Text(format)), Some(Value::Map(statement))) = (member("fmt"), member("attStmt")) else {
            return Err(WebauthnError::AttestationStatementMapInvalid);
        };
        match (format.as_str(), statement.len()) {
            ("none", 0) => Ok(()),
            ("packed", 2) => {
                if statement.get(&text("alg")) != Some(&Value::Integer(ALGORITHM.into())) {
                    return Err(WebauthnError::AttestationStatementAlgMismatch);
                }
                let Some(Value::Bytes(signature)) = statement.get(&text("sig")) else {
                    return Err(WebauthnError::AttestationStatementSigMissing);
                };
                verify(key, &signed_bytes(&self.authenticator_data, client_data), signature)
            }
            _ => Err(WebauthnError::AttestationNotSupported),
        }
    }

    /// The object with another key and without a statement; every other byte of the authenticator data is as it was.
    fn with(mut self, stand_in: &StandIn) -> WebauthnResult<Vec<u8>> {
        self.authenticator_data.splice(self.place, stand_in.cose());
        self.object.insert(text("authData"), Value::Bytes(self.authenticator_data));
        self.object.insert(text("fmt"), text("none"));
        self.object.insert(text("attStmt"), Value::Map(BTreeMap::new()));
        Ok(serde_cbor_2::to_vec(&Value::Map(self.object))?)
    }
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

/// An ES256 key that is shown to the library in the place of an Ed25519 key, in one call.
struct StandIn {
    pair: EcdsaKeyPair,
    random: SystemRandom,
}

impl StandIn {
    fn generate() -> WebauthnResult<Self> {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let pair = EcdsaKeyPair::generate_pkcs8(algorithm, &random)
            .ok()
            .and_then(|pkcs8| EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).ok())
            .ok_or(WebauthnError::EcdsaPointInvalid)?;
        Ok(Self { pair, random })
    }

    /// The coordinates of its public half; before them is the 4 of an uncompressed point.
    fn coordinates(&self) -> (&[u8], &[u8]) {
        let point = self.pair.public_key().as_ref();
        point.get(1..).unwrap_or_default().split_at(32)
    }

    fn cose(&self) -> Vec<u8> {
        let (x, y) = self.coordinates();
        [&ES256.0, x, &ES256.1, y].concat()
    }

    fn key(&self) -> COSEKey {
        let (x, y) = self.coordinates();
        let key = COSEEC2Key { curve: ECDSACurve::SECP256R1, x: x.to_vec(), y: y.to_vec() };
        COSEKey { type_: COSEAlgorithm::ES256, key: COSEKeyType::EC_EC2(key) }
    }

    fn sign(&self, message: &[u8]) -> WebauthnResult<Vec<u8>> {
        let signature = self.pair.sign(&self.random, message).map_err(|_| WebauthnError::SignatureInvalid)?;
        Ok(signature.as_ref().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::Ed25519KeyPair;

    use super::*;

    /// An attestation object with this key, behind it the byte of an extension that is not there.
    fn object(public_key: &[u8], id: &[u8]) -> Vec<u8> {
        let length = u16::try_from(id.len()).unwrap().to_be_bytes();
        let data = [&[9; ID_LENGTH.start][..], &length, id, &ED25519, public_key, &[0xa0]].concat();
        let members =
            [("fmt", text("none")), ("attStmt", Value::Map(BTreeMap::new())), ("authData", Value::Bytes(data))];
        let members = members.into_iter().map(|(name, value)| (text(name), value));
        serde_cbor_2::to_vec(&Value::Map(members.collect())).unwrap()
    }

    fn data_in(object: &[u8]) -> Vec<u8> {
        let Value::Map(object) = serde_cbor_2::from_slice(object).unwrap() else { panic!("no map") };
        let Value::Bytes(data) = object[&text("authData")].clone() else { panic!("no bytes") };
        data
    }

    /// RFC 8032, section 7.1, test 2.
    fn vector() -> ([u8; 32], [u8; 1], Vec<u8>) {
        let bytes = |hex: &str| -> Vec<u8> {
            (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
        };
        let key = bytes("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        let signature = [
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ];
        (key.try_into().unwrap(), [0x72], bytes(&signature.concat()))
    }

    #[test]
    fn the_signature_of_the_standard_verifies() {
        let (key, message, signature) = vector();
        let key = read_key(&key).unwrap();
        verify(&key, &message, &signature).unwrap();
        verify(&key, &[0x73], &signature).unwrap_err();
        for at in 0..signature.len() {
            let mut wrong = signature.clone();
            wrong[at] ^= 1;
            verify(&key, &message, &wrong).unwrap_err();
        }
        for length in [0, 63] {
            verify(&key, &message, &signature[..length]).unwrap_err();
        }
        verify(&key, &message, &[&signature[..], &[0]].concat()).unwrap_err();
    }

    /// S + L is S to those who reduce it: a second signature that nobody made.
    #[test]
    fn a_signature_has_one_form() {
        const ORDER: [u8; 32] = [
            0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0,
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
        ];
        let (key, message, mut signature) = vector();
        let mut carry = 0;
        for (byte, more) in signature[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*byte) + u16::from(more) + carry;
            *byte = sum.to_le_bytes()[0];
            carry = sum >> 8;
        }
        assert_eq!(carry, 0);
        verify(&read_key(&key).unwrap(), &message, &signature).unwrap_err();
    }

    #[test]
    fn keys_that_sign_everything_are_none() {
        // The points of order 1, 2 and 4, and those two of order 8 with an even x (RFC 7748's curve, in this form).
        let mut weak = vec![[0; 32], [0; 32], [0xff; 32], [0; 32]];
        weak[0][0] = 1;
        (weak[2][0], weak[2][31]) = (0xec, 0x7f);
        weak[3][31] = 0x80;
        for half in [
            [
                0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
                0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
            ],
            [
                0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
                0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
            ],
        ] {
            weak.push(half);
        }
        for key in weak {
            // They are points: what refuses them is their order.
            assert!(VerifyingKey::from_bytes(&key).unwrap().is_weak(), "{key:x?}");
            read_key(&key).unwrap_err();
        }
    }

    /// A coordinate plus the prime is the same coordinate to those who reduce it.
    #[test]
    fn a_key_has_one_form() {
        let mut points = 0;
        for y in 0..19 {
            let (mut plain, mut other) = ([0; 32], [0xff; 32]);
            plain[0] = y;
            (other[0], other[31]) = (0xed + y, 0x7f);
            points += usize::from(read_key(&plain).is_ok());
            read_key(&other).unwrap_err();
        }
        assert!(points > 3, "{points} of them would be keys");
        read_key(&[0; 31]).unwrap_err();
        read_key(&[0; 33]).unwrap_err();
    }

    #[test]
    fn all_but_the_key_stays() {
        let (key, ..) = vector();
        for id in [&[][..], &[7; 16], &[0xa4; 1023]] {
            let before = object(&key, id);
            let offer = Offer::read(&before).unwrap();
            assert_eq!(offer.public_key, key);
            let stand_in = StandIn::generate().unwrap();
            let (place, cose) = (offer.place.clone(), stand_in.cose());
            let (before, after) = (data_in(&before), data_in(&offer.with(&stand_in).unwrap()));
            assert_eq!(after[..place.start], before[..place.start]);
            assert_eq!(after[place.start..place.start + cose.len()], cose);
            assert_eq!(after[place.start + cose.len()..], [0xa0]);
            assert_eq!(COSEKey::try_from(&serde_cbor_2::from_slice::<Value>(&cose).unwrap()).unwrap(), stand_in.key());
        }
    }

    #[test]
    fn what_is_cut_off_has_no_key() {
        let (key, ..) = vector();
        let whole = object(&key, &[7; 16]);
        assert!((0..whole.len()).all(|length| Offer::read(&whole[..length]).is_none()));
        let data = data_in(&whole);
        for length in 0..data.len() - 1 {
            let cut = BTreeMap::from([(text("authData"), Value::Bytes(data[..length].to_vec()))]);
            assert!(Offer::read(&serde_cbor_2::to_vec(&Value::Map(cut)).unwrap()).is_none(), "{length} bytes");
        }
    }

    #[test]
    fn a_statement_is_empty_or_right() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[5; 32]).unwrap();
        let read = || Offer::read(&object(pair.public_key().as_ref(), &[7; 16])).unwrap();
        let key = read_key(pair.public_key().as_ref()).unwrap();
        let signature =
            |offer: &Offer| pair.sign(&signed_bytes(&offer.authenticator_data, b"client")).as_ref().to_vec();
        let check = |format: &str, members: &[(&str, Value)]| {
            let mut offer = read();
            let statement = members.iter().map(|(name, value)| (text(name), value.clone())).collect();
            offer.object.insert(text("fmt"), text(format));
            offer.object.insert(text("attStmt"), Value::Map(statement));
            offer.check_statement(&key, b"client").is_ok()
        };
        let right = [("alg", Value::Integer(-8)), ("sig", Value::Bytes(signature(&read())))];
        assert!(check("none", &[]) && check("packed", &right));
        assert!(!check("packed", &[]) && !check("packed", &right[..1]) && !check("packed", &right[1..]));
        assert!(!check("none", &right) && !check("tpm", &right) && !check("fido-u2f", &[]));
        let [algorithm, sig] = right;
        assert!(!check("packed", &[("alg", Value::Integer(-7)), sig.clone()]));
        assert!(!check("packed", &[algorithm.clone(), ("sig", Value::Bytes(vec![0; 64]))]));
        assert!(!check("packed", &[algorithm, sig, ("x5c", Value::Array(Vec::new()))]));
    }
}
