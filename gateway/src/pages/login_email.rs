//! `/login/email`: the second step of a login, from a mailed link or with the mailed code.
//!
//! The pending login is bound to the browser that began it by a cookie; in any other one both are refused. Who comes from
//! `/login` goes on to where they wanted to; who comes from a mail has no such place.

use minijinja::context;
use poem::{Request, Response, Result, RouteMethod, endpoint::make, error::ResponseError, get, http::StatusCode};
use serde::Deserialize;
use shared::{
    login::{self, Completion, EmailProof, LoginError, LoginId},
    secret::Redacted,
};

use super::{login_password, naming_its_origin, next::Next, parameter, refusal, render, set_cookies, submitted};
use crate::{api, problem::problem, security::cookies, state::AppState};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Submitted {
    token: String,
    login_id: String,
    code: String,
    remember_device: String,
    /// `yes`: another mail, in place of an answer.
    again: String,
    /// Where to go on; nowhere for those who come from a mail.
    next: Option<String>,
}

pub(super) fn routes(state: &AppState) -> RouteMethod {
    let state = state.clone();
    get(make(|request| async move { show(&request) })).post(make(move |request| {
        let state = state.clone();
        async move { act(&state, request).await }
    }))
}

fn show(request: &Request) -> Result<Response> {
    let form = Submitted {
        token: parameter(request, "token").unwrap_or_default(),
        login_id: parameter(request, "login_id").unwrap_or_default(),
        next: parameter(request, "next"),
        ..Submitted::default()
    };
    if form.token.is_empty() && form.login_id.is_empty() {
        let text = "Open the link of the mail in the browser where you entered your password, or enter the code there.";
        return render::message("Look into your mailbox", text);
    }
    ask(StatusCode::OK, &form, Vec::new())
}

async fn act(state: &AppState, request: Request) -> Result<Response> {
    let (request, form) = submitted::<Submitted>(request).await?;
    if form.again == "yes" {
        return send_again(state, &request, &form).await;
    }
    let client = super::client(&request)?;
    let wish = Completion {
        proof: proof(&form)?,
        login_token: api::login::binding(state, &request, None)?,
        remember_device: form.remember_device == "yes",
    };
    let context = api::login::context(state, &request).await;
    match login::complete_email_mfa(&state.kernel, client, wish, &context).await {
        Ok(signed_in) => {
            if let Some(next) = &form.next {
                return login_password::arrive(state, &signed_in, &Next::read(next));
            }
            let mut page = render::page("signed_in.html", context! { title => "You are signed in" })?;
            set_cookies(&mut page, &cookies::signed_in(&state.kernel.config, &signed_in));
            Ok(page)
        }
        Err(LoginError::InvalidCode) if form.token.is_empty() => {
            ask(StatusCode::UNAUTHORIZED, &form, vec!["The code is wrong.".to_owned()])
        }
        Err(error) => Err(problem(error)),
    }
}

fn proof(form: &Submitted) -> Result<EmailProof> {
    if !form.token.is_empty() {
        return Ok(EmailProof::Link(Redacted::new(form.token.clone())));
    }
    Ok(EmailProof::Code(login_id(form)?, Redacted::new(form.code.clone())))
}

fn login_id(form: &Submitted) -> Result<LoginId> {
    form.login_id.parse().map_err(|_| problem(LoginError::NotFound))
}

/// Has another code mailed, which voids the one before.
async fn send_again(state: &AppState, request: &Request, form: &Submitted) -> Result<Response> {
    let pending = (login_id(form)?, api::login::binding(state, request, None)?);
    match login::resend_email_mfa(&state.kernel, super::client(request)?, pending).await {
        Ok(()) => ask(StatusCode::OK, form, Vec::new()),
        Err(error @ LoginError::Throttled(_)) => {
            let (rejection, errors) = refusal(request, error)?;
            let mut page = ask(rejection.status(), form, errors)?;
            rejection.decorate(&mut page);
            Ok(page)
        }
        Err(error) => Err(problem(error)),
    }
}

fn ask(status: StatusCode, form: &Submitted, errors: Vec<String>) -> Result<Response> {
    let is_sent_again = form.again == "yes" && errors.is_empty();
    let (token, login_id) = (form.token.as_str(), form.login_id.as_str());
    let next = form.next.as_deref().map(Next::read);
    let restart = next.as_ref().map(|next| next.through("/login", &[]));
    let next = next.as_ref().map(Next::as_str);
    let values = context! { title => "Continue signing in", token, login_id, next, restart, errors, is_sent_again };
    let page = render::page_with(status, "login_email.html", values)?;
    // The token of the link is a secret, and stands in the address.
    Ok(if token.is_empty() { naming_its_origin(page) } else { page })
}
