//! Section `password` of the configuration.

use std::path::PathBuf;

use serde::Deserialize;

use crate::{config::empty_is_none, rate_limit::Limit};

/// How passwords are judged and hashed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordConfig {
    /// argon2id memory in KiB.
    pub memory_kib: u32,
    /// argon2id passes.
    pub passes: u32,
    /// argon2id lanes.
    pub lanes: u32,
    /// Threads that hash; 0 for one per core.
    pub threads: usize,
    /// Waiting hashes per thread before requests are refused.
    pub queue_per_thread: usize,
    /// How long a hash may wait.
    pub wait_milliseconds: u64,
    /// How long after the last hash the memory blocks are given back.
    pub release_after_seconds: u64,
    /// Shortest password, in bytes.
    pub min_bytes: usize,
    /// Shortest password where it is the only factor, in characters.
    pub min_length_single_factor: usize,
    /// Longest password, in bytes.
    pub max_bytes: usize,
    /// Lowest accepted zxcvbn score.
    pub min_score: u8,
    /// Breached passwords by their SHA-1 hashes, in ascending order.
    #[serde(deserialize_with = "empty_is_none")]
    pub breached_file: Option<PathBuf>,
    /// Current passwords that one user may try when they change theirs.
    pub change_per_user: Limit,
}
