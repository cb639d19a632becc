//! Blocklist: the breached passwords that nobody may set, in a file that is searched where it lies.
//!
//! ```text
//! password ──► SHA-1 ──► binary search in the file ──► some 36 short reads for two billion lines
//! ```
//!
//! The format is that of Pwned Passwords, ordered by hash (<https://haveibeenpwned.com/Passwords>): lines `SHA1:COUNT` that
//! ascend, the digest in hexadecimal. SHA-1 is the list's choice; nothing is protected by it here. The file is opened for
//! each search, so that a newer one can be moved over it. A file that cannot be searched is an error, never "not found".

mod list;

pub use list::{BlocklistError, contains, examine};
