//! Use cases on users: names, and disabling one.

use serde_json::json;

use super::{UserError, UserId, store};
use crate::{
    audit::{self, AuditEvent, Outcome},
    client::Client,
    fault::FieldError,
    kernel::Kernel,
};

/// Longest name, in characters.
const MAX_NAME: usize = 128;

/// What people say about themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// First name.
    pub first_name: Option<String>,
    /// Last name.
    pub last_name: Option<String>,
}

impl Profile {
    /// Trims the names, drops empty ones and checks the rest.
    ///
    /// # Errors
    /// The fields that are too long or hold control characters.
    pub fn validated(self) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut check = |pointer: &'static str, name: Option<String>| {
            let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty())?;
            if name.chars().count() > MAX_NAME {
                errors.push(FieldError { pointer, code: "too_long", detail: format!("at most {MAX_NAME} characters") });
            }
            if name.chars().any(char::is_control) {
                errors.push(FieldError { pointer, code: "invalid", detail: "no control characters".to_owned() });
            }
            Some(name)
        };
        let profile =
            Self { first_name: check("/first_name", self.first_name), last_name: check("/last_name", self.last_name) };
        if errors.is_empty() { Ok(profile) } else { Err(errors) }
    }
}

/// Replaces the names of a user.
///
/// # Errors
/// When a name does not validate or the database fails.
pub async fn update_profile(kernel: &Kernel, client: &Client, id: UserId, profile: Profile) -> Result<(), UserError> {
    let profile = profile.validated().map_err(UserError::Invalid)?;
    let now = kernel.clock.now();
    let tx = kernel.db.write_tx().await?;
    store::set_names(&*tx, id, profile, now).await?;
    let event = AuditEvent {
        action: "users.update",
        outcome: Outcome::Success,
        user_id: Some(id.0),
        client: Some(client),
        detail: json!({ "fields": ["first_name", "last_name"] }),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await?;
    Ok(())
}

/// Disables a user and ends everything they hold.
///
/// # Errors
/// When there is no such active user or the database fails.
pub async fn disable(kernel: &Kernel, id: UserId) -> Result<(), UserError> {
    let now = kernel.clock.now();
    let tx = kernel.db.write_tx().await?;
    if !store::disable(&*tx, id, now).await? {
        return Err(UserError::NotFound);
    }
    let event = AuditEvent {
        action: "users.disable",
        outcome: Outcome::Success,
        user_id: Some(id.0),
        client: None,
        detail: json!({}),
    };
    audit::record(&*tx, kernel.clock.as_ref(), event).await?;
    tx.commit().await?;
    Ok(())
}
