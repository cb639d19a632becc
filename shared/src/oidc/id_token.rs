//! ID tokens: what is checked of one before anything in it counts.

use std::str::FromStr;

use chrono::DateTime;
use openidconnect::{
    AccessToken, AccessTokenHash, ClaimsVerificationError, ClientId, ClientSecret, Nonce, SignatureVerificationError,
    core::{CoreIdToken, CoreIdTokenClaims, CoreIdTokenVerifier, CoreJwsSigningAlgorithm},
};

use super::{Claims, Client, Metadata, endpoint::Tokens};
use crate::{clock::Timestamp, secret};

/// How far an issuer's clock may be off, in seconds.
const LEEWAY: i64 = 60;

/// Longest subject (OpenID Connect Core, section 2).
const MAX_SUBJECT: usize = 255;

/// Signatures that need the issuer's private key.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// Why an ID token is refused.
pub(super) enum Refusal {
    UnknownKey,
    Wrong(String),
}

/// The claims of an ID token, if it is for this client and this sign-in (OpenID Connect Core, section 3.1.3.7).
pub(super) fn verify(
    metadata: &Metadata,
    client: Client<'_>,
    (tokens, nonce): (&Tokens, &str),
    now: Timestamp,
) -> Result<Claims, Refusal> {
    let wrong = |why: &str| Refusal::Wrong(why.to_owned());
    let id_token =
        CoreIdToken::from_str(&tokens.id_token).map_err(|_| wrong("there is no ID token that can be read"))?;
    let now = now.unix_seconds();
    let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap_or_default();
    let verifier = CoreIdTokenVerifier::new_confidential_client(
        ClientId::new(client.id.to_owned()),
        ClientSecret::new(client.secret.expose().clone()),
        metadata.issuer().clone(),
        metadata.jwks().clone(),
    )
    .set_allowed_algs(ALGORITHMS)
    .set_time_fn(move || at(now - LEEWAY))
    .set_issue_time_verifier_fn(move |issued| {
        if issued > at(now + LEEWAY) { Err("issued in the future".to_owned()) } else { Ok(()) }
    });
    let checked = id_token.claims(&verifier, &Nonce::new(nonce.to_owned()));
    let claims = checked.map_err(|error| {
        let signature = SignatureVerificationError::NoMatchingKey;
        if matches!(&error, ClaimsVerificationError::SignatureVerification(failed) if *failed == signature) {
            Refusal::UnknownKey
        } else {
            Refusal::Wrong(error.to_string())
        }
    })?;
    check_rest(&id_token, claims, &verifier, (client, tokens)).map_err(wrong)?;
    // It is verified; these are the claims that `openidconnect` has no names for, too.
    let payload = tokens.id_token.split('.').nth(1).and_then(secret::decode).unwrap_or_default();
    let claims: Claims = serde_json::from_slice(&payload).map_err(|_| wrong("the claims cannot be read"))?;
    let starts = claims.nbf.unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "seconds are far below the limit")]
    let is_early = starts.is_nan() || starts > (now + LEEWAY) as f64;
    match claims.sub.len() {
        _ if is_early => Err(wrong("not to be used yet")),
        1..=MAX_SUBJECT => Ok(claims),
        _ => Err(wrong("the subject is empty or too long")),
    }
}

/// What `openidconnect` leaves to its caller.
fn check_rest(
    id_token: &CoreIdToken,
    claims: &CoreIdTokenClaims,
    verifier: &CoreIdTokenVerifier<'_>,
    (client, tokens): (Client<'_>, &Tokens),
) -> Result<(), &'static str> {
    if claims.authorized_party().is_some_and(|party| party.as_str() != client.id) {
        return Err("for another client");
    }
    if let Some(expected) = claims.access_token_hash() {
        let token = AccessToken::new(tokens.access_token.clone());
        let algorithm = id_token.signing_alg().map_err(|_| "not signed")?;
        let key = id_token.signing_key(verifier).map_err(|_| "the key is not known")?;
        let found = AccessTokenHash::from_token(&token, algorithm, key).map_err(|_| "at_hash cannot be computed")?;
        if found != *expected {
            return Err("at_hash is of another access token");
        }
    }
    Ok(())
}
