//! What can go wrong with an invite, and the problem it becomes.

use std::time::Duration;

use sea_orm::DbErr;

use crate::{
    fault::{Fault, FieldError, ProblemKind, THROTTLED, VALIDATION},
    mail::EMAIL_NOT_AVAILABLE,
    orgs::OrgError,
};

/// The invite opens nothing, for whatever reason.
pub const INVALID_INVITE: ProblemKind = ProblemKind {
    code: "invalid_invite",
    status: 400,
    title: "The invite is not valid",
    help: "It is unknown, used, expired, taken back or replaced by a later one. Ask for another one.",
};

/// The invite is somebody else's.
pub const INVITE_FOR_ANOTHER_ADDRESS: ProblemKind = ProblemKind {
    code: "invite_for_another_address",
    status: 403,
    title: "The invite is for another address",
    help: "Only a user who has proven the address that the invite was sent to can accept it. Sign in with that address.",
};

/// The organization has no such invite.
pub const INVITE_NOT_FOUND: ProblemKind = ProblemKind {
    code: "invite_not_found",
    status: 404,
    title: "No such invite",
    help: "The id is unknown, belongs to another organization, or the invite is used, expired or taken back.",
};

/// There is nobody to invite.
pub const ALREADY_MEMBER: ProblemKind = ProblemKind {
    code: "already_member",
    status: 409,
    title: "Already a member",
    help: "A user with this address is a member of the organization.",
};

/// The kinds of this slice.
pub const PROBLEMS: &[&ProblemKind] =
    &[&INVALID_INVITE, &INVITE_FOR_ANOTHER_ADDRESS, &INVITE_NOT_FOUND, &ALREADY_MEMBER];

/// Why a use case of this slice failed.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// It opens nothing, for whatever reason.
    #[error("the invite is not valid")]
    Invalid,
    /// It is somebody else's.
    #[error("the invite is for another address")]
    AnotherAddress,
    /// The organization has no such invite.
    #[error("no such invite")]
    NotFound,
    /// There is nobody to invite.
    #[error("already a member")]
    AlreadyMember,
    /// The address is malformed.
    #[error("the address is malformed")]
    InvalidAddress,
    /// Too many invites.
    #[error("too many invites")]
    Throttled(Duration),
    /// This installation sends no mail.
    #[error("no mail can be sent")]
    EmailNotAvailable,
    /// The organization is out of reach, or the role does not allow it.
    #[error(transparent)]
    Organization(#[from] OrgError),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] DbErr),
}

impl From<InviteError> for Fault {
    fn from(err: InviteError) -> Self {
        match err {
            InviteError::Invalid => Self::of(&INVALID_INVITE),
            InviteError::AnotherAddress => Self::of(&INVITE_FOR_ANOTHER_ADDRESS),
            InviteError::NotFound => Self::of(&INVITE_NOT_FOUND),
            InviteError::AlreadyMember => Self::of(&ALREADY_MEMBER),
            InviteError::InvalidAddress => Self::of(&VALIDATION).errors(vec![FieldError {
                pointer: "/email",
                code: "invalid_email",
                detail: "This is not an e-mail address.".to_owned(),
            }]),
            InviteError::Throttled(wait) => Self::of(&THROTTLED).retry_after(wait),
            InviteError::EmailNotAvailable => Self::of(&EMAIL_NOT_AVAILABLE),
            InviteError::Organization(err) => err.into(),
            InviteError::Database(err) => err.into(),
        }
    }
}
