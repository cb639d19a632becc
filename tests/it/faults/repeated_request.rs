//! A gateway that dies around the commit of a request, and a client that sends it again.

use std::time::Instant;

use harness::PASSWORD;
use serde_json::json;

use super::{full, stack::Stack};

/// Signs up with an idempotency key; the status and the body, if there was an answer.
async fn sign_up(stack: &Stack, email: &str) -> Option<(u16, String)> {
    let body = json!({ "email": email, "password": PASSWORD }).to_string();
    let request = stack.client.post(format!("{}/api/signup", stack.base)).header("content-type", "application/json");
    let answer = request.header("idempotency-key", email).body(body).send().await.ok()?;
    Some((answer.status().as_u16(), answer.text().await.ok()?))
}

/// T-JOB-12: the gateway is killed at twenty moments around the commit of a sign-up; the client sends it again with its key:
/// there is one job, one mail, and the answer is the same.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_request_that_is_sent_again_after_a_death_has_one_effect() {
    if !full() {
        return;
    }
    let mut stack = Stack::on_shared(&[]).await;
    let begin = Instant::now();
    stack.sign_up("undisturbed@example.com").await;
    // The deaths are spread over twice what one takes on this machine, as the first one of a process.
    let step = begin.elapsed() / 10;
    let (mut answered, mut committed) = (0, 0);
    for round in 0..20 {
        let email = format!("again-{round}@example.com");
        let first = {
            let sending = sign_up(&stack, &email);
            let death = tokio::time::sleep(step * round);
            tokio::select! { answer = sending => answer, () = death => None }
        };
        stack.process("gateway").kill().await;
        answered += usize::from(first.is_some());
        let written = format!("SELECT COUNT(*) AS number FROM users WHERE email = '{email}'");
        committed += usize::from(stack.number(&written).await > 0);
        stack.launch("gateway");
        stack.is_ready().await;
        let again = sign_up(&stack, &email).await.unwrap();
        assert_eq!(again.0, 202, "{again:?}");
        assert!(first.is_none_or(|first| first == again), "round {round}");
        assert_eq!(sign_up(&stack, &email).await.unwrap(), again);
        stack.expect_mails(&email, 1).await;
    }
    assert!(answered < 20 && committed > 0, "the deaths missed the commit: {answered} answered, {committed} committed");
    stack.assert_nothing_lost().await;
    assert_eq!(stack.server.messages().len(), 21, "one mail each");
    assert_eq!(stack.number("SELECT COUNT(*) AS number FROM jobs WHERE queue = 'mail'").await, 21);
    stack.stop().await;
}
