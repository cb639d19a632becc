//! Whatever a secret passes through keeps nothing of it: the files of PostgreSQL and RabbitMQ, and what processes say.
//!
//! ```text
//! callers ─► gateway ─┬─ PostgreSQL: data files, write-ahead log, a log of every statement with its values
//!                     └─ RabbitMQ: messages at rest, its log          workers, all at TRACE: logs, metrics
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    time::Duration,
};

use harness::{
    PASSWORD,
    chaos::{Rig, Run},
    code_in, hexadecimal, token_in,
    totp::Authenticator,
    works::until,
};
use serde_json::{Value, json};
use shared::clock::{Clock, SystemClock};
use tokio::process::Command;

use crate::faults::fleet::{self, CODE, CONFIRM, RESET};

const EMAIL: &str = "canary-address@example.com";
const WRONG: &str = "canary-wrong-Marmalade-Observatory";
const SECOND: &str = "canary-second-Trombone-Archipelago";
const MISPLACED: &str = "canary-misplaced-Quicksilver-Lighthouse";
/// Members of answers that hold a secret.
const SECRET_MEMBERS: [&str; 5] = ["token", "login_token", "value", "secret", "backup_codes"];

/// Callers, and every secret that they saw.
struct Witness<'a> {
    rig: &'a Rig,
    seen: BTreeSet<String>,
    /// Codes by what they are for; they are too short for one of them to be found by chance only now and then.
    codes: BTreeMap<&'static str, Vec<String>>,
}

impl Witness<'_> {
    fn remember(&mut self, body: &Value, is_secret: bool) {
        match body {
            Value::Object(members) => {
                for (name, member) in members {
                    self.remember(member, SECRET_MEMBERS.contains(&name.as_str()));
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.remember(item, is_secret)),
            // The token of a project is public.
            Value::String(text) if is_secret && !text.starts_with("gpc_") => self.seen.extend([text.clone()]),
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    async fn post(&mut self, session: &str, path: &str, body: Value, status: u16) -> Value {
        let request = fleet::post(self.rig, path, &body).bearer_auth(session);
        self.send(if session.is_empty() { fleet::post(self.rig, path, &body) } else { request }, status).await
    }

    async fn send(&mut self, request: reqwest::RequestBuilder, status: u16) -> Value {
        let answer = request.send().await.unwrap();
        let (url, found) = (answer.url().clone(), answer.status());
        self.seen.extend(cookies_of(&answer).iter().filter_map(|cookie| secret_of(cookie)));
        let text = answer.text().await.unwrap();
        // Which of the successes is not this test's business.
        let is_due = if status == 200 { found.is_success() } else { found == status };
        assert!(is_due, "{url}: {found} {text}");
        let body = serde_json::from_str(&text).unwrap_or_default();
        self.remember(&body, false);
        body
    }

    /// A mail's code, if it has one, and the secret of its link.
    async fn mailed(&mut self, email: &str, subject: &'static str, number: usize) -> (String, String) {
        let text = fleet::text_of(self.rig, email, subject, number).await;
        let (code, link) = (if subject == RESET { String::new() } else { code_in(&text) }, token_in(&text));
        self.seen.insert(link.clone());
        if !code.is_empty() {
            self.codes.entry(subject).or_default().push(code.clone());
        }
        (code, link)
    }

    async fn sign_up(&mut self, email: &str) {
        self.post("", "/api/signup", json!({ "email": email, "password": PASSWORD }), 200).await;
        let (code, _) = self.mailed(email, CONFIRM, 1).await;
        self.post("", "/api/email_verification/confirm", json!({ "email": email, "code": code }), 200).await;
    }

    /// Signs in with password and code; the session token.
    async fn sign_in(&mut self, password: &str, number: usize) -> String {
        let body = json!({ "email": EMAIL, "password": password, "session_transport": "token" });
        let mut proof = self.post("", "/api/login", body, 200).await["email_mfa"].clone();
        proof["code"] = json!(self.mailed(EMAIL, CODE, number).await.0);
        let login = self.post("", "/api/login/email_mfa", proof, 200).await;
        login["session"]["token"].as_str().unwrap().to_owned()
    }

    /// Secrets where none belongs: they are refused, and must not be written down for that.
    async fn misplace(&mut self) {
        self.seen.extend([WRONG, MISPLACED].map(str::to_owned));
        self.post("", "/api/login", json!({ "email": EMAIL, "password": WRONG }), 401).await;
        self.post("", "/api/login", json!({ "email": [MISPLACED], "password": { MISPLACED: WRONG } }), 422).await;
        self.post(MISPLACED, "/api/users/@me/api_keys", json!({}), 401).await;
        let base = &self.rig.base;
        let client = &self.rig.client;
        self.send(client.get(format!("{base}/api/users/@me?token={MISPLACED}")), 401).await;
        self.send(client.get(format!("{base}/api/users/@me")).header("cookie", format!("session={MISPLACED}")), 401)
            .await;
        let assertion = format!("SAMLResponse={MISPLACED}&RelayState={WRONG}");
        let form = client.post(format!("{base}/saml/acs")).header("content-type", "application/x-www-form-urlencoded");
        self.send(form.body(assertion), 404).await;
    }

    /// Keys of all kinds, an invitation, an app with its backup codes; and sign-ins with them.
    async fn make_secrets(&mut self, session: &str) {
        let key = json!({ "label": "canary", "scopes": ["*"] });
        let key = self.post(session, "/api/users/@me/api_keys", key, 200).await;
        let with_key = self.rig.client.get(format!("{}/api/organizations", self.rig.base));
        self.send(with_key.bearer_auth(key["value"].as_str().unwrap()), 200).await;
        let made = self.post(session, "/api/organizations", json!({ "name": "Canary" }), 200).await;
        let organization = made["id"].as_str().unwrap().to_owned();
        let body = json!({ "organization_id": organization, "name": "Canary" });
        let made = self.post(session, "/api/projects", body, 200).await;
        let project = made["id"].as_str().unwrap().to_owned();
        let secret_key = json!({ "label": "canary", "scopes": ["event:read"] });
        self.post(session, &format!("/api/projects/{project}/secret_keys"), secret_key, 200).await;
        let invite = json!({ "email": "guest@example.com", "role": "member" });
        self.post(session, &format!("/api/organizations/{organization}/invites"), invite, 200).await;
        let totp = "/api/users/@me/two_factor/totp";
        let setup = self.post(session, &format!("{totp}/start"), json!({}), 200).await;
        let app = Authenticator::of(setup["secret"].as_str().unwrap());
        let code = json!({ "code": app.code(SystemClock.now()) });
        let enabled = self.post(session, &format!("{totp}/confirm"), code, 200).await;
        self.seen.insert(hexadecimal(app.secret()));
        for (number, transport) in ["token", "cookie"].into_iter().enumerate() {
            let body = json!({ "email": EMAIL, "password": SECOND, "session_transport": transport });
            let asked = fleet::post(self.rig, "/api/login", &body).send().await.unwrap();
            let cookies = cookies_of(&asked);
            self.seen.extend(cookies.iter().filter_map(|cookie| secret_of(cookie)));
            let mut proof = asked.json::<Value>().await.unwrap()["two_factor"].clone();
            self.remember(&proof, false);
            proof["backup_code"] = enabled["backup_codes"][number].clone();
            proof["remember_device"] = json!(transport == "cookie");
            let mut request = fleet::post(self.rig, "/api/login/two_factor", &proof).header("origin", &self.rig.base);
            if !cookies.is_empty() {
                request = request.header("cookie", cookies.join("; "));
            }
            self.send(request, 200).await;
        }
    }

    async fn reset(&mut self, password: &str) {
        self.post("", "/api/reset", json!({ "email": EMAIL }), 200).await;
        let (_, link) = self.mailed(EMAIL, RESET, 1).await;
        self.post("", "/api/reset/complete", json!({ "token": link, "password": password }), 200).await;
    }
}

/// The cookies that an answer sets, as a browser sends them.
fn cookies_of(answer: &reqwest::Response) -> Vec<String> {
    let cookies = answer.headers().get_all("set-cookie").iter().filter_map(|cookie| cookie.to_str().ok());
    cookies.filter_map(|cookie| Some(cookie.split(';').next()?.to_owned())).collect()
}

/// The value of a cookie, unless it is too short to be a secret.
fn secret_of(cookie: &str) -> Option<String> {
    let (_, value) = cookie.split_once('=')?;
    (value.len() > 20).then(|| value.to_owned())
}

/// A secret as it would stand in a text, a column of bytes, or an encoded one.
fn forms_of(secret: &str) -> Vec<String> {
    let hexadecimal = hexadecimal(secret.as_bytes());
    vec![secret.to_owned(), hexadecimal.to_uppercase(), hexadecimal]
}

/// Which of these words are in the files below a folder, byte for byte.
async fn found_in(folder: &Path, words: &[String]) -> BTreeSet<String> {
    let patterns = std::env::temp_dir().join(format!("gatepost-words-{}", shared::ids::next()));
    std::fs::write(&patterns, words.join("\n")).unwrap();
    let mut grep = Command::new("grep");
    let output = grep.args(["-rahoF", "-f"]).arg(&patterns).arg(folder).env("LC_ALL", "C").output().await.unwrap();
    std::fs::remove_file(patterns).unwrap();
    // 2 is for a file that PostgreSQL removed meanwhile, too.
    assert!(output.status.code().is_some_and(|code| code < 3), "{output:?}");
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

async fn trace_everything(run: &mut Run) {
    for statement in ["ALTER SYSTEM SET log_statement = 'all'", "SELECT pg_reload_conf()"] {
        run.rig.execute(statement).await;
    }
    for name in run.rig.names() {
        run.rig.terminate(name).await;
        run.rig.launch(name, &[("GATEPOST__TELEMETRY__LOG_FILTER", "trace")]);
    }
    run.rig.ready().await;
}

/// Lets the messages of these requests rest in the queue while nobody takes them; the id of one of their jobs.
async fn leave_messages(run: &mut Run) -> String {
    run.rig.terminate("mail").await;
    let (rig, mail) = (&run.rig, "FROM jobs WHERE queue = 'mail' AND state = 'dispatched'");
    fleet::expect(rig, "/api/reset", json!({ "email": "known-0@example.com" }), 204).await;
    fleet::expect(rig, "/api/signup", json!({ "email": "rests@example.com", "password": PASSWORD }), 202).await;
    until("the messages are in the queue", async || rig.number("COUNT(*)", mail).await >= 2).await;
    let [id] = rig.rows(["id::text"], mail).await.remove(0);
    id
}

/// T-LOG-01: passwords, codes, links, session tokens, cookies, keys, an app's secret and backup codes of all flows,
/// and secrets where none belongs, with every process at TRACE and PostgreSQL logging every statement: none is in any file of
/// PostgreSQL or RabbitMQ, in a log, in a column or in a metric.
#[tokio::test(flavor = "multi_thread")]
async fn full_no_secret_is_in_a_file_of_the_servers() {
    let Some(mut run) = fleet::start().await else { return };
    trace_everything(&mut run).await;
    let mut witness = Witness { rig: &run.rig, seen: BTreeSet::new(), codes: BTreeMap::new() };
    witness.seen.extend([PASSWORD, SECOND].map(str::to_owned));
    for email in [EMAIL, "canary-other@example.com"] {
        witness.sign_up(email).await;
    }
    witness.sign_in(PASSWORD, 1).await;
    witness.misplace().await;
    witness.reset(SECOND).await;
    let session = witness.sign_in(SECOND, 2).await;
    witness.make_secrets(&session).await;
    let (seen, codes) = (witness.seen, witness.codes);
    assert!(seen.len() > 20 && codes.len() == 2 && codes.values().all(|codes| codes.len() >= 2), "{seen:?} {codes:?}");
    let resting = leave_messages(&mut run).await;
    let rig = &run.rig;
    let ground = rig.ground.as_ref().unwrap();

    let told = rig.installation.folder.join("told.txt");
    let mut texts = rig.metrics().await;
    for [table] in rig.rows(["tablename"], "FROM pg_tables WHERE schemaname = 'public'").await {
        texts.push_str(&rig.table_text(&table).await);
    }
    std::fs::write(&told, &texts).unwrap();
    rig.execute("CHECKPOINT").await;

    let secrets: Vec<String> = seen.iter().flat_map(|secret| forms_of(secret)).collect();
    let logs = rig.installation.log_lines().join("\n");
    // Each place has what it should have, so that finding nothing else in it means something.
    let controls = [
        (ground.cluster.folder.as_path(), vec![EMAIL.to_owned(), "known-0@example.com".to_owned()]),
        (ground.node.folder(), vec![resting]),
        (rig.installation.folder.as_path(), vec!["\"level\":\"TRACE\"".to_owned(), EMAIL.to_owned()]),
    ];
    for (folder, control) in controls {
        let found = found_in(folder, &control).await;
        assert_eq!(found.len(), control.len(), "{}: only {found:?}", folder.display());
        let found = found_in(folder, &secrets).await;
        assert!(found.is_empty(), "{} has {found:?}", folder.display());
    }
    assert!(texts.contains("gatepost_http_requests_total") && texts.contains(EMAIL));
    assert!(!logs.contains(EMAIL), "the processes do not log addresses either");
    let sql = std::fs::read_to_string(ground.cluster.folder.join("log")).unwrap();
    assert!(sql.contains("parameters: $1 = "), "PostgreSQL logs no values");
    for (text, place) in [(&logs, "a log"), (&texts, "a column"), (&sql, "a statement")] {
        let words: BTreeSet<&str> = text.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
        for (kind, codes) in &codes {
            assert!(!codes.iter().all(|code| words.contains(code.as_str())), "{place} has the codes of {kind}");
        }
    }
    run.rig.launch("mail", &[]);
    run.rig.ready().await;
    run.rig.smtp.wait_to("rests@example.com", 1, Duration::from_secs(30)).await.unwrap();
    run.rig.stop().await;
}
