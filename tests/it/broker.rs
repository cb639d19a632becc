//! Tests of `broker`.
