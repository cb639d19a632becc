//! A passkey in software: one credential of ES256 or `EdDSA` (WebAuthn, section 6), and the client around it.
//!
//! It does what it is asked and signs whatever comes of it: each field makes it lie about one thing. A clone is a copy
//! of the key.

use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair},
};
use serde_json::{Value, json};
use shared::secret::{decode, encode};

/// One passkey, with the client that it is used through.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each makes it lie about one thing")]
pub struct Authenticator {
    /// Origin of the page.
    pub origin: String,
    /// Replaces or adds members of the client data; null removes one.
    pub client_data: Value,
    /// The relying party that it answers, if not the one that asks.
    pub rp_id: Option<String>,
    /// Whether somebody touches it.
    pub is_present: bool,
    /// Whether it verifies its user.
    pub is_verifying: bool,
    /// Whether it says that it may be copied, and that it is.
    pub backup: (bool, bool),
    /// Whether it counts its signatures.
    pub is_counting: bool,
    /// COSE algorithm that its key claims to have.
    pub algorithm: i16,
    /// Format of the attestation statement that it claims to make.
    pub format: &'static str,
    /// Whether the statement is the new key's own signature; empty if not.
    pub is_attesting: bool,
    /// Extension outputs that it signs, as CBOR; empty for none.
    pub extensions: Vec<u8>,
    /// How it can be reached.
    pub transports: Value,
    /// What it knows its user by; empty for one that does not say.
    pub user_handle: Vec<u8>,
    /// What it knows its credential by; chosen at its creation unless it is set.
    pub id: Vec<u8>,
    sign_count: u32,
    key: Key,
}

/// A private key, in PKCS #8.
#[derive(Clone)]
enum Key {
    Es256(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Authenticator {
    /// An honest one, in pages of this origin.
    #[must_use]
    pub fn new(origin: &str) -> Self {
        let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new());
        let mut id = vec![0; 32];
        SystemRandom::new().fill(&mut id).expect("random bytes");
        Self {
            origin: origin.to_owned(),
            client_data: json!({}),
            rp_id: None,
            is_present: true,
            is_verifying: true,
            backup: (false, false),
            is_counting: true,
            algorithm: -7,
            format: "none",
            is_attesting: false,
            extensions: Vec::new(),
            transports: json!(["internal"]),
            user_handle: Vec::new(),
            id,
            sign_count: 0,
            key: Key::Es256(key.expect("a key").as_ref().to_vec()),
        }
    }

    /// An honest one with an Ed25519 key.
    #[must_use]
    pub fn eddsa(origin: &str) -> Self {
        let key = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        Self { algorithm: -8, key: Key::Ed25519(key.as_ref().to_vec()), ..Self::new(origin) }
    }

    /// `navigator.credentials.create({ publicKey })`, as JSON.
    #[must_use]
    pub fn create(&mut self, options: &Value) -> Value {
        self.user_handle = bytes(&options["user"]["id"]);
        let rp_id = options["rp"]["id"].as_str().expect("an RP id");
        let mut data = self.data(rp_id, 0x40);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).expect("a length").to_be_bytes());
        data.extend(&self.id);
        data.extend(self.public_key());
        data.extend(&self.extensions);
        let client_data = self.client_data("webauthn.create", options);
        let statement = if self.is_attesting { self.statement(&data, &client_data) } else { vec![0xa0] };
        let mut attestation = vec![0xa3];
        attestation.extend(text("fmt"));
        attestation.extend(text(self.format));
        attestation.extend(text("attStmt"));
        attestation.extend(statement);
        attestation.extend(text("authData"));
        attestation.push(0x59);
        attestation.extend(u16::try_from(data.len()).expect("a length").to_be_bytes());
        attestation.extend(data);
        let response = json!({
            "clientDataJSON": encode(&client_data),
            "attestationObject": encode(&attestation),
            "transports": self.transports,
        });
        self.credential(&response)
    }

    /// `navigator.credentials.get({ publicKey })`, as JSON.
    #[must_use]
    pub fn get(&mut self, options: &Value) -> Value {
        self.sign_count += u32::from(self.is_counting);
        let mut data = self.data(options["rpId"].as_str().expect("an RP id"), 0);
        data.extend(&self.extensions);
        let client_data = self.client_data("webauthn.get", options);
        let signature = self.sign(&data, &client_data);
        let mut response = json!({
            "clientDataJSON": encode(&client_data),
            "authenticatorData": encode(&data),
            "signature": encode(&signature),
        });
        if !self.user_handle.is_empty() {
            response["userHandle"] = json!(encode(&self.user_handle));
        }
        self.credential(&response)
    }

    /// Forgets that it signed anything.
    pub fn reset_counter(&mut self) {
        self.sign_count = 0;
    }

    fn credential(&self, response: &Value) -> Value {
        json!({
            "id": encode(&self.id),
            "rawId": encode(&self.id),
            "type": "public-key",
            "response": response,
            "clientExtensionResults": {},
            "authenticatorAttachment": "platform",
        })
    }

    fn client_data(&self, ceremony: &str, options: &Value) -> Vec<u8> {
        let mut data = json!({
            "type": ceremony,
            "challenge": options["challenge"],
            "origin": self.origin,
            "crossOrigin": false,
        });
        for (name, value) in self.client_data.as_object().into_iter().flatten() {
            data[name] = value.clone();
        }
        if let Some(members) = data.as_object_mut() {
            members.retain(|_, value| !value.is_null());
        }
        data.to_string().into_bytes()
    }

    /// Authenticator data up to the counter.
    fn data(&self, rp_id: &str, flags: u8) -> Vec<u8> {
        let rp_id = self.rp_id.as_deref().unwrap_or(rp_id);
        let (is_eligible, is_backed_up) = self.backup;
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let flags = flags
            | flag(self.is_present, 0x01)
            | flag(self.is_verifying, 0x04)
            | flag(is_eligible, 0x08)
            | flag(is_backed_up, 0x10)
            | flag(!self.extensions.is_empty(), 0x80);
        let mut data = digest(&SHA256, rp_id.as_bytes()).as_ref().to_vec();
        data.push(flags);
        data.extend(self.sign_count.to_be_bytes());
        data
    }

    /// Statement of a packed self attestation (WebAuthn, section 8.2): alg and sig.
    fn statement(&self, data: &[u8], client_data: &[u8]) -> Vec<u8> {
        let signature = self.sign(data, client_data);
        let length = u8::try_from(signature.len()).expect("a length");
        let mut statement = vec![0xa2];
        statement.extend(text("alg"));
        statement.extend(self.cose_algorithm());
        statement.extend(text("sig"));
        statement.extend([0x58, length]);
        statement.extend(signature);
        statement
    }

    /// The algorithm that the key claims to have, as a negative CBOR integer.
    fn cose_algorithm(&self) -> Vec<u8> {
        match u8::try_from(-1 - self.algorithm) {
            Ok(small) if small < 24 => vec![0x20 | small],
            _ => [&[0x39][..], &(-1 - self.algorithm).to_be_bytes()].concat(),
        }
    }

    /// `COSE_Key` (RFC 9052): kty EC2, the algorithm, crv P-256, x, y; or kty OKP, the algorithm, crv Ed25519, x.
    fn public_key(&self) -> Vec<u8> {
        let algorithm = self.cose_algorithm();
        match &self.key {
            Key::Es256(key) => {
                let pair = es256(key);
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                let (before_x, before_y) = ([0x20, 0x01, 0x21, 0x58, 0x20], [0x22, 0x58, 0x20]);
                [&[0xa5, 0x01, 0x02, 0x03][..], &algorithm, &before_x, x, &before_y, y].concat()
            }
            Key::Ed25519(key) => {
                let (pair, before_x) = (ed25519(key), [0x20, 0x06, 0x21, 0x58, 0x20]);
                [&[0xa4, 0x01, 0x01, 0x03][..], &algorithm, &before_x, pair.public_key().as_ref()].concat()
            }
        }
    }

    fn sign(&self, data: &[u8], client_data: &[u8]) -> Vec<u8> {
        let signed = [data, digest(&SHA256, client_data).as_ref()].concat();
        match &self.key {
            Key::Es256(key) => es256(key).sign(&SystemRandom::new(), &signed).expect("a signature").as_ref().to_vec(),
            Key::Ed25519(key) => ed25519(key).sign(&signed).as_ref().to_vec(),
        }
    }
}

fn es256(key: &[u8]) -> EcdsaKeyPair {
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key, &SystemRandom::new()).expect("a key")
}

fn ed25519(key: &[u8]) -> Ed25519KeyPair {
    Ed25519KeyPair::from_pkcs8(key).expect("a key")
}

/// A short CBOR text string (RFC 8949, section 3.1).
fn text(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 24).expect("a short text");
    [&[0x60 | length], text.as_bytes()].concat()
}

fn bytes(value: &Value) -> Vec<u8> {
    value.as_str().and_then(decode).expect("base64url")
}
