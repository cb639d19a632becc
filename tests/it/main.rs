//! The integration tests: one binary, a module per feature, names that are sentences.

mod acceptance;
mod backup_codes;
mod broker;
mod browser;
mod coverage;
mod devices;
mod edge;
mod email_mfa;
mod email_verification;
mod faults;
mod jobs;
mod lockout;
mod login;
mod mail;
mod passkey;
mod password;
mod recovery;
mod sessions;
mod signup;
mod step_up;
mod story;
mod structure;
mod totp;
mod two_factor;
mod users;
