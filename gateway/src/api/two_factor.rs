//! Second factors: those of the signed-in user, and the passkey's challenge in a login.

use poem::{Request, web::Data};
use poem_openapi::{Object, OpenApi, payload::Json};
use shared::{
    client::Client,
    login::{self, LoginId},
    passkey::{CeremonyId, SecondFactorAnswer},
    secret::Redacted,
    totp::Setup,
    two_factor::{self, Method, Offer, Status},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    Tag,
    login::binding,
    passkey::{PasskeyChallenge, PasskeyCredential},
    recovery::NoContent,
};
use crate::{problem::problem, security::Session, state::AppState};

/// What second factors the user has.
#[derive(Object)]
pub struct TwoFactor {
    /// Whether signing in asks for a second factor.
    is_enabled: bool,
    /// What passes that step: `totp`, `passkey`, `backup_code`. More values may follow.
    methods: Vec<String>,
    /// Backup codes that were not used.
    backup_codes_left: u64,
    /// Whether passkeys are a second factor; without that they only sign in by themselves.
    passkeys_enabled_for_2fa: bool,
}

impl TwoFactor {
    fn of(status: &Status) -> Self {
        Self {
            is_enabled: !status.methods.is_empty(),
            methods: status.methods.iter().copied().map(Method::as_str).map(str::to_owned).collect(),
            backup_codes_left: status.backup_codes_left,
            passkeys_enabled_for_2fa: status.are_passkeys_enabled,
        }
    }
}

/// What to change.
#[derive(Object)]
pub struct UpdateTwoFactorRequest {
    /// Whether passkeys are a second factor.
    passkeys_enabled_for_2fa: Option<bool>,
}

/// The second factors after a change.
#[derive(Object)]
pub struct TwoFactorUpdated {
    /// What the user has now.
    two_factor: TwoFactor,
    /// Codes that stand in for the factor, once each, where there were none before. They are shown once.
    #[oai(skip_serializing_if_is_none)]
    backup_codes: Option<Vec<String>>,
}

/// A pending login whose user will answer with a passkey.
#[derive(Object)]
pub struct StartTwoFactorPasskeyRequest {
    /// The pending login.
    login_id: Uuid,
    /// What binds the pending login to this client; browsers have it in a cookie.
    login_token: Option<String>,
}

/// An answer of a passkey to the challenge of a two-factor step.
#[derive(Object)]
pub struct TwoFactorPasskey {
    /// The challenge.
    ceremony_id: Uuid,
    /// The answer.
    credential: PasskeyCredential,
}

/// An authenticator app that is being set up. It is shown once.
#[derive(Object)]
pub struct TotpSetup {
    /// The secret in base32, for typing.
    secret: String,
    /// The `otpauth` address, for apps.
    otpauth_url: String,
    /// The address as a QR code, an SVG document.
    qr_svg: String,
    /// How long the setup waits for its first code.
    expires_at: OffsetDateTime,
}

impl TotpSetup {
    fn of(setup: &Setup) -> Self {
        Self {
            secret: setup.secret.expose().clone(),
            otpauth_url: setup.otpauth_url.expose().clone(),
            qr_svg: setup.qr_svg.expose().clone(),
            expires_at: setup.expires_at.to_utc(),
        }
    }
}

/// The first code of an authenticator app.
#[derive(Object)]
pub struct ConfirmTotpRequest {
    /// Six digits.
    code: String,
}

/// A second factor is in use from now on.
#[derive(Object)]
pub struct TwoFactorEnabled {
    /// Codes that stand in for the factor, once each. They are shown once.
    backup_codes: Vec<String>,
}

/// Fresh backup codes; the earlier ones are void.
#[derive(Object)]
pub struct BackupCodes {
    /// Codes that stand in for the second factor, once each. They are shown once.
    backup_codes: Vec<String>,
}

/// What a request offers as second factor, if anything.
#[must_use]
pub fn offer(code: Option<String>, passkey: Option<TwoFactorPasskey>, backup_code: Option<String>) -> Option<Offer> {
    let totp = code.map(|code| Offer::Totp(Redacted::new(code)));
    let answer = |passkey: TwoFactorPasskey| SecondFactorAnswer {
        ceremony_id: CeremonyId(passkey.ceremony_id),
        credential: passkey.credential.0,
    };
    let passkey = passkey.map(|passkey| Offer::Passkey(answer(passkey)));
    totp.or(passkey).or_else(|| backup_code.map(|code| Offer::BackupCode(Redacted::new(code))))
}

fn shown(codes: &[Redacted<String>]) -> Vec<String> {
    codes.iter().map(|code| code.expose().clone()).collect()
}

/// Operations of the two-factor step with a passkey.
pub struct TwoFactorLoginApi;

#[OpenApi(prefix_path = "/api/login/two_factor", tag = "Tag::Logins")]
impl TwoFactorLoginApi {
    /// Begin the two-factor step with a passkey
    ///
    /// Gives a challenge that the passkeys of the pending login's user can answer, for this login and once. The answer goes
    /// to `completeTwoFactor`.
    #[oai(path = "/passkey", method = "post", operation_id = "startTwoFactorPasskey")]
    async fn start(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        request: &Request,
        body: Json<StartTwoFactorPasskeyRequest>,
    ) -> poem::Result<Json<PasskeyChallenge>> {
        let login_token = binding(&state, request, body.login_token.clone())?;
        let login = (LoginId(body.login_id), &login_token);
        let challenge = login::start_two_factor_passkey(&state.kernel, &client, login).await.map_err(problem)?;
        Ok(Json(challenge.into()))
    }
}

/// Operations on second factors.
pub struct TwoFactorApi;

#[OpenApi(prefix_path = "/api/users/@me/two_factor", tag = "Tag::Users")]
impl TwoFactorApi {
    /// Get the second factors
    ///
    /// Says what passes the two-factor step of a login, and how many backup codes are left.
    #[oai(path = "/", method = "get", operation_id = "getTwoFactor")]
    async fn get(&self, state: Data<&AppState>, session: Session) -> poem::Result<Json<TwoFactor>> {
        let status = two_factor::status(state.kernel.db.reader(), session.0.user.id).await.map_err(problem)?;
        Ok(Json(TwoFactor::of(&status)))
    }

    /// Change the second factors
    ///
    /// Makes the passkeys a second factor after the password, or no longer. Needs a proof of identity of the last five
    /// minutes, with the second factor where there is one. All other sessions and trusted devices end, with the last factor
    /// the backup codes too, and the user is told by mail.
    #[oai(path = "/", method = "patch", operation_id = "updateTwoFactor")]
    async fn update(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        body: Json<UpdateTwoFactorRequest>,
    ) -> poem::Result<Json<TwoFactorUpdated>> {
        let kernel = &state.kernel;
        let codes = match body.passkeys_enabled_for_2fa {
            Some(is_on) => two_factor::set_passkeys(kernel, &client, &session.0, is_on).await.map_err(problem)?,
            None => Vec::new(),
        };
        let status = two_factor::status(kernel.db.reader(), session.0.user.id).await.map_err(problem)?;
        let backup_codes = (!codes.is_empty()).then(|| shown(&codes));
        Ok(Json(TwoFactorUpdated { two_factor: TwoFactor::of(&status), backup_codes }))
    }

    /// Begin the setup of an authenticator app
    ///
    /// Needs a proof of identity of the last five minutes, with the second factor where there is one. Nothing changes until
    /// the first code is confirmed; an app that is in use is replaced then.
    #[oai(path = "/totp/start", method = "post", operation_id = "startTotp")]
    async fn start_totp(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
    ) -> poem::Result<Json<TotpSetup>> {
        let setup = two_factor::start_totp(&state.kernel, &client, &session.0).await.map_err(problem)?;
        Ok(Json(TotpSetup::of(&setup)))
    }

    /// Confirm an authenticator app
    ///
    /// Enables the app with its first code, in the session that began the setup. All other sessions, trusted devices and
    /// earlier backup codes end, and the user is told by mail.
    #[oai(path = "/totp/confirm", method = "post", operation_id = "confirmTotp")]
    async fn confirm_totp(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        body: Json<ConfirmTotpRequest>,
    ) -> poem::Result<Json<TwoFactorEnabled>> {
        let codes = two_factor::confirm_totp(&state.kernel, &client, &session.0, &body.code).await.map_err(problem)?;
        Ok(Json(TwoFactorEnabled { backup_codes: shown(&codes) }))
    }

    /// Remove the authenticator app
    ///
    /// Needs a proof of identity of the last five minutes in a session that passed the second factor. All other sessions and
    /// trusted devices end, with the last factor the backup codes too, and the user is told by mail.
    #[oai(path = "/totp", method = "delete", operation_id = "disableTotp")]
    async fn disable_totp(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
    ) -> poem::Result<NoContent> {
        two_factor::disable_totp(&state.kernel, &client, &session.0).await.map_err(problem)?;
        Ok(NoContent::Done)
    }

    /// Create backup codes
    ///
    /// Makes ten codes; the earlier ones are void. Needs a second factor, and a proof of identity of the last five minutes in
    /// a session that passed it.
    #[oai(path = "/backup_codes", method = "post", operation_id = "createBackupCodes")]
    async fn create_backup_codes(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
    ) -> poem::Result<Json<BackupCodes>> {
        let codes = two_factor::replace_backup_codes(&state.kernel, &client, &session.0).await.map_err(problem)?;
        Ok(Json(BackupCodes { backup_codes: shown(&codes) }))
    }
}
