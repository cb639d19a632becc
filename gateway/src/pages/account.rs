//! `/account`: who is signed in, where else they are, and the way out.

use minijinja::{Value, context};
use poem::{
    Request, Response, Result, RouteMethod,
    endpoint::{make, make_sync},
    get, post,
};
use shared::{
    clock::Timestamp,
    fault::Fault,
    kernel::Kernel,
    sessions::{self, Principal, StoredSession},
};
use time::macros::format_description;

use super::{gate, login_social, naming_its_origin, next, render, see_other, set_cookies};
use crate::{
    problem::problem,
    security::{self, cookies},
    state::AppState,
};

/// How many sessions are shown; the API lists all.
const SHOWN: usize = 20;

/// What browsers call themselves, the particular before the general.
const PROGRAMS: [(&str, &str); 6] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
];

/// What they run on, the particular before the general.
const SYSTEMS: [(&str, &str); 7] = [
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
];

pub(super) fn home() -> RouteMethod {
    get(make_sync(|_| see_other(next::ACCOUNT)))
}

pub(super) fn routes(state: &AppState) -> RouteMethod {
    let state = state.clone();
    get(make(move |request| {
        let state = state.clone();
        async move { show(&state, &request).await }
    }))
}

pub(super) fn sign_out_routes(state: &AppState) -> RouteMethod {
    let state = state.clone();
    post(make(move |request| {
        let state = state.clone();
        async move { sign_out(&state, &request).await }
    }))
}

async fn show(state: &AppState, request: &Request) -> Result<Response> {
    let principal = gate::session(state, request).await?;
    // As in the API, a session that does not meet an organization's demand sees its user and what it owes, no more.
    let (owed, mut rows) = match principal.shortfall() {
        Some(shortfall) => (Some(owed(shortfall.into())), Vec::new()),
        None => (None, shown(&state.kernel, &principal).await?),
    };
    let has_more = rows.len() > SHOWN;
    rows.truncate(SHOWN);
    let sessions: Vec<Value> = rows.iter().map(|row| entry(row, &principal)).collect();
    let email = principal.user.email.as_str();
    let values =
        context! { title => "Your account", email, owed, sessions, has_more, errors => login_social::told(request) };
    render::page("account.html", values).map(naming_its_origin)
}

async fn sign_out(state: &AppState, request: &Request) -> Result<Response> {
    match security::session_of(state, request).await {
        Ok(principal) => {
            let client = super::client(request)?;
            sessions::log_out(&state.kernel, client, &principal).await.map_err(problem)?;
        }
        // It is over already.
        Err(error) if gate::is_signed_out(&error) => {}
        Err(error) => return Err(error),
    }
    let mut response = see_other("/login")?;
    set_cookies(&mut response, &[cookies::end_session(&state.kernel.config.http)]);
    Ok(response)
}

async fn shown(kernel: &Kernel, principal: &Principal) -> Result<Vec<StoredSession>> {
    // One more says whether there are more.
    let limit = u64::try_from(SHOWN + 1).unwrap_or(u64::MAX);
    sessions::list(kernel, principal, (limit, None)).await.map_err(problem)
}

fn owed(fault: Fault) -> String {
    fault.detail.unwrap_or_else(|| fault.kind.title.to_owned())
}

fn entry(row: &StoredSession, principal: &Principal) -> Value {
    context! {
        device => device(row.user_agent.as_deref().unwrap_or_default()),
        ip => row.ip.as_str(),
        method => method(&row.amr),
        last_active => written(row.seen_at),
        is_current => row.id == principal.session_id,
    }
}

/// The program and its system in few words, or what it calls itself.
fn device(user_agent: &str) -> String {
    let named = |names: &[(&str, &'static str)]| {
        names.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    match (named(&PROGRAMS), named(&SYSTEMS)) {
        (Some(program), Some(system)) => format!("{program} on {system}"),
        (Some(program), None) => program.to_owned(),
        (None, _) if user_agent.is_empty() => "Unknown program".to_owned(),
        (None, _) => user_agent.chars().take(80).collect(),
    }
}

/// How the session was proven, in words for its RFC 8176 values.
fn method(amr: &str) -> String {
    let words = amr.split(',').filter_map(|value| match value {
        "pwd" => Some("password"),
        "email" => Some("mailed code"),
        "otp" => Some("one-time code"),
        "hwk" | "swk" => Some("passkey"),
        "fed" => Some("single sign-on"),
        _ => None,
    });
    words.collect::<Vec<_>>().join(" and ")
}

fn written(at: Timestamp) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    at.to_utc().format(format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_named_in_few_words() {
        let chrome = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/131.0.0.0 Mobile Safari/537.36";
        assert_eq!(device(chrome), "Chrome on Android");
        assert_eq!(device(&format!("{chrome} Edg/131.0")), "Edge on Android");
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
        assert_eq!(device(firefox), "Firefox on Linux");
        let safari = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) Version/18.1 Mobile/15E148 Safari/604.1";
        assert_eq!(device(safari), "Safari on iPhone");
        assert_eq!(device("curl/8.5.0"), "curl/8.5.0");
        assert_eq!(device(""), "Unknown program");
        assert_eq!(device(&"é".repeat(200)).chars().count(), 80);
    }

    #[test]
    fn a_method_is_named_in_words() {
        assert_eq!(method("pwd,email"), "password and mailed code");
        assert_eq!(method("pwd,otp,mfa"), "password and one-time code");
        assert_eq!(method("hwk,user,mfa"), "passkey");
    }
}
