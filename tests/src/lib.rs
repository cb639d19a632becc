//! What the tests stand on: an application of their own each, callers that behave like browsers, an SMTP server.
//!
//! ```text
//! TestApp        real router in process · own database · real job handlers · a clock to move · a local mailbox
//! Caller         one browser or program: address, cookies, bearer token
//! Authenticator  a passkey in software, honest or not
//! Answer         status, headers, body, with assertions that show the body when they fail
//! NameServer     says of names what it is told
//! Provider       signs people in for us, honest or not
//! Browser        headless Chromium
//! SmtpServer     answers, refuses, stalls and drops as it is told
//! ```
//!
//! `TEST_DATABASE_URL` and `TEST_AMQP_URL` choose PostgreSQL and RabbitMQ; without them it is SQLite and memory. Dropping
//! a [`TestApp`] with jobs that nobody processed fails the test: a mail that nobody expected is a defect.

#![expect(
    clippy::expect_used,
    clippy::format_push_string,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::panic,
    clippy::unused_async,
    reason = "this crate is only used by tests, where a panic is how a test fails"
)]

mod answer;
mod app;
mod authenticator;
mod balancer;
pub mod bench;
mod caller;
pub mod chaos;
pub mod dns;
pub mod generate;
mod inspect;
pub mod log;
mod mail;
mod process;
pub mod provider;
pub mod rabbit;
mod settings;
mod small_disk;
pub mod smtp;
pub mod totp;
mod webdriver;
pub mod works;

// Under `make fuzz` everything of this package is instrumented, and needs what the instruments report to.
use bolero as _;

pub use answer::Answer;
pub use app::TestApp;
pub use authenticator::Authenticator;
pub use balancer::Balancer;
pub use caller::Caller;
pub use dns::NameServer;
pub use inspect::{client, hexadecimal};
pub use mail::{TestMail, code_in, token_in};
pub use process::{Installation, Process, executable, free_port, http_client, is_built};
pub use provider::Provider;
pub use settings::{Settings, UNLIMITED, enforcing};
pub use small_disk::SmallDisk;
pub use webdriver::Browser;

/// A password that is strong enough, and is nobody's name.
pub const PASSWORD: &str = "mK9#vL2$qP-fjord";

/// Another one.
pub const OTHER_PASSWORD: &str = "purple-lantern-47-glacier";
