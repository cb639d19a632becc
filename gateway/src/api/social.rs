//! The identities at providers that are linked to the signed-in user. Signing in with them is in `gateway/src/pages/`.

use poem::{Request, web::Data};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::{Json, Response},
};
use shared::{
    client::Client,
    clock::Timestamp,
    config::Config,
    social::{self, LinkedAccount as Row, SocialIdentityId},
    two_factor,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Tag, recovery::NoContent};
use crate::{
    pages::{
        login_social::{binding, held},
        next::Next,
    },
    paging,
    problem::problem,
    security::Session,
    state::AppState,
};

/// An identity at a provider that signs the user in.
#[derive(Object)]
pub struct LinkedAccount {
    /// Id.
    id: Uuid,
    /// The provider: `google`, `gitlab`, `github`, or the name of another one in the configuration.
    provider: String,
    /// What the provider is called.
    provider_name: String,
    /// The address that the provider reported when it was linked.
    #[oai(skip_serializing_if_is_none)]
    email: Option<String>,
    /// When it was linked.
    created_at: OffsetDateTime,
    /// When it signed its user in last.
    #[oai(skip_serializing_if_is_none)]
    last_used_at: Option<OffsetDateTime>,
}

impl LinkedAccount {
    fn of(config: &Config, row: Row) -> Self {
        Self {
            id: row.id.0,
            provider_name: config.social.display_name(&row.provider),
            provider: row.provider,
            email: row.email,
            created_at: row.created_at.to_utc(),
            last_used_at: row.last_used_at.map(Timestamp::to_utc),
        }
    }
}

/// A page of linked accounts, newest first.
#[derive(Object)]
pub struct LinkedAccountPage {
    /// The linked accounts.
    items: Vec<LinkedAccount>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

/// How a link is to be made.
#[derive(Object)]
pub struct LinkAccountRequest {
    /// Where the browser goes in the end: a path of this installation, `/account` unless it says otherwise.
    next: Option<String>,
}

/// A link that waits for the provider.
#[derive(Object)]
pub struct AccountLink {
    /// Where the browser that called this goes to sign in with the provider.
    authorization_url: String,
    /// How long it is good.
    expires_at: OffsetDateTime,
}

/// Operations on linked accounts.
pub struct LinkedAccountsApi;

#[OpenApi(prefix_path = "/api/users/@me/linked_accounts", tag = "Tag::LinkedAccounts")]
impl LinkedAccountsApi {
    /// List linked accounts
    ///
    /// Lists the identities at providers that sign the user in, newest first.
    #[oai(path = "/", method = "get", operation_id = "listLinkedAccounts")]
    async fn list(
        &self,
        state: Data<&AppState>,
        session: Session,
        /// How many at most, 1 to 200.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i32>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
    ) -> poem::Result<Json<LinkedAccountPage>> {
        let before = paging::position(cursor.0.as_deref())?;
        let rows = social::list(state.kernel.db.reader(), session.0.user.id, before, paging::rows_to_read(limit.0));
        let (rows, next_cursor) = paging::cut(rows.await.map_err(problem)?, limit.0, |row| row.id.to_string());
        let items = rows.into_iter().map(|row| LinkedAccount::of(&state.kernel.config, row)).collect();
        Ok(Json(LinkedAccountPage { items, next_cursor }))
    }

    /// Begin to link an account
    ///
    /// Gives the address at which the browser signs in with the provider; it comes back linked, or to `/account` with an
    /// `error_code`. Works in the browser that called this, while its session lasts. Needs a recent proof of identity, with
    /// the second factor where there is one.
    #[oai(path = "/:provider/link", method = "post", operation_id = "linkAccount")]
    async fn link(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        request: &Request,
        /// The provider: `google`, `gitlab`, `github`, or the name of another one in the configuration.
        provider: Path<String>,
        body: Json<LinkAccountRequest>,
    ) -> poem::Result<Response<Json<AccountLink>>> {
        let (kernel, principal) = (&state.kernel, &session.0);
        two_factor::require_fresh(kernel, principal).await.map_err(problem)?;
        let next = Next::read(body.next.as_deref().unwrap_or_default());
        let (whose, wish) =
            ((&principal.user, principal.session_id.0), (provider.as_str(), held(&state, request), next.as_str()));
        let started = social::start_link(kernel, &state.providers, &client, whose, wish).await.map_err(problem)?;
        let link = AccountLink {
            authorization_url: started.authorization_url.to_string(),
            expires_at: started.expires_at.to_utc(),
        };
        Ok(Response::new(Json(link)).header("Set-Cookie", binding(&state, &started)))
    }

    /// Unlink an account
    ///
    /// It can no longer sign in; its user is told by mail. Needs a recent proof of identity, with the second factor where
    /// there is one. The last way to sign in cannot be removed.
    #[oai(path = "/:linked_account_id", method = "delete", operation_id = "unlinkAccount")]
    async fn unlink(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        /// The linked account.
        linked_account_id: Path<Uuid>,
    ) -> poem::Result<NoContent> {
        let principal = &session.0;
        two_factor::require_fresh(&state.kernel, principal).await.map_err(problem)?;
        let id = SocialIdentityId(linked_account_id.0);
        social::unlink(&state.kernel, &client, principal.user.id, id).await.map_err(problem)?;
        Ok(NoContent::Done)
    }
}
