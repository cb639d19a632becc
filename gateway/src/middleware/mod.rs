//! What every request passes, from the outside in.
//!
//! ```text
//! envelope           before and after everything, in one layer:
//!   request_id         a fresh id; none is taken from outside
//!   client             address through trusted proxies, program, trace
//!   path               a trailing slash is no difference
//!   security_headers   on every response, also errors
//! access_log         one line, two metrics, one span
//! (capture)          the routes of analytics clients leave here
//! edge               every error becomes a problem
//! panic  timeout     a handler cannot take the process or a connection with it
//! limits             sizes, U+0000, strict JSON
//! csrf               no state changes on behalf of another site
//! key_trace          what became of a personal API key: audit, and a warning about keys in the query
//! fork               what only reads goes to the routes at once
//!   diagnose           names the fields when a body does not fit
//!   audit_failures     what is refused and no flow audited
//!   idempotency        what is sent again has its effect once
//!   routes
//! ```

pub mod access_log;
pub mod audit_failures;
pub mod client;
pub mod csrf;
pub mod diagnose;
pub mod edge;
pub mod envelope;
pub mod fork;
pub mod idempotency;
pub mod json_check;
pub mod key_trace;
pub mod limits;
pub mod panic;
pub mod path;
pub mod request_id;
pub mod security_headers;
pub mod timeout;
