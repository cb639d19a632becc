//! Signing in with a passkey: no address and no password; what holds of users is asked of the passkey's owner.

use super::{
    Outcome, open,
    start::{Context, ask_for_proof, audit_stop, count_network},
};
use crate::{
    client::Client,
    domains,
    kernel::Kernel,
    login::LoginError,
    passkey::{self, LoginAnswer, PasskeyError},
    sessions::{Proof, Transport},
    users,
};

/// Signs the owner of a passkey in. The authenticator verified its user, so no further step follows.
///
/// # Errors
/// When the answer does not verify, or its owner may not sign in this way.
pub async fn finish_passkey(
    kernel: &Kernel,
    client: &Client,
    answer: LoginAnswer,
    context: &Context,
) -> Result<Outcome, LoginError> {
    count_network(kernel, client).await?;
    let assertion = passkey::finish_login(kernel, client, answer).await?;
    let user = users::find(kernel.db.reader(), assertion.user_id()).await?.ok_or(PasskeyError::Rejected)?;
    if !user.is_active() {
        audit_stop(kernel, client, &user, "disabled", None).await?;
        return Err(PasskeyError::Rejected.into());
    }
    if let Some(email) = user.address()
        && let Err(enforced) = domains::ensure_password_allowed(&kernel.config.domains, &email)
    {
        audit_stop(kernel, client, &user, "sso_enforced", None).await?;
        return Err(enforced.into());
    }
    if !user.is_verified() && kernel.config.mail.is_available() {
        return ask_for_proof(kernel, client, &user, None).await;
    }
    let tx = kernel.db.write_tx().await?;
    if !passkey::record_use(&tx, &assertion, kernel.clock.now()).await? {
        return Err(PasskeyError::Rejected.into());
    }
    let transport = if assertion.is_token_transport { Transport::Token } else { Transport::Cookie };
    let proof = Proof { amr: assertion.amr() };
    let signed_in = open(kernel, &tx, client, (user, context), (proof, transport)).await?;
    tx.commit().await?;
    Ok(Outcome::SignedIn(Box::new(signed_in)))
}
