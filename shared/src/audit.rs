//! The audit trail: one row per success and failure, written in the transaction of what it records, never changed.
//!
//! Rows carry ids and masked values only. The database refuses updates and deletes of this table by trigger.
//!
//! What happens in an organization carries its id ([`record_in`]) and is what its admins see ([`page`]). Everything else
//! a user does, such as signing in, belongs to the user and to no organization.

use std::{cell::Cell, future::Future};

use sea_orm::{ActiveValue::Set, ConnectionTrait, DbErr, EntityTrait, QueryOrder, QuerySelect, entity::prelude::*};
use serde_json::Value;

use crate::{
    client::Client,
    clock::{Clock, Timestamp},
};

/// How an audited action ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Success,
    /// It was refused or failed.
    Failure,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
        }
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub struct AuditEvent<'a> {
    /// `<slice>.<verb>`, such as `recovery.complete`.
    pub action: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// The user it is about, if there is one.
    pub user_id: Option<Uuid>,
    /// Where it came from; `None` for jobs and the command line.
    pub client: Option<&'a Client>,
    /// Further facts: ids and masked values, never secrets.
    pub detail: Value,
}

/// Table `audit_events`.
mod entity {
    use sea_orm::entity::prelude::*;

    /// One audited action.
    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit_events")]
    pub struct Model {
        /// Id.
        #[sea_orm(primary_key, auto_increment = false)]
        pub id: Uuid,
        /// When.
        pub at: crate::clock::Timestamp,
        /// `<slice>.<verb>`.
        pub action: String,
        /// `success` or `failure`.
        pub outcome: String,
        /// The user it is about.
        pub user_id: Option<Uuid>,
        /// The organization that it happened in.
        pub organization_id: Option<Uuid>,
        /// Client address.
        pub ip: Option<String>,
        /// Client program.
        pub user_agent: Option<String>,
        /// Request.
        pub request_id: Option<Uuid>,
        /// Further facts as JSON.
        pub detail: String,
    }

    /// No relations: joins belong to the slice that owns the result.
    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}
}

tokio::task_local! {
    /// Whether a failure was recorded; see [`watch`].
    static HAS_FAILURE: Cell<bool>;
}

/// Runs what a request does; says whether it recorded a failure.
pub async fn watch<T>(work: impl Future<Output = T>) -> (T, bool) {
    let watched = async {
        let done = work.await;
        (done, HAS_FAILURE.with(Cell::get))
    };
    HAS_FAILURE.scope(Cell::new(false), watched).await
}

/// Writes one audit row and returns its id.
///
/// # Errors
/// When the database fails; the transaction must then not commit.
pub async fn record<C: ConnectionTrait>(db: &C, clock: &dyn Clock, event: AuditEvent<'_>) -> Result<Uuid, DbErr> {
    insert(db, clock, None, event).await
}

/// Like [`record`], of something that happened in an organization.
///
/// # Errors
/// As [`record`].
pub async fn record_in<C: ConnectionTrait>(
    db: &C,
    clock: &dyn Clock,
    organization_id: Uuid,
    event: AuditEvent<'_>,
) -> Result<Uuid, DbErr> {
    insert(db, clock, Some(organization_id), event).await
}

async fn insert<C: ConnectionTrait>(
    db: &C,
    clock: &dyn Clock,
    organization_id: Option<Uuid>,
    event: AuditEvent<'_>,
) -> Result<Uuid, DbErr> {
    let id = crate::ids::next();
    let row = entity::ActiveModel {
        id: Set(id),
        at: Set(clock.now()),
        action: Set(event.action.to_owned()),
        outcome: Set(event.outcome.as_str().to_owned()),
        user_id: Set(event.user_id),
        organization_id: Set(organization_id),
        ip: Set(event.client.map(|client| client.ip.to_string())),
        user_agent: Set(event.client.and_then(|client| client.user_agent.clone())),
        request_id: Set(event.client.map(|client| client.request_id)),
        detail: Set(event.detail.to_string()),
    };
    entity::Entity::insert(row).exec_without_returning(db).await?;
    if event.outcome == Outcome::Failure {
        // Outside of a request nobody asks.
        let _ = HAS_FAILURE.try_with(|has| has.set(true));
    }
    Ok(id)
}

/// One audited action, as read back.
pub use entity::Model as AuditRow;

/// One audit row.
///
/// # Errors
/// When the database fails.
pub async fn find<C: ConnectionTrait>(db: &C, id: Uuid) -> Result<Option<AuditRow>, DbErr> {
    entity::Entity::find_by_id(id).one(db).await
}

/// The newest `limit` rows with this action, newest first.
///
/// # Errors
/// When the database fails.
pub async fn list<C: ConnectionTrait>(db: &C, action: &str, limit: u64) -> Result<Vec<AuditRow>, DbErr> {
    entity::Entity::find()
        .filter(entity::Column::Action.eq(action))
        .order_by_desc(entity::Column::Id)
        .limit(limit)
        .all(db)
        .await
}

/// Which events of an organization are asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only what this user did.
    pub user_id: Option<Uuid>,
    /// Only this action.
    pub action: Option<String>,
    /// Only from this time on.
    pub since: Option<Timestamp>,
    /// Only before this time.
    pub until: Option<Timestamp>,
    /// Only what is older than this event: the last one of the page before.
    pub before: Option<Uuid>,
}

/// The newest `limit` events of an organization that pass the filter, newest first.
///
/// # Errors
/// When the database fails.
pub async fn page<C: ConnectionTrait>(
    db: &C,
    organization_id: Uuid,
    filter: &Filter,
    limit: u64,
) -> Result<Vec<AuditRow>, DbErr> {
    let mut query = entity::Entity::find().filter(entity::Column::OrganizationId.eq(organization_id));
    if let Some(user_id) = filter.user_id {
        query = query.filter(entity::Column::UserId.eq(user_id));
    }
    if let Some(action) = &filter.action {
        query = query.filter(entity::Column::Action.eq(action));
    }
    if let Some(since) = filter.since {
        query = query.filter(entity::Column::At.gte(since));
    }
    if let Some(until) = filter.until {
        query = query.filter(entity::Column::At.lt(until));
    }
    if let Some(before) = filter.before {
        query = query.filter(entity::Column::Id.lt(before));
    }
    query.order_by_desc(entity::Column::Id).limit(limit).all(db).await
}
