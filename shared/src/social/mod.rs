//! Sign-in with providers: OpenID Connect ones, and GitHub's OAuth 2.
//!
//! ```text
//! start ─► row of ten minutes, bound to the browser ─► the provider's page, with state, nonce and PKCE challenge
//! callback ─► take: the row is deleted by its first use, from its own browser and provider
//!          ─► identify: `iss`, code for tokens, ID token checked (or GitHub asked) ─► who the provider says it is
//!                 ├─ sign-in: `login` finds the account, links it, makes it, or refuses
//!                 └─ link: `link`, for the session that asked for it and no other
//! ```
//!
//! Invariants: an identity is a provider, its issuer and its subject, never an address, so another address at the provider
//! changes nothing here; an address counts when the provider is trusted with addresses and says that it verified this one;
//! state, nonce and PKCE verifier are derived from the row, so a dump of the database yields none of them; tokens of a
//! provider are used within the request and never stored. The protocol is OpenID Connect Core with discovery, RFC 6749,
//! RFC 7636 (S256) and RFC 9207; ID tokens are verified by `openidconnect`, and what that leaves out is in `provider`.

mod config;
mod entity;
mod error;
mod flow;
mod jobs;
mod provider;
mod store;

pub use config::{Named, SocialConfig};
pub use entity::{Model as LinkedAccount, SocialIdentityId};
pub use error::{PROBLEMS, SocialError};
pub use flow::{
    Arrived, Callback, Pending, Started, attach, find_owner, identify, is_login_method, link, record_failure,
    record_use, settle_email_change, start_link, start_login, take, unlink,
};
pub use jobs::{NotifyLinked, NotifyUnlinked, SweepSocialLogins};
pub use provider::{Profile, Providers};
pub use store::{list, remove_all, sweep};
