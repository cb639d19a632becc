//! Sign-up: a new user, or a neutral answer.
//!
//! ```text
//! POST /api/signup ── limit ──► judge ──► hash ──► one transaction:
//!     address is free          user + password + verification mail
//!     user is unverified       verification mail; this sign-up's password takes effect with this mail's link
//!     user is verified         a mail to the owner: someone tried to sign up with your address
//! ──► 202, the same in all three
//! ```
//!
//! The first user of an installation becomes its admin. A sign-up may come with an invite of the same address: the
//! verification that proves the address also accepts it. Who comes from a provider is added by `login`, with [`add_user`].

mod error;
mod flow;
mod jobs;

pub use error::{PROBLEMS, SignupError};
pub use flow::{SignUp, add_user, sign_up};
pub use jobs::SendExistingAccountNotice;
