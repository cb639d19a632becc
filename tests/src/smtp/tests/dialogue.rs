//! The dialogue without faults.

use super::{super::SmtpServer, SOON, client::Client};

#[tokio::test]
async fn a_mail_is_received_exactly() {
    let server = SmtpServer::start().await.unwrap();
    let mut client = Client::hello(&server).await;
    client.ask("MAIL FROM:<a@gatepost.test> BODY=8BITMIME SIZE=100", "250 ").await;
    client.ask("RCPT TO:<\"odd>one\"@example.org>", "250 ").await;
    client.ask("rcpt to:<B@example.org>", "250 ").await;
    client.ask("DATA", "354 ").await;
    client.send("Subject: =?utf-8?q?=C3=A9t=C3=A9?=\r\nX-A: 1\r\n 2\r\n\r\n..dot\r\nbare\n.\nline é\r\n.\r\n").await;
    client.expect("250 ").await;
    client.ask("QUIT", "221 ").await;
    client.expect_end().await;

    let messages = server.wait_for(1, SOON).await.unwrap();
    let message = &messages[0];
    assert_eq!(message.from, "a@gatepost.test");
    assert_eq!(message.rcpts, ["\"odd>one\"@example.org", "B@example.org"]);
    assert_eq!(message.raw, "Subject: =?utf-8?q?=C3=A9t=C3=A9?=\r\nX-A: 1\r\n 2\r\n\r\n.dot\r\nbare\n.\nline é\r\n");
    assert_eq!(message.subject(), "été");
    assert_eq!(message.header("x-a").as_deref(), Some("1 2"));
    assert_eq!(message.text().as_deref(), Some(".dot\nbare\n.\nline é\n"));
    assert!(message.html().is_none() && !message.tls && message.auth_user.is_none());
    assert_eq!(server.messages_to("b@EXAMPLE.org").len(), 1);
}

#[tokio::test]
async fn commands_may_come_all_at_once() {
    let server = SmtpServer::start().await.unwrap();
    let mut client = Client::hello(&server).await;
    client.send("MAIL FROM:<>\r\nRCPT TO:<a@example.org>\r\nDA").await;
    client.send("TA\r\n").await;
    for start in ["250 ", "250 ", "354 "] {
        client.expect(start).await;
    }
    client.send("\r\nx\r\n.\r\nNOOP\r\nQUIT\r\n").await;
    for start in ["250 2.0.0 message", "250 2.0.0 nothing", "221 "] {
        client.expect(start).await;
    }
    assert_eq!(server.messages()[0].raw, "\r\nx\r\n");
    assert_eq!(server.messages()[0].from, "");
    let lines: Vec<String> = server.transcript().into_iter().map(|entry| entry.line).collect();
    let sent = ["EHLO client.test", "MAIL FROM:<>", "RCPT TO:<a@example.org>", "DATA", "NOOP", "QUIT"];
    assert_eq!(lines, sent);
}

#[tokio::test]
async fn the_order_and_form_of_commands_is_enforced() {
    let server = SmtpServer::start().await.unwrap();
    let mut client = Client::dial(server.addr()).await;
    client.expect("220 ").await;
    for (line, start) in [
        ("MAIL FROM:<a@b.test>", "503 "),
        ("HELO", "501 "),
        ("HELO client.test", "250 "),
        ("RCPT TO:<a@b.test>", "503 "),
        ("DATA", "503 "),
        ("MAIL FROM:a@b.test", "501 "),
        ("MAIL FROM:<a@b.test", "501 "),
        ("MAIL FROM:<a@b.test> SMTPUTF8", "555 "),
        ("MAIL FROM:<a@b.test> SIZE=99999999", "552 "),
        ("MAIL FROM:<é@b.test>", "553 "),
        ("MAIL FROM:<a@b.test>", "250 "),
        ("MAIL FROM:<a@b.test>", "503 "),
        ("RCPT TO:<>", "501 "),
        ("DATA", "554 "),
        ("RSET", "250 "),
        ("VRFY a", "252 "),
        ("AUTH PLAIN AGEAYg==", "502 "),
        ("STARTTLS", "502 "),
        ("BANANA", "500 "),
        ("EXPN list", "502 "),
        ("QUIT now", "501 "),
        ("QUIT", "221 "),
    ] {
        client.ask(line, start).await;
    }
    client.expect_end().await;
    assert!(server.messages().is_empty());
}

#[tokio::test]
async fn lines_must_end_with_crlf_and_have_an_end() {
    let server = SmtpServer::start().await.unwrap();
    let mut client = Client::hello(&server).await;
    client.send("NOOP\n").await;
    client.expect("500 ").await;
    client.send(&"x".repeat(13_000)).await;
    client.expect("421 ").await;
    client.expect_end().await;
}

#[tokio::test]
async fn ehlo_offers_what_is_there_and_not_smtputf8() {
    let server = SmtpServer::start().await.unwrap();
    let mut client = Client::dial(server.addr()).await;
    client.expect("220 ").await;
    let offer = client.ask("EHLO [127.0.0.1]", "250 ").await;
    assert!(offer.contains("PIPELINING\r\n") && offer.contains("8BITMIME\r\n"));
    assert!(!offer.contains("SMTPUTF8") && !offer.contains("STARTTLS") && !offer.contains("AUTH"));
}

#[tokio::test]
async fn a_mail_cut_off_before_its_dot_is_not_received() {
    let server = SmtpServer::start().await.unwrap();
    let mut client = Client::hello(&server).await;
    client.ask("MAIL FROM:<a@b.test>", "250 ").await;
    client.ask("RCPT TO:<c@d.test>", "250 ").await;
    client.ask("DATA", "354 ").await;
    client.send("Subject: x\r\n").await;
    drop(client);
    let mut next = Client::hello(&server).await;
    next.mail_to("e@f.test").await;
    next.expect("250 ").await;
    assert_eq!(server.messages().len(), 1);
    assert!(server.messages()[0].is_to("e@f.test"));
}
