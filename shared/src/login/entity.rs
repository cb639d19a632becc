//! Table `logins`: logins that wait for a further step.

use sea_orm::entity::prelude::*;

use crate::{clock::Timestamp, users::UserId};

crate::id_type!(
    /// Id of a pending login; not a secret.
    LoginId
);

/// What a pending login waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum LoginState {
    /// The code or link of a mail.
    EmailMfa,
    /// A second factor.
    TwoFactor,
    /// Nothing: a session came of it.
    Done,
    /// Nothing: it was given up.
    Dead,
}

/// One pending login.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "logins")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: LoginId,
    /// Who proved the password.
    pub user_id: UserId,
    /// The user's epoch at that moment.
    pub auth_epoch: i64,
    /// What it waits for.
    pub state: LoginState,
    /// SHA-256 of the secret that the client which began holds.
    pub binding: Vec<u8>,
    /// Whether the session will be a bearer token.
    pub is_token_transport: bool,
    /// Key that code and link are derived with.
    pub key_id: String,
    /// Which send is in force, counted from 1.
    pub send: i32,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// Codes tried.
    pub attempts: i32,
    /// Client address.
    pub ip: String,
    /// Client program.
    pub user_agent: Option<String>,
    /// Password proven.
    pub created_at: Timestamp,
    /// Good until.
    pub expires_at: Timestamp,
    /// Ended.
    pub finished_at: Option<Timestamp>,
    /// The project that the client captures events for.
    pub project_token: Option<String>,
    /// What the client calls its anonymous user.
    pub anonymous_distinct_id: Option<String>,
}

/// No relations: joins belong to the slice that owns the result.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
