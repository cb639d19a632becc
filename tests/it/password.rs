//! Tests of `password`.
