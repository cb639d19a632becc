//! Tests of `email_verification`.
