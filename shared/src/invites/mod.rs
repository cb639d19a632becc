//! Invites: how somebody joins an organization, bound to one address.
//!
//! ```text
//! create ──► row (organization, address, role, 3 days) ──► mail with a link to the invite's page
//! accept ── signed in with that address, proven ──► spent once, member, admins are told
//! sign-up with the invite ── claimed ──► the address is proven ── accept_claimed ──► the same
//! ```
//!
//! Invariants: an invite is no secret and proves nothing: only a user who has proven the address that it was sent to joins
//! by it, so a forwarded mail or a leaked id opens nothing. It works once; a further invite of the same address to the
//! same organization replaces it. It is as good as whoever sent it: it is void once they could not send it any more.
//! Unknown, spent, expired, revoked and void invites are the same answer.

mod config;
mod entity;
mod error;
mod flow;
mod jobs;
mod store;

pub use config::InvitesConfig;
pub use entity::{InviteId, Model as Invite};
pub use error::{InviteError, PROBLEMS};
pub use flow::{
    JoinedMail, Preview, Wish, accept, accept_claimed, address, claim, create, invite_mail, joined_mail, list, preview,
    revoke,
};
pub use jobs::{NotifyMemberJoined, SendInvite, SweepInvites};
pub use store::sweep;
