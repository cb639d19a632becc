//! Scripted faults.

use std::time::{Duration, Instant};

use super::{
    super::{Fault, SmtpServer, Stage},
    SOON,
    client::Client,
};

#[tokio::test]
async fn mail_faults_are_taken_one_per_transaction() {
    let server = SmtpServer::start().await.unwrap();
    server.script(vec![
        Fault::reply(Stage::RcptTo, 451, "try later"),
        Fault::reply(Stage::EndOfData, 554, "no"),
        Fault::Accept,
        Fault::reply(Stage::MailFrom, 452, "full"),
        Fault::reply(Stage::Data, 421, "bye"),
    ]);
    let mut client = Client::hello(&server).await;
    client.ask("MAIL FROM:<a@b.test>", "250 ").await;
    client.ask("RCPT TO:<c@d.test>", "451 try later").await;
    client.ask("RCPT TO:<e@f.test>", "451 ").await;
    client.ask("RSET", "250 ").await;
    client.mail_to("refused@example.org").await;
    client.expect("554 no").await;
    client.mail_to("taken@example.org").await;
    client.expect("250 ").await;
    client.ask("MAIL FROM:<a@b.test>", "452 full").await;
    client.ask("MAIL FROM:<a@b.test>", "250 ").await;
    client.ask("RCPT TO:<c@d.test>", "250 ").await;
    client.ask("DATA", "421 bye").await;
    client.expect_end().await;
    assert_eq!((server.script_left(), server.transactions_seen()), (0, 5));
    assert_eq!(server.messages().len(), 1);
    assert!(server.messages()[0].is_to("taken@example.org"));
}

#[tokio::test]
async fn connection_faults_are_taken_one_per_connection() {
    let server = SmtpServer::start().await.unwrap();
    server.script(vec![
        Fault::reply(Stage::Connect, 421, "too busy"),
        Fault::reply(Stage::Ehlo, 502, "what"),
        Fault::reply(Stage::RcptTo, 550, "unknown"),
    ]);
    let mut first = Client::dial(server.addr()).await;
    first.expect("421 too busy").await;
    first.expect_end().await;
    let mut second = Client::dial(server.addr()).await;
    second.expect("220 ").await;
    second.ask("EHLO x", "502 ").await;
    second.ask("HELO x", "502 ").await;
    let mut third = Client::hello(&server).await;
    third.ask("MAIL FROM:<a@b.test>", "250 ").await;
    third.ask("RCPT TO:<c@d.test>", "550 unknown").await;
    assert_eq!(server.connections_seen(), 3);
}

#[tokio::test]
async fn a_connection_fault_waits_while_mails_pass_on_an_open_connection() {
    let server = SmtpServer::start().await.unwrap();
    let mut open = Client::hello(&server).await;
    server.script(vec![Fault::reply(Stage::Connect, 554, "no"), Fault::DropAfterData]);
    open.mail_to("a@example.org").await;
    open.expect("250 ").await;
    assert_eq!(server.script_left(), 2);
    Client::dial(server.addr()).await.expect("554 ").await;
    assert_eq!(server.script_left(), 1);
}

#[tokio::test]
async fn drop_after_data_records_without_a_reply() {
    let server = SmtpServer::start().await.unwrap();
    server.script(vec![Fault::DropAfterData]);
    let mut client = Client::hello(&server).await;
    client.mail_to("a@example.org").await;
    client.expect_end().await;
    let mut again = Client::hello(&server).await;
    again.mail_to("a@example.org").await;
    again.expect("250 ").await;
    assert_eq!(server.wait_to("a@example.org", 2, SOON).await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_default_holds_until_told_otherwise() {
    let server = SmtpServer::start().await.unwrap();
    server.set_default(Some(Fault::reply(Stage::EndOfData, 451, "not now")));
    server.script(vec![Fault::Accept]);
    let mut client = Client::hello(&server).await;
    for start in ["250 ", "451 ", "451 "] {
        client.mail_to("a@example.org").await;
        client.expect(start).await;
    }
    server.set_default(None);
    client.mail_to("a@example.org").await;
    client.expect("250 ").await;
    assert_eq!(server.messages().len(), 2);
}

#[tokio::test]
async fn stalls_and_delays_hold_the_reply_back() {
    let server = SmtpServer::start().await.unwrap();
    let pause = Duration::from_millis(80);
    server.script(vec![Fault::stall(Stage::EndOfData, pause)]);
    server.set_delay_per_mail(pause);
    let mut client = Client::hello(&server).await;
    for expected in [pause * 2, pause] {
        let before = Instant::now();
        client.mail_to("a@example.org").await;
        client.expect("250 ").await;
        assert!(before.elapsed() >= expected);
    }
}

#[tokio::test]
async fn a_stalled_mail_is_recorded_though_its_client_left() {
    let server = SmtpServer::start().await.unwrap();
    server.script(vec![Fault::stall(Stage::EndOfData, Duration::from_millis(50))]);
    let mut client = Client::hello(&server).await;
    client.mail_to("a@example.org").await;
    drop(client);
    server.wait_for(1, SOON).await.unwrap();
}
