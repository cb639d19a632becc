//! `/login/two_factor`: the second step of a login, with a code of the authenticator app or a backup code.
//!
//! A passkey needs a script, so this page has to do without; it says so to those who have one.

use minijinja::context;
use poem::{Request, Response, Result, RouteMethod, endpoint::make, error::ResponseError, get, http::StatusCode};
use serde::Deserialize;
use shared::{
    login::{self, LoginError, LoginId, TwoFactorCompletion},
    secret::Redacted,
    two_factor::{Method, Offer},
};

use super::{login_password, naming_its_origin, next::Next, parameter, refusal, render, submitted};
use crate::{api, problem::problem, state::AppState};

/// How many digits and letters a backup code has; shorter numbers are codes of an app.
const BACKUP_CODE_LENGTH: usize = 10;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Submitted {
    login_id: String,
    code: String,
    remember_device: String,
    next: String,
}

/// A pending login of this browser.
struct Pending {
    login_id: LoginId,
    login_token: Redacted<String>,
}

pub(super) fn routes(state: &AppState) -> RouteMethod {
    let (show_state, act_state) = (state.clone(), state.clone());
    get(make(move |request| {
        let state = show_state.clone();
        async move { show(&state, &request).await }
    }))
    .post(make(move |request| {
        let state = act_state.clone();
        async move { act(&state, request).await }
    }))
}

async fn show(state: &AppState, request: &Request) -> Result<Response> {
    let pending = pending(state, request, &parameter(request, "login_id").unwrap_or_default())?;
    let methods = methods(state, &pending).await.map_err(problem)?;
    let next = Next::read(&parameter(request, "next").unwrap_or_default());
    form(StatusCode::OK, (&pending, &methods), &next, Vec::new())
}

async fn act(state: &AppState, request: Request) -> Result<Response> {
    let (request, sent) = submitted::<Submitted>(request).await?;
    let pending = pending(state, &request, &sent.login_id)?;
    let next = Next::read(&sent.next);
    let wish = TwoFactorCompletion {
        login_id: pending.login_id,
        login_token: pending.login_token.clone(),
        offer: offer(&sent.code),
        remember_device: sent.remember_device == "yes",
    };
    let context = api::login::context(state, &request).await;
    match login::complete_two_factor(&state.kernel, super::client(&request)?, wish, &context).await {
        Ok(signed_in) => login_password::arrive(state, &signed_in, &next),
        Err(error) => again(state, &request, (&pending, error), &next).await,
    }
}

/// The form again, while the login waits for another try; after that, why it is over.
async fn again(
    state: &AppState,
    request: &Request,
    (pending, error): (&Pending, LoginError),
    next: &Next,
) -> Result<Response> {
    let Ok(methods) = methods(state, pending).await else { return Err(problem(error)) };
    let (rejection, errors) = refusal(request, error)?;
    let mut page = form(rejection.status(), (pending, &methods), next, errors)?;
    rejection.decorate(&mut page);
    Ok(page)
}

async fn methods(state: &AppState, pending: &Pending) -> Result<Vec<Method>, LoginError> {
    login::two_factor_methods(&state.kernel, (pending.login_id, &pending.login_token)).await
}

fn pending(state: &AppState, request: &Request, login_id: &str) -> Result<Pending> {
    let login_id = login_id.parse().map_err(|_| problem(LoginError::NotFound))?;
    Ok(Pending { login_id, login_token: api::login::binding(state, request, None)? })
}

/// What was typed into the one field: a number that is shorter than a backup code is the app's.
fn offer(typed: &str) -> Option<Offer> {
    let significant: String = typed.chars().filter(|letter| !letter.is_whitespace()).collect();
    if significant.is_empty() {
        return None;
    }
    let is_number = significant.bytes().all(|byte| byte.is_ascii_digit());
    Some(if is_number && significant.len() < BACKUP_CODE_LENGTH {
        Offer::Totp(Redacted::new(significant))
    } else {
        Offer::BackupCode(Redacted::new(typed.to_owned()))
    })
}

fn form(
    status: StatusCode,
    (pending, methods): (&Pending, &[Method]),
    next: &Next,
    errors: Vec<String>,
) -> Result<Response> {
    let values = context! {
        title => "Second factor",
        login_id => pending.login_id.to_string(),
        next => next.as_str(),
        restart => next.through("/login", &[]),
        has_app => methods.contains(&Method::Totp),
        has_passkey => methods.contains(&Method::Passkey),
        has_backup_codes => methods.contains(&Method::BackupCode),
        errors,
    };
    render::page_with(status, "login_two_factor.html", values).map(naming_its_origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_field_takes_both_kinds_of_code() {
        let method = |typed: &str| offer(typed).map(|offer| offer.method());
        for (typed, expected) in [
            ("", None),
            ("  ", None),
            ("123456", Some(Method::Totp)),
            (" 123 456 ", Some(Method::Totp)),
            ("12345", Some(Method::Totp)),
            ("ab3de-fgh7k", Some(Method::BackupCode)),
            ("12345-67890", Some(Method::BackupCode)),
            ("1234567890", Some(Method::BackupCode)),
            ("nonsense", Some(Method::BackupCode)),
        ] {
            assert_eq!(method(typed), expected, "{typed:?}");
        }
    }
}
