//! What an AMQP error means for the caller.
//!
//! ```text
//! lapin::Error ── reply code ──► 404 → Unroutable
//!                            ├─► 403, 405, 406 while declaring → Topology
//!                            └─► everything else → Unreachable
//! ```
//!
//! The texts come from RabbitMQ and name its objects, never a message or a password.

use lapin::ErrorKind;

use super::super::BrokerError;

/// `ACCESS_REFUSED` (AMQP 0-9-1, section 1.2).
const ACCESS_REFUSED: u16 = 403;
/// `NOT_FOUND`.
const NOT_FOUND: u16 = 404;
/// `RESOURCE_LOCKED`.
const RESOURCE_LOCKED: u16 = 405;
/// `PRECONDITION_FAILED`.
const PRECONDITION_FAILED: u16 = 406;

/// The reply code that RabbitMQ sent, if it was RabbitMQ that complained.
fn reply_code(error: &lapin::Error) -> Option<u16> {
    if let ErrorKind::ProtocolError(reply) = error.kind() { Some(reply.get_id()) } else { None }
}

/// An error while using the topology: a missing object, or no connection.
pub(super) fn of_use(error: &lapin::Error) -> BrokerError {
    if reply_code(error) == Some(NOT_FOUND) {
        return BrokerError::Unroutable;
    }
    BrokerError::Unreachable(error.to_string())
}

/// An error while declaring `object`: RabbitMQ has another idea of it, or no connection.
pub(super) fn of_declaring(object: &str, error: &lapin::Error) -> BrokerError {
    match reply_code(error) {
        Some(PRECONDITION_FAILED) => BrokerError::Topology(format!(
            "{object} exists with other settings than this version declares; delete it (every unfinished job is still \
             in the database) or restore the setting ({error})"
        )),
        Some(ACCESS_REFUSED | RESOURCE_LOCKED) => {
            BrokerError::Topology(format!("this user is not allowed to declare {object} ({error})"))
        }
        _ => BrokerError::Unreachable(format!("{object} could not be declared: {error}")),
    }
}
