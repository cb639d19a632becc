//! The operator's own mail.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::jobs::{Job, Queue, Retry};

/// Send a test mail to an operator, by the way that every mail goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendTestMail {
    /// The operator's address.
    pub to: String,
}

impl Job for SendTestMail {
    const NAME: &'static str = "mail.send_test_mail";
    const VERSION: u16 = 1;
    const QUEUE: Queue = Queue::Mail;
    const RETRY: Retry = Retry::MAIL;
    const EXPIRES: Option<Duration> = Some(Duration::from_mins(5));
}
