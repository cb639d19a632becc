//! Audits what was refused: an operation that changes something, asked for by somebody who is known, and answered with a
//! refusal that its flow did not audit itself.
//!
//! The flow's transaction left nothing, so the row has one of its own. Not audited are requests of nobody (401), too many
//! requests (429), what could not be read, and what failed through no fault of the caller (5xx). What a person is refused is
//! audited each time; what a key is refused, once in ten minutes and process, because programs do not tire.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use moka::sync::Cache;
use poem::{Endpoint, IntoResponse, Middleware, Request, Response, Result};
use sea_orm::DbErr;
use serde_json::json;
use shared::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    kernel::Kernel,
    orgs::{self, OrgId},
    projects::{self, ProjectId},
    users::UserId,
};
use uuid::Uuid;

use crate::{operations, problem::Rejection, state::AppState};

/// What is audited when an operation is refused: its id and the action. Public operations audit themselves.
pub const ACTIONS: &[(&str, &str)] = &[
    ("acceptInvite", "invites.accept"),
    ("cancelJob", "jobs.cancel"),
    ("changePassword", "password.change"),
    ("confirmTotp", "totp.confirm"),
    ("createApiKey", "api_keys.create"),
    ("createBackupCodes", "backup_codes.replace"),
    ("createBreakGlassCode", "break_glass.create"),
    ("createDomain", "domains.create"),
    ("createInvite", "invites.create"),
    ("createOrganization", "orgs.create"),
    ("createPasskey", "passkey.add"),
    ("createProject", "projects.create"),
    ("createProjectSecretKey", "secret_keys.create"),
    ("deleteApiKey", "api_keys.delete"),
    ("deleteBreakGlassCode", "break_glass.delete"),
    ("deleteDomain", "domains.delete"),
    ("deleteInvite", "invites.delete"),
    ("deleteOrganization", "orgs.delete"),
    ("deletePasskey", "passkey.remove"),
    ("deletePerson", "persons.delete"),
    ("deleteProject", "projects.delete"),
    ("deleteProjectSecretKey", "secret_keys.delete"),
    ("disableIdentifyVerification", "identify.waive_verification"),
    ("disableTotp", "totp.disable"),
    ("enableIdentifyVerification", "identify.require_verification"),
    ("linkAccount", "social.start_link"),
    ("logout", "sessions.log_out"),
    ("reauthenticate", "step_up.reauthenticate"),
    ("removeMember", "orgs.remove_member"),
    ("resetUserTwoFactor", "two_factor_reset.request"),
    ("retryJob", "jobs.retry"),
    ("revokeOtherSessions", "sessions.revoke_others"),
    ("revokeSession", "sessions.revoke"),
    ("revokeTrustedDevice", "devices.revoke"),
    ("rollApiKey", "api_keys.roll"),
    ("rollProjectSecretKey", "secret_keys.roll"),
    ("rollProjectToken", "projects.roll_token"),
    ("splitPerson", "persons.split"),
    ("startPasskey", "passkey.start"),
    ("startTotp", "totp.start"),
    ("unlinkAccount", "social.unlink"),
    ("updateApiKey", "api_keys.update"),
    ("updateDomain", "domains.update"),
    ("updateMe", "users.update"),
    ("updateMember", "orgs.update_member"),
    ("updateOrganization", "orgs.update"),
    ("updatePasskey", "passkey.rename"),
    ("updateProject", "projects.update"),
    ("updateTrustedDevice", "devices.rename"),
    ("updateTwoFactor", "two_factor.set_passkeys"),
    ("verifyDomain", "domains.verify"),
];

/// How long the same refusal of the same key is not audited again.
const KEY_PAUSE: Duration = Duration::from_mins(10);
/// Refusals of keys that are remembered at most.
const CAPACITY: u64 = 20_000;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// The user, if it is one.
    pub user_id: Option<UserId>,
    /// The key by which they ask, if it is not a session.
    pub key_id: Option<Uuid>,
}

/// The known caller of a request, for those around the operation.
#[derive(Default)]
pub struct KnownCaller(OnceLock<Caller>);

impl KnownCaller {
    /// Remembers who makes the request.
    pub fn remember(request: &Request, caller: Caller) {
        if let Some(known) = request.data::<Arc<Self>>() {
            // A request has one caller.
            let _ = known.0.set(caller);
        }
    }
}

/// The middleware.
#[derive(Clone, Copy, Debug)]
pub struct AuditFailures;

impl<E: Endpoint> Middleware<E> for AuditFailures {
    type Output = AuditFailuresEndpoint<E>;

    fn transform(&self, inner: E) -> Self::Output {
        let refused = Cache::builder().max_capacity(CAPACITY).time_to_live(KEY_PAUSE).build();
        AuditFailuresEndpoint { inner, refused }
    }
}

/// The endpoint of [`AuditFailures`].
pub struct AuditFailuresEndpoint<E> {
    inner: E,
    /// Which refusals of which keys were audited lately.
    refused: Cache<(Uuid, &'static str, &'static str), ()>,
}

impl<E: Endpoint> Endpoint for AuditFailuresEndpoint<E> {
    type Output = Response;

    async fn call(&self, request: Request) -> Result<Response> {
        match action(&request) {
            // Boxed, so that the room it needs is not made for requests that read.
            Some(action) => Box::pin(self.watched(request, action)).await,
            None => self.inner.call(request).await.map(IntoResponse::into_response),
        }
    }
}

impl<E: Endpoint> AuditFailuresEndpoint<E> {
    async fn watched(&self, mut request: Request, action: &'static str) -> Result<Response> {
        let known = Arc::new(KnownCaller::default());
        request.extensions_mut().insert(Arc::clone(&known));
        let path = request.uri().path().to_owned();
        let (state, client) = (request.data::<AppState>().cloned(), request.data::<Client>().cloned());
        let (outcome, is_audited) = audit::watch(self.inner.call(request)).await;
        let reason = outcome.as_ref().err().filter(|_| !is_audited).and_then(reason);
        if let (Some(reason), Some(caller), Some(state), Some(client)) = (reason, known.0.get(), state, client)
            && self.is_due(caller, action, reason)
            && let Err(cause) = record(&state.kernel, &client, caller, &path, (action, reason)).await
        {
            tracing::warn!(%cause, action, "a refusal was not audited");
        }
        outcome.map(IntoResponse::into_response)
    }
}

impl<E> AuditFailuresEndpoint<E> {
    fn is_due(&self, caller: &Caller, action: &'static str, reason: &'static str) -> bool {
        let Some(key_id) = caller.key_id else { return true };
        self.refused.entry((key_id, action, reason)).or_insert(()).is_fresh()
    }
}

fn action(request: &Request) -> Option<&'static str> {
    if request.method().is_safe() {
        // It changes nothing.
        return None;
    }
    let id = operations::known().id(request.method().as_str(), request.uri().path())?;
    ACTIONS.iter().find(|(operation, _)| *operation == id).map(|(_, action)| *action)
}

/// The code of a refusal that is the caller's doing.
fn reason(error: &poem::Error) -> Option<&'static str> {
    let kind = error.downcast_ref::<Rejection>()?.fault.kind;
    (kind.status < 500 && !matches!(kind.status, 401 | 429)).then_some(kind.code)
}

async fn record(
    kernel: &Kernel,
    client: &Client,
    caller: &Caller,
    path: &str,
    (action, reason): (&'static str, &'static str),
) -> Result<(), DbErr> {
    let org_id = organization(kernel, caller, path).await?;
    // Of the path only ids: in the place of one may stand anything, a key too.
    let ids: Vec<Uuid> = path.split('/').filter_map(|part| part.parse().ok()).collect();
    let event = AuditEvent {
        action,
        outcome: Outcome::Failure,
        user_id: caller.user_id.map(|id| id.0),
        client: Some(client),
        detail: json!({ "reason": reason, "ids": ids, "key_id": caller.key_id }),
    };
    let (db, clock) = (kernel.db.writer(), kernel.clock.as_ref());
    // One statement is a transaction of its own.
    match org_id {
        Some(org_id) => audit::record_in(db, clock, org_id.0, event).await.map(|_| ()),
        None => audit::record(db, clock, event).await.map(|_| ()),
    }
}

/// The organization that a path is about, if the caller is a member: strangers write nothing into its trail.
async fn organization(kernel: &Kernel, caller: &Caller, path: &str) -> Result<Option<OrgId>, DbErr> {
    let mut parts = path.trim_start_matches("/api/").split('/');
    let (Some(kind), Some(id), Some(user_id)) = (parts.next(), parts.next(), caller.user_id) else { return Ok(None) };
    let Ok(id) = id.parse::<Uuid>() else { return Ok(None) };
    let db = kernel.db.reader();
    let org_id = match kind {
        "organizations" => Some(OrgId(id)),
        "projects" => projects::find(db, ProjectId(id)).await?.map(|project| project.organization_id),
        _ => None,
    };
    let Some(org_id) = org_id else { return Ok(None) };
    Ok(orgs::find_role(db, org_id, user_id).await?.map(|_| org_id))
}
