//! Processes stand still, are of different versions, and have wrong clocks.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{
    report::{Table, say},
    rig::Stack,
    run::Run,
};

/// Longer than the lease of the leader (15 s).
const BEYOND_THE_LEASE: Duration = Duration::from_secs(17);

/// Inflicts them.
pub async fn inflict(run: &mut Run, rounds: usize, table: &mut Table) {
    stand_still(run, table).await;
    kill_all(run, rounds, table).await;
    unknown_job(run, table).await;
    outlast(run, table).await;
    clocks(run, table).await;
}

/// Of T-SWP-01, T-JOB-09: the leader, and with it a worker, stands still beyond all leases, and goes on.
async fn stand_still(run: &mut Run, table: &mut Table) {
    let mut injected = 0;
    let names: Vec<_> = run.rig.names().into_iter().filter(|name| *name != "gateway").collect();
    // Whoever leads is among them.
    for name in &names {
        run.rig.process(name).signal("STOP").await;
        injected += 1;
        if run.rig.stack == Stack::Fleet {
            run.work(1).await;
        }
        tokio::time::sleep(if run.rig.stack == Stack::Fleet { BEYOND_THE_LEASE } else { Duration::from_secs(6) }).await;
        run.rig.process(name).signal("CONT").await;
        run.over = Some(Instant::now());
        run.work(1).await;
    }
    run.oracle.mail_crashes += injected;
    run.judge(table, "SIGSTOP beyond all leases", injected).await;
}

/// The power goes: every process at once.
async fn kill_all(run: &mut Run, rounds: usize, table: &mut Table) {
    for _ in 0..rounds {
        run.load.burst(&run.rig, 4).await;
        for name in run.rig.names() {
            run.rig.process(name).kill().await;
        }
        for name in run.rig.names() {
            run.rig.launch(name, &[]);
        }
        run.over = Some(Instant::now());
        run.settle().await;
    }
    run.oracle.mail_crashes += rounds * 4;
    run.judge(table, "kill -9 of every process", rounds).await;
}

/// Of T-JOB-14: first only a worker that lacks the handler of a job which gateways enqueue already; then one of each kind; then
/// only one that has it. Nothing is dead meanwhile. How a version before really does is seen in `upgrade`.
async fn unknown_job(run: &mut Run, table: &mut Table) {
    let name = run.rig.part("mail");
    let older = [("CHAOS_UNKNOWN_JOB", "email_verification.send_verification")];
    run.rig.terminate(name).await;
    run.rig.launch(name, &older);
    run.work(2).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let waiting =
        "FROM jobs WHERE name = 'email_verification.send_verification' AND state <> 'done' AND state <> 'cancelled'";
    if run.rig.number("COUNT(*)", waiting).await == 0 {
        run.violations.push("the older worker did what it cannot know".to_owned());
    }
    if run.rig.stack == Stack::Fleet {
        let mut newer = run.rig.start_beside("mail").await;
        run.work(2).await;
        newer.signal("TERM").await;
        if newer.wait(Duration::from_secs(30)).await != Some(true) {
            run.violations.push("the newer worker does not end in order".to_owned());
        }
    }
    run.rig.terminate(name).await;
    run.rig.launch(name, &[]);
    run.rig.ready().await;
    run.judge(table, "worker that does not know a job, alone and beside", 2).await;
}

/// Of T-SMTP-05: the mail server is away for a quarter of an hour and more, which one process sees as a jump of its clock: codes
/// to sign in are over and are not mailed late, everything else is mailed.
async fn outlast(run: &mut Run, table: &mut Table) {
    let Some(later) = faked_clock("+16m").filter(|_| run.rig.stack == Stack::Single) else { return };
    let waiting = "FROM jobs WHERE name = 'email_mfa.send_login_code' AND state NOT IN ('done', 'cancelled')";
    run.rig.smtp.stop().await;
    run.work(2).await;
    run.rig.terminate("serve").await;
    run.oracle.outlasted = usize::try_from(run.rig.number("COUNT(*)", waiting).await).unwrap_or(0);
    if run.oracle.outlasted == 0 {
        run.violations.push("no code to sign in waited for the mail server".to_owned());
    }
    run.rig.launch("serve", &later);
    run.rig.ready().await;
    if let Err(error) = run.rig.smtp.restart().await {
        run.violations.push(format!("the mail server does not come back: {error}"));
    }
    run.over = Some(Instant::now());
    run.judge(table, "SMTP server away for 16 minutes", 1).await;
}

/// Variables of a process whose clock is off by `offset`, such as `+90d`; `None` where libfaketime is not installed.
#[must_use]
pub fn faked_clock(offset: &'static str) -> Option<[(&'static str, &'static str); 3]> {
    const LIBRARIES: [&str; 2] = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    ];
    let library = LIBRARIES.into_iter().find(|library| Path::new(library).exists())?;
    Some([("LD_PRELOAD", library), ("FAKETIME", offset), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")])
}

/// Of T-CLK-01, T-CLK-02. On PostgreSQL processes an hour apart agree on time, because it is the database's. On SQLite there is
/// one process, whose clock jumps by 90 days.
async fn clocks(run: &mut Run, table: &mut Table) {
    if faked_clock("+0").is_none() {
        say("libfaketime is not installed: clocks were not changed");
        return;
    }
    let changes: &[(&'static str, &'static str)] = match run.rig.stack {
        Stack::Single => &[("serve", "+90d")],
        Stack::Fleet => &[("gateway", "+1h"), ("mail", "-1h")],
    };
    for (name, offset) in changes {
        run.rig.terminate(name).await;
        run.rig.launch(name, &faked_clock(offset).unwrap_or_default());
    }
    // What waited for ninety days may have lost its purpose; nothing waited here, and sweeps delete what is old.
    run.oracle.may_expire = run.rig.stack == Stack::Single;
    run.rig.ready().await;
    run.work(3).await;
    run.judge(table, "clocks: +90 d, or +1 h and -1 h", changes.len()).await;
    for (name, _) in changes {
        if run.rig.stack == Stack::Fleet {
            run.rig.terminate(name).await;
            run.rig.launch(name, &[]);
        }
    }
    run.rig.ready().await;
}
