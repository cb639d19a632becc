//! What the owner of an address is told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    jobs::{Job, Queue, Retry},
    users::UserId,
};

/// Tell the owner of an address that someone tried to sign up with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendExistingAccountNotice {
    /// The owner.
    pub user_id: UserId,
}

impl Job for SendExistingAccountNotice {
    const NAME: &'static str = "signup.send_existing_account_notice";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Mail;
    const RETRY: Retry = Retry::MAIL;
    const EXPIRES: Option<Duration> = Some(Duration::from_hours(24));
}
