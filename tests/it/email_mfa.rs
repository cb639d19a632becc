//! Tests of `email_mfa`.
