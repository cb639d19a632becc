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
    devices::{self, NotifyNewDevice, Trusted},
    jobs,
    kernel::Kernel,
    lockout::{self, Subject},
    secret::Redacted,
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
    /// What the browser is known by from now on.
    pub known_token: Option<Redacted<String>>,
}

/// Opens the session in the caller's transaction. The session that the request carried, whoever's it is, ends: its id
/// never survives a login (fixation), and nothing of another user's session is left. The client's failures are forgotten, and a device
/// that the user never used before is told to them.
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
    let is_reauthentication = live.is_some_and(|live| live.user.id == user.id);
    let keeps_cookies = transport == Transport::Cookie;
    let presented = context.known_token.as_ref();
    let recognition = devices::recognise(kernel, tx, client, &user, (presented, keeps_cookies)).await?;
    let mut detail = json!({
        "session_id": session.id,
        "amr": session.amr,
        "is_reauthentication": is_reauthentication,
    });
    let is_to_be_told = recognition.is_unknown && !is_reauthentication;
    if let Some(members) = detail.as_object_mut().filter(|_| is_to_be_told) {
        members.insert("notice".to_owned(), devices::notice_detail(&kernel.keys, &user));
    }
    let event = AuditEvent {
        action: "login.sign_in",
        outcome: audit::Outcome::Success,
        user_id: Some(user.id.0),
        client: Some(client),
        detail,
    };
    let audit_id = audit::record(&**tx, kernel.clock.as_ref(), event).await?;
    if is_to_be_told {
        jobs::enqueue(tx, kernel.clock.as_ref(), &NotifyNewDevice { user_id: user.id, audit_id }).await?;
    }
    let device = known_device(kernel, &user.email_normalised, context).await?;
    let subject = Subject { account: &user.email_normalised, device: device.as_deref() };
    lockout::forget(kernel, tx, client, subject).await?;
    Ok(SignedIn { user, session, transport, device: None, known_token: recognition.cookie })
}

/// The device of the request, if it signed in to this account before.
async fn known_device(kernel: &Kernel, account: &str, context: &Context) -> Result<Option<Vec<u8>>, DbErr> {
    devices::find_known(kernel, account, context.known_token.as_ref()).await
}
