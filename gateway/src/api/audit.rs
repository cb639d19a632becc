//! What happened in an organization: the list, and the export of all of it.
//!
//! An organization's admins see what happened in it. What its members do elsewhere, such as signing in, is not theirs to
//! see.

use std::{borrow::Cow, io, sync::Arc};

use futures_util::stream;
use poem::{Body, web::Data};
use poem_openapi::{
    Enum, Object, OpenApi,
    param::{Path, Query},
    payload::{Attachment, AttachmentType, Json},
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::{Any, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::Value;
use shared::{
    audit::{self, AuditRow, Filter},
    kernel::Kernel,
    orgs::{self, OrgId, Permission},
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Tag;
use crate::{paging, problem::problem, security::Caller, state::AppState};

/// Events that one step of an export reads.
const EXPORT_STEP: u64 = 500;

/// The columns of an export as CSV.
const COLUMNS: &str = "id,at,action,outcome,user_id,ip,user_agent,request_id,detail\r\n";

/// Further facts of an event: ids and masked values, by names that depend on the action.
#[derive(Debug)]
pub struct AuditDetail(Value);

impl Type for AuditDetail {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "AuditDetail".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Reference(Self::name().into_owned())
    }

    fn register(registry: &mut Registry) {
        registry.create_schema::<Self, _>(Self::name().into_owned(), |_| MetaSchema {
            description: Some("Further facts of an event: ids and masked values, by names that depend on the action."),
            additional_properties: Some(Box::new(Any::<Value>::schema_ref())),
            ..MetaSchema::new("object")
        });
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ToJSON for AuditDetail {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.clone())
    }
}

impl ParseFromJSON for AuditDetail {
    fn parse_from_json(value: Option<Value>) -> ParseResult<Self> {
        Ok(Self(value.unwrap_or_default()))
    }
}

/// Something that happened in an organization, or was refused there.
#[derive(Debug, Object)]
pub struct AuditEvent {
    /// Id.
    id: Uuid,
    /// When.
    at: OffsetDateTime,
    /// What, such as `orgs.update_member`.
    action: String,
    /// `success` or `failure`.
    outcome: String,
    /// Who did it; absent for what belongs to no user.
    #[oai(skip_serializing_if_is_none)]
    user_id: Option<Uuid>,
    /// Address of the client.
    #[oai(skip_serializing_if_is_none)]
    ip: Option<String>,
    /// Program of the client, as it calls itself.
    #[oai(skip_serializing_if_is_none)]
    user_agent: Option<String>,
    /// Id of the request, also in its header `X-Request-Id`.
    #[oai(skip_serializing_if_is_none)]
    request_id: Option<Uuid>,
    /// Further facts.
    detail: AuditDetail,
}

impl From<AuditRow> for AuditEvent {
    fn from(row: AuditRow) -> Self {
        Self {
            id: row.id,
            at: row.at.to_utc(),
            action: row.action,
            outcome: row.outcome,
            user_id: row.user_id,
            ip: row.ip,
            user_agent: row.user_agent,
            request_id: row.request_id,
            detail: AuditDetail(serde_json::from_str(&row.detail).unwrap_or_default()),
        }
    }
}

/// A page of events, newest first.
#[derive(Debug, Object)]
pub struct AuditEventPage {
    /// The events.
    items: Vec<AuditEvent>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

/// The form of an export.
#[derive(Clone, Copy, Debug, Enum, PartialEq, Eq)]
#[oai(rename_all = "lowercase")]
pub enum ExportFormat {
    /// Comma-separated values (RFC 4180).
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl ExportFormat {
    const fn file_name(self) -> &'static str {
        match self {
            Self::Csv => "audit_events.csv",
            Self::Jsonl => "audit_events.jsonl",
        }
    }

    fn line(self, event: &AuditEvent) -> String {
        match self {
            Self::Jsonl => event.to_json_string() + "\n",
            Self::Csv => csv_line(event),
        }
    }
}

/// Operations on the audit trail of an organization.
pub struct AuditApi;

#[OpenApi(prefix_path = "/api/organizations", tag = "Tag::AuditEvents")]
impl AuditApi {
    /// List audit events
    ///
    /// For admins: what happened in the organization and what was refused there, the newest first. Events cannot be changed
    /// or deleted. What members do outside of the organization, such as signing in, is not among them.
    #[oai(path = "/:organization_id/audit_events", method = "get", operation_id = "listAuditEvents")]
    #[expect(clippy::too_many_arguments, reason = "each is one parameter of the query")]
    async fn list(
        &self,
        state: Data<&AppState>,
        caller: Caller,
        organization_id: Path<Uuid>,
        /// Only what this user did.
        user_id: Query<Option<Uuid>>,
        /// Only this action, such as `orgs.update_member`.
        action: Query<Option<String>>,
        /// Only from this time on.
        since: Query<Option<OffsetDateTime>>,
        /// Only before this time.
        until: Query<Option<OffsetDateTime>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// How many events a page has at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i32>>,
    ) -> poem::Result<Json<AuditEventPage>> {
        let before = paging::position(cursor.0.as_deref())?;
        let filter = filter((user_id.0, action.0), (since.0, until.0), before);
        let (db, org_id) = (state.kernel.db.reader(), OrgId(organization_id.0));
        orgs::require(db, &caller.actor, org_id, Permission::ReadAudit).await.map_err(problem)?;
        let rows = audit::page(db, org_id.0, &filter, paging::rows_to_read(limit.0)).await.map_err(problem)?;
        let (rows, next_cursor) = paging::cut(rows, limit.0, |row| row.id.to_string());
        Ok(Json(AuditEventPage { items: rows.into_iter().map(AuditEvent::from).collect(), next_cursor }))
    }

    /// Export audit events
    ///
    /// For admins: all events that pass the filter as one file, the newest first. In CSV, values that a spreadsheet would
    /// take for a formula begin with an apostrophe.
    #[oai(path = "/:organization_id/audit_events/export", method = "get", operation_id = "exportAuditEvents")]
    #[expect(clippy::too_many_arguments, reason = "each is one parameter of the query")]
    async fn export(
        &self,
        state: Data<&AppState>,
        caller: Caller,
        organization_id: Path<Uuid>,
        /// `csv` or `jsonl`.
        format: Query<ExportFormat>,
        /// Only what this user did.
        user_id: Query<Option<Uuid>>,
        /// Only this action, such as `orgs.update_member`.
        action: Query<Option<String>>,
        /// Only from this time on.
        since: Query<Option<OffsetDateTime>>,
        /// Only before this time.
        until: Query<Option<OffsetDateTime>>,
    ) -> poem::Result<Attachment<Body>> {
        let filter = filter((user_id.0, action.0), (since.0, until.0), None);
        let (db, org_id) = (state.kernel.db.reader(), OrgId(organization_id.0));
        orgs::require(db, &caller.actor, org_id, Permission::ReadAudit).await.map_err(problem)?;
        let body = stream_of(Arc::clone(&state.kernel), org_id, filter, format.0);
        let file = Attachment::new(body).attachment_type(AttachmentType::Attachment);
        Ok(file.filename(format.0.file_name()))
    }
}

fn filter(
    (user_id, action): (Option<Uuid>, Option<String>),
    (since, until): (Option<OffsetDateTime>, Option<OffsetDateTime>),
    before: Option<Uuid>,
) -> Filter {
    Filter { user_id, action, since: since.map(Into::into), until: until.map(Into::into), before }
}

/// The file, read step by step as the client takes it: memory does not grow with its length. A database that fails in
/// between breaks the transfer off, so that half a file does not pass for a whole one.
fn stream_of(kernel: Arc<Kernel>, org_id: OrgId, filter: Filter, format: ExportFormat) -> Body {
    let head = if format == ExportFormat::Csv { COLUMNS } else { "" };
    let begin = Some((filter, head.to_owned()));
    Body::from_bytes_stream(stream::try_unfold(begin, move |step| {
        let kernel = Arc::clone(&kernel);
        async move {
            let Some((mut filter, mut text)) = step else { return Ok::<_, io::Error>(None) };
            let rows = audit::page(kernel.db.reader(), org_id.0, &filter, EXPORT_STEP).await;
            let rows = rows.map_err(io::Error::other)?;
            let is_last = u64::try_from(rows.len()).unwrap_or(u64::MAX) < EXPORT_STEP;
            filter.before = rows.last().map(|row| row.id);
            text.extend(rows.into_iter().map(|row| format.line(&row.into())));
            Ok(Some((text.into_bytes(), (!is_last).then(|| (filter, String::new())))))
        }
    }))
}

fn csv_line(event: &AuditEvent) -> String {
    let id = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let at = event.at.to_json().and_then(|at| at.as_str().map(str::to_owned)).unwrap_or_default();
    let cells = [
        event.id.to_string(),
        at,
        event.action.clone(),
        event.outcome.clone(),
        id(event.user_id),
        text(&event.ip),
        text(&event.user_agent),
        id(event.request_id),
        event.detail.0.to_string(),
    ];
    cells.map(|cell| csv_cell(&cell)).join(",") + "\r\n"
}

/// One value, quoted where it must be, and never a formula.
fn csv_cell(value: &str) -> String {
    let is_formula = value.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let value = if is_formula { format!("'{value}") } else { value.to_owned() };
    if value.contains([',', '"', '\r', '\n']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_are_no_formulas() {
        assert_eq!(csv_cell("curl/8.5"), "curl/8.5");
        assert_eq!(csv_cell("{\"a\":1,\"b\":2}"), "\"{\"\"a\"\":1,\"\"b\"\":2}\"");
        assert_eq!(csv_cell("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        assert_eq!(csv_cell("-1"), "'-1");
        assert_eq!(csv_cell("a\nb"), "\"a\nb\"");
    }
}
