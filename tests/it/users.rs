//! Tests of `users`.
