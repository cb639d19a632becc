//! Devices: browsers that skip the second step for a while, and browsers and programs that a user signed in with.
//!
//! ```text
//! second step done, "remember this device" ── trust ──► row (digest, user, method, epoch) + cookie, shown once
//! next login ── is_trusted ──► the same user, the same method, the same epoch, not expired → the step is skipped
//!
//! every login ── recognise ──► known: nothing │ the user's first one: nothing │ otherwise: a mail with a link
//! link ── disown ──► every session and every device of the user ends
//! ```
//!
//! Invariants: a cookie of a trusted device helps one user with one method; the database holds digests only; moving the
//! user's epoch ends all trust; an unknown, expired or malformed cookie is the same as none, never an error. A known
//! device skips no step of a login.

mod config;
mod entity;
mod error;
mod flow;
mod jobs;
mod known;
mod store;

pub use config::DevicesConfig;
pub use entity::{DeviceId, Model as TrustedDevice};
pub use error::{DeviceError, PROBLEMS};
pub use flow::{
    NewDeviceMail, Trusted, disown, is_current, is_trusted, list, new_device_mail, notice_detail, rename, revoke, trust,
};
pub use jobs::{NotifyNewDevice, SweepDevices};
pub use known::{Recognition, find_known, forget_all, recognise};
pub use store::sweep;
