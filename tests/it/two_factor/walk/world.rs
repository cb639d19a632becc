//! The application, and what a model of it knows.

use std::time::Duration;

use harness::{Authenticator, Caller, OTHER_PASSWORD, PASSWORD, Settings, TestApp, UNLIMITED, totp};
use serde_json::{Value, json};
use shared::{clock::Timestamp, login::login_code_mail};
use uuid::Uuid;

use super::{Move, Step};
use crate::passkey::{add, signed_in};

/// How many browsers there are.
pub const BROWSERS: usize = 3;

const EMAILS: [&str; 4] = ["ada@lovelace.test", "bob@byron.test", "cleo@nile.test", "dan@danube.test"];
const MAIL: Duration = Duration::from_secs(900);
const FACTOR: Duration = Duration::from_secs(600);
const CHALLENGE: Duration = Duration::from_secs(300);

struct Person {
    password: &'static str,
    totp: Option<totp::Authenticator>,
    /// The last step that a code was taken of.
    last_step: i64,
    last_code: String,
    codes: Vec<String>,
    passkey: Option<Authenticator>,
}

impl Person {
    fn has_factor(&self) -> bool {
        self.totp.is_some() || self.passkey.is_some()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    Mail,
    Factor,
    Nothing,
}

struct Login {
    id: Value,
    user: usize,
    waits: Waits,
    until: Timestamp,
}

struct Challenge {
    id: Value,
    options: Value,
    /// For a pending login, or for anybody who is at this browser.
    login: Option<usize>,
    browser: usize,
    until: Timestamp,
    is_used: bool,
}

/// What the model knows of a browser.
#[derive(Clone, Copy, Default)]
struct Seat {
    session: Option<usize>,
    /// The pending login that its cookie is of.
    bound: Option<usize>,
    /// Whom it is remembered for, and by what.
    trusted: Option<(usize, &'static str)>,
}

/// Who signs in, and what the browser is remembered by.
type SignIn = (usize, Option<&'static str>);

/// The application and the model.
pub struct World<'a> {
    app: &'a TestApp,
    callers: Vec<Caller<'a>>,
    people: Vec<Person>,
    seats: [Seat; BROWSERS],
    logins: Vec<Login>,
    challenges: Vec<Challenge>,
    sessions: usize,
}

/// One of those that there are.
fn pick(number: u8, of: usize) -> Option<usize> {
    (of > 0).then(|| usize::from(number) % of)
}

/// One of those that there are, mostly of the last few.
fn recent(number: u8, of: usize) -> Option<usize> {
    let last = usize::from(number) % if number < 224 { 3 } else { of.max(1) };
    (of > 0).then(|| of - 1 - last.min(of - 1))
}

impl<'a> World<'a> {
    /// The application gets its users.
    pub async fn new(app: &'a TestApp) -> Self {
        let mut people = Vec::new();
        for (number, email) in EMAILS.into_iter().enumerate() {
            people.push(enrol(app, email, number & 1 != 0, number & 2 != 0).await);
        }
        let callers = (0..BROWSERS).map(|_| app.browser()).collect();
        let seats = [Seat::default(); BROWSERS];
        Self { app, callers, people, seats, logins: Vec::new(), challenges: Vec::new(), sessions: 0 }
    }

    /// Makes the moves until one is not as the model says. Returns how many sessions were opened.
    pub async fn make(&mut self, moves: &[Move]) -> Result<usize, String> {
        for (number, (browser, step)) in moves.iter().enumerate() {
            let at = usize::from(*browser) % BROWSERS;
            let said = self.step(at, *step).await;
            let said = match said {
                Ok(()) => self.agrees(at).await,
                Err(said) => Err(said),
            };
            said.map_err(|said| format!("move {number}, browser {at}, {step:?}: {said}"))?;
        }
        Ok(self.sessions)
    }

    /// Whether the browser has the session that the model says.
    async fn agrees(&self, at: usize) -> Result<(), String> {
        let me = self.callers[at].get("/api/users/@me").await;
        match self.seats[at].session {
            None if me.status == 401 => Ok(()),
            Some(user) if me.status == 200 && me.json()["email"] == EMAILS[user] => Ok(()),
            expected => Err(format!("the model has the session of {expected:?}, and: {} {}", me.status, me.text)),
        }
    }

    fn now(&self) -> Timestamp {
        self.app.now()
    }

    /// Whether this browser may finish this login with a proof of this kind.
    fn is_open(&self, at: usize, login: usize, waits: Waits) -> bool {
        let pending = &self.logins[login];
        self.seats[at].bound == Some(login) && pending.waits == waits && pending.until > self.now()
    }

    /// Sends a proof and holds the answer against what the model says comes of it.
    async fn prove(&mut self, at: usize, path: &str, body: Value, expected: Option<SignIn>) -> Result<(), String> {
        let answer = self.callers[at].post(path, body).await;
        let is_session = answer.set_cookie("gatepost_session").is_some();
        let is_signed_in = answer.status == 200 && answer.json()["status"] == "signed_in";
        if answer.status >= 500 || is_session != expected.is_some() || is_signed_in != is_session {
            return Err(format!("expected {expected:?}, and: {} {}", answer.status, answer.text));
        }
        if let Some((user, remembered)) = expected {
            self.sign_in(at, user, remembered);
        }
        Ok(())
    }

    fn sign_in(&mut self, at: usize, user: usize, remembered: Option<&'static str>) {
        self.sessions += 1;
        let seat = &mut self.seats[at];
        (seat.session, seat.bound) = (Some(user), None);
        if let Some(method) = remembered {
            seat.trusted = Some((user, method));
        }
    }

    async fn step(&mut self, at: usize, step: Step) -> Result<(), String> {
        let factor = "/api/login/two_factor";
        match step {
            Step::Password { user, is_right } => self.password(at, usize::from(user) % EMAILS.len(), is_right).await,
            Step::Totp { login, user, step, remember } => self.totp(at, (login, user), step, remember).await,
            Step::Replay { login, user } => {
                let Some(login) = recent(login, self.logins.len()) else { return Ok(()) };
                let code = &self.people[usize::from(user) % EMAILS.len()].last_code;
                let body = json!({ "login_id": self.logins[login].id, "code": code });
                self.prove(at, factor, body, None).await
            }
            Step::BackupCode { login, user, remember } => self.backup_code(at, (login, user), remember).await,
            Step::StartPasskey { login } => self.start_passkey(at, login).await,
            Step::Passkey { login, challenge, user, is_honest, remember } => {
                self.passkey(at, (login, challenge, user), (is_honest, remember)).await
            }
            Step::StartUsernameless => self.start_usernameless(at).await,
            Step::Usernameless { challenge, user, is_honest } => {
                self.usernameless(at, (challenge, user), is_honest).await
            }
            Step::EmailCode { login, code_of, remember } => self.email_code(at, (login, code_of), remember).await,
            Step::EmailLink { login } => self.email_link(at, login).await,
            Step::Empty { login, kind } => self.empty(at, login, kind).await,
            Step::Garbage { kind } => self.garbage(at, kind).await,
            Step::ChangePassword => self.change_password(at).await,
            Step::LogOut => {
                self.callers[at].post("/api/logout", json!({})).await;
                self.seats[at].session = None;
                Ok(())
            }
            Step::Wait { seconds } => {
                self.app.advance(Duration::from_secs(u64::from(seconds)));
                Ok(())
            }
        }
    }

    async fn password(&mut self, at: usize, user: usize, is_right: bool) -> Result<(), String> {
        let (path, person, seat) = ("/api/login", &self.people[user], self.seats[at]);
        let password = if is_right { person.password } else { "nobody's password" };
        let body = json!({ "email": EMAILS[user], "password": password });
        let methods = [("totp", person.totp.is_some()), ("passkey", person.passkey.is_some())];
        let is_due =
            |method: &str| methods.contains(&(method, true)) || (method == "email_mfa" && !person.has_factor());
        let is_trusted = seat.trusted.is_some_and(|(whom, method)| whom == user && is_due(method));
        let is_there = seat.session == Some(user) && !person.has_factor();
        if !is_right || is_trusted || is_there {
            return self.prove(at, path, body, is_right.then_some((user, None))).await;
        }
        let (waits, member, status, validity) = if person.has_factor() {
            (Waits::Factor, "two_factor", "two_factor_required", FACTOR)
        } else {
            (Waits::Mail, "email_mfa", "email_mfa_required", MAIL)
        };
        let until = self.now() + validity;
        let answer = self.callers[at].post(path, body).await;
        if answer.status != 200 || answer.json()["status"] != status || answer.set_cookie("gatepost_session").is_some()
        {
            return Err(format!("expected {status}, and: {} {}", answer.status, answer.text));
        }
        self.seats[at].bound = Some(self.logins.len());
        self.logins.push(Login { id: answer.json()[member]["login_id"].clone(), user, waits, until });
        Ok(())
    }

    async fn totp(&mut self, at: usize, (login, user): (u8, u8), step: i8, remember: bool) -> Result<(), String> {
        let Some(login) = recent(login, self.logins.len()) else { return Ok(()) };
        // Mostly the app of the user whose login it is.
        let user = if user < 192 { self.logins[login].user } else { usize::from(user) % EMAILS.len() };
        // The request itself must not take the time into another step.
        if self.now().0 % 30_000_000 > 20_000_000 {
            self.app.advance(Duration::from_secs(10));
        }
        let shown = self.now().0 / 30_000_000 + i64::from(step);
        let code = match &self.people[user].totp {
            Some(app) => app.code(Timestamp(shown * 30_000_000)),
            None => "123456".to_owned(),
        };
        let is_right = self.is_open(at, login, Waits::Factor)
            && self.logins[login].user == user
            && self.people[user].totp.is_some()
            && shown > self.people[user].last_step;
        let body = json!({ "login_id": self.logins[login].id, "code": code, "remember_device": remember });
        let expected = is_right.then_some((user, remember.then_some("totp")));
        self.prove(at, "/api/login/two_factor", body, expected).await?;
        if is_right {
            self.logins[login].waits = Waits::Nothing;
            (self.people[user].last_step, self.people[user].last_code) = (shown, code);
        }
        Ok(())
    }

    async fn backup_code(&mut self, at: usize, (login, user): (u8, u8), remember: bool) -> Result<(), String> {
        let Some(login) = recent(login, self.logins.len()) else { return Ok(()) };
        let user = if user < 192 { self.logins[login].user } else { usize::from(user) % EMAILS.len() };
        let code = self.people[user].codes.last().cloned();
        let is_right = self.is_open(at, login, Waits::Factor) && self.logins[login].user == user && code.is_some();
        let code = code.unwrap_or_else(|| "AAAAA-AAAAA".to_owned());
        let body = json!({ "login_id": self.logins[login].id, "backup_code": code, "remember_device": remember });
        self.prove(at, "/api/login/two_factor", body, is_right.then_some((user, None))).await?;
        if is_right {
            self.logins[login].waits = Waits::Nothing;
            self.people[user].codes.pop();
        }
        Ok(())
    }

    async fn start_passkey(&mut self, at: usize, login: u8) -> Result<(), String> {
        let Some(login) = recent(login, self.logins.len()) else { return Ok(()) };
        let has_passkey = self.people[self.logins[login].user].passkey.is_some();
        let is_given = self.is_open(at, login, Waits::Factor) && has_passkey;
        let body = json!({ "login_id": self.logins[login].id });
        self.challenge(at, "/api/login/two_factor/passkey", body, (is_given, Some(login))).await
    }

    async fn start_usernameless(&mut self, at: usize) -> Result<(), String> {
        self.challenge(at, "/api/login/passkey/start", json!({}), (true, None)).await
    }

    async fn challenge(
        &mut self,
        browser: usize,
        path: &str,
        body: Value,
        (is_given, login): (bool, Option<usize>),
    ) -> Result<(), String> {
        let until = self.now() + CHALLENGE;
        let answer = self.callers[browser].post(path, body).await;
        if (answer.status == 200) != is_given || answer.set_cookie("gatepost_session").is_some() {
            return Err(format!("a challenge: {is_given}, and: {} {}", answer.status, answer.text));
        }
        if is_given {
            let begun = answer.json();
            let (id, options) = (begun["ceremony_id"].clone(), begun["public_key"].clone());
            self.challenges.push(Challenge { id, options, login, browser, until, is_used: false });
        }
        Ok(())
    }

    /// The answer of somebody's passkey to a challenge.
    fn assertion(&mut self, user: usize, challenge: usize, is_honest: bool) -> Value {
        let origin = self.app.origin();
        let passkey = self.people[user].passkey.get_or_insert_with(|| Authenticator::new(&origin));
        passkey.is_verifying = is_honest;
        passkey.get(&self.challenges[challenge].options)
    }

    async fn passkey(
        &mut self,
        at: usize,
        (login, challenge, user): (u8, u8, u8),
        (is_honest, remember): (bool, bool),
    ) -> Result<(), String> {
        let (login, challenge) = (recent(login, self.logins.len()), recent(challenge, self.challenges.len()));
        let (Some(login), Some(challenge)) = (login, challenge) else { return Ok(()) };
        let owner = self.logins[login].user;
        let others: Vec<_> = (0..EMAILS.len()).filter(|user| self.people[*user].passkey.is_some()).collect();
        let user = if user < 192 { Some(owner) } else { pick(user, others.len()).map(|index| others[index]) };
        let Some(user) = user.filter(|user| self.people[*user].passkey.is_some()) else { return Ok(()) };
        let credential = self.assertion(user, challenge, is_honest);
        let is_open = self.is_open(at, login, Waits::Factor);
        let found = &mut self.challenges[challenge];
        let is_taken = is_open && found.login == Some(login) && !found.is_used;
        let is_right = is_taken && found.until > self.app.now() && user == owner && is_honest;
        found.is_used |= is_taken && found.until > self.app.now();
        let proof = json!({ "ceremony_id": found.id, "credential": credential });
        let body = json!({ "login_id": self.logins[login].id, "passkey": proof, "remember_device": remember });
        let expected = is_right.then_some((user, remember.then_some("passkey")));
        self.prove(at, "/api/login/two_factor", body, expected).await?;
        if is_right {
            self.logins[login].waits = Waits::Nothing;
        }
        Ok(())
    }

    async fn usernameless(&mut self, at: usize, (challenge, user): (u8, u8), is_honest: bool) -> Result<(), String> {
        let owners: Vec<_> = (0..EMAILS.len()).filter(|user| self.people[*user].passkey.is_some()).collect();
        let (challenge, user) = (recent(challenge, self.challenges.len()), pick(user, owners.len()));
        let (Some(challenge), Some(user)) = (challenge, user) else { return Ok(()) };
        let credential = self.assertion(owners[user], challenge, is_honest);
        let now = self.now();
        let found = &mut self.challenges[challenge];
        let is_taken = found.login.is_none() && found.browser == at && !found.is_used;
        let is_right = is_taken && found.until > now && is_honest;
        found.is_used |= is_taken;
        let body = json!({ "ceremony_id": found.id, "credential": credential });
        self.prove(at, "/api/login/passkey/finish", body, is_right.then_some((owners[user], None))).await
    }

    /// Code and link of a login's mail, while it waits for them.
    async fn mailed(&self, login: usize) -> Option<(String, String)> {
        let id = self.logins[login].id.as_str().and_then(|id| Uuid::parse_str(id).ok()).expect("an id");
        let mail = login_code_mail(&self.app.kernel, id, 1).await.expect("a mail");
        mail.map(|mail| (mail.code, mail.token))
    }

    async fn email_code(&mut self, at: usize, (login, code_of): (u8, u8), remember: bool) -> Result<(), String> {
        let Some(login) = recent(login, self.logins.len()) else { return Ok(()) };
        let code_of = if code_of < 192 { login } else { pick(code_of, self.logins.len()).unwrap_or(login) };
        let mailed = self.mailed(code_of).await;
        let is_right = self.is_open(at, login, Waits::Mail) && code_of == login && mailed.is_some();
        let code = mailed.map_or_else(|| "000000".to_owned(), |(code, _)| code);
        let body = json!({ "login_id": self.logins[login].id, "code": code, "remember_device": remember });
        let user = self.logins[login].user;
        let expected = is_right.then_some((user, remember.then_some("email_mfa")));
        self.prove(at, "/api/login/email_mfa", body, expected).await?;
        if is_right {
            self.logins[login].waits = Waits::Nothing;
        }
        Ok(())
    }

    async fn email_link(&mut self, at: usize, login: u8) -> Result<(), String> {
        let Some(login) = recent(login, self.logins.len()) else { return Ok(()) };
        let Some((_, token)) = self.mailed(login).await else { return Ok(()) };
        let is_right = self.is_open(at, login, Waits::Mail);
        let expected = is_right.then_some((self.logins[login].user, None));
        self.prove(at, "/api/login/email_mfa", json!({ "token": token }), expected).await?;
        if is_right {
            self.logins[login].waits = Waits::Nothing;
        }
        Ok(())
    }

    async fn empty(&mut self, at: usize, login: u8, kind: u8) -> Result<(), String> {
        let Some(login) = recent(login, self.logins.len()) else { return Ok(()) };
        let id = &self.logins[login].id;
        let (path, body) = match kind % 6 {
            0 => ("/api/login/two_factor", json!({ "login_id": id })),
            1 => ("/api/login/two_factor", json!({ "login_id": id, "remember_device": true })),
            2 => ("/api/login/email_mfa", json!({ "login_id": id })),
            3 => ("/api/login/two_factor", json!({ "login_id": id, "code": "", "backup_code": "" })),
            4 => ("/api/login/email_mfa", json!({ "login_id": id, "code": "" })),
            _ => {
                ("/api/login/two_factor", json!({ "login_id": id, "passkey": { "ceremony_id": id, "credential": {} } }))
            }
        };
        self.prove(at, path, body, None).await
    }

    async fn garbage(&mut self, at: usize, kind: u8) -> Result<(), String> {
        let id = "019aa5c2-7b10-7c3e-9d41-2f6a8b0c1dff";
        let (path, body) = match kind % 6 {
            0 => ("/api/login/passkey/finish", json!({ "ceremony_id": id, "credential": {} })),
            1 => ("/api/login/two_factor", json!({})),
            2 => ("/api/login/email_mfa", json!({ "token": "x".repeat(64) })),
            3 => ("/api/reset/complete", json!({ "token": "x".repeat(64), "password": OTHER_PASSWORD })),
            4 => ("/api/email_verification/confirm", json!({ "email": EMAILS[0], "code": "123456" })),
            _ => ("/api/login", json!({})),
        };
        self.prove(at, path, body, None).await
    }

    /// A new password ends all other sessions, and what waits or is trusted.
    async fn change_password(&mut self, at: usize) -> Result<(), String> {
        let Some(user) = self.seats[at].session else { return Ok(()) };
        let before = self.people[user].password;
        let after = if before == PASSWORD { OTHER_PASSWORD } else { PASSWORD };
        let body = json!({ "current_password": before, "new_password": after });
        let answer = self.callers[at].post("/api/users/@me/password", body).await;
        if answer.status != 204 {
            return if answer.status == 429 { Ok(()) } else { Err(format!("{} {}", answer.status, answer.text)) };
        }
        self.people[user].password = after;
        for (number, seat) in self.seats.iter_mut().enumerate() {
            seat.session = seat.session.filter(|whose| number == at || *whose != user);
            seat.trusted = seat.trusted.filter(|(whose, _)| *whose != user);
        }
        for login in self.logins.iter_mut().filter(|login| login.user == user) {
            login.waits = Waits::Nothing;
        }
        Ok(())
    }
}

/// Limits are another test's subject.
pub async fn app() -> TestApp {
    TestApp::with(Settings::with(|config| {
        (config.two_factor.per_user, config.two_factor.per_user_long) = (UNLIMITED, UNLIMITED);
        (config.two_factor.max_attempts, config.email_mfa.max_attempts) = (i32::MAX, i32::MAX);
        (config.email_mfa.per_user, config.passkey.starts_per_network) = (UNLIMITED, UNLIMITED);
    }))
    .await
}

async fn enrol(app: &TestApp, email: &str, has_totp: bool, has_passkey: bool) -> Person {
    let browser = signed_in(app, email).await;
    let (mut codes, mut passkey, mut totp, mut last_step) = (Vec::new(), None, None, 0);
    if has_passkey {
        let mut added = Authenticator::new(&app.origin());
        add(app, &browser, &mut added).await;
        passkey = Some(added);
    }
    if has_totp {
        let (enabled, given) = browser.enable_totp().await;
        let at = app.now();
        browser.post("/api/users/@me/reauthenticate", json!({ "code": enabled.code(at) })).await.expect(200);
        (totp, codes, last_step) = (Some(enabled), given, at.0 / 30_000_000);
    }
    if has_passkey {
        let updated = browser.patch("/api/users/@me/two_factor", json!({ "passkeys_enabled_for_2fa": true })).await;
        if let Some(given) = updated.expect(200).json().get("backup_codes") {
            codes = serde_json::from_value(given.clone()).expect("codes");
        }
    }
    app.drain().await;
    Person { password: PASSWORD, totp, last_step, last_code: "123456".to_owned(), codes, passkey }
}
