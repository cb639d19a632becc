//! A passkey in software: one ES256 credential without attestation (WebAuthn, section 6), and the client around it.
//!
//! It does what it is asked and signs whatever comes of it: each field makes it lie about one thing. A clone is a copy
//! of the key.

use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Value, json};
use shared::secret::{decode, encode};

/// One passkey, with the client that it is used through.
#[derive(Clone)]
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
    /// How it can be reached.
    pub transports: Value,
    /// What it knows its user by; empty for one that does not say.
    pub user_handle: Vec<u8>,
    /// What it knows its credential by; chosen at its creation unless it is set.
    pub id: Vec<u8>,
    sign_count: u32,
    key: Vec<u8>,
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
            transports: json!(["internal"]),
            user_handle: Vec::new(),
            id,
            sign_count: 0,
            key: key.expect("a key").as_ref().to_vec(),
        }
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
        let mut attestation = vec![0xa3];
        attestation.extend(text("fmt"));
        attestation.extend(text(self.format));
        attestation.extend(text("attStmt"));
        attestation.push(0xa0);
        attestation.extend(text("authData"));
        attestation.push(0x59);
        attestation.extend(u16::try_from(data.len()).expect("a length").to_be_bytes());
        attestation.extend(data);
        let response = json!({
            "clientDataJSON": encode(&self.client_data("webauthn.create", options)),
            "attestationObject": encode(&attestation),
            "transports": self.transports,
        });
        self.credential(&response)
    }

    /// `navigator.credentials.get({ publicKey })`, as JSON.
    #[must_use]
    pub fn get(&mut self, options: &Value) -> Value {
        self.sign_count += u32::from(self.is_counting);
        let data = self.data(options["rpId"].as_str().expect("an RP id"), 0);
        let client_data = self.client_data("webauthn.get", options);
        let signed = [data.as_slice(), digest(&SHA256, &client_data).as_ref()].concat();
        let signature = self.pair().sign(&SystemRandom::new(), &signed).expect("a signature");
        let mut response = json!({
            "clientDataJSON": encode(&client_data),
            "authenticatorData": encode(&data),
            "signature": encode(signature.as_ref()),
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
            | flag(is_backed_up, 0x10);
        let mut data = digest(&SHA256, rp_id.as_bytes()).as_ref().to_vec();
        data.push(flags);
        data.extend(self.sign_count.to_be_bytes());
        data
    }

    /// `COSE_Key` (RFC 9052): kty EC2, the algorithm, crv P-256, x, y.
    fn public_key(&self) -> Vec<u8> {
        let pair = self.pair();
        let point = pair.public_key().as_ref();
        let mut key = vec![0xa5, 0x01, 0x02, 0x03];
        match u8::try_from(-1 - self.algorithm) {
            Ok(small) if small < 24 => key.push(0x20 | small),
            _ => {
                key.push(0x39);
                key.extend((-1 - self.algorithm).to_be_bytes());
            }
        }
        key.extend([0x20, 0x01, 0x21, 0x58, 0x20]);
        key.extend(&point[1..33]);
        key.extend([0x22, 0x58, 0x20]);
        key.extend(&point[33..65]);
        key
    }

    fn pair(&self) -> EcdsaKeyPair {
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.key, &SystemRandom::new()).expect("a key")
    }
}

/// A short CBOR text string (RFC 8949, section 3.1).
fn text(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 24).expect("a short text");
    [&[0x60 | length], text.as_bytes()].concat()
}

fn bytes(value: &Value) -> Vec<u8> {
    value.as_str().and_then(decode).expect("base64url")
}
