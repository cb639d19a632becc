//! The operations of the API, one file a feature: extract, one call of a flow, answer.

pub mod api_keys;
pub mod audit;
pub mod break_glass;
pub mod devices;
pub mod domains;
pub mod email_verification;
pub mod invites;
pub mod jobs;
pub mod lean_json;
pub mod login;
pub mod members;
pub mod organizations;
pub mod passkey;
pub mod persons;
pub mod precheck;
pub mod projects;
pub mod recovery;
pub mod secret_keys;
pub mod sessions;
pub mod signup;
pub mod social;
pub mod step_up;
pub mod two_factor;
pub mod two_factor_reset;
pub mod users;

use std::{collections::HashMap, future::Future};

use futures_util::{TryFutureExt, future::Either};
use poem::{Endpoint, IntoEndpoint, IntoResponse, Request, Response, Result, endpoint::BoxEndpoint, http::Method};
use poem_openapi::{OpenApi, Tags};

use crate::{dev_mailbox, pages::login_social};

/// Operations under `/api`, and whatever answers all other addresses. Operations know their whole path, so that nothing has
/// to be taken off it on the way.
pub struct Beside<E> {
    /// By path: operations that have no parameters, so that nothing has to be read from the address first.
    plain: HashMap<String, Vec<(Method, BoxEndpoint<'static>)>>,
    /// All of them.
    operations: BoxEndpoint<'static>,
    others: E,
}

impl<E: Endpoint> Beside<E> {
    /// The operations of `api`, which are those of `service`, beside other addresses.
    pub fn new(api: impl OpenApi, service: impl IntoEndpoint<Endpoint = BoxEndpoint<'static>>, others: E) -> Self {
        Self { plain: plain(api), operations: service.into_endpoint(), others }
    }

    fn operation(&self, request: &Request) -> &BoxEndpoint<'static> {
        let methods = self.plain.get(request.uri().path());
        let found = methods.and_then(|methods| methods.iter().find(|(method, _)| method == request.method()));
        found.map_or(&self.operations, |(_, operation)| operation)
    }
}

/// The operations that have no parameters, by path and method.
fn plain<A: OpenApi>(api: A) -> HashMap<String, Vec<(Method, BoxEndpoint<'static>)>> {
    let mut all = HashMap::new();
    api.add_routes(&mut all);
    let mut plain: HashMap<String, Vec<_>> = HashMap::new();
    for path in A::meta().into_iter().flat_map(|part| part.paths) {
        for operation in path.operations.into_iter().filter(|operation| operation.params.is_empty()) {
            if let Some(endpoint) = all.get_mut(&path.path).and_then(|methods| methods.remove(&operation.method)) {
                plain.entry(path.path.clone()).or_default().push((operation.method, endpoint));
            }
        }
    }
    plain
}

impl<E: Endpoint> Endpoint for Beside<E> {
    type Output = Response;

    fn call(&self, request: Request) -> impl Future<Output = Result<Response>> + Send {
        let path = request.uri().path();
        if path.starts_with("/api/") && path != dev_mailbox::LIST_PATH && !login_social::is_ours(path) {
            Either::Left(self.operation(&request).call(request))
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
    /// E-mail domains of organizations.
    #[oai(rename = "domains")]
    Domains,
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
    /// Identities at providers that are linked to the signed-in user.
    #[oai(rename = "linked_accounts")]
    LinkedAccounts,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec;

    #[test]
    fn what_has_parameters_is_not_plain() {
        let document = spec::document().unwrap();
        let plain = plain(spec::api());
        let is_plain = |path: &str, method: &str| {
            plain.get(path).is_some_and(|methods| methods.iter().any(|(plain, _)| plain.as_str() == method))
        };
        assert!(is_plain("/api/users/@me", "GET") && is_plain("/api/login", "POST"));
        assert!(!is_plain("/api/jobs", "GET"), "its query says which");
        for (path, methods) in document["paths"].as_object().unwrap() {
            assert!(!path.contains('{') || !plain.contains_key(path), "{path}");
            for (method, operation) in methods.as_object().unwrap() {
                let has_query = operation["parameters"]
                    .as_array()
                    .is_some_and(|all| all.iter().any(|parameter| parameter["in"] == "query"));
                assert!(!has_query || !is_plain(path, &method.to_uppercase()), "{method} {path}");
            }
        }
    }
}
