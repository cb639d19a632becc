//! The operations of the API, one file a feature: extract, one call of a flow, answer.

pub mod api_keys;
pub mod audit;
pub mod devices;
pub mod email_verification;
pub mod invites;
pub mod jobs;
pub mod login;
pub mod members;
pub mod organizations;
pub mod passkey;
pub mod persons;
pub mod projects;
pub mod recovery;
pub mod secret_keys;
pub mod sessions;
pub mod signup;
pub mod step_up;
pub mod two_factor;
pub mod two_factor_reset;
pub mod users;

use std::future::Future;

use futures_util::{TryFutureExt, future::Either};
use poem::{Endpoint, IntoEndpoint, IntoResponse, Request, Response, Result, endpoint::BoxEndpoint};
use poem_openapi::Tags;

use crate::dev_mailbox;

/// Operations under `/api`, and whatever answers all other addresses. Operations know their whole path, so that nothing has
/// to be taken off it on the way.
pub struct Beside<E> {
    operations: BoxEndpoint<'static>,
    others: E,
}

impl<E: Endpoint> Beside<E> {
    /// The operations of a service beside other addresses.
    pub fn new(service: impl IntoEndpoint<Endpoint = BoxEndpoint<'static>>, others: E) -> Self {
        Self { operations: service.into_endpoint(), others }
    }
}

impl<E: Endpoint> Endpoint for Beside<E> {
    type Output = Response;

    fn call(&self, request: Request) -> impl Future<Output = Result<Response>> + Send {
        let path = request.uri().path();
        if path.starts_with("/api/") && path != dev_mailbox::LIST_PATH {
            Either::Left(self.operations.call(request))
        } else {
            Either::Right(self.others.call(request).map_ok(IntoResponse::into_response))
        }
    }
}

/// What operations are grouped by; a class of a generated client each.
#[derive(Tags)]
pub enum Tag {
    /// Personal API keys of the signed-in user.
    #[oai(rename = "api_keys")]
    ApiKeys,
    /// What happened in an organization.
    #[oai(rename = "audit_events")]
    AuditEvents,
    /// Proof of addresses.
    #[oai(rename = "email_verifications")]
    EmailVerifications,
    /// What clients captured, for a project.
    #[oai(rename = "events")]
    Events,
    /// How people join an organization.
    #[oai(rename = "invites")]
    Invites,
    /// The job system, for those who operate the installation.
    #[oai(rename = "jobs")]
    Jobs,
    /// Signing in, step by step.
    #[oai(rename = "logins")]
    Logins,
    /// Organizations, their policies and their members.
    #[oai(rename = "organizations")]
    Organizations,
    /// Passkeys: signing in with one, and those of the signed-in user.
    #[oai(rename = "passkeys")]
    Passkeys,
    /// A new password by mail.
    #[oai(rename = "password_resets")]
    PasswordResets,
    /// Whom a project's events are about.
    #[oai(rename = "persons")]
    Persons,
    /// Secret keys of projects.
    #[oai(rename = "secret_keys")]
    SecretKeys,
    /// What an organization measures.
    #[oai(rename = "projects")]
    Projects,
    /// Sessions.
    #[oai(rename = "sessions")]
    Sessions,
    /// Signing up.
    #[oai(rename = "signups")]
    Signups,
    /// Browsers that skip the second step.
    #[oai(rename = "trusted_devices")]
    TrustedDevices,
    /// Letting users without their second factor back in.
    #[oai(rename = "two_factor_resets")]
    TwoFactorResets,
    /// The signed-in user.
    #[oai(rename = "users")]
    Users,
}
