//! Tests of `acceptance`.
