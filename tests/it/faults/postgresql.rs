//! PostgreSQL dies under load, and connections to it break in the middle of a commit.

use std::time::{Duration, Instant};

use harness::{
    PASSWORD, Process,
    chaos::{Cluster, Proxy, Rig, Run, Table},
    free_port,
};
use serde_json::{Value, json};

use super::fleet::{self, Reply};

/// How long the fleet may take to be whole again once PostgreSQL is.
const RECOVERY: Duration = Duration::from_secs(10);

/// Five sign-ins and five sign-ups while PostgreSQL is away.
async fn ask_in_vain(rig: &Rig) -> Vec<(Option<Reply>, Duration)> {
    let mut replies = Vec::new();
    for number in 0..10 {
        let path = if number % 2 == 0 { "/api/login" } else { "/api/signup" };
        let body = json!({ "email": "known-0@example.com", "password": PASSWORD });
        let begin = Instant::now();
        replies.push((fleet::send(fleet::post(rig, path, &body)).await, begin.elapsed()));
    }
    replies
}

/// T-DB-01: PostgreSQL is killed, and stopped at once, under load: requests are answered 503 and when to ask again; ten
/// seconds after it is back every process is ready and answers, none of them restarted; nothing is lost or done twice.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_dead_postgresql_is_outlived_without_a_restart() {
    let Some(mut run) = fleet::start().await else { return };
    let mut table = Table::default();
    for (round, is_killed) in [true, false, true, false].into_iter().enumerate() {
        let pids = run.rig.pids();
        assert_eq!(pids.len(), run.rig.names().len());
        let Run { rig, load, .. } = &mut run;
        let cluster = &rig.ground.as_ref().unwrap().cluster;
        let dies = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            if is_killed {
                cluster.kill().await;
            } else {
                cluster.stop_at_once().await;
            }
            let replies = ask_in_vain(rig).await;
            cluster.launch().await;
            (replies, Instant::now())
        };
        let asking = async {
            for _ in 0..6 {
                load.burst(rig, 3).await;
            }
        };
        let ((replies, back), ()) = tokio::join!(dies, asking);
        for (reply, took) in &replies {
            let reply = reply.as_ref().unwrap_or_else(|| panic!("no answer\n{}", rig.installation.logs()));
            assert_eq!((reply.status, reply.says_when), (503, true), "{reply:?}");
            assert!(*took < Duration::from_secs(5), "{took:?}");
        }
        rig.ready().await;
        fleet::sign_up(rig, &format!("after-{round}@example.com")).await;
        assert!(back.elapsed() < RECOVERY, "it took {:?}", back.elapsed());
        load.settle(rig).await;
        assert_eq!(run.rig.pids(), pids, "no process was restarted");
        run.over = Some(back);
        // A worker whose connection broke after its mail was handed over sends it again.
        run.oracle.mail_crashes += 1;
        run.judge(&mut table, if is_killed { "PostgreSQL kill -9" } else { "PostgreSQL stopped at once" }, 1).await;
    }
    assert!(run.load.put_off > 0, "the load noticed nothing");
    fleet::assert_kept(&table);
    run.rig.stop().await;
}

/// A further gateway whose connections to PostgreSQL, and no others, pass a proxy.
struct Cut {
    proxy: Proxy,
    base: String,
    gateway: Process,
}

impl Cut {
    async fn start(rig: &Rig) -> Self {
        let port = rig.ground.as_ref().unwrap().cluster.port;
        let proxy = Proxy::start(format!("127.0.0.1:{port}")).await;
        let listen = format!("127.0.0.1:{}", free_port());
        let database = Cluster::url(proxy.address.port(), "gatepost");
        let variables = [("GATEPOST__HTTP__LISTEN", listen.as_str()), ("GATEPOST__DATABASE__URL", &database)];
        let gateway = rig.start_as("cut gateway", "gateway", &["gateway"], &variables);
        let base = format!("http://{listen}");
        rig.installation.wait_for(&format!("{base}/health/ready"), Duration::from_secs(60)).await;
        Self { proxy, base, gateway }
    }

    /// Creates an organization with an idempotency key.
    async fn create(&self, rig: &Rig, session: &str, name: &str) -> Option<Reply> {
        let request = rig.client.post(format!("{}/api/organizations", self.base)).bearer_auth(session);
        fleet::send(request.header("idempotency-key", name).json(&json!({ "name": name }))).await
    }

    /// Signs somebody up with an idempotency key.
    async fn sign_up(&self, rig: &Rig, email: &str) -> Option<Reply> {
        let body = json!({ "email": email, "password": PASSWORD });
        let request = rig.client.post(format!("{}/api/signup", self.base)).header("idempotency-key", email);
        fleet::send(request.json(&body)).await
    }
}

async fn organizations(rig: &Rig, name: &str) -> i64 {
    rig.number("COUNT(*)", &format!("FROM organizations WHERE name = '{name}'")).await
}

/// How requests ended whose commit was cut.
#[derive(Debug, Default)]
struct Outcomes {
    committed: usize,
    lost: usize,
}

impl Outcomes {
    /// One request whose first answer never says that it succeeded: 503 and when to ask again.
    fn note(&mut self, first: Option<Reply>, rows: i64) {
        let first = first.expect("the gateway answers");
        if (200..300).contains(&first.status) {
            // The gateway's own work took the cut.
            assert_eq!(rows, 1);
            return;
        }
        assert_eq!((first.status, first.says_when), (503, true), "{first:?}");
        match rows {
            0 => self.lost += 1,
            1 => self.committed += 1,
            many => panic!("{many} rows"),
        }
    }
}

/// T-DB-02: the connection breaks inside a commit, which arrives or does not: the caller is told 503, asks again with the same
/// idempotency key until it is answered, and there is exactly one row, one job and one mail.
#[tokio::test(flavor = "multi_thread")]
async fn full_a_commit_of_unknown_outcome_happens_once() {
    let Some(mut run) = fleet::start().await else { return };
    let mut table = Table::default();
    let session = fleet::sign_in(&run.rig, "owner@example.com").await;
    let mut cut = Cut::start(&run.rig).await;
    let (mut created, mut signed_up) = (Outcomes::default(), Outcomes::default());
    for round in 0..16 {
        let rig = &run.rig;
        let arm = |count| if round % 2 == 0 { cut.proxy.cut_commits(count) } else { cut.proxy.lose_commits(count) };
        let (name, email) = (format!("org-{round}"), format!("cut-{round}@example.com"));
        arm(1);
        let first = cut.create(rig, &session, &name).await;
        arm(0);
        created.note(first, organizations(rig, &name).await);
        arm(1);
        let first = cut.sign_up(rig, &email).await;
        arm(0);
        let users = format!("FROM users WHERE email = '{email}'");
        signed_up.note(first, rig.number("COUNT(*)", &users).await);
        let (again, once_more) =
            (retried(|| cut.create(rig, &session, &name)).await, cut.create(rig, &session, &name).await);
        assert_eq!(Some(again), once_more.map(|reply| reply.body), "the answer is kept");
        retried(|| cut.sign_up(rig, &email)).await;
        assert_eq!(organizations(rig, &name).await, 1, "{name}");
        assert_eq!(rig.number("COUNT(*)", &users).await, 1, "{email}");
        fleet::text_of(rig, &email, fleet::CONFIRM, 1).await;
        run.load.promised.insert(email);
    }
    for (what, outcomes) in [("organizations", &created), ("sign-ups", &signed_up)] {
        assert!(outcomes.committed >= 4 && outcomes.lost >= 4, "{what}: the cuts missed: {outcomes:?}");
    }
    let cuts = usize::try_from(cut.proxy.commits_cut()).unwrap();
    run.judge(&mut table, "PostgreSQL connection cut inside COMMIT", cuts).await;
    for round in 0..16 {
        let mails = run.rig.smtp.messages_to(&format!("cut-{round}@example.com")).len();
        assert_eq!(mails, 1, "mails of round {round}");
    }
    fleet::assert_kept(&table);
    cut.gateway.signal("TERM").await;
    assert_eq!(cut.gateway.wait(Duration::from_secs(30)).await, Some(true), "{}", run.rig.installation.logs());
    run.rig.stop().await;
}

/// Asks until it is answered; the body of the answer.
async fn retried<Asked: Future<Output = Option<Reply>>>(ask: impl Fn() -> Asked) -> Value {
    let begin = Instant::now();
    loop {
        match ask().await {
            Some(reply) if (200..300).contains(&reply.status) => return reply.body,
            put_off => {
                let may_be = put_off.as_ref().is_none_or(|reply| reply.status == 503 && reply.says_when);
                assert!(may_be && begin.elapsed() < RECOVERY, "{put_off:?}");
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
