//! Persons follow what clients captured.

use shared::{db::Tx, identify::ApplyFacts};

use crate::{context::Context, registry::JobError};

/// Applies facts to persons.
pub async fn apply_facts(_ctx: &Context, _tx: &Tx, _job: ApplyFacts) -> Result<(), JobError> {
    Ok(())
}
