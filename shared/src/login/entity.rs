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

/// What the first step of a login proved. It is asked again at the end whether that is allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstFactor {
    /// The password.
    Password,
    /// The password, with a code of the owner's organization that stands in for the provider that is demanded.
    BreakGlass,
    /// An identity at the provider of this name.
    Provider(String),
}

impl FirstFactor {
    /// The method, as in RFC 8176; of a provider it is not known.
    pub const fn amr(&self) -> &'static str {
        match self {
            Self::Password | Self::BreakGlass => "pwd",
            Self::Provider(_) => "fed",
        }
    }

    /// As it is stored.
    pub fn to_text(&self) -> String {
        match self {
            Self::Password => "pwd".to_owned(),
            Self::BreakGlass => "pwd_break_glass".to_owned(),
            Self::Provider(name) => format!("fed:{name}"),
        }
    }

    /// What was stored. A provider without a name, as was stored once, is none that anybody demands.
    pub fn read(text: &str) -> Self {
        match text.split_once(':').unwrap_or((text, "")) {
            ("fed", name) => Self::Provider(name.to_owned()),
            ("pwd_break_glass", _) => Self::BreakGlass,
            _ => Self::Password,
        }
    }
}

/// One pending login.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "logins")]
pub struct Model {
    /// Id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: LoginId,
    /// Who proved the first step.
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
    /// What the first step proved: a [`FirstFactor`].
    pub first_factor: String,
    /// First step proven.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_factor_is_read_as_it_was_stored() {
        let all = [FirstFactor::Password, FirstFactor::BreakGlass, FirstFactor::Provider("okta".to_owned())];
        for one in all {
            assert_eq!(FirstFactor::read(&one.to_text()), one);
        }
        assert_eq!(FirstFactor::read("fed"), FirstFactor::Provider(String::new()));
    }
}
