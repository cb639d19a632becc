//! Challenges: made, kept in table `passkey_ceremonies`, used up by their first answer.
//!
//! The row is deleted before the answer is looked at, because `webauthn_rs` accepts the same answer to the same state
//! twice. [`read`] checks what that library does not: the form of the identifiers, and that no frame of another origin was
//! around the page.

use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, QueryFilter};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use uuid::Uuid;
use webauthn_rs::prelude::{
    CreationChallengeResponse, DiscoverableAuthentication, Passkey, PasskeyRegistration, RequestChallengeResponse,
    Webauthn, WebauthnBuilder,
};

use super::PasskeyError;
use crate::{clock::Timestamp, db, eddsa, kernel::Kernel, secret, users::UserId};

crate::id_type!(
    /// Id of a challenge; not a secret.
    CeremonyId
);

/// Longest credential id (WebAuthn, section 7.1).
const MAX_CREDENTIAL_ID: usize = 1023;

/// A challenge for an authenticator.
#[derive(Debug)]
pub struct Challenge {
    /// What the answer refers to.
    pub ceremony_id: CeremonyId,
    /// `PublicKeyCredentialCreationOptionsJSON` or `PublicKeyCredentialRequestOptionsJSON`.
    pub public_key: Value,
    /// Good until.
    pub expires_at: Timestamp,
}

/// A credential that has not answered a challenge of its own yet.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Candidate {
    pub passkey: Passkey,
    pub user_handle: Uuid,
    pub label: String,
    pub transports: String,
}

/// What an answer is held against.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Registration { challenge: PasskeyRegistration, user_handle: Uuid },
    Verification { challenge: DiscoverableAuthentication, candidate: Box<Candidate> },
    Login { challenge: DiscoverableAuthentication, is_token_transport: bool },
    SecondFactor { challenge: DiscoverableAuthentication },
}

impl State {
    const fn purpose(&self) -> &'static str {
        match self {
            Self::Registration { .. } => "registration",
            Self::Verification { .. } => "verification",
            Self::Login { .. } => "login",
            Self::SecondFactor { .. } => "second_factor",
        }
    }
}

/// Whom a challenge is for: nobody yet, or a user; and the secret or session that only its client has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder<'a> {
    pub user_id: Option<UserId>,
    pub secret: &'a str,
}

/// Table `passkey_ceremonies`.
mod entity {
    use sea_orm::entity::prelude::*;

    /// One challenge that waits for its answer.
    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "passkey_ceremonies")]
    pub struct Model {
        /// Id.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: super::CeremonyId,
        /// `registration`, `verification`, `login` or `second_factor`.
        pub purpose: String,
        /// Who is to answer; `None` at a sign-in.
        pub user_id: Option<crate::users::UserId>,
        /// SHA-256 of what binds it to its client.
        pub binding: Vec<u8>,
        /// What the answer is held against, as JSON.
        pub state: String,
        /// Good until.
        pub expires_at: crate::clock::Timestamp,
    }

    /// No relations: joins belong to the slice that owns the result.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

/// This installation as a relying party: its id is the domain of `http.public_url`, its origin that URL's.
pub(super) fn relying_party(kernel: &Kernel) -> Result<Webauthn, PasskeyError> {
    let url = &kernel.config.http.public_url;
    let rp_id = url.domain().ok_or(PasskeyError::NotAvailable)?;
    let builder = WebauthnBuilder::new(rp_id, url).map_err(PasskeyError::Challenge)?;
    builder.rp_name("Gatepost").timeout(kernel.config.passkey.ceremony()).build().map_err(PasskeyError::Challenge)
}

/// Options of a registration. Passkeys must be discoverable, which `webauthn_rs` would discourage, and may be `EdDSA` keys.
pub(super) fn creation_options(response: &CreationChallengeResponse) -> Result<Value, serde_json::Error> {
    let mut options = serde_json::to_value(&response.public_key)?;
    if let Some(selection) = options.pointer_mut("/authenticatorSelection").and_then(Value::as_object_mut) {
        selection.insert("residentKey".to_owned(), json!("required"));
        selection.insert("requireResidentKey".to_owned(), json!(true));
    }
    if let Some(offered) = options.pointer_mut("/pubKeyCredParams").and_then(Value::as_array_mut) {
        // Second, because authenticators take the first one that they have.
        offered.insert(1.min(offered.len()), json!({ "type": "public-key", "alg": eddsa::ALGORITHM }));
    }
    Ok(options)
}

/// Options of an assertion.
pub(super) fn request_options(response: &RequestChallengeResponse) -> Result<Value, serde_json::Error> {
    serde_json::to_value(&response.public_key)
}

/// A credential as options name it; the transports are those of [`transports`].
pub(super) fn descriptor(credential_id: &[u8], transports: &str) -> Value {
    let transports: Vec<_> = transports.split(',').filter(|name| !name.is_empty()).collect();
    json!({ "type": "public-key", "id": secret::encode(credential_id), "transports": transports })
}

/// Options of an assertion by one of these credentials.
pub(super) fn narrowed_options(
    response: &RequestChallengeResponse,
    allowed: Vec<Value>,
) -> Result<Value, serde_json::Error> {
    let mut options = request_options(response)?;
    if let Some(members) = options.as_object_mut() {
        members.insert("allowCredentials".to_owned(), Value::Array(allowed));
    }
    Ok(options)
}

/// Keeps what the answer will be held against.
pub(super) async fn keep(
    kernel: &Kernel,
    holder: Holder<'_>,
    state: &State,
    public_key: Value,
) -> Result<Challenge, PasskeyError> {
    let expires_at = kernel.clock.now() + kernel.config.passkey.ceremony();
    let row = entity::Model {
        id: CeremonyId::next(),
        purpose: state.purpose().to_owned(),
        user_id: holder.user_id,
        binding: secret::digest(holder.secret),
        state: serde_json::to_string(state)?,
        expires_at,
    };
    let ceremony_id = row.id;
    // One statement is a transaction of its own.
    entity::Entity::insert(row.into_active_model()).exec_without_returning(kernel.db.writer()).await?;
    Ok(Challenge { ceremony_id, public_key, expires_at })
}

/// Uses a challenge up. Of two answers at once one finds it.
pub(super) async fn take<C: ConnectionTrait>(
    kernel: &Kernel,
    db: &C,
    holder: Holder<'_>,
    id: CeremonyId,
) -> Result<State, PasskeyError> {
    let delete = entity::Entity::delete_many()
        .filter(entity::Column::Id.eq(id))
        .filter(entity::Column::Binding.eq(secret::digest(holder.secret)))
        .filter(match holder.user_id {
            Some(user_id) => entity::Column::UserId.eq(user_id),
            None => entity::Column::UserId.is_null(),
        });
    let taken = delete.exec_with_returning(db).await?.into_iter().next();
    let taken = taken.filter(|row| row.expires_at > kernel.clock.now()).ok_or(PasskeyError::CeremonyNotFound)?;
    Ok(serde_json::from_str(&taken.state)?)
}

/// Reads the JSON form of a credential (`RegistrationResponseJSON`, `AuthenticationResponseJSON`).
pub(super) fn read<T: DeserializeOwned>(credential: Value) -> Result<T, PasskeyError> {
    if !is_well_formed(&credential) {
        return Err(PasskeyError::Rejected);
    }
    serde_json::from_value(credential).map_err(|_| PasskeyError::Rejected)
}

fn is_well_formed(credential: &Value) -> bool {
    let text = |pointer: &str| credential.pointer(pointer).and_then(Value::as_str);
    let (id, raw_id) = (text("/id"), text("/rawId"));
    let is_id = raw_id.and_then(secret::decode).is_some_and(|id| (1..=MAX_CREDENTIAL_ID).contains(&id.len()));
    let client_data = text("/response/clientDataJSON").and_then(secret::decode);
    let client_data = client_data.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let is_same_origin = client_data.is_some_and(|data| {
        data.get("topOrigin").is_none() && data.get("crossOrigin").is_none_or(|crossed| *crossed == json!(false))
    });
    text("/type") == Some("public-key") && id == raw_id && is_id && is_same_origin
}

/// How the client can reach the credential, as it says; unknown words are dropped.
pub(super) fn transports(credential: &Value) -> String {
    let known = ["usb", "nfc", "ble", "smart-card", "hybrid", "internal"];
    let said = credential.pointer("/response/transports").and_then(Value::as_array);
    let said: Vec<_> = said.into_iter().flatten().filter_map(Value::as_str).collect();
    known.into_iter().filter(|name| said.contains(name)).collect::<Vec<_>>().join(",")
}

/// Deletes up to `batch` challenges that expired before `before`; returns how many.
///
/// # Errors
/// When the database fails.
pub async fn sweep<C: ConnectionTrait>(db: &C, before: Timestamp, batch: u64) -> Result<u64, DbErr> {
    let over = entity::Column::ExpiresAt.lt(before);
    db::sweep(db, entity::Entity, entity::Column::ExpiresAt, over, batch).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential(client_data: &Value, id: &[u8]) -> Value {
        let id = secret::encode(id);
        let client_data = secret::encode(client_data.to_string().as_bytes());
        json!({ "id": id, "rawId": id, "type": "public-key", "response": { "clientDataJSON": client_data } })
    }

    #[test]
    fn a_credential_is_taken_in_its_own_page_only() {
        let id = [7; 16];
        for (client_data, is_taken) in [
            (json!({ "type": "webauthn.get" }), true),
            (json!({ "crossOrigin": false }), true),
            (json!({ "crossOrigin": true }), false),
            (json!({ "crossOrigin": "no" }), false),
            (json!({ "topOrigin": "https://evil.example" }), false),
        ] {
            assert_eq!(is_well_formed(&credential(&client_data, &id)), is_taken, "{client_data}");
        }
    }

    #[test]
    fn identifiers_have_a_form() {
        let data = json!({});
        assert!(is_well_formed(&credential(&data, &[1; 1023])));
        assert!(!is_well_formed(&credential(&data, &[1; 1024])));
        assert!(!is_well_formed(&credential(&data, &[])));
        let mut other = credential(&data, &[1; 16]);
        other["id"] = json!("AAAA");
        assert!(!is_well_formed(&other));
        let mut password = credential(&data, &[1; 16]);
        password["type"] = json!("password");
        assert!(!is_well_formed(&password));
    }

    #[test]
    fn only_known_transports_are_kept() {
        let said = json!({ "response": { "transports": ["internal", "<b>", "usb", 7] } });
        assert_eq!(transports(&said), "usb,internal");
        assert_eq!(transports(&json!({ "response": { "transports": "usb" } })), "");
    }
}
