//! PostgreSQL is slow, refuses to serialise, or is full of locks: requests are put off, nothing happens twice. Clients go away
//! while a transaction begins: nothing of it stays.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use futures_util::{future::join_all, poll};
use harness::{PASSWORD, Settings, TestApp, works::until};
use sea_orm::{ConnectionTrait, Statement, TransactionTrait};
use serde_json::json;

use super::{full, stack::Stack};

/// T-DB-03: a hundred logins wait for a lock that somebody holds, and all connections with them: each is told in time to ask
/// again, and once the lock is gone logins are answered at once.
#[tokio::test(flavor = "multi_thread")]
async fn full_an_exhausted_pool_puts_requests_off() {
    if !full() {
        return;
    }
    let stack = Stack::on_shared(&[("DATABASE__ACQUIRE_TIMEOUT_SECONDS", "1")]).await;
    stack.verified("someone@example.com").await;
    let db = stack.database().await;
    let holder = db.begin().await.unwrap();
    holder.execute_unprepared("LOCK TABLE users IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let body = json!({ "email": "someone@example.com", "password": PASSWORD });
    let begin = Instant::now();
    let answers = join_all((0..100).map(|_| async {
        let (status, answer) = stack.post("/api/login", body.clone()).await;
        (status, answer["retry_after_seconds"].is_u64(), begin.elapsed())
    }))
    .await;
    assert!(answers.iter().all(|(status, says_when, _)| (*status, *says_when) == (503, true)), "{answers:?}");
    // Those that hold a connection wait for PostgreSQL's time limit for locks; all others for the pool's.
    let soon = answers.iter().filter(|(_, _, took)| *took < Duration::from_secs(2)).count();
    assert!(soon >= 80, "{soon} of 100 within 2 s: {answers:?}");
    assert!(begin.elapsed() < Duration::from_secs(12), "{:?}", begin.elapsed());
    holder.rollback().await.unwrap();
    let begin = Instant::now();
    stack.begin_login("someone@example.com").await;
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    db.close().await.unwrap();
    stack.stop().await;
}

/// A trigger that fails the first statements with PostgreSQL's code for a deadlock.
async fn deadlock_first(stack: &Stack, count: u32, event: &str, table: &str) {
    let statements = [
        "CREATE SEQUENCE deadlocks".to_owned(),
        format!(
            "CREATE FUNCTION deadlock() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
             IF nextval('deadlocks') <= {count} THEN RAISE EXCEPTION 'deadlock detected' USING ERRCODE = '40P01'; END IF;
             RETURN NEW; END $$"
        ),
        format!("CREATE TRIGGER deadlock BEFORE {event} ON {table} FOR EACH ROW EXECUTE FUNCTION deadlock()"),
    ];
    for statement in statements {
        stack.execute(&statement).await;
    }
}

/// T-DB-04: a request that PostgreSQL ends as a deadlock is put off with nothing written; asked again it happens once.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_deadlock_puts_a_request_off() {
    if !full() {
        return;
    }
    let stack = Stack::on_shared(&[]).await;
    deadlock_first(&stack, 1, "INSERT", "email_verifications").await;
    let wish = json!({ "email": "dead@example.com", "password": PASSWORD });
    let (status, answer) = stack.post("/api/signup", wish.clone()).await;
    assert_eq!((status, answer["code"].as_str()), (503, Some("temporarily_unavailable")), "{answer}");
    assert_eq!(stack.number("SELECT COUNT(*) AS number FROM users").await, 0);
    assert_eq!(stack.post("/api/signup", wish).await.0, 202);
    stack.expect_mails("dead@example.com", 1).await;
    stack.assert_nothing_lost().await;
    assert_eq!(stack.number("SELECT COUNT(*) AS number FROM jobs WHERE queue = 'mail'").await, 1);
    stack.stop().await;
}

/// T-DB-04: the record of a mail that was handed over meets deadlocks: it is written again, and no second mail goes out.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_deadlock_after_the_hand_over_sends_no_second_mail() {
    if !full() {
        return;
    }
    let stack = Stack::on_shared(&[]).await;
    deadlock_first(&stack, 2, "UPDATE", "mail_deliveries").await;
    stack.sign_up("once@example.com").await;
    stack.expect_mails("once@example.com", 1).await;
    let done = "SELECT COUNT(*) AS number FROM jobs WHERE state = 'done' AND attempt = 1 AND queue = 'mail'";
    until("the first attempt is recorded", async || stack.number(done).await == 1).await;
    stack.assert_nothing_lost().await;
    assert_eq!(stack.server.messages().len(), 1);
    stack.stop().await;
}

/// Called off: whoever goes away while a transaction begins leaves no open one on the connection. What comes after it there
/// would be answered as done, and undone later. On whichever database the tests run with.
#[tokio::test(flavor = "multi_thread")]
async fn a_begin_that_is_called_off_leaves_no_transaction() {
    let app = TestApp::with(Settings::with(|config| config.database.max_connections = 1)).await;
    let others = shared::db::Db::connect(&app.kernel.config.database).await.unwrap();
    app.execute("CREATE TABLE notes (number BIGINT NOT NULL)").await;
    for round in 1..=20 {
        {
            let mut begin = pin!(app.kernel.db.write_tx());
            for _ in 0..round {
                if poll!(begin.as_mut()).is_ready() {
                    break;
                }
            }
        }
        app.execute("INSERT INTO notes VALUES (1)").await;
        let sql = "SELECT COUNT(*) AS number FROM notes";
        let row = others.reader().query_one_raw(Statement::from_string(others.engine(), sql)).await.unwrap().unwrap();
        assert_eq!(row.try_get::<i64>("", "number").unwrap(), round, "what was answered as done is there");
    }
}
