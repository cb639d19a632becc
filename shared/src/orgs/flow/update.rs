//! Use cases on an organization's name and policy.

use std::ops::RangeInclusive;

use serde_json::{Map, json};

use super::{Access, By, enter, record, refuse};
use crate::{
    audit::Outcome,
    enforcement,
    fault::FieldError,
    kernel::Kernel,
    orgs::{OrgError, OrgId, Permission, store},
};

/// Longest name of an organization or a project, in characters.
const MAX_NAME: usize = 100;
/// What the age of sessions may be set to: five minutes to a year.
const SESSION_AGE: RangeInclusive<i64> = 300..=31_536_000;
/// What the trust in devices may be set to: none at all to a year.
const DEVICE_TRUST: RangeInclusive<i64> = 0..=31_536_000;

/// What becomes of a span of time that may be absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Span {
    /// It stays.
    #[default]
    Keep,
    /// The installation's span holds.
    Clear,
    /// This many seconds.
    Seconds(i64),
}

/// What changes about the rules that members live under; `None` leaves a rule as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyChange {
    /// Whether members need a second factor.
    pub enforces_two_factor: Option<bool>,
    /// Whether a mailed code counts as that second factor.
    pub allows_email_mfa: Option<bool>,
    /// Whether the second factor of an identity provider counts as well.
    pub trusts_idp_mfa: Option<bool>,
    /// How old a member's session may become.
    pub session_age: Span,
    /// How long a member's browser stays trusted.
    pub trusted_device: Span,
    /// Whether members that are no admins may use personal API keys.
    pub allows_member_api_keys: Option<bool>,
    /// Whether personal API keys may stand in the query of a request.
    pub allows_query_api_keys: Option<bool>,
}

impl PolicyChange {
    /// Whether anything changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn validate(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        let spans = [
            ("/session_age_seconds", self.session_age, SESSION_AGE),
            ("/trusted_device_seconds", self.trusted_device, DEVICE_TRUST),
        ];
        for (pointer, span, allowed) in spans {
            if let Span::Seconds(seconds) = span
                && !allowed.contains(&seconds)
            {
                let detail = format!("This must be between {} and {} seconds.", allowed.start(), allowed.end());
                errors.push(FieldError { pointer, code: "out_of_range", detail });
            }
        }
        errors
    }

    /// What the audit trail tells, by the names that the API uses.
    fn told(&self) -> Map<String, serde_json::Value> {
        let span = |span| match span {
            Span::Keep => None,
            Span::Clear => Some(json!(null)),
            Span::Seconds(seconds) => Some(json!(seconds)),
        };
        let rules = [
            ("enforce_2fa", self.enforces_two_factor.map(|value| json!(value))),
            ("allow_email_mfa", self.allows_email_mfa.map(|value| json!(value))),
            ("trust_idp_mfa", self.trusts_idp_mfa.map(|value| json!(value))),
            ("session_age_seconds", span(self.session_age)),
            ("trusted_device_seconds", span(self.trusted_device)),
            ("members_can_use_personal_api_keys", self.allows_member_api_keys.map(|value| json!(value))),
            ("query_api_keys", self.allows_query_api_keys.map(|value| json!(value))),
        ];
        rules.into_iter().filter_map(|(name, value)| value.map(|value| (name.to_owned(), value))).collect()
    }
}

/// What changes about an organization.
#[derive(Clone, Debug, Default)]
pub struct OrgChange {
    /// Its name.
    pub name: Option<String>,
    /// Its policy.
    pub policy: PolicyChange,
}

/// The name of an organization or a project, without blanks around it.
///
/// # Errors
/// When it is empty, too long, or holds control characters.
pub fn checked_name(name: &str) -> Result<String, FieldError> {
    let name = name.trim();
    let broken = |code, detail: String| Err(FieldError { pointer: "/name", code, detail });
    match name.chars().count() {
        0 => broken("too_short", "A name is required.".to_owned()),
        length if length > MAX_NAME => broken("too_long", format!("This must have at most {MAX_NAME} characters.")),
        _ if name.chars().any(char::is_control) => broken("invalid", "Control characters are not allowed.".to_owned()),
        _ => Ok(name.to_owned()),
    }
}

/// Changes the name and the policy of an organization.
///
/// # Errors
/// When a value does not validate, the role does not allow it, the actor does not meet a demand that they make, or the
/// database fails.
pub async fn update(kernel: &Kernel, by: By<'_>, org_id: OrgId, change: OrgChange) -> Result<Access, OrgError> {
    const ACTION: &str = "orgs.update";
    let (tx, access) = enter(kernel, by, org_id, (Permission::ManagePolicy, ACTION)).await?;
    let name = change.name.as_deref().map(checked_name);
    let mut errors = change.policy.validate();
    errors.extend(name.as_ref().and_then(|name| name.as_ref().err()).cloned());
    if !errors.is_empty() {
        return Err(OrgError::Invalid(errors));
    }
    let name = name.and_then(Result::ok);
    let organization = store::update(&*tx, org_id, (name.as_deref(), &change.policy), kernel.clock.now()).await?;
    let organization = organization.ok_or(OrgError::NotFound)?;
    let mut detail = change.policy.told();
    if let Some(name) = name {
        detail.insert("name".to_owned(), json!(name));
    }
    let audit_id = record(kernel, &tx, by, org_id, (ACTION, Outcome::Success, detail.into())).await?;
    let change = (&access.organization, &organization);
    if let Some(lacking) = enforcement::on_change(&tx, kernel.clock.as_ref(), by.actor, change, audit_id).await? {
        drop(tx);
        refuse(kernel, kernel.db.write_tx().await?, by, (org_id, ACTION), "second_factor").await?;
        return Err(lacking.into());
    }
    tx.commit().await?;
    Ok(Access { organization, role: access.role })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(checked_name("  Acme, Inc. ").unwrap(), "Acme, Inc.");
        assert_eq!(checked_name(&"ä".repeat(MAX_NAME)).unwrap().chars().count(), MAX_NAME);
        for (name, code) in
            [("", "too_short"), (" \t", "too_short"), ("a\nb", "invalid"), (&"x".repeat(101), "too_long")]
        {
            assert_eq!(checked_name(name).unwrap_err().code, code, "{name:?}");
        }
    }

    #[test]
    fn spans_are_bounded() {
        let broken =
            |policy: PolicyChange| policy.validate().into_iter().map(|error| error.pointer).collect::<Vec<_>>();
        let of = |session_age, trusted_device| PolicyChange { session_age, trusted_device, ..PolicyChange::default() };
        assert!(broken(of(Span::Seconds(300), Span::Seconds(0))).is_empty());
        assert!(broken(of(Span::Clear, Span::Keep)).is_empty());
        assert_eq!(broken(of(Span::Seconds(299), Span::Seconds(-1))).len(), 2);
        assert_eq!(broken(of(Span::Seconds(i64::MAX), Span::Keep)), ["/session_age_seconds"]);
    }
}
