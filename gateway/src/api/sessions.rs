//! Sessions.

use poem::web::Data;
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use shared::{
    client::Client,
    sessions::{self, SessionId, StoredSession},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Tag, recovery::NoContent};
use crate::{
    paging,
    problem::problem,
    security::{Session, cookies},
    state::AppState,
};

/// Signed out; the cookie is removed.
#[derive(ApiResponse)]
pub enum SignedOut {
    /// Signed out.
    #[oai(status = 204)]
    Done(#[oai(header = "Set-Cookie")] String),
}

/// A live session of the signed-in user.
#[derive(Object)]
#[oai(rename = "Session")]
pub struct SessionEntry {
    /// Id; not a secret.
    id: Uuid,
    /// Whether it is the session of this request.
    is_current: bool,
    /// How the user proved who they are, as in RFC 8176; `email` for a mailed code.
    amr: Vec<String>,
    /// Address of the client at the login.
    ip: String,
    /// Program of the client at the login, as it calls itself.
    #[oai(skip_serializing_if_is_none)]
    user_agent: Option<String>,
    /// When it was opened.
    created_at: OffsetDateTime,
    /// When it was last used, to five minutes unless `sessions.touch_seconds` says otherwise.
    last_active_at: OffsetDateTime,
    /// When it ends at the latest.
    expires_at: OffsetDateTime,
}

impl SessionEntry {
    fn of(row: StoredSession, current: SessionId) -> Self {
        Self {
            id: row.id.0,
            is_current: row.id == current,
            amr: row.amr.split(',').map(str::to_owned).collect(),
            ip: row.ip,
            user_agent: row.user_agent,
            created_at: row.created_at.to_utc(),
            last_active_at: row.seen_at.to_utc(),
            expires_at: row.expires_at.to_utc(),
        }
    }
}

/// A page of sessions, newest first.
#[derive(Object)]
pub struct SessionPage {
    /// The sessions.
    items: Vec<SessionEntry>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

/// Sessions that were ended.
#[derive(Object)]
pub struct SessionsRevoked {
    /// How many.
    #[oai(validator(minimum(value = "0")))]
    count: i64,
}

/// Operations on sessions.
pub struct SessionsApi;

#[OpenApi(prefix_path = "/api", tag = "Tag::Sessions")]
impl SessionsApi {
    /// Sign out
    ///
    /// Ends the session that the request carries and removes its cookie.
    #[oai(path = "/logout", method = "post", operation_id = "logout")]
    async fn log_out(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
    ) -> poem::Result<SignedOut> {
        sessions::log_out(&state.kernel, &client, &session.0).await.map_err(problem)?;
        Ok(SignedOut::Done(cookies::end_session(&state.kernel.config.http)))
    }

    /// List sessions
    ///
    /// The live sessions of the signed-in user, the newest first.
    #[oai(path = "/users/@me/sessions", method = "get", operation_id = "listSessions")]
    async fn list(
        &self,
        state: Data<&AppState>,
        session: Session,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// How many sessions a page has at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i32>>,
    ) -> poem::Result<Json<SessionPage>> {
        let page = (paging::rows_to_read(limit.0), paging::position(cursor.0.as_deref())?);
        let rows = sessions::list(&state.kernel, &session.0, page).await.map_err(problem)?;
        let (rows, next_cursor) = paging::cut(rows, limit.0, |row| row.id.to_string());
        let items = rows.into_iter().map(|row| SessionEntry::of(row, session.0.session_id)).collect();
        Ok(Json(SessionPage { items, next_cursor }))
    }

    /// Revoke a session
    ///
    /// Ends one session of the signed-in user; every gateway refuses it from the next request on.
    #[oai(path = "/users/@me/sessions/:session_id", method = "delete", operation_id = "revokeSession")]
    async fn revoke(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        session_id: Path<Uuid>,
    ) -> poem::Result<NoContent> {
        sessions::end(&state.kernel, &client, &session.0, SessionId(session_id.0)).await.map_err(problem)?;
        Ok(NoContent::Done)
    }

    /// Revoke all other sessions
    ///
    /// Ends all sessions of the signed-in user but the one of this request.
    #[oai(path = "/users/@me/sessions/revoke_others", method = "post", operation_id = "revokeOtherSessions")]
    async fn revoke_others(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
    ) -> poem::Result<Json<SessionsRevoked>> {
        let count = sessions::end_others(&state.kernel, &client, &session.0).await.map_err(problem)?;
        Ok(Json(SessionsRevoked { count: i64::try_from(count).unwrap_or(i64::MAX) }))
    }
}
