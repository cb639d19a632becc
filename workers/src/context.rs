//! What every handler holds.

use std::sync::Arc;

use shared::{ids, kernel::Kernel, lifecycle::Readiness};

use crate::{claims::Claims, depths::Depths, mail::Mailer};

/// Name of outgoing mail among the components of a process.
pub const MAIL_COMPONENT: &str = "mail";

/// What every handler holds: the kernel, and the way out for mails.
pub struct Context {
    /// Database, clock, keys and configuration.
    pub kernel: Arc<Kernel>,
    /// Renders and sends mails.
    pub mailer: Arc<Mailer>,
    /// Readiness of this process.
    pub readiness: Readiness,
    /// Name of this process in leases and claims.
    pub owner: String,
    pub(crate) claims: Claims,
    pub(crate) depths: Depths,
}

impl Context {
    /// A context with a fresh owner name.
    #[must_use]
    pub fn new(kernel: Arc<Kernel>, mailer: Arc<Mailer>, readiness: Readiness) -> Self {
        let owner = format!("{}-{}", std::process::id(), ids::next());
        Self { kernel, mailer, readiness, owner, claims: Claims::default(), depths: Depths::default() }
    }

    /// Records that mail cannot leave until an operator repairs something: the queues that send mail pause.
    pub(crate) fn mail_is_broken(&self, reason: &str) {
        self.mailer.breaker().trip();
        self.readiness.set(MAIL_COMPONENT, Err(reason.to_owned()));
    }

    /// Records that a mail left: the queues go on.
    pub(crate) fn mail_works(&self) {
        if self.mailer.breaker().reset() {
            self.readiness.set(MAIL_COMPONENT, Ok(()));
        }
    }
}
