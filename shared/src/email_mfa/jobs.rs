//! What the user is told during a login.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::jobs::{Job, Queue, Retry};

/// Mail the code and link of a pending login. Code and link are derived by the worker, so no secret crosses the broker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendLoginCode {
    /// The pending login.
    pub login_id: Uuid,
    /// Which send of it; an earlier one is void once there is a later one.
    pub send: i32,
}

impl Job for SendLoginCode {
    const NAME: &'static str = "email_mfa.send_login_code";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Mail;
    const RETRY: Retry = Retry::MAIL;
    const EXPIRES: Option<Duration> = Some(Duration::from_mins(15));
}
