//! Pages that need a session: a browser without one is sent to sign in, and comes back. Whatever is no browser is refused
//! as it is by the API.

use poem::{Error, Request, Result, http::Method};
use shared::{
    fault::ProblemKind,
    sessions::{Principal, SESSION_EXPIRED, UNAUTHENTICATED},
};

use super::{next::Next, see_other};
use crate::{middleware::edge, problem::Rejection, security, state::AppState};

/// What the sign-in page is told about a session that is over.
pub const EXPIRED: &str = "expired";

/// The session of a request to a page that needs one. The error of a browser without one is its redirect.
pub async fn session(state: &AppState, request: &Request) -> Result<Principal> {
    match security::session_of(state, request).await {
        Ok(principal) => Ok(principal),
        Err(error) if is_navigation(request) => Err(redirect(request, error)),
        Err(error) => Err(error),
    }
}

/// Whether a request failed of nothing but its session.
pub fn is_signed_out(error: &Error) -> bool {
    kind_of(error).is_some_and(|kind| kind == &UNAUTHENTICATED || kind == &SESSION_EXPIRED)
}

fn redirect(request: &Request, error: Error) -> Error {
    if !is_signed_out(&error) {
        return error;
    }
    let reason = kind_of(&error).filter(|kind| *kind == &SESSION_EXPIRED).map(|_| ("reason", EXPIRED));
    let further: Vec<_> = reason.into_iter().collect();
    see_other(&Next::here(request).through("/login", &further)).map_or_else(|error| error, Error::from_response)
}

fn kind_of(error: &Error) -> Option<&'static ProblemKind> {
    error.downcast_ref::<Rejection>().map(|rejection| rejection.fault.kind)
}

/// Whether somebody goes to the page: the browser says so (Fetch Metadata), or asks for a page.
fn is_navigation(request: &Request) -> bool {
    let is_look = matches!(*request.method(), Method::GET | Method::HEAD);
    let headers = request.headers();
    is_look && headers.get("sec-fetch-mode").map_or_else(|| edge::accepts_pages(headers), |mode| mode == "navigate")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_navigation_with(method: Method, headers: &[(&str, &str)]) -> bool {
        let request = Request::builder().method(method);
        is_navigation(&headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).finish())
    }

    #[test]
    fn a_browser_says_that_somebody_goes_there() {
        let (navigates, fetches) = (("sec-fetch-mode", "navigate"), ("sec-fetch-mode", "cors"));
        let (page, data) = (("accept", "text/html,*/*;q=0.8"), ("accept", "application/json"));
        assert!(is_navigation_with(Method::GET, &[navigates]) && is_navigation_with(Method::HEAD, &[page]));
        assert!(is_navigation_with(Method::GET, &[navigates, data]));
        for headers in [&[][..], &[data], &[fetches, page]] {
            assert!(!is_navigation_with(Method::GET, headers), "{headers:?}");
        }
        assert!(!is_navigation_with(Method::POST, &[navigates, page]));
    }
}
