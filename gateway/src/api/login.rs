//! Signing in, step by step. Every step answers with the same envelope, [`Login`].

use poem::{Request, web::Data};
use poem_openapi::{
    Enum, Object, OpenApi,
    payload::{Json, Response},
};
use shared::{
    client::Client,
    config::Config,
    login::{
        self, AnonymousClaim, Attempt, Completion, Context, EmailProof, LoginError, LoginId, Outcome, PendingStep,
        SignedIn, TwoFactorCompletion, TwoFactorStep,
    },
    secret::Redacted,
    sessions::{Renewed, Transport},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Tag, signup::Accepted, two_factor::TwoFactorPasskey, users::User};
use crate::{
    problem::problem,
    security::{self, cookies},
    state::AppState,
};

/// How a client keeps its session.
#[derive(Clone, Copy, Enum)]
#[oai(rename_all = "snake_case")]
pub enum SessionTransport {
    /// In a cookie that scripts cannot read.
    Cookie,
    /// As a bearer token, returned once.
    Token,
}

/// An address and a password.
#[derive(Object)]
pub struct LoginRequest {
    /// E-mail address.
    email: String,
    /// Password.
    password: String,
    /// How the session will be kept; `cookie` unless it says otherwise.
    session_transport: Option<SessionTransport>,
    /// The break-glass code of an owner's organization, where its domain demands a provider that does not work.
    break_glass_code: Option<String>,
    /// What the client called its user before, in the events that it captures for the project.
    anonymous_distinct_id: Option<String>,
    /// The token of the project that the client captures events for.
    project_token: Option<String>,
}

impl LoginRequest {
    fn read(self) -> (Attempt, Option<AnonymousClaim>) {
        let is_token = matches!(self.session_transport, Some(SessionTransport::Token));
        let attempt = Attempt {
            email: self.email,
            password: Redacted::new(self.password),
            transport: if is_token { Transport::Token } else { Transport::Cookie },
            break_glass_code: self.break_glass_code.map(Redacted::new),
        };
        (attempt, AnonymousClaim::of(self.project_token, self.anonymous_distinct_id))
    }
}

/// The mailed code or link of a pending login.
#[derive(Object)]
pub struct CompleteEmailMfaRequest {
    /// The pending login, with `code`.
    login_id: Option<Uuid>,
    /// What binds the pending login to this client; browsers have it in a cookie.
    login_token: Option<String>,
    /// The six digits of the mail.
    code: Option<String>,
    /// What follows `token=` in the mailed link, in place of `login_id` and `code`.
    token: Option<String>,
    /// Whether to skip this step on this device for a while.
    remember_device: Option<bool>,
}

/// A pending login whose mail is to be sent again.
#[derive(Object)]
pub struct ResendEmailMfaRequest {
    /// The pending login.
    login_id: Uuid,
    /// What binds the pending login to this client; browsers have it in a cookie.
    login_token: Option<String>,
}

/// The second factor of a pending login: one of the three.
#[derive(Object)]
pub struct CompleteTwoFactorRequest {
    /// The pending login.
    login_id: Uuid,
    /// What binds the pending login to this client; browsers have it in a cookie.
    login_token: Option<String>,
    /// A code of the authenticator app.
    code: Option<String>,
    /// The answer of a passkey to the challenge of `startTwoFactorPasskey`.
    passkey: Option<TwoFactorPasskey>,
    /// A backup code.
    backup_code: Option<String>,
    /// Whether to skip this step on this device for a while; a backup code does not do that.
    remember_device: Option<bool>,
}

/// Where a login stands.
#[derive(Object)]
pub struct Login {
    /// What comes next: `signed_in`, `two_factor_required`, `email_mfa_required`, `email_verification_required` or
    /// `login_required`. More values may follow.
    status: String,
    /// The user, once signed in.
    #[oai(skip_serializing_if_is_none)]
    user: Option<User>,
    /// The session, once signed in.
    #[oai(skip_serializing_if_is_none)]
    session: Option<SessionCreated>,
    /// The two-factor step, while it is due.
    #[oai(skip_serializing_if_is_none)]
    two_factor: Option<TwoFactorChallenge>,
    /// The e-mail step, while it is due.
    #[oai(skip_serializing_if_is_none)]
    email_mfa: Option<EmailMfaChallenge>,
}

/// A session that was just opened, or whose token was just replaced.
#[derive(Object)]
pub struct SessionCreated {
    /// Id of the session; not a secret.
    id: Uuid,
    /// The session token, for `session_transport: token` only. It is shown once.
    #[oai(skip_serializing_if_is_none)]
    token: Option<String>,
    /// How the user proved who they are, as in RFC 8176; `email` for a mailed code.
    amr: Vec<String>,
    /// When it was opened.
    created_at: OffsetDateTime,
    /// When it ends at the latest.
    expires_at: OffsetDateTime,
}

/// A second factor has to come from the same client.
#[derive(Object)]
pub struct TwoFactorChallenge {
    /// The pending login.
    login_id: Uuid,
    /// What binds the pending login to this client, for `session_transport: token` only. Browsers have it in a cookie.
    #[oai(skip_serializing_if_is_none)]
    login_token: Option<String>,
    /// What passes this step: `totp`, `passkey`, `backup_code`. More values may follow.
    methods: Vec<String>,
    /// How long the pending login is good.
    expires_at: OffsetDateTime,
}

/// A code was mailed and has to come back from the same client.
#[derive(Object)]
pub struct EmailMfaChallenge {
    /// The pending login.
    login_id: Uuid,
    /// What binds the pending login to this client, for `session_transport: token` only. Browsers have it in a cookie.
    #[oai(skip_serializing_if_is_none)]
    login_token: Option<String>,
    /// Where the mail went, masked.
    masked_email: String,
    /// How long the code is good.
    expires_at: OffsetDateTime,
    /// How long to wait before asking for another mail.
    #[oai(validator(minimum(value = "0")))]
    resend_after_seconds: i64,
}

/// What every step answers.
pub type Reply = Response<Json<Login>>;

/// Operations of signing in.
pub struct LoginApi;

#[OpenApi(prefix_path = "/api/login", tag = "Tag::Logins")]
impl LoginApi {
    /// Sign in with a password
    ///
    /// Checks address and password and says what comes next. A live session of the same user in the request makes this a
    /// re-authentication: its session is replaced. A session of another user ends.
    #[oai(path = "/", method = "post", operation_id = "login")]
    async fn start(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        request: &Request,
        body: Json<LoginRequest>,
    ) -> poem::Result<Reply> {
        let (attempt, claim) = body.0.read();
        let context = Context { claim, ..context(&state, request).await };
        let outcome = login::start(&state.kernel, &state.hasher, &client, attempt, &context).await.map_err(problem)?;
        Ok(reply(&state.kernel.config, outcome))
    }

    /// Finish a login with a second factor
    ///
    /// Takes a code of the authenticator app, the answer of a passkey or a backup code, from the client that began the login. Tries are limited, per
    /// pending login and per user.
    #[oai(path = "/two_factor", method = "post", operation_id = "completeTwoFactor")]
    async fn complete_two_factor(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        request: &Request,
        body: Json<CompleteTwoFactorRequest>,
    ) -> poem::Result<Reply> {
        let Json(CompleteTwoFactorRequest { login_id, login_token, code, passkey, backup_code, remember_device }) =
            body;
        let wish = TwoFactorCompletion {
            login_id: LoginId(login_id),
            login_token: binding(&state, request, login_token)?,
            offer: super::two_factor::offer(code, passkey, backup_code),
            remember_device: remember_device.unwrap_or(false),
        };
        let context = context(&state, request).await;
        let signed_in = login::complete_two_factor(&state.kernel, &client, wish, &context).await.map_err(problem)?;
        Ok(reply(&state.kernel.config, Outcome::SignedIn(Box::new(signed_in))))
    }

    /// Finish a login with the mailed code or link
    ///
    /// Takes `login_id` and `code`, or the `token` of the link. Either works only from the client that began the login:
    /// with its cookie, or with the `login_token` that it was given.
    #[oai(path = "/email_mfa", method = "post", operation_id = "completeEmailMfa")]
    async fn complete_email_mfa(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        request: &Request,
        body: Json<CompleteEmailMfaRequest>,
    ) -> poem::Result<Reply> {
        let Json(CompleteEmailMfaRequest { login_id, login_token, code, token, remember_device }) = body;
        let proof = match (token, login_id, code) {
            (Some(token), _, _) => EmailProof::Link(Redacted::new(token)),
            (None, Some(id), Some(code)) => EmailProof::Code(LoginId(id), Redacted::new(code)),
            (None, _, _) => return Err(problem(LoginError::NotFound)),
        };
        let login_token = binding(&state, request, login_token)?;
        let wish = Completion { proof, login_token, remember_device: remember_device.unwrap_or(false) };
        let context = context(&state, request).await;
        let signed_in = login::complete_email_mfa(&state.kernel, &client, wish, &context).await.map_err(problem)?;
        Ok(reply(&state.kernel.config, Outcome::SignedIn(Box::new(signed_in))))
    }

    /// Mail a further code
    ///
    /// Mails a new code and link for the pending login; the earlier ones are void. Once a minute, five times an hour.
    #[oai(path = "/email_mfa/resend", method = "post", operation_id = "resendEmailMfa")]
    async fn resend_email_mfa(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        request: &Request,
        body: Json<ResendEmailMfaRequest>,
    ) -> poem::Result<Accepted> {
        let pending = (LoginId(body.login_id), binding(&state, request, body.login_token.clone())?);
        login::resend_email_mfa(&state.kernel, &client, pending).await.map_err(problem)?;
        Ok(Accepted::look_into_your_mailbox())
    }
}

/// What the request brings along besides its proof.
pub async fn context(state: &AppState, request: &Request) -> Context {
    let (headers, config) = (request.headers(), &state.kernel.config.http);
    Context {
        live: security::live_session(state, request).await,
        device_token: cookies::read(headers, cookies::device_name(config)).map(Redacted::new),
        known_token: cookies::read(headers, cookies::known_name(config)).map(Redacted::new),
        claim: None,
    }
}

/// What binds a pending login to the client: the given token, or the cookie.
///
/// # Errors
/// When the request has neither.
pub fn binding(state: &AppState, request: &Request, given: Option<String>) -> poem::Result<Redacted<String>> {
    let name = cookies::login_name(&state.kernel.config.http);
    let secret = given.or_else(|| cookies::read(request.headers(), name));
    secret.map(Redacted::new).ok_or_else(|| problem(LoginError::NotFound))
}

impl SessionCreated {
    /// The wire form of a session whose token was replaced.
    #[must_use]
    pub fn renewed(session: &Renewed, is_token: bool) -> Self {
        Self {
            id: session.id.0,
            token: is_token.then(|| session.session_token.expose().clone()),
            amr: session.amr.clone(),
            created_at: session.created_at.to_utc(),
            expires_at: session.expires_at.to_utc(),
        }
    }
}

impl Login {
    /// The address is proven; sign in.
    #[must_use]
    pub fn login_required() -> Self {
        Self::bare("login_required")
    }

    fn bare(status: &str) -> Self {
        Self { status: status.to_owned(), user: None, session: None, two_factor: None, email_mfa: None }
    }
}

/// The envelope of a step, with its cookies.
#[must_use]
pub fn reply(config: &Config, outcome: Outcome) -> Reply {
    match outcome {
        Outcome::SignedIn(signed_in) => signed_in_reply(config, *signed_in),
        Outcome::TwoFactorRequired(step) => two_factor_reply(config, step),
        Outcome::EmailMfaRequired(step) => pending_reply(config, step),
        Outcome::EmailVerificationRequired => Response::new(Json(Login::bare("email_verification_required"))),
    }
}

fn pending_reply(config: &Config, step: PendingStep) -> Reply {
    let is_token = step.transport == Transport::Token;
    let login = Login {
        email_mfa: Some(EmailMfaChallenge {
            login_id: step.login_id.0,
            login_token: is_token.then(|| step.login_token.expose().clone()),
            masked_email: step.masked_email,
            expires_at: step.expires_at.to_utc(),
            resend_after_seconds: i64::try_from(config.email_mfa.resend_after_seconds).unwrap_or(i64::MAX),
        }),
        ..Login::bare("email_mfa_required")
    };
    let cookie = (step.login_token.expose().as_str(), config.email_mfa.validity_seconds);
    bound_reply(config, login, (!is_token).then_some(cookie))
}

fn two_factor_reply(config: &Config, step: TwoFactorStep) -> Reply {
    let TwoFactorStep { login_id, login_token, transport, methods, expires_at } = step;
    let is_token = transport == Transport::Token;
    let login = Login {
        two_factor: Some(TwoFactorChallenge {
            login_id: login_id.0,
            login_token: is_token.then(|| login_token.expose().clone()),
            methods: methods.into_iter().map(|method| method.as_str().to_owned()).collect(),
            expires_at: expires_at.to_utc(),
        }),
        ..Login::bare("two_factor_required")
    };
    let cookie = (login_token.expose().as_str(), config.login.two_factor_seconds);
    bound_reply(config, login, (!is_token).then_some(cookie))
}

/// A pending login; its cookie, if it has one, is a value and its validity in seconds.
fn bound_reply(config: &Config, login: Login, cookie: Option<(&str, u64)>) -> Reply {
    let reply = Response::new(Json(login));
    let Some((value, validity)) = cookie else { return reply };
    reply.header("Set-Cookie", cookies::pending_login(&config.http, value, validity))
}

fn signed_in_reply(config: &Config, signed_in: SignedIn) -> Reply {
    let lines = cookies::signed_in(config, &signed_in);
    let is_token = signed_in.transport == Transport::Token;
    let session = signed_in.session;
    let login = Login {
        user: Some(User::of(signed_in.user, session.created_at)),
        session: Some(SessionCreated {
            id: session.id.0,
            token: is_token.then(|| session.session_token.expose().clone()),
            amr: session.amr.iter().map(ToString::to_string).collect(),
            created_at: session.created_at.to_utc(),
            expires_at: session.expires_at.to_utc(),
        }),
        ..Login::bare("signed_in")
    };
    lines.into_iter().fold(Response::new(Json(login)), |reply, line| reply.header("Set-Cookie", line))
}
