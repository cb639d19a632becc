//! What a sign-in tells of persons: what the client did before it was this user's doing.
//!
//! Nothing here decides anything. A claim is kept with the pending login, and becomes a job in the transaction of the session.

use sea_orm::DbErr;

use super::SignedIn;
use crate::{db::Tx, identify::RecordSignIn, jobs, kernel::Kernel, login::entity::Model, projects};

/// Characters of an anonymous id, and of a project's token.
const LENGTHS: (usize, usize) = (200, 64);

/// What the client called its anonymous user, and the public token of the project that it captures events for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnonymousClaim {
    pub(super) project_token: String,
    pub(super) anonymous_distinct_id: String,
}

impl AnonymousClaim {
    /// A claim needs both; what cannot be one is none.
    #[must_use]
    pub fn of(project_token: Option<String>, anonymous_distinct_id: Option<String>) -> Option<Self> {
        let (project_token, anonymous_distinct_id) = project_token.zip(anonymous_distinct_id)?;
        let is_one =
            |text: &str, most: usize| !text.is_empty() && text.len() <= most * 4 && text.chars().count() <= most;
        let is_fit = is_one(&anonymous_distinct_id, LENGTHS.0) && is_one(&project_token, LENGTHS.1);
        (is_fit && !anonymous_distinct_id.contains('\0') && !project_token.contains('\0'))
            .then_some(Self { project_token, anonymous_distinct_id })
    }

    /// The claim that was made when the login began.
    pub(super) fn kept_with(pending: &Model) -> Option<Self> {
        Self::of(pending.project_token.clone(), pending.anonymous_distinct_id.clone())
    }
}

/// Publishes a claim as a job of the session's transaction.
pub(super) async fn publish(
    kernel: &Kernel,
    tx: &Tx,
    claim: Option<&AnonymousClaim>,
    signed_in: &SignedIn,
) -> Result<(), DbErr> {
    let Some(claim) = claim else { return Ok(()) };
    let Some(project) = projects::find_by_token(&**tx, &claim.project_token).await? else { return Ok(()) };
    let job = RecordSignIn {
        project_id: project.id,
        session_id: signed_in.session.id.0,
        user_id: signed_in.user.id,
        anonymous_distinct_id: claim.anonymous_distinct_id.clone(),
        signed_in_at: signed_in.session.created_at,
    };
    jobs::enqueue(tx, kernel.clock.as_ref(), &job).await.map(|_| ())
}
