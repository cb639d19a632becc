//! `/login/email`: the second step of a login, from a mailed link or with the mailed code.
//!
//! The pending login is bound to the browser that began it by a cookie; in any other one both are refused. Who comes from
//! `/login` goes on to where they wanted to; who comes from a mail has no such place.

use minijinja::context;
use poem::{Request, Response, Result, RouteMethod, endpoint::make, get, http::StatusCode};
use serde::Deserialize;
use shared::{
    login::{self, Completion, EmailProof, LoginError, LoginId},
    secret::Redacted,
};

use super::{login_password, naming_its_origin, next::Next, parameter, render, set_cookies, submitted};
use crate::{api, problem::problem, state::AppState};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Submitted {
    token: String,
    login_id: String,
    code: String,
    remember_device: String,
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
    ask(StatusCode::OK, &form, None)
}

async fn act(state: &AppState, request: Request) -> Result<Response> {
    let (request, form) = submitted::<Submitted>(request).await?;
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
            set_cookies(&mut page, &api::login::cookies_of(&state.kernel.config, &signed_in));
            Ok(page)
        }
        Err(LoginError::InvalidCode) if form.token.is_empty() => {
            ask(StatusCode::UNAUTHORIZED, &form, Some("The code is wrong."))
        }
        Err(error) => Err(problem(error)),
    }
}

fn proof(form: &Submitted) -> Result<EmailProof> {
    if !form.token.is_empty() {
        return Ok(EmailProof::Link(Redacted::new(form.token.clone())));
    }
    let login_id: LoginId = form.login_id.parse().map_err(|_| problem(LoginError::NotFound))?;
    Ok(EmailProof::Code(login_id, Redacted::new(form.code.clone())))
}

fn ask(status: StatusCode, form: &Submitted, error: Option<&str>) -> Result<Response> {
    let errors: Vec<String> = error.into_iter().map(str::to_owned).collect();
    let (token, login_id) = (form.token.as_str(), form.login_id.as_str());
    let next = form.next.as_deref().map(Next::read);
    let restart = next.as_ref().map(|next| next.through("/login", &[]));
    let next = next.as_ref().map(Next::as_str);
    let values = context! { title => "Continue signing in", token, login_id, next, restart, errors };
    let page = render::page_with(status, "login_email.html", values)?;
    // The token of the link is a secret, and stands in the address.
    Ok(if token.is_empty() { naming_its_origin(page) } else { page })
}
