//! The API: every operation under `/api`, and with it the API document.
//!
//! Each feature is one struct in [`crate::api`], in alphabetical order here.

use std::sync::LazyLock;

use openapi::LintOptions;
use poem_openapi::{OpenApi, OpenApiService};
use serde_json::Value;

use crate::{
    api::{
        api_keys::ApiKeysApi,
        audit::AuditApi,
        break_glass::BreakGlassApi,
        devices::DevicesApi,
        domains::DomainsApi,
        email_verification::EmailVerificationApi,
        invites::InvitesApi,
        jobs::JobsApi,
        login::LoginApi,
        members::MembersApi,
        organizations::OrganizationsApi,
        passkey::{PasskeyLoginApi, PasskeysApi},
        persons::{EventsApi, PersonsApi},
        precheck::PrecheckApi,
        projects::ProjectsApi,
        recovery::RecoveryApi,
        secret_keys::SecretKeysApi,
        sessions::SessionsApi,
        signup::SignupApi,
        social::LinkedAccountsApi,
        step_up::StepUpApi,
        two_factor::{TwoFactorApi, TwoFactorLoginApi},
        two_factor_reset::TwoFactorResetApi,
        users::UsersApi,
    },
    capture,
    middleware::idempotency,
    security::scopes,
};

/// What the document says otherwise than the rules, on purpose: other people's clients named the routes of [`capture`].
pub const EXCEPTIONS: LintOptions<'static> = LintOptions {
    outside_api: &["/array", "/batch", "/decide", "/e", "/flags", "/s"],
    closed_enums: &[],
    foreign_schemas: &["CaptureClientConfig", "CaptureDecision", "CaptureEvents", "CaptureFlags"],
    foreign_ids: &["main_distinct_id"],
};

/// The operations under `/api`. They find the state among the extensions of their request; those of one feature are a group,
/// since a tuple has sixteen members at most.
#[must_use]
pub fn api() -> impl OpenApi + 'static {
    (
        ApiKeysApi,
        DevicesApi,
        EmailVerificationApi,
        JobsApi,
        (LoginApi, PrecheckApi),
        (AuditApi, BreakGlassApi, DomainsApi, InvitesApi, MembersApi, OrganizationsApi, ProjectsApi),
        (PasskeyLoginApi, PasskeysApi),
        (EventsApi, PersonsApi),
        RecoveryApi,
        SecretKeysApi,
        SessionsApi,
        SignupApi,
        (LinkedAccountsApi, StepUpApi),
        (TwoFactorApi, TwoFactorLoginApi, TwoFactorResetApi),
        UsersApi,
    )
}

/// The service that answers under `/api`.
#[must_use]
pub fn service() -> OpenApiService<impl OpenApi + 'static, ()> {
    OpenApiService::new(api(), "Gatepost", env!("CARGO_PKG_VERSION"))
}

/// [`document`] as this server publishes it, read once.
#[must_use]
pub fn published() -> &'static Value {
    static PUBLISHED: LazyLock<Value> = LazyLock::new(|| {
        document().unwrap_or_else(|error| {
            tracing::error!(%error, "the API document contradicts itself");
            Value::Null
        })
    });
    &PUBLISHED
}

/// The API document in its published form; `openapi::render` gives its text.
///
/// # Errors
/// When two features describe one operation; a test reads it.
pub fn document() -> Result<Value, serde_json::Error> {
    let mut raw = openapi::parse_raw(&service().spec())?;
    scopes::describe(&mut raw);
    idempotency::describe(&mut raw);
    capture::describe(&mut raw)?;
    Ok(openapi::normalise(&raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_keeps_the_rules_for_client_libraries() {
        let violations = openapi::lint_with(&document().unwrap(), &EXCEPTIONS);
        assert!(violations.is_empty(), "{violations:#?}");
    }
}
