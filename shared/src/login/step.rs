//! What comes after a right password: a pure decision over what is known of the user and the browser.

/// What is known once the password was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent fact of the decision table")]
pub struct Facts {
    /// The user's address is proven.
    pub is_verified: bool,
    /// This installation sends mail.
    pub mail_is_available: bool,
    /// The last mail to the user was refused by their server.
    pub mail_is_suppressed: bool,
    /// The request carries a live session of the same user.
    pub is_reauthentication: bool,
    /// The user enrolled a second factor.
    pub has_second_factor: bool,
    /// This browser passed the second step lately, by a method that is due now, and was remembered.
    pub device_is_trusted: bool,
    /// An administrator waived the e-mail step for now.
    pub has_bypass: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Prove the address first.
    VerifyEmail,
    /// A session.
    SignIn,
    /// A second factor.
    TwoFactor,
    /// A code by mail.
    EmailMfa,
    /// No way on: a mail is needed and cannot be sent.
    EmailNotAvailable,
}

/// Decides what comes next. Fails closed: without a reason to skip the second step it is required.
#[must_use]
pub const fn next(facts: Facts) -> Step {
    // Without mail an address cannot be proven; such an installation does not ask for it.
    if !facts.is_verified && facts.mail_is_available {
        return Step::VerifyEmail;
    }
    // Neither a live session nor a bypass of the e-mail step stands in for a second factor, and neither does a mail.
    if facts.has_second_factor {
        return if facts.device_is_trusted { Step::SignIn } else { Step::TwoFactor };
    }
    if facts.is_reauthentication || facts.device_is_trusted || facts.has_bypass {
        return Step::SignIn;
    }
    if !facts.mail_is_available || facts.mail_is_suppressed {
        return Step::EmailNotAvailable;
    }
    Step::EmailMfa
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Facts> {
        (0..128_u8).map(|bits| Facts {
            is_verified: bits & 1 != 0,
            mail_is_available: bits & 2 != 0,
            mail_is_suppressed: bits & 4 != 0,
            is_reauthentication: bits & 8 != 0,
            device_is_trusted: bits & 16 != 0,
            has_bypass: bits & 32 != 0,
            has_second_factor: bits & 64 != 0,
        })
    }

    #[test]
    fn a_session_always_has_a_reason() {
        for facts in all().filter(|facts| next(*facts) == Step::SignIn) {
            assert!(facts.is_reauthentication || facts.device_is_trusted || facts.has_bypass, "{facts:?}");
            assert!(facts.is_verified || !facts.mail_is_available, "{facts:?}");
        }
    }

    #[test]
    fn nothing_but_its_own_trust_stands_in_for_a_second_factor() {
        for facts in all().filter(|facts| facts.has_second_factor && !facts.device_is_trusted) {
            assert!(matches!(next(facts), Step::TwoFactor | Step::VerifyEmail), "{facts:?}");
        }
        for facts in all().filter(|facts| !facts.has_second_factor) {
            assert_ne!(next(facts), Step::TwoFactor, "{facts:?}");
        }
    }

    #[test]
    fn a_mail_is_only_asked_for_where_it_can_arrive() {
        for facts in all().filter(|facts| next(*facts) == Step::EmailMfa) {
            assert!(facts.mail_is_available && !facts.mail_is_suppressed, "{facts:?}");
        }
    }
}
