//! Persons of a project, their events, and what is wrong with events.

use std::borrow::Cow;

use poem::web::Data;
use poem_openapi::{
    Object, OpenApi,
    param::{Path, Query},
    payload::Json,
    registry::{MetaSchema, MetaSchemaRef, Registry},
    types::{ParseError, ParseFromJSON, ParseResult, ToJSON, Type},
};
use serde_json::Value;
use shared::{
    client::Client,
    persons::{self, EventFilter, PersonFilter, Position, StoredEvent, StoredPerson, StoredWarning},
    projects::ProjectId,
};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{Tag, passkey::foreign_object, recovery::NoContent};
use crate::{paging, problem::problem, security::Caller, state::AppState};

foreign_object!(PersonProperties, "Properties of a person: whatever clients set.");
foreign_object!(EventProperties, "Properties of an event: whatever clients sent.");
foreign_object!(WarningDetail, "Further facts about a warning; which ones depends on its kind.");

/// Someone whom a project's events are about.
#[derive(Object)]
pub struct Person {
    /// Id. It stays while the person has ids, and is another one after the person was absorbed or deleted.
    id: Uuid,
    /// What clients call the person; in a list the first hundred.
    distinct_ids: Vec<String>,
    /// Properties.
    properties: PersonProperties,
    /// Whether someone signed in as this person.
    is_identified: bool,
    /// When the first of its events happened.
    created_at: OffsetDateTime,
}

impl From<StoredPerson> for Person {
    fn from(row: StoredPerson) -> Self {
        Self {
            id: row.id,
            distinct_ids: row.distinct_ids,
            properties: PersonProperties(row.properties),
            is_identified: row.is_identified,
            created_at: row.created_at.to_utc(),
        }
    }
}

/// A page of persons.
#[derive(Object)]
pub struct PersonPage {
    /// The persons.
    items: Vec<Person>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

/// Whom an event belongs to now.
#[derive(Object)]
pub struct EventPerson {
    /// Id.
    id: Uuid,
    /// Whether someone signed in as this person.
    is_identified: bool,
    /// The person's property `email`.
    #[oai(skip_serializing_if_is_none)]
    email: Option<String>,
}

/// Something that a client captured.
#[derive(Object)]
pub struct Event {
    /// Chosen by the client.
    uuid: Uuid,
    /// Name.
    #[oai(rename = "event")]
    name: String,
    /// Who it is about.
    distinct_id: String,
    /// When it happened.
    timestamp: OffsetDateTime,
    /// Properties.
    properties: EventProperties,
    /// Whom its distinct id belongs to now; absent while that is nobody.
    #[oai(skip_serializing_if_is_none)]
    person: Option<EventPerson>,
}

impl From<StoredEvent> for Event {
    fn from(row: StoredEvent) -> Self {
        Self {
            uuid: row.uuid,
            name: row.event,
            distinct_id: row.distinct_id,
            timestamp: row.at.to_utc(),
            properties: EventProperties(row.properties),
            person: row.person.map(|(id, is_identified, email)| EventPerson { id, is_identified, email }),
        }
    }
}

/// A page of events, the latest first.
#[derive(Object)]
pub struct EventPage {
    /// The events.
    items: Vec<Event>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

/// What a project should know about the events that it sends.
#[derive(Object)]
pub struct IngestionWarning {
    /// Id.
    id: Uuid,
    /// What is wrong, such as `cannot_merge_already_identified`. More values may follow.
    kind: String,
    /// With which event.
    #[oai(skip_serializing_if_is_none)]
    event_uuid: Option<Uuid>,
    /// Whom the event is about.
    distinct_id: String,
    /// Further facts.
    detail: WarningDetail,
    /// When the event happened.
    timestamp: OffsetDateTime,
}

impl From<StoredWarning> for IngestionWarning {
    fn from(row: StoredWarning) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            event_uuid: row.event_uuid,
            distinct_id: row.distinct_id,
            detail: WarningDetail(row.detail),
            timestamp: row.at.to_utc(),
        }
    }
}

/// A page of warnings, the latest first.
#[derive(Object)]
pub struct IngestionWarningPage {
    /// The warnings.
    items: Vec<IngestionWarning>,
    /// What to send as `cursor` for the next page; absent on the last one.
    #[oai(skip_serializing_if_is_none)]
    next_cursor: Option<String>,
}

/// How to split a person.
#[derive(Object)]
pub struct SplitPersonRequest {
    /// The distinct id that keeps the person and its properties; without one the properties go.
    main_distinct_id: Option<String>,
}

/// Operations on persons.
pub struct PersonsApi;

#[OpenApi(prefix_path = "/api/projects", tag = "Tag::Persons")]
impl PersonsApi {
    /// List persons
    ///
    /// The persons of a project, or those with a distinct id or an e-mail address.
    #[oai(path = "/:project_id/persons", method = "get", operation_id = "listPersons")]
    #[expect(clippy::too_many_arguments, reason = "each is one parameter of the query")]
    async fn list(
        &self,
        caller: Caller,
        state: Data<&AppState>,
        project_id: Path<Uuid>,
        /// Only the person with this distinct id.
        distinct_id: Query<Option<String>>,
        /// Only persons whose property `email` is this, in any case of letters.
        email: Query<Option<String>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// How many persons a page has at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i32>>,
    ) -> poem::Result<Json<PersonPage>> {
        let filter = PersonFilter { distinct_id: distinct_id.0, email: email.0 };
        let page = (paging::rows_to_read(limit.0), paging::position(cursor.0.as_deref())?);
        let project_id = ProjectId(project_id.0);
        let rows = persons::list(&state.kernel, &caller.actor, project_id, &filter, page).await.map_err(problem)?;
        let (rows, next_cursor) = paging::cut(rows, limit.0, |row| row.id.to_string());
        Ok(Json(PersonPage { items: rows.into_iter().map(Into::into).collect(), next_cursor }))
    }

    /// Show a person
    ///
    /// A person with all its distinct ids.
    #[oai(path = "/:project_id/persons/:person_id", method = "get", operation_id = "getPerson")]
    async fn get(
        &self,
        caller: Caller,
        state: Data<&AppState>,
        project_id: Path<Uuid>,
        person_id: Path<Uuid>,
    ) -> poem::Result<Json<Person>> {
        let project_id = ProjectId(project_id.0);
        let row = persons::get(&state.kernel, &caller.actor, project_id, person_id.0).await.map_err(problem)?;
        Ok(Json(row.into()))
    }

    /// Delete a person
    ///
    /// Deletes a person with its distinct ids and properties. Events that happened until now do not bring it back, also
    /// when they arrive later; events of the same distinct id after that are about someone else. Events stay.
    #[oai(path = "/:project_id/persons/:person_id", method = "delete", operation_id = "deletePerson")]
    async fn delete(
        &self,
        caller: Caller,
        state: Data<&AppState>,
        client: Data<&Client>,
        project_id: Path<Uuid>,
        person_id: Path<Uuid>,
    ) -> poem::Result<NoContent> {
        let of = (ProjectId(project_id.0), person_id.0);
        persons::delete(&state.kernel, &client, &caller.actor, of).await.map_err(problem)?;
        Ok(NoContent::Done)
    }

    /// Split a person
    ///
    /// Undoes merges: every distinct id but the main one gets a person of its own, without properties. Merges that
    /// happened before do not join them again.
    #[oai(path = "/:project_id/persons/:person_id/split", method = "post", operation_id = "splitPerson")]
    async fn split(
        &self,
        caller: Caller,
        state: Data<&AppState>,
        client: Data<&Client>,
        project_id: Path<Uuid>,
        person_id: Path<Uuid>,
        body: Json<SplitPersonRequest>,
    ) -> poem::Result<Json<Person>> {
        let (of, main) = ((ProjectId(project_id.0), person_id.0), body.main_distinct_id.as_deref());
        let row = persons::split(&state.kernel, &client, &caller.actor, of, main).await.map_err(problem)?;
        Ok(Json(row.into()))
    }
}

/// Operations on events.
pub struct EventsApi;

#[OpenApi(prefix_path = "/api/projects", tag = "Tag::Events")]
impl EventsApi {
    /// List events
    ///
    /// The events of a project, the latest first, each with the person that it belongs to now.
    #[oai(path = "/:project_id/events", method = "get", operation_id = "listEvents")]
    #[expect(clippy::too_many_arguments, reason = "each is one parameter of the query")]
    async fn list(
        &self,
        caller: Caller,
        state: Data<&AppState>,
        project_id: Path<Uuid>,
        /// Only events about this distinct id.
        distinct_id: Query<Option<String>>,
        /// Only events of this person.
        person_id: Query<Option<Uuid>>,
        /// Only events with this name.
        event: Query<Option<String>>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// How many events a page has at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i32>>,
    ) -> poem::Result<Json<EventPage>> {
        let filter = EventFilter { distinct_id: distinct_id.0, person_id: person_id.0, event: event.0 };
        let page = (paging::rows_to_read(limit.0), paging::position(cursor.0.as_deref())?);
        let (project_id, actor) = (ProjectId(project_id.0), &caller.actor);
        let rows = persons::list_events(&state.kernel, actor, project_id, &filter, page).await.map_err(problem)?;
        let (rows, next_cursor) = paging::cut(rows, limit.0, |row| Position(row.at, row.uuid).to_string());
        Ok(Json(EventPage { items: rows.into_iter().map(Into::into).collect(), next_cursor }))
    }

    /// List ingestion warnings
    ///
    /// What a project should know about the events that it sends: refused merges, events that were dropped. Latest first.
    #[oai(path = "/:project_id/warnings", method = "get", operation_id = "listIngestionWarnings")]
    async fn list_warnings(
        &self,
        caller: Caller,
        state: Data<&AppState>,
        project_id: Path<Uuid>,
        /// The `next_cursor` of the page before.
        cursor: Query<Option<String>>,
        /// How many warnings a page has at most.
        #[oai(validator(minimum(value = "1"), maximum(value = "200")))]
        limit: Query<Option<i32>>,
    ) -> poem::Result<Json<IngestionWarningPage>> {
        let page = (paging::rows_to_read(limit.0), paging::position(cursor.0.as_deref())?);
        let (project_id, actor) = (ProjectId(project_id.0), &caller.actor);
        let rows = persons::list_warnings(&state.kernel, actor, project_id, page).await.map_err(problem)?;
        let (rows, next_cursor) = paging::cut(rows, limit.0, |row| Position(row.at, row.id).to_string());
        Ok(Json(IngestionWarningPage { items: rows.into_iter().map(Into::into).collect(), next_cursor }))
    }
}
