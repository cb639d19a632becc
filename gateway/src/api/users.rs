//! The signed-in user.

use poem::web::Data;
use poem_openapi::{Object, OpenApi, payload::Json, types::MaybeUndefined};
use serde::Serialize;
use shared::{
    client::Client,
    clock::Timestamp,
    email_verification,
    password_change::{self, PasswordChange},
    sessions::{self, Sensitivity},
    users::{self, Profile, UserError},
};
use time::{OffsetDateTime, serde::rfc3339};
use uuid::Uuid;

use super::{Tag, lean_json::LeanJson, recovery::NoContent};
use crate::{
    problem::problem,
    security::{Caller, Session},
    state::AppState,
};

/// A user.
#[derive(Clone, Object, Serialize)]
pub struct User {
    /// Id.
    id: Uuid,
    /// E-mail address.
    email: String,
    /// Whether the address is proven.
    email_verified: bool,
    /// The address that the user wants to change to, while it waits for proof.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pending_email: Option<String>,
    /// First name.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    first_name: Option<String>,
    /// Last name.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    last_name: Option<String>,
    /// User name.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// Picture.
    #[oai(skip_serializing_if_is_none)]
    #[serde(skip_serializing_if = "Option::is_none")]
    image_url: Option<String>,
    /// Whether the user operates this installation.
    is_instance_admin: bool,
    /// When the user signed up.
    #[serde(serialize_with = "rfc3339::serialize")]
    created_at: OffsetDateTime,
}

impl User {
    /// The wire form of a user.
    #[must_use]
    pub fn of(user: users::User, now: Timestamp) -> Self {
        Self {
            id: user.id.0,
            email_verified: user.is_verified(),
            pending_email: user.pending_email(now).map(str::to_owned),
            email: user.email,
            first_name: user.first_name,
            last_name: user.last_name,
            username: user.username,
            image_url: user.image_url,
            is_instance_admin: user.is_instance_admin,
            created_at: user.created_at.to_utc(),
        }
    }
}

/// What to change; absent members stay as they are.
#[derive(Object)]
pub struct UpdateMeRequest {
    /// First name; null removes it.
    #[oai(nullable)]
    first_name: MaybeUndefined<String>,
    /// Last name; null removes it.
    #[oai(nullable)]
    last_name: MaybeUndefined<String>,
    /// A new address: it takes effect once it is proven. The present address cancels a change that waits. Needs a recent
    /// proof of identity.
    email: Option<String>,
}

/// A new password.
#[derive(Object)]
pub struct ChangePasswordRequest {
    /// The current password, where there is one.
    current_password: Option<String>,
    /// The new password, 8 to 1024 bytes.
    new_password: String,
}

/// Operations of the signed-in user.
pub struct UsersApi;

#[OpenApi(prefix_path = "/api/users/@me", tag = "Tag::Users")]
impl UsersApi {
    /// Get the signed-in user
    ///
    /// Returns the user that the session or the API key belongs to.
    #[oai(path = "/", method = "get", operation_id = "getMe")]
    #[expect(clippy::unused_async, reason = "operations are asynchronous; the extractor did the waiting")]
    async fn get(&self, state: Data<&AppState>, caller: Caller) -> poem::Result<LeanJson<User>> {
        Ok(LeanJson(User::of(caller.into_user()?, state.kernel.clock.now())))
    }

    /// Update the signed-in user
    ///
    /// Changes names at once. A new e-mail address takes effect when the link or code that is mailed to it is confirmed;
    /// until then it is `pending_email`. Server-set members such as `email_verified` cannot be changed.
    #[oai(path = "/", method = "patch", operation_id = "updateMe")]
    async fn update(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        body: Json<UpdateMeRequest>,
    ) -> poem::Result<Json<User>> {
        let (kernel, user) = (&state.kernel, &session.0.user);
        let merge = |given: &MaybeUndefined<String>, present: &Option<String>| match given {
            MaybeUndefined::Undefined => present.clone(),
            MaybeUndefined::Null => None,
            MaybeUndefined::Value(name) => Some(name.clone()),
        };
        let profile = Profile {
            first_name: merge(&body.first_name, &user.first_name),
            last_name: merge(&body.last_name, &user.last_name),
        };
        // Whatever can be refused is refused first, so that a refused member leaves the others as they are.
        let profile = profile.validated().map_err(UserError::Invalid).map_err(problem)?;
        if let Some(email) = &body.email {
            sessions::require_recent(kernel, &session.0, Sensitivity::Sensitive).map_err(problem)?;
            email_verification::start_change(kernel, &client, user, email).await.map_err(problem)?;
        }
        if (&profile.first_name, &profile.last_name) != (&user.first_name, &user.last_name) {
            users::update_profile(kernel, &client, user.id, profile).await.map_err(problem)?;
        }
        let user = users::find(kernel.db.reader(), user.id).await.map_err(problem)?;
        let user = user.ok_or_else(|| problem(UserError::NotFound))?;
        Ok(Json(User::of(user, kernel.clock.now())))
    }

    /// Change the password
    ///
    /// Keeps this session, ends all others and all trusted devices, and tells the user by mail.
    #[oai(path = "/password", method = "post", operation_id = "changePassword")]
    async fn change_password(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        body: Json<ChangePasswordRequest>,
    ) -> poem::Result<NoContent> {
        let wish = PasswordChange { current: body.current_password.as_deref(), replacement: &body.new_password };
        password_change::change_password(&state.kernel, &state.hasher, &client, &session.0, wish)
            .await
            .map_err(problem)?;
        Ok(NoContent::Done)
    }
}

#[cfg(test)]
mod tests {
    use poem_openapi::types::ToJSON;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn both_forms_of_a_user_are_the_same() {
        let full = User {
            id: Uuid::from_u128(7),
            email: "a\"ä@example.com".to_owned(),
            email_verified: true,
            pending_email: Some("b@example.com".to_owned()),
            first_name: Some("A".to_owned()),
            last_name: Some("B".to_owned()),
            username: Some("c".to_owned()),
            image_url: Some("https://example.com/".to_owned()),
            is_instance_admin: false,
            created_at: datetime!(2026-11-29 12:00:00.000120 UTC),
        };
        let bare = User {
            pending_email: None,
            first_name: None,
            last_name: None,
            username: None,
            image_url: None,
            created_at: datetime!(2026-11-29 12:00 UTC),
            ..full.clone()
        };
        for user in [full, bare] {
            assert_eq!(serde_json::to_value(&user).ok(), user.to_json());
        }
    }
}
