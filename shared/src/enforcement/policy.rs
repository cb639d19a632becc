//! What is demanded, what is proven, and how one is held against the other: decisions over values.

use std::time::Duration;

use super::Shortfall;
use crate::orgs::Organization;

/// The method of a trusted device that stands in for a mailed code, and not for a second factor.
pub const EMAIL_MFA: &str = "email_mfa";

/// A demand for a second factor, and what counts as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// A password with a mailed code does.
    pub allows_email_mfa: bool,
    /// Whatever the identity provider asked for does.
    pub trusts_idp_mfa: bool,
}

/// What a session proved, and what its user has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// How the user proved who they are: RFC 8176 values, comma-separated. `mfa` stands for factors that this
    /// installation verified, and never for those of an identity provider.
    pub amr: String,
    /// What a trusted device stood in for.
    pub remembered_method: Option<String>,
    /// Whether the user has an authenticator app or a passkey now.
    pub has_factor: bool,
}

impl Evidence {
    fn has(&self, value: &str) -> bool {
        self.amr.split(',').any(|one| one == value)
    }

    /// A factor of ours was verified, now or when the browser was trusted.
    fn is_verified(&self) -> bool {
        self.has("mfa") || self.remembered_method.as_deref().is_some_and(|method| method != EMAIL_MFA)
    }

    /// A password, and a code that was mailed to an address that the password did not come from.
    fn is_email_mfa(&self) -> bool {
        self.has("pwd") && (self.has("email") || self.remembered_method.as_deref() == Some(EMAIL_MFA))
    }
}

impl Demand {
    /// What an organization demands.
    #[must_use]
    pub fn of(organization: &Organization) -> Option<Self> {
        organization.enforces_two_factor.then_some(Self {
            allows_email_mfa: organization.allows_email_mfa,
            trusts_idp_mfa: organization.trusts_idp_mfa,
        })
    }

    /// Whether something counts that needs no factor of ours.
    #[must_use]
    pub const fn has_alternative(self) -> bool {
        self.allows_email_mfa || self.trusts_idp_mfa
    }

    /// Both demands at once: what counts must count for each.
    fn and(self, other: Self) -> Self {
        Self {
            allows_email_mfa: self.allows_email_mfa && other.allows_email_mfa,
            trusts_idp_mfa: self.trusts_idp_mfa && other.trusts_idp_mfa,
        }
    }

    /// What is missing.
    #[must_use]
    pub fn shortfall(self, evidence: &Evidence) -> Option<Shortfall> {
        // What was proven with a factor that is gone counts where none is needed.
        let is_met = evidence.is_verified() && (evidence.has_factor || self.allows_email_mfa)
            || self.allows_email_mfa && evidence.is_email_mfa()
            || self.trusts_idp_mfa && evidence.has("fed");
        match () {
            () if is_met => None,
            () if evidence.has_factor => Some(Shortfall::Verification),
            () => Some(Shortfall::Setup),
        }
    }
}

/// What all organizations of a user demand together: the strictest of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// A second factor.
    pub second_factor: Option<Demand>,
    /// How old a session may become, where that is shorter than the installation's.
    pub session_age: Option<Duration>,
    /// How long a browser stays trusted, where that is shorter than the installation's; nothing at all for zero.
    pub device_trust: Option<Duration>,
}

impl Rules {
    /// The strictest rules of these organizations.
    #[must_use]
    pub fn of(organizations: &[Organization]) -> Self {
        let shortest = |seconds: fn(&Organization) -> Option<i64>| {
            let shortest = organizations.iter().filter_map(seconds).min();
            shortest.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or_default()))
        };
        Self {
            second_factor: organizations.iter().filter_map(Demand::of).reduce(Demand::and),
            session_age: shortest(|organization| organization.session_age_seconds),
            device_trust: shortest(|organization| organization.trusted_device_seconds),
        }
    }

    /// Whether the user must keep a second factor.
    #[must_use]
    pub fn forbid_losing_the_factor(&self) -> bool {
        self.second_factor.is_some_and(|demand| !demand.allows_email_mfa)
    }

    /// What a session lacks.
    #[must_use]
    pub fn shortfall(&self, evidence: &Evidence) -> Option<Shortfall> {
        self.second_factor.and_then(|demand| demand.shortfall(evidence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, orgs::OrgId};

    const STRICT: Demand = Demand { allows_email_mfa: false, trusts_idp_mfa: false };

    fn organization(change: impl FnOnce(&mut Organization)) -> Organization {
        let mut organization = Organization {
            id: OrgId::next(),
            name: "Analytical Engines".to_owned(),
            enforces_two_factor: false,
            allows_email_mfa: false,
            trusts_idp_mfa: false,
            session_age_seconds: None,
            trusted_device_seconds: None,
            allows_member_api_keys: true,
            allows_query_api_keys: true,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            deleted_at: None,
        };
        change(&mut organization);
        organization
    }

    fn evidence(amr: &str, has_factor: bool) -> Evidence {
        Evidence { amr: amr.to_owned(), remembered_method: None, has_factor }
    }

    #[test]
    fn a_factor_that_is_gone_proves_nothing() {
        assert_eq!(STRICT.shortfall(&evidence("pwd,otp,mfa", true)), None);
        assert_eq!(STRICT.shortfall(&evidence("pwd,otp,mfa", false)), Some(Shortfall::Setup));
        assert_eq!(STRICT.shortfall(&evidence("pwd,email", true)), Some(Shortfall::Verification));
    }

    #[test]
    fn what_counts_must_count_for_every_organization() {
        let by_mail = organization(|row| (row.enforces_two_factor, row.allows_email_mfa) = (true, true));
        let by_idp = organization(|row| (row.enforces_two_factor, row.trusts_idp_mfa) = (true, true));
        let lenient = organization(|row| row.allows_email_mfa = true);
        let rules = |organizations: &[&Organization]| {
            Rules::of(&organizations.iter().map(|row| (*row).clone()).collect::<Vec<_>>())
        };
        let (mail, idp) = (evidence("pwd,email", false), evidence("fed", false));
        assert_eq!(rules(&[&by_mail, &lenient]).shortfall(&mail), None);
        assert_eq!(rules(&[&by_idp]).shortfall(&idp), None);
        for evidence in [mail, idp] {
            assert_eq!(rules(&[&by_mail, &by_idp]).shortfall(&evidence), Some(Shortfall::Setup));
            assert_eq!(rules(&[&lenient]).shortfall(&evidence), None);
            assert_eq!(rules(&[]).shortfall(&evidence), None);
        }
    }

    #[test]
    fn the_shortest_time_wins() {
        let rules = Rules::of(&[
            organization(|row| row.session_age_seconds = Some(700)),
            organization(|row| (row.session_age_seconds, row.trusted_device_seconds) = (Some(600), Some(0))),
            organization(|row| row.trusted_device_seconds = Some(10)),
        ]);
        assert_eq!(rules.session_age, Some(Duration::from_secs(600)));
        assert_eq!(rules.device_trust, Some(Duration::ZERO));
    }

    #[test]
    fn one_mailbox_twice_is_one_factor() {
        let demand = Demand { allows_email_mfa: true, trusts_idp_mfa: false };
        assert_eq!(demand.shortfall(&evidence("email", false)), Some(Shortfall::Setup));
        assert_eq!(demand.shortfall(&evidence("pwd", false)), Some(Shortfall::Setup));
        assert_eq!(demand.shortfall(&evidence("pwd,email", false)), None);
    }

    #[test]
    fn a_trusted_device_stands_in_for_what_it_passed() {
        let remembered = |method: &str| Evidence {
            remembered_method: Some(method.to_owned()),
            ..evidence("pwd", method != EMAIL_MFA)
        };
        assert_eq!(STRICT.shortfall(&remembered("totp")), None);
        assert_eq!(STRICT.shortfall(&remembered(EMAIL_MFA)), Some(Shortfall::Setup));
        let demand = Demand { allows_email_mfa: true, ..STRICT };
        assert_eq!(demand.shortfall(&remembered(EMAIL_MFA)), None);
    }
}
