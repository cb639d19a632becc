//! Use cases of a login: the password, and the mailed code or link; and what every successful one ends with.

mod email_mfa;
mod start;

pub use email_mfa::{Completion, EmailProof, LoginCodeMail, complete_email_mfa, login_code_mail, resend_email_mfa};
use sea_orm::DbErr;
use serde_json::json;
pub use start::{Attempt, Context, Outcome, PendingStep, start};

use crate::{
    audit::{self, AuditEvent},
    client::Client,
    db::Tx,
    devices::Trusted,
    kernel::Kernel,
    lockout::{self, Subject},
    sessions::{self, Opened, Proof, Transport},
    users::User,
};

/// A finished login.
#[derive(Debug)]
pub struct SignedIn {
    /// Who.
    pub user: User,
    /// Their session.
    pub session: Opened,
    /// How they keep it.
    pub transport: Transport,
    /// The trust that this browser was given, if it was asked for.
    pub device: Option<Trusted>,
}

/// Opens the session in the caller's transaction. The session that the request carried, whoever's it is, ends: its id
/// never survives a login (fixation), and nothing of another user's session is left. The client's failures are forgotten.
async fn open(
    kernel: &Kernel,
    tx: &Tx,
    client: &Client,
    (user, context): (User, &Context),
    (proof, transport): (Proof, Transport),
) -> Result<SignedIn, DbErr> {
    let live = context.live.as_ref();
    if let Some(live) = live {
        sessions::revoke(&**tx, live.user.id, live.session_id, kernel.clock.now()).await?;
    }
    let session = sessions::open(kernel, tx, client, &user, proof).await?;
    let event = AuditEvent {
        action: "login.sign_in",
        outcome: audit::Outcome::Success,
        user_id: Some(user.id.0),
        client: Some(client),
        detail: json!({
            "session_id": session.id,
            "amr": session.amr,
            "is_reauthentication": live.is_some_and(|live| live.user.id == user.id),
        }),
    };
    audit::record(&**tx, kernel.clock.as_ref(), event).await?;
    let device = known_device(kernel, &user.email_normalised, context).await?;
    let subject = Subject { account: &user.email_normalised, device: device.as_deref() };
    lockout::forget(kernel, tx, client, subject).await?;
    Ok(SignedIn { user, session, transport, device: None })
}

/// The device of the request, if it signed in to this account before.
async fn known_device(_kernel: &Kernel, _account: &str, _context: &Context) -> Result<Option<Vec<u8>>, DbErr> {
    Ok(None)
}
