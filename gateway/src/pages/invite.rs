//! `/invite`: what an invite is for, and a button to accept it, or a form to sign up with it.
//!
//! ```text
//! signed in with the invited address   a button            ─► member
//! signed in with another one           which address it is for
//! not signed in                        sign in and come back, or choose a password ─► the mail that proves the address
//! ```

use minijinja::context;
use poem::{Request, Response, Result, RouteMethod, endpoint::make, get, http::StatusCode};
use serde::Deserialize;
use shared::{
    fault::Fault,
    invites::{self, InviteError, InviteId, Preview},
    secret::Redacted,
    sessions::Principal,
    signup::{self, SignUp},
    users::Profile,
};

use super::{next::Next, parameter, render, submitted};
use crate::{problem::problem, security, state::AppState};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Submitted {
    invite_id: String,
    password: String,
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
    let id = read(&parameter(request, "invite_id").unwrap_or_default())?;
    let preview = invites::preview(&state.kernel, id).await.map_err(problem)?;
    let session = security::live_session(state, request).await;
    form(state, StatusCode::OK, &preview, (session.as_ref(), Vec::new()))
}

async fn act(state: &AppState, request: Request) -> Result<Response> {
    let (request, form) = submitted::<Submitted>(request).await?;
    let id = read(&form.invite_id)?;
    let Some(principal) = security::live_session(state, &request).await else {
        return sign_up(state, &request, (id, form.password)).await;
    };
    let client = super::client(&request)?;
    let access = invites::accept(&state.kernel, client, &principal.user, id).await.map_err(problem)?;
    let text = format!("You are a member of {} now. You can close this page.", access.organization.name);
    render::message("Welcome", &text)
}

async fn sign_up(state: &AppState, request: &Request, (id, password): (InviteId, String)) -> Result<Response> {
    let client = super::client(request)?;
    let preview = invites::preview(&state.kernel, id).await.map_err(problem)?;
    let wish = SignUp {
        email: preview.invite.address.clone(),
        password: Redacted::new(password),
        profile: Profile::default(),
        invite_id: Some(id),
    };
    match signup::sign_up(&state.kernel, &state.hasher, client, wish).await {
        Ok(()) => {
            let text = "A mail is on its way to the invited address. Open its link to confirm the address: \
                        that accepts the invite too.";
            render::message("Look into your mailbox", text)
        }
        Err(error) => again(state, &preview, error.into()),
    }
}

/// The form again, when the password broke a rule; any other fault is a problem of its own.
fn again(state: &AppState, preview: &Preview, fault: Fault) -> Result<Response> {
    if fault.errors.is_empty() {
        return Err(problem(fault));
    }
    let reasons = fault.errors.into_iter().map(|field| field.detail).collect();
    form(state, StatusCode::UNPROCESSABLE_ENTITY, preview, (None, reasons))
}

fn read(invite_id: &str) -> Result<InviteId> {
    invite_id.parse().map_err(|_| problem(InviteError::Invalid))
}

fn form(
    state: &AppState,
    status: StatusCode,
    preview: &Preview,
    (session, errors): (Option<&Principal>, Vec<String>),
) -> Result<Response> {
    let invite = &preview.invite;
    let is_theirs = session.is_some_and(|principal| principal.user.email_normalised == invite.address_normalised);
    let values = context! {
        title => "You are invited",
        organization => preview.organization.name.as_str(),
        role => invite.role.as_str(),
        masked_email => preview.masked_email.as_str(),
        invite_id => invite.id.to_string(),
        sign_in => Next::read(&format!("/invite?invite_id={}", invite.id)).through("/login", &[]),
        is_signed_in => session.is_some(),
        is_theirs,
        max_bytes => state.kernel.config.password.max_bytes,
        errors,
    };
    render::page_with(status, "invite.html", values)
}
