//! Persons follow what clients captured, who signed in, and who was deleted.

use shared::{
    db::Tx,
    identify::{self, ApplyError, ApplyFacts, DeletePersonsOf, RecordSignIn},
};

use crate::{context::Context, registry::JobError};

/// Applies facts to persons.
pub async fn apply_facts(ctx: &Context, tx: &Tx, job: ApplyFacts) -> Result<(), JobError> {
    identify::apply(&ctx.kernel, tx, &job).await.map_err(failure)
}

/// Merges what an anonymous client did before into the user who signed in with it.
pub async fn record_sign_in(ctx: &Context, tx: &Tx, job: RecordSignIn) -> Result<(), JobError> {
    identify::record_sign_in(&ctx.kernel, tx, job).await.map_err(failure)
}

/// Deletes the persons of a deleted user.
pub async fn delete_persons_of(ctx: &Context, tx: &Tx, job: DeletePersonsOf) -> Result<(), JobError> {
    identify::delete_of_user(&ctx.kernel, tx, job.user_id).await?;
    Ok(())
}

fn failure(error: ApplyError) -> JobError {
    match error {
        ApplyError::TooLarge(error) => JobError::Reject(error.to_string()),
        ApplyError::Database(error) => error.into(),
    }
}
