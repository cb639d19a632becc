//! What a session may do that does not meet the demand of an organization for a second factor: meet it, and nothing else.
//!
//! The list names operations by method and path, letter by letter; there are no prefixes and no patterns. What is not in
//! it is refused, so a further operation is refused until somebody decides otherwise. Removing a factor is not in it, and
//! neither is any change of the user.

use poem::Request;
use shared::sessions::Principal;

use crate::problem::problem;

/// What is left: setting a factor up, proving it, seeing where one stands, and leaving.
pub const SETUP_OPERATIONS: &[(&str, &str)] = &[
    ("GET", "/api/users/@me"),
    ("GET", "/api/users/@me/two_factor"),
    ("POST", "/api/logout"),
    ("POST", "/api/users/@me/passkeys"),
    ("POST", "/api/users/@me/passkeys/start"),
    ("POST", "/api/users/@me/reauthenticate"),
    ("POST", "/api/users/@me/two_factor/totp/confirm"),
    ("POST", "/api/users/@me/two_factor/totp/start"),
];

/// Lets a request through whose session meets all demands, or that is on its way to.
///
/// # Errors
/// What the session lacks.
pub fn admit(request: &Request, principal: &Principal) -> poem::Result<()> {
    let Some(shortfall) = principal.shortfall() else { return Ok(()) };
    let asked = (request.method().as_str(), request.uri().path());
    if SETUP_OPERATIONS.contains(&asked) { Ok(()) } else { Err(problem(shortfall)) }
}
