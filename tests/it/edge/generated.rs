//! Requests that a generator makes from the API document, against a real process.
//!
//! Schemathesis (pinned and installed by `scripts/setup.sh full`, named by `TEST_SCHEMATHESIS`) sends valid and invalid values to
//! every operation, and holds each answer against the document: status, content type, headers and body.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::process::Stdio;

use harness::{
    PASSWORD,
    bench::{BenchServer, Connection},
};

use crate::faults::{full, stack::OwnDatabase};

/// Operations that end the session they are called with, or the rights of its user.
const ENDING: [&str; 6] =
    ["logout", "revokeSession", "revokeOtherSessions", "changePassword", "completePasswordReset", "reauthenticate"];

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
                      response_headers_conformance,unsupported_method";

/// Runs it; its report is in the failure.
async fn generate(server: &BenchServer, session: Option<&str>) {
    let program = std::env::var_os("TEST_SCHEMATHESIS").unwrap();
    let mut command = tokio::process::Command::new(program);
    command.arg("run").arg(harness::generate::tree::root().join("openapi/openapi.json"));
    command.args(["--url", &format!("http://{}", server.host), "--checks", CHECKS, "--no-color", "--seed", "1"]);
    command.args(["--phases", "coverage,fuzzing", "--max-examples", "20", "--request-timeout", "20"]);
    if let Some(session) = session {
        command.args(["--header", &format!("Authorization: Bearer {session}")]);
        for operation in ENDING {
            command.args(["--exclude-operation-id", operation]);
        }
    }
    command.current_dir(&server.installation.folder).stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", server.installation.logs());
    assert!(said.contains("passed"), "{said}");
}

async fn keep_the_document(settings: &[(&str, &str)]) {
    let cheap = [("PASSWORD__MEMORY_KIB", "64"), ("HTTP__TRUSTED_PROXIES", "127.0.0.0/8")];
    let mut server = BenchServer::start(&[&cheap, settings].concat()).await.unwrap();
    generate(&server, None).await;
    let session = server.sign_in("administrator@example.com").await.unwrap();
    generate(&server, Some(&session)).await;
    let mut connection = Connection::open(&server.host).await.unwrap();
    let me = connection.send("GET", "/api/users/@me", Some(&session), "").await.unwrap();
    assert_eq!(me.status, 200, "it was signed in to the end: {}", me.body);
    let logs = server.installation.log_lines().join("\n");
    assert!(!logs.contains("panicked") && !logs.contains(PASSWORD), "no panic, no password in the log");
    server.process.signal("TERM").await;
    assert_eq!(server.process.wait(std::time::Duration::from_secs(30)).await, Some(true));
}

/// Whether the generator is there.
fn can_generate() -> bool {
    full() && std::env::var_os("TEST_SCHEMATHESIS").is_some()
}

/// T-API-01: on SQLite no generated request is answered 5xx, and every answer is as the document says.
#[tokio::test(flavor = "multi_thread")]
async fn full_generated_requests_keep_the_document_on_sqlite() {
    if can_generate() {
        keep_the_document(&[]).await;
    }
}

/// T-API-01: on PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn full_generated_requests_keep_the_document_on_postgresql() {
    if can_generate() {
        let database = OwnDatabase::create().await;
        keep_the_document(&[("DATABASE__URL", &database.url)]).await;
    }
}
