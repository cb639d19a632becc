//! Requests while something breaks, and what was promised to their callers.
//!
//! A caller whose connection breaks, or who is told 503, does not know what happened and asks again, as people do. Any
//! other answer than the documented one is a violation.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::rig::Rig;
use crate::{PASSWORD, code_in};

/// How long a caller goes on asking.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a caller asks for.
#[derive(Clone, Debug)]
struct Wish {
    path: &'static str,
    body: Value,
    status: u16,
    /// Who was promised a mail, if it is answered.
    promised: Option<String>,
}

/// Callers and what they were promised.
#[derive(Default)]
pub struct Load {
    number: usize,
    pending: Vec<Wish>,
    /// Addresses that were promised a mail.
    pub promised: BTreeSet<String>,
    /// Answers that must not be.
    pub violations: Vec<String>,
    /// Requests that were answered as documented.
    pub answered: usize,
    /// Answers 503 with `Retry-After`, and broken connections.
    pub put_off: usize,
    users: Vec<String>,
    project_token: String,
    /// How many anonymous clients were promised to become one person with a member, counted from 1.
    pub merges: BTreeSet<usize>,
}

impl Load {
    /// Signs up a few users who prove their addresses.
    pub async fn prepare(&mut self, rig: &Rig) {
        for number in 0..3 {
            let email = format!("known-{number}@example.com");
            self.pending.push(sign_up(&email));
            self.settle(rig).await;
            let mails = rig.smtp.wait_to(&email, 1, PATIENCE).await;
            let mails = mails.unwrap_or_else(|error| panic!("{error}\n{}", rig.installation.logs()));
            let code = code_in(&mails[0].text().unwrap_or_default());
            let body = json!({ "email": email, "code": code });
            let answer = post(rig, "/api/email_verification/confirm", &body).await;
            assert_eq!(answer.map(|(status, _)| status), Some(200), "{email} proves the address");
            self.users.push(email);
        }
        let [project_token] = rig.rows(["project_token"], "FROM projects").await.remove(0);
        self.project_token = project_token;
    }

    /// Some requests at once, each of which causes a job: sign-ups of strangers, reset links and login codes of known users.
    pub async fn burst(&mut self, rig: &Rig, strangers: usize) {
        for _ in 0..strangers {
            self.number += 1;
            self.pending.push(sign_up(&format!("user-{}@example.com", self.number)));
        }
        if let Some(known) = self.users.get(self.number % self.users.len().max(1)) {
            let login = json!({ "email": known, "password": PASSWORD });
            self.pending.push(Wish {
                path: "/api/reset",
                body: json!({ "email": known }),
                status: 204,
                promised: None,
            });
            self.pending.push(Wish { path: "/api/login", body: login, status: 200, promised: None });
            self.pending.push(sign_up(known));
        }
        self.pending.push(self.merge());
        self.ask(rig).await;
    }

    /// An anonymous client says who it is: two persons become one.
    fn merge(&self) -> Wish {
        let number = self.number;
        let event = json!({
            "uuid": shared::ids::next(),
            "event": "$identify",
            "distinct_id": format!("member-{number}"),
            "properties": { "$anon_distinct_id": format!("anonymous-{number}") },
        });
        // What the server does not know of a delivery it ignores; `merge` is the harness's own.
        let body = json!({ "api_key": self.project_token, "merge": number, "batch": [event] });
        Wish { path: "/batch", body, status: 200, promised: None }
    }

    /// Asks once for everything that is not answered yet.
    async fn ask(&mut self, rig: &Rig) {
        let wishes = std::mem::take(&mut self.pending);
        let answers = join_all(wishes.iter().map(|wish| post(rig, wish.path, &wish.body))).await;
        for (wish, answer) in wishes.into_iter().zip(answers) {
            match answer {
                Some((status, _)) if status == wish.status => {
                    self.answered += 1;
                    self.merges.extend(wish.body["merge"].as_u64().and_then(|number| usize::try_from(number).ok()));
                    self.promised.extend(wish.promised);
                }
                // Clients of the wire ask again after any 503.
                Some((503, says_when)) if says_when || wish.path == "/batch" => {
                    self.put_off += 1;
                    self.pending.push(wish);
                }
                None => {
                    self.put_off += 1;
                    self.pending.push(wish);
                }
                Some((status, _)) => {
                    self.violations.push(format!("{} answered {status}", wish.path));
                    self.pending.push(wish);
                }
            }
        }
    }

    /// Asks until everything is answered; says how long it took.
    pub async fn settle(&mut self, rig: &Rig) -> Duration {
        let begin = Instant::now();
        while !self.pending.is_empty() {
            self.ask(rig).await;
            if begin.elapsed() > PATIENCE {
                self.violations.push(format!("{} requests were not answered in {PATIENCE:?}", self.pending.len()));
                self.pending.clear();
            }
            if !self.pending.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        begin.elapsed()
    }
}

fn sign_up(email: &str) -> Wish {
    let body = json!({ "email": email, "password": PASSWORD });
    Wish { path: "/api/signup", body, status: 202, promised: Some(email.to_owned()) }
}

/// Status, and whether the answer says when to ask again; `None` when the connection broke.
pub async fn post(rig: &Rig, path: &str, body: &Value) -> Option<(u16, bool)> {
    let request = rig.client.post(format!("{}{path}", rig.base)).header("content-type", "application/json");
    let answer = request.timeout(Duration::from_secs(20)).body(body.to_string()).send().await.ok()?;
    let (status, says_when) = (answer.status().as_u16(), answer.headers().contains_key("retry-after"));
    // An answer whose body breaks off is no answer.
    answer.bytes().await.ok().map(|_| (status, says_when))
}
