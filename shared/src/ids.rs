//! Identifiers: `UUIDv7` newtypes, one per kind of thing, on the wire plain UUID strings.
//!
//! A newtype keeps a session id from being passed where a user id is meant. `UUIDv7` (RFC 9562, section 5.7) sorts by
//! creation time, so primary keys are appended to an index instead of scattered over it.

use uuid::{Builder, Uuid};

use crate::secret;

/// A fresh `UUIDv7`.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
pub fn next() -> Uuid {
    Uuid::now_v7()
}

/// A fresh `UUIDv4` (RFC 9562, section 5.4), for what nothing is sorted by: it needs neither a clock nor a counter that all
/// threads share.
#[must_use]
pub fn random() -> Uuid {
    Builder::from_random_bytes(secret::random_bytes()).into_uuid()
}

/// Declares an id newtype that is stored as a UUID and written as a plain UUID string.
#[macro_export]
macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord,
            serde::Serialize, serde::Deserialize, sea_orm::DeriveValueType,
        )]
        #[serde(transparent)]
        pub struct $name(pub uuid::Uuid);

        impl $name {
            /// A fresh id.
            #[must_use]
            pub fn next() -> Self {
                Self($crate::ids::next())
            }
        }

        impl sea_orm::TryFromU64 for $name {
            fn try_from_u64(_: u64) -> Result<Self, sea_orm::DbErr> {
                Err(sea_orm::DbErr::ConvertFromU64(stringify!($name)))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(out)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}
