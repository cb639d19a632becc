//! Trusted devices: browsers that skip the second step.

use poem::{Request, web::Data};
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
};
use shared::{
    client::Client,
    devices::{self, DeviceId},
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

/// A browser that skips the second step of a login.
#[derive(Object)]
pub struct TrustedDevice {
    /// Id; not a secret.
    id: Uuid,
    /// What the user calls it.
    #[oai(skip_serializing_if_is_none)]
    name: Option<String>,
    /// Whether it is the browser of this request.
    is_current: bool,
    /// The method that it need not pass again: `email_mfa`, `totp` or `passkey`. More values may follow.
    method: String,
    /// Program of the client when it was trusted, as it calls itself.
    #[oai(skip_serializing_if_is_none)]
    user_agent: Option<String>,
    /// Trusted since.
    created_at: OffsetDateTime,
    /// Trusted until.
    expires_at: OffsetDateTime,
}

impl TrustedDevice {
    fn of(row: devices::TrustedDevice, cookie: Option<&str>) -> Self {
        Self {
            id: row.id.0,
            is_current: devices::is_current(&row, cookie),
            name: row.name,
            method: row.method,
            user_agent: row.user_agent,
            created_at: row.created_at.to_utc(),
            expires_at: row.expires_at.to_utc(),
        }
    }
}

/// A page of trusted devices, newest first.
#[derive(Object)]
pub struct TrustedDevicePage {
    /// The devices.
    items: Vec<TrustedDevice>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

/// What to change about a trusted device.
#[derive(Object)]
pub struct UpdateTrustedDeviceRequest {
    /// What to call it, 1 to 64 characters.
    name: String,
}

/// Operations on trusted devices.
pub struct DevicesApi;

#[OpenApi(prefix_path = "/api/users/@me/trusted_devices", tag = "Tag::TrustedDevices")]
impl DevicesApi {
    /// List trusted devices
    ///
    /// The browsers in which the signed-in user skips the second step of a login, the newest first.
    #[oai(path = "/", method = "get", operation_id = "listTrustedDevices")]
    async fn list(
        &self,
        state: Data<&AppState>,
        session: Session,
        request: &Request,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// How many devices a page has at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i32>>,
    ) -> poem::Result<Json<TrustedDevicePage>> {
        let page = (paging::rows_to_read(limit.0), paging::position(cursor.0.as_deref())?);
        let rows = devices::list(&state.kernel, &session.0.user, page).await.map_err(problem)?;
        let (rows, next_cursor) = paging::cut(rows, limit.0, |row| row.id.to_string());
        let cookie = own_cookie(&state, request);
        let items = rows.into_iter().map(|row| TrustedDevice::of(row, cookie.as_deref())).collect();
        Ok(Json(TrustedDevicePage { items, next_cursor }))
    }

    /// Rename a trusted device
    ///
    /// Gives a trusted device a name that its user recognises.
    #[oai(path = "/:device_id", method = "patch", operation_id = "updateTrustedDevice")]
    async fn update(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        request: &Request,
        device_id: Path<Uuid>,
        body: Json<UpdateTrustedDeviceRequest>,
    ) -> poem::Result<Json<TrustedDevice>> {
        let id = DeviceId(device_id.0);
        let row = devices::rename(&state.kernel, &client, &session.0.user, id, &body.name).await.map_err(problem)?;
        Ok(Json(TrustedDevice::of(row, own_cookie(&state, request).as_deref())))
    }

    /// Revoke a trusted device
    ///
    /// The next login with it passes the second step again. Its sessions stay.
    #[oai(path = "/:device_id", method = "delete", operation_id = "revokeTrustedDevice")]
    async fn revoke(
        &self,
        state: Data<&AppState>,
        client: Data<&Client>,
        session: Session,
        device_id: Path<Uuid>,
    ) -> poem::Result<NoContent> {
        devices::revoke(&state.kernel, &client, &session.0.user, DeviceId(device_id.0)).await.map_err(problem)?;
        Ok(NoContent::Done)
    }
}

fn own_cookie(state: &AppState, request: &Request) -> Option<String> {
    cookies::read(request.headers(), cookies::device_name(&state.kernel.config.http))
}
