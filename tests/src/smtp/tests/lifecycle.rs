//! Stopping, restarting, waiting, counting, spooling.

use std::{fs, io::ErrorKind, time::Duration};

use tokio::net::TcpStream;

use super::{
    super::{SmtpServer, spool::Spool},
    SOON,
    client::Client,
};

#[tokio::test]
async fn stop_refuses_connections_and_restart_takes_them_again() {
    let server = SmtpServer::start().await.unwrap();
    let mut client = Client::hello(&server).await;
    client.mail_to("a@example.org").await;
    client.expect("250 ").await;
    server.stop().await;
    server.stop().await;
    client.expect_end().await;
    let refused = TcpStream::connect(server.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);

    server.restart().await.unwrap();
    assert!(server.restart().await.is_err());
    Client::hello(&server).await.mail_to("b@example.org").await;
    assert_eq!(server.wait_for(2, SOON).await.unwrap().len(), 2);
}

#[tokio::test]
async fn another_server_can_start_on_the_port_of_a_stopped_one() {
    let stopped = SmtpServer::start().await.unwrap();
    let addr = stopped.addr();
    let mut client = Client::hello(&stopped).await;
    stopped.stop().await;
    client.expect_end().await;
    let server = SmtpServer::start_on(addr.port()).await.unwrap();
    assert_eq!(server.addr(), addr);
    assert_eq!(server.url(), format!("smtp://127.0.0.1:{}", addr.port()));
    Client::hello(&server).await;
    assert!(stopped.restart().await.is_err());
    drop(stopped);
    Client::hello(&server).await;
    assert_eq!(server.connections_seen(), 2);
}

#[tokio::test]
async fn dropping_the_server_ends_everything() {
    let server = SmtpServer::start().await.unwrap();
    let addr = server.addr();
    let mut client = Client::hello(&server).await;
    drop(server);
    client.expect_end().await;
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn waits_wake_up_and_run_out() {
    let server = SmtpServer::start().await.unwrap();
    let delivery = async {
        let mut client = Client::hello(&server).await;
        client.mail_to("a@example.org").await;
        client.expect("250 ").await;
    };
    let (found, ()) = tokio::join!(server.wait_to("A@example.org", 1, SOON), delivery);
    assert_eq!(found.unwrap()[0].text().as_deref(), Some("body\n"));
    let quits = |server: &SmtpServer| server.transcript().iter().any(|entry| entry.line == "QUIT");
    let err = server.wait_until("a QUIT", Duration::from_millis(20), quits).await.unwrap_err().to_string();
    assert!(err.contains("for a QUIT; there are 1 messages to [\"a@example.org\"], 1 mail transactions"), "{err}");
    assert!(err.contains("\"DATA\""), "{err}");
}

#[tokio::test]
async fn connections_are_counted_until_their_last_reply() {
    let server = SmtpServer::start().await.unwrap();
    for _ in 0..20 {
        let mut client = Client::hello(&server).await;
        client.ask("QUIT", "221 ").await;
    }
    assert_eq!((server.connections_seen(), server.max_concurrent_connections()), (20, 1));
    let _both = (Client::hello(&server).await, Client::hello(&server).await);
    assert_eq!(server.max_concurrent_connections(), 2);
    server.clear();
    assert_eq!((server.connections_seen(), server.max_concurrent_connections()), (0, 2));
    assert!(server.transcript().is_empty());
}

#[test]
fn the_spool_numbers_on() {
    let dir = std::env::temp_dir().join(format!("gatepost-spool-{}", std::process::id()));
    let spool = Spool::open(dir.clone()).unwrap();
    spool.write(b"one").unwrap();
    spool.write(b"two").unwrap();
    fs::write(dir.join("notes.eml"), "x").unwrap();
    Spool::open(dir.clone()).unwrap().write(b"three").unwrap();
    assert_eq!(fs::read(dir.join("2.eml")).unwrap(), b"two");
    assert_eq!(fs::read(dir.join("3.eml")).unwrap(), b"three");
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 4);
    fs::remove_dir_all(dir).unwrap();
}
