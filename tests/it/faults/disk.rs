//! The disk under SQLite is full, or fails to write.

use std::{path::Path, process::Stdio, time::Duration};

use harness::{
    PASSWORD, SmallDisk,
    bench::{BenchServer, Connection},
};
use sea_orm::{ConnectionTrait, Database, Statement};
use serde_json::json;
use tokio::process::Command;

use super::full;

async fn sign_up(server: &BenchServer, number: usize) -> u16 {
    let body = json!({ "email": format!("user-{number}@example.com"), "password": PASSWORD }).to_string();
    let mut connection = Connection::open(&server.host).await.unwrap();
    connection.send("POST", "/api/signup", None, &body).await.unwrap().status
}

async fn integrity(database: &Path) -> String {
    let db = Database::connect(format!("sqlite://{}", database.display())).await.unwrap();
    let statement = Statement::from_string(db.get_database_backend(), "PRAGMA integrity_check");
    let row = db.query_one_raw(statement).await.unwrap().unwrap();
    let word = row.try_get_by_index(0).unwrap();
    db.close().await.unwrap();
    word
}

/// T-DB-05: SQLite on a full disk: writes are answered 503, reads as ever; with space again all goes on, nothing is corrupt.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_full_disk_refuses_writes_and_corrupts_nothing() {
    if !full() {
        return;
    }
    let Some(disk) = SmallDisk::mount(4 << 20).await else { return };
    let database = disk.folder().join("gatepost.db");
    let url = format!("sqlite://{}", database.display());
    let mut server = BenchServer::start(&[("DATABASE__URL", &url), ("PASSWORD__MEMORY_KIB", "1024")]).await.unwrap();
    let session = server.sign_in("first@example.com").await.unwrap();
    let filler = disk.fill();
    // Room that the file had already is used up first.
    let mut statuses = Vec::new();
    for number in 0..3000 {
        statuses.push(sign_up(&server, number).await);
        if statuses.iter().filter(|status| **status == 503).count() >= 5 {
            break;
        }
    }
    assert!(statuses.iter().all(|status| matches!(status, 202 | 503)), "{statuses:?}");
    assert!(statuses.iter().filter(|status| **status == 503).count() >= 5, "{statuses:?}");
    let mut connection = Connection::open(&server.host).await.unwrap();
    let me = connection.send("GET", "/api/users/@me", Some(&session), "").await.unwrap();
    assert_eq!(me.status, 200, "reads go on: {}", me.body);
    std::fs::remove_file(filler).unwrap();
    let begin = std::time::Instant::now();
    while sign_up(&server, 1000).await != 202 {
        assert!(begin.elapsed() < Duration::from_secs(10), "writes do not recover\n{}", server.installation.logs());
    }
    server.process.signal("TERM").await;
    assert_eq!(server.process.wait(Duration::from_secs(30)).await, Some(true), "{}", server.installation.logs());
    assert_eq!(integrity(&database).await, "ok");
}

/// T-DB-06: the disk fails to write through: no request is told that it succeeded, and nothing of it is there later.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_failing_disk_is_told_and_not_hidden() {
    if !full() {
        return;
    }
    let mut server = BenchServer::start(&[("PASSWORD__MEMORY_KIB", "1024")]).await.unwrap();
    assert_eq!(sign_up(&server, 0).await, 202);
    let pid = server.process.pid().unwrap().to_string();
    let calls = "fsync,fdatasync";
    let mut strace = Command::new("strace");
    strace.args(["-f", "-q", "-p", &pid, "-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:error=EIO")]);
    let log = server.installation.folder.join("strace.out");
    strace.arg("-o").arg(&log).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut strace = strace.spawn().unwrap();
    // It is attached once a call has failed.
    let mut refused = 0;
    for number in 1..60 {
        let injected = || std::fs::read_to_string(&log).unwrap_or_default().contains("INJECTED");
        let was_attached = injected();
        let status = sign_up(&server, number).await;
        if was_attached {
            assert!(status >= 500, "{status} without a write\n{}", server.installation.logs());
            refused += 1;
        }
        if refused == 5 {
            break;
        }
    }
    assert_eq!(refused, 5, "strace did not attach");
    drop(Command::new("kill").args(["-TERM", &strace.id().unwrap().to_string()]).status().await);
    strace.wait().await.unwrap();
    let begin = std::time::Instant::now();
    while sign_up(&server, 2000).await != 202 {
        assert!(begin.elapsed() < Duration::from_secs(10), "it does not recover\n{}", server.installation.logs());
    }
    server.process.signal("TERM").await;
    server.process.wait(Duration::from_secs(30)).await;
    let database = server.installation.folder.join("gatepost.db");
    assert_eq!(integrity(&database).await, "ok");
}
