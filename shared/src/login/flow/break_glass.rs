//! The first step where a domain demands a provider: refused, unless an owner has a code that stands in for it.

use super::start::Verified;
use crate::{
    break_glass::{self, BreakGlassCode},
    client::Client,
    domains::{self, SsoEnforced},
    kernel::Kernel,
    login::LoginError,
    secret::Redacted,
    users::Email,
};

/// Refuses an address whose domain demands a provider. Returns the code that stands in for it, which is not spent yet.
pub(super) async fn ensure_allowed(
    kernel: &Kernel,
    email: Option<&Email>,
    value: Option<&Redacted<String>>,
) -> Result<Option<BreakGlassCode>, LoginError> {
    let Some(email) = email else { return Ok(None) };
    let db = kernel.db.reader();
    let Some(demand) = domains::find_demand(kernel, db, email).await? else { return Ok(None) };
    let code = match (demand.organization_id, value) {
        (Some(org_id), Some(value)) => break_glass::find_live(db, org_id, value).await?,
        (None, _) | (_, None) => None,
    };
    code.map(Some).ok_or_else(|| SsoEnforced { provider: demand.provider }.into())
}

/// Spends the code, if there is one, once the password was right. Whoever is no owner has a wrong password.
pub(super) async fn spend(
    kernel: &Kernel,
    client: &Client,
    verified: Verified,
    code: Option<&BreakGlassCode>,
) -> Result<Verified, LoginError> {
    match (verified, code) {
        (Verified::Right(candidate, upgrade), Some(code)) => {
            let is_spent = break_glass::spend(kernel, client, &candidate.user, code).await?;
            let user_id = candidate.user.id;
            Ok(if is_spent { Verified::Right(candidate, upgrade) } else { Verified::Wrong(Some(user_id)) })
        }
        (verified, _) => Ok(verified),
    }
}
