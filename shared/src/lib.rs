//! The domain that gateway and workers agree on.
//!
//! Reading order: [`kernel`] (what every use case holds), [`jobs`] (how the world is told), then any slice:
//! its `mod.rs` draws the flow, `flow` decides, `store` queries, `jobs` names what is told.
//!
//! ```text
//! kernel   ids clock secret key_format eddsa fault client audit config db jobs broker rate_limit telemetry lifecycle chaos
//!          http_client oidc
//!    ▲
//! users  domains  break_glass  orgs  projects  invites  enforcement  idempotency
//!    ▲
//! password  passkey  social  email_mfa  totp  backup_codes  lockout  secret_keys  identify
//!    ▲
//! sessions  devices
//!    ▲
//! two_factor  login  precheck  recovery  email_verification  signup  step_up  password_change  api_keys  two_factor_reset  capture
//! persons  deletion
//! ```
//!
//! A slice reaches another one only through the functions its `mod.rs` exports; `entity` and `store` are private.

pub mod api_keys;
pub mod audit;
pub mod backup_codes;
pub mod blocklist;
pub mod break_glass;
pub mod broker;
pub mod capture;
pub mod chaos;
pub mod client;
pub mod clock;
pub mod config;
pub mod db;
pub mod deletion;
pub mod devices;
pub mod domains;
mod eddsa;
pub mod email_mfa;
pub mod email_verification;
pub mod enforcement;
pub mod fault;
pub mod http_client;
pub mod idempotency;
pub mod identify;
pub mod ids;
pub mod invites;
pub mod jobs;
pub mod kernel;
pub mod key_format;
pub mod lifecycle;
pub mod lockout;
pub mod login;
pub mod mail;
pub mod oidc;
pub mod orgs;
pub mod passkey;
pub mod password;
pub mod password_change;
pub mod persons;
pub mod precheck;
pub mod projects;
pub mod rate_limit;
pub mod recovery;
pub mod secret;
pub mod secret_keys;
pub mod sessions;
pub mod signup;
pub mod social;
pub mod step_up;
pub mod telemetry;
pub mod totp;
pub mod two_factor;
pub mod two_factor_reset;
pub mod users;

use fault::ProblemKind;
use jobs::{CatalogEntry, entry};

/// Every kind of job, against which handlers, fixtures and the published schema are checked.
pub const CATALOG: &[CatalogEntry] = &[
    entry::<api_keys::NotifyKeyCreated>(),
    entry::<api_keys::NotifyKeyExpired>(),
    entry::<api_keys::NotifyKeyExpiring>(),
    entry::<api_keys::NotifyKeyExposed>(),
    entry::<api_keys::SweepKeyExpiry>(),
    entry::<backup_codes::NotifyBackupCodeUsed>(),
    entry::<break_glass::NotifyBreakGlass>(),
    entry::<deletion::PurgeProject>(),
    entry::<devices::NotifyNewDevice>(),
    entry::<devices::SweepDevices>(),
    entry::<domains::NotifyProofLost>(),
    entry::<domains::SweepProofs>(),
    entry::<email_mfa::SendLoginCode>(),
    entry::<email_verification::SendVerification>(),
    entry::<email_verification::SweepVerifications>(),
    entry::<enforcement::NotifyMembers>(),
    entry::<enforcement::NotifyTwoFactorRequired>(),
    entry::<idempotency::SweepIdempotencyKeys>(),
    entry::<identify::ApplyFacts>(),
    entry::<identify::DeletePersonsOf>(),
    entry::<identify::RecordSignIn>(),
    entry::<invites::NotifyMemberJoined>(),
    entry::<invites::SendInvite>(),
    entry::<invites::SweepInvites>(),
    entry::<jobs::sweep::SweepFinishedJobs>(),
    entry::<lockout::NotifyDisabled>(),
    entry::<lockout::NotifyLocked>(),
    entry::<lockout::SweepLockouts>(),
    entry::<login::SweepLogins>(),
    entry::<mail::SendTestMail>(),
    entry::<passkey::NotifyPasskeyAdded>(),
    entry::<passkey::NotifyPasskeyCloned>(),
    entry::<passkey::NotifyPasskeyRemoved>(),
    entry::<passkey::SweepPasskeyCeremonies>(),
    entry::<password::NotifyPasswordChanged>(),
    entry::<persons::SweepEvents>(),
    entry::<recovery::SendResetLink>(),
    entry::<recovery::SweepResets>(),
    entry::<secret_keys::NotifySecretKeyExposed>(),
    entry::<sessions::SweepEndedSessions>(),
    entry::<signup::SendExistingAccountNotice>(),
    entry::<social::NotifyLinked>(),
    entry::<social::NotifyUnlinked>(),
    entry::<social::SweepSocialLogins>(),
    entry::<totp::NotifyTotpDisabled>(),
    entry::<totp::NotifyTotpEnabled>(),
    entry::<totp::ResealSecrets>(),
    entry::<two_factor::NotifyTwoFactorPasskeys>(),
    entry::<two_factor_reset::NotifyTwoFactorReset>(),
    entry::<two_factor_reset::SendTwoFactorResetLink>(),
    entry::<two_factor_reset::SweepTwoFactorResets>(),
    entry::<users::NotifyEmailChanged>(),
];

/// Every kind of problem of the domain; the gateway adds those of its edge.
#[must_use]
pub fn problems() -> Vec<&'static ProblemKind> {
    [
        fault::PROBLEMS,
        api_keys::PROBLEMS,
        capture::PROBLEMS,
        deletion::PROBLEMS,
        devices::PROBLEMS,
        domains::PROBLEMS,
        email_verification::PROBLEMS,
        enforcement::PROBLEMS,
        idempotency::PROBLEMS,
        invites::PROBLEMS,
        jobs::problems::PROBLEMS,
        lockout::PROBLEMS,
        login::PROBLEMS,
        mail::PROBLEMS,
        orgs::PROBLEMS,
        passkey::PROBLEMS,
        password::PROBLEMS,
        persons::PROBLEMS,
        projects::PROBLEMS,
        recovery::PROBLEMS,
        secret_keys::PROBLEMS,
        sessions::PROBLEMS,
        signup::PROBLEMS,
        social::PROBLEMS,
        two_factor::PROBLEMS,
        two_factor_reset::PROBLEMS,
        users::PROBLEMS,
    ]
    .concat()
}
