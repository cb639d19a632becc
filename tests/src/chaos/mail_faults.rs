//! The mail server puts off, refuses, stalls, hangs up, and is away.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{load::post, report::Table, run::Run};
use crate::{
    PASSWORD,
    smtp::{Fault, SmtpServer, Stage},
};

/// Inflicts them.
pub async fn inflict(run: &mut Run, rounds: usize, table: &mut Table) {
    put_off(run, rounds, table).await;
    refuse(run, rounds, table).await;
    stall(run, rounds, table).await;
    drop_after_data(run, rounds, table).await;
    outage(run, rounds, table).await;
}

/// How many of the scripted faults were met.
async fn script(run: &mut Run, faults: Vec<Fault>) -> usize {
    let scripted = faults.len();
    run.rig.smtp.script(faults);
    run.work(scripted.div_ceil(4)).await;
    let mut left = run.rig.smtp.script_left();
    // Retries take further ones; what nothing came for was not inflicted.
    for _ in 0..300 {
        if left == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        left = run.rig.smtp.script_left();
    }
    run.rig.smtp.script(Vec::new());
    scripted - left
}

async fn put_off(run: &mut Run, rounds: usize, table: &mut Table) {
    let each = [
        Fault::reply(Stage::RcptTo, 451, "4.7.1 greylisted"),
        Fault::reply(Stage::MailFrom, 421, "4.3.2 shutting down"),
        Fault::reply(Stage::EndOfData, 452, "4.3.1 out of space"),
        Fault::reply(Stage::Data, 451, "4.3.0 try later"),
    ];
    let met = script(run, each.iter().cycle().take(4 * rounds).cloned().collect()).await;
    run.judge(table, "SMTP 421, 451, 452", met).await;
}

/// Of T-SMTP-02: what is refused for good is not tried again. Nobody else sends a mail meanwhile.
async fn refuse(run: &mut Run, rounds: usize, table: &mut Table) {
    for _ in 0..rounds {
        run.rig.smtp.script(vec![Fault::reply(Stage::RcptTo, 550, "5.1.1 no such mailbox")]);
        run.oracle.refused += 1;
        let email = format!("refused-{}@example.com", run.oracle.refused);
        let body = json!({ "email": email, "password": PASSWORD });
        if post(&run.rig, "/api/signup", &body).await.map(|(status, _)| status) != Some(202) {
            run.violations.push(format!("{email} could not sign up"));
        }
        let is_met = |server: &SmtpServer| server.script_left() == 0;
        if run.rig.smtp.wait_until("a refused mail", Duration::from_secs(30), is_met).await.is_err() {
            run.violations.push(format!("{email} was never tried"));
        }
    }
    run.judge(table, "SMTP 550", rounds).await;
}

async fn stall(run: &mut Run, rounds: usize, table: &mut Table) {
    // Longer than the worker waits. A message that stalls at its end is kept by the server all the same.
    let long = Duration::from_secs(4);
    let each = [Fault::stall(Stage::RcptTo, long), Fault::stall(Stage::EndOfData, long)];
    let met = script(run, each.iter().cycle().take(2 * rounds).cloned().collect()).await;
    run.oracle.mail_crashes += met;
    run.judge(table, "SMTP stalls beyond the time limit", met).await;
}

async fn drop_after_data(run: &mut Run, rounds: usize, table: &mut Table) {
    let met = script(run, vec![Fault::DropAfterData; 3 * rounds]).await;
    run.oracle.mail_crashes += met;
    run.judge(table, "SMTP hangs up after DATA", met).await;
}

async fn outage(run: &mut Run, rounds: usize, table: &mut Table) {
    for _ in 0..rounds {
        run.rig.smtp.stop().await;
        run.work(2).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        if let Err(error) = run.rig.smtp.restart().await {
            run.violations.push(format!("the mail server does not come back: {error}"));
        }
        run.over = Some(Instant::now());
    }
    run.judge(table, "SMTP server away", rounds).await;
}
