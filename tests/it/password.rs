//! Passwords: what is accepted, in which forms, how one is changed, and where none may ever be found.

use std::time::{Duration, Instant};

use harness::{Answer, Caller, OTHER_PASSWORD, PASSWORD, Settings, TestApp, log::Capture, token_in};
use serde_json::{Value, json};
use shared::{
    audit,
    config::load_from,
    password::{self, HashPool, strength},
    secret::Keyring,
    users::{self, Email},
};

const EMAIL: &str = "ann@example.com";

pub(super) async fn sign_up(browser: &Caller<'_>, email: &str, password: &str) -> Answer {
    browser.post("/api/signup", json!({ "email": email, "password": password })).await
}

pub(super) async fn login(browser: &Caller<'_>, email: &str, password: &str) -> Answer {
    browser.post("/api/login", json!({ "email": email, "password": password })).await
}

pub(super) async fn change(browser: &Caller<'_>, current: Value, replacement: &str) -> Answer {
    let body = json!({ "current_password": current, "new_password": replacement });
    browser.post("/api/users/@me/password", body).await
}

/// Pointers and codes of a refusal.
pub(super) fn refusals(answer: &Answer) -> Vec<(String, String)> {
    let problem = answer.expect_problem(422, "validation_failed");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let errors = problem.get("errors").and_then(Value::as_array).cloned().unwrap_or_default();
    let member = |error: &Value, name: &str| text(error.get(name).unwrap_or(&Value::Null));
    errors.iter().map(|error| (member(error, "pointer"), member(error, "code"))).collect()
}

pub(super) fn at(pointer: &str, code: &str) -> (String, String) {
    (pointer.to_owned(), code.to_owned())
}

pub(super) async fn signed_in<'a>(app: &'a TestApp, email: &str) -> Caller<'a> {
    let browser = app.browser();
    browser.sign_up_verified(email).await;
    browser.log_in(email, PASSWORD).await;
    browser
}

/// B01: the twenty reference passwords are judged as documented, at the API, with a pointer and the estimator's advice.
#[tokio::test(flavor = "multi_thread")]
async fn the_reference_passwords_are_judged_at_sign_up() {
    let app = TestApp::new().await;
    for password in [
        "password",
        "Password1!",
        "12345678",
        "qwerty123",
        "letmein1",
        "abcabcabc",
        "2024-01-15",
        "Tr0ub4dour&3",
        "iloveyou123",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "zaq12wsxcde3",
    ] {
        let refused = sign_up(&app.browser(), EMAIL, password).await;
        assert_eq!(refusals(&refused), [at("/password", "password_too_weak")], "{password}");
    }
    let refused = sign_up(&app.browser(), "jane.doe@acme.example", "jane.doe@acme.example").await;
    assert_eq!(refusals(&refused), [at("/password", "password_too_weak")]);
    let advice = sign_up(&app.browser(), EMAIL, "password").await.json()["errors"][0]["detail"].clone();
    assert_eq!(advice, "This is a top-10 common password. Add another word or two. Uncommon words are better.");
    assert_eq!(app.hasher.computed(), 0);
    for (number, password) in [
        "posthog2024",
        "correct horse battery staple",
        "mK9#vL2$qP",
        "VYL9xqk3tz",
        "purple-lantern-47-fjord",
        "hedgehogs-are-cool",
        "jane.doe@acme.test",
    ]
    .iter()
    .enumerate()
    {
        sign_up(&app.browser(), &format!("u{number}@example.com"), password).await.expect(202);
    }
    app.drain().await;
}

/// B02: what is short is told so, and every rule that fails is listed.
#[tokio::test(flavor = "multi_thread")]
async fn every_rule_that_fails_is_listed() {
    let app = TestApp::new().await;
    let both = [at("/password", "password_too_short"), at("/password", "password_too_weak")];
    for password in ["aB3!xZ", "", "abc"] {
        assert_eq!(refusals(&sign_up(&app.browser(), EMAIL, password).await), both, "{password}");
    }
    let wish = json!({ "email": "nobody", "password": "abc", "first_name": "a\tb", "last_name": "b".repeat(129) });
    let answer = app.browser().post("/api/signup", wish).await;
    let mut expected = vec![at("/email", "invalid_email")];
    expected.extend(both);
    expected.extend([at("/first_name", "invalid"), at("/last_name", "too_long")]);
    assert_eq!(refusals(&answer), expected);
    assert_eq!(app.hasher.computed(), 0);
}

/// B03: a passphrase of lower-case letters is accepted.
#[tokio::test(flavor = "multi_thread")]
async fn a_lower_case_passphrase_is_accepted() {
    let app = TestApp::new().await;
    let passphrase = "staplehorsebatterycorrectfog";
    assert_eq!(passphrase.len(), 28);
    sign_up(&app.browser(), EMAIL, passphrase).await.expect(202);
    app.drain().await;
    login(&app.browser(), EMAIL, passphrase).await.expect(200);
    app.drain().await;
}

/// B04, W11: what is too long is refused at once and without a hash; the longest accepted one is judged in time.
#[tokio::test(flavor = "multi_thread")]
async fn length_is_bounded_and_judging_takes_bounded_time() {
    let app = TestApp::new().await;
    let longest: String = (0..1024_u32).filter_map(|index| char::from_digit(index * index % 36, 36)).collect();
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let begin = Instant::now();
        let refused = sign_up(&app.browser(), EMAIL, &format!("{longest}x")).await;
        fastest = fastest.min(begin.elapsed());
        assert_eq!(refusals(&refused), [at("/password", "password_too_long")]);
    }
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");
    assert_eq!(app.hasher.computed(), 0);

    let known = strength::known_about(Email::parse(EMAIL).ok().as_ref(), &[Some("Ann"), Some("Example")]);
    let circumstances = strength::Circumstances { known, is_only_factor: true };
    for worst in ["a".repeat(1024), "aA1!".repeat(256), "qwerty".repeat(170), "4@8({[".repeat(170), longest.clone()] {
        let judge = || {
            let begin = Instant::now();
            drop(strength::check(&app.kernel.config.password, &worst, &circumstances, "/password"));
            begin.elapsed()
        };
        let fastest = (0..3).map(|_| judge()).min().unwrap();
        assert!(fastest < Duration::from_millis(300), "{fastest:?} for {}", &worst[..8]);
    }
    sign_up(&app.browser(), EMAIL, &longest).await.expect(202);
    app.drain().await;
    let cut = format!("{}-", &longest[..1023]);
    login(&app.browser(), EMAIL, &cut).await.expect_problem(401, "invalid_credentials");
    login(&app.browser(), EMAIL, &longest).await.expect(200);
    app.drain().await;
}

/// B05, W11: what everybody knows of the user is no password, at sign-up and at a change.
#[tokio::test(flavor = "multi_thread")]
async fn what_everybody_knows_of_the_user_is_refused() {
    let app = TestApp::new().await;
    let email = "wilhelmina.featherstonehaugh@brackenridge.example";
    let names = ("Bartholomew", "Quackenbush");
    for password in
        [email, "wilhelmina.featherstonehaugh", "Featherstonehaugh", "Bartholomew", "quackenbush", "Brackenridge"]
    {
        let wish = json!({ "email": email, "password": password, "first_name": names.0, "last_name": names.1 });
        let refused = app.browser().post("/api/signup", wish).await;
        assert_eq!(refusals(&refused), [at("/password", "password_too_weak")], "{password}");
    }
    let browser = signed_in(&app, email).await;
    browser.patch("/api/users/@me", json!({ "first_name": names.0, "last_name": names.1 })).await.expect(200);
    for password in [email, "Featherstonehaugh", "bartholomew", "Quackenbush"] {
        let refused = change(&browser, json!(PASSWORD), password).await;
        assert_eq!(refusals(&refused), [at("/new_password", "password_too_weak")], "{password}");
    }
    // Somebody else may have them.
    let wish = json!({ "email": EMAIL, "password": "Bartholomew Quackenbush" });
    app.browser().post("/api/signup", wish).await.expect(202);
    app.drain().await;
}

/// B05: the names of the user's organizations are known as well, at a change and at a reset; those of others are not.
#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_an_organization_is_refused_to_its_members() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, EMAIL).await;
    browser.post("/api/organizations", json!({ "name": "Quackenbush Bartholomew" })).await.expect(200);
    browser.post("/api/reset", json!({ "email": EMAIL })).await.expect(204);
    app.drain().await;
    let link = token_in(&app.mail_to(EMAIL).await.text);
    for password in ["Quackenbush Bartholomew", "quackenbush1"] {
        let refused = change(&browser, json!(PASSWORD), password).await;
        assert_eq!(refusals(&refused), [at("/new_password", "password_too_weak")], "{password}");
        let body = json!({ "token": link, "password": password });
        let refused = app.browser().post("/api/reset/complete", body).await;
        assert_eq!(refusals(&refused), [at("/password", "password_too_weak")], "{password}");
    }
    let stranger = signed_in(&app, "bob@example.com").await;
    change(&stranger, json!(PASSWORD), "Quackenbush Bartholomew").await.expect(204);
    app.drain().await;
}

/// B06: the server judges at sign-up, at a change and at a reset; a refused reset leaves its link good.
#[tokio::test(flavor = "multi_thread")]
async fn the_server_judges_wherever_a_password_is_set() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, EMAIL).await;
    browser.post("/api/reset", json!({ "email": EMAIL })).await.expect(204);
    app.drain().await;
    let link = token_in(&app.mail_to(EMAIL).await.text);
    let too_long = "x".repeat(1025);
    for (password, code) in [("password1", "password_too_weak"), (too_long.as_str(), "password_too_long")] {
        assert_eq!(refusals(&sign_up(&app.browser(), "bob@example.com", password).await), [at("/password", code)]);
        assert_eq!(refusals(&change(&browser, json!(PASSWORD), password).await), [at("/new_password", code)]);
        let reset = app.browser().post("/api/reset/complete", json!({ "token": link, "password": password })).await;
        assert_eq!(refusals(&reset), [at("/password", code)]);
        let form = format!("token={link}&password={password}");
        assert_eq!(app.browser().post_form("/reset", &form).await.status, 422);
    }
    login(&app.browser(), EMAIL, PASSWORD).await.expect(200);
    let body = json!({ "token": link, "password": OTHER_PASSWORD });
    app.browser().post("/api/reset/complete", body).await.expect(200);
    app.drain().await;
}

/// B07: a change needs the current password; without it or with a wrong one nothing changes, and each try is audited.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_needs_the_current_password() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, EMAIL).await;
    let missing = browser.post("/api/users/@me/password", json!({ "new_password": OTHER_PASSWORD })).await;
    assert_eq!(refusals(&missing), [at("/current_password", "required")]);
    assert_eq!(refusals(&change(&browser, Value::Null, OTHER_PASSWORD).await), [at("/current_password", "required")]);
    for wrong in ["", OTHER_PASSWORD, "mK9#vL2$qP-fjorD"] {
        let refused = change(&browser, json!(wrong), OTHER_PASSWORD).await;
        assert_eq!(refusals(&refused), [at("/current_password", "incorrect_password")], "{wrong}");
    }
    let rows = audit::list(app.kernel.db.reader(), "password.change", 10).await.unwrap();
    assert!(rows.len() == 5 && rows.iter().all(|row| row.outcome == "failure" && row.user_id.is_some()), "{rows:?}");
    login(&app.browser(), EMAIL, OTHER_PASSWORD).await.expect_problem(401, "invalid_credentials");
    browser.get("/api/users/@me").await.expect(200);
    app.browser()
        .post("/api/users/@me/password", json!({ "new_password": OTHER_PASSWORD }))
        .await
        .expect_problem(401, "unauthenticated");
    app.drain().await;
    assert!(app.mails().await.iter().all(|mail| mail.subject != "Your password was changed"));
}

/// B09: five current passwords in a minute are looked at, from whatever session and at whatever gateway; then the right one
/// has to wait too. What is missing is no try.
#[tokio::test(flavor = "multi_thread")]
async fn current_passwords_are_tried_five_times_a_minute() {
    let limits = Settings::with(|config| {
        config.password.change_per_user =
            load_from(None, std::iter::empty()).expect("the defaults").password.change_per_user;
    });
    let app = TestApp::with(limits).await;
    let (browser, phone, other) =
        (signed_in(&app, EMAIL).await, app.browser(), signed_in(&app, "bob@example.com").await);
    phone.log_in(EMAIL, PASSWORD).await;
    let gateway = app.another_gateway().await;
    let phone = phone.through(&gateway);
    change(&browser, Value::Null, OTHER_PASSWORD).await.expect(422);
    let tries =
        (0..10).map(|at| change(if at % 2 == 0 { &browser } else { &phone }, json!("wrong-fjord"), OTHER_PASSWORD));
    let hashes = app.hasher.computed();
    let answers = futures_util::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 422).count(), 5);
    assert_eq!(app.hasher.computed() - hashes, 5);
    for answer in answers.iter().filter(|answer| answer.status != 422) {
        answer.expect_problem(429, "throttled");
        assert!(answer.header("retry-after").is_some());
    }
    change(&browser, json!(PASSWORD), OTHER_PASSWORD).await.expect_problem(429, "throttled");
    // Nobody else waits, and the sessions go on.
    change(&other, json!(PASSWORD), OTHER_PASSWORD).await.expect(204);
    browser.get("/api/users/@me").await.expect(200);
    app.advance(Duration::from_secs(60));
    change(&browser, json!(PASSWORD), OTHER_PASSWORD).await.expect(204);
    app.drain().await;
}

/// B10, T-SESS-05: a change keeps this session, ends the others and all trusted devices, and the user gets a mail.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_ends_everything_but_this_session() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, EMAIL).await;
    let elsewhere = app.browser();
    let pending = elsewhere.begin_login(EMAIL, PASSWORD).await;
    let code = harness::code_in(&app.mail_to(EMAIL).await.text);
    let proof = json!({ "login_id": pending["login_id"], "code": code, "remember_device": true });
    elsewhere.post("/api/login/email_mfa", proof).await.expect(200);
    let trusted = app.browser();
    trusted.set_cookie("gatepost_device", &elsewhere.cookie("gatepost_device").unwrap());
    assert_eq!(login(&trusted, EMAIL, PASSWORD).await.expect(200).json()["status"], "signed_in");
    let waiting = app.browser();
    let waiting_login = waiting.begin_login(EMAIL, PASSWORD).await;
    let waiting_code = harness::code_in(&app.mail_to(EMAIL).await.text);

    let answer = change(&browser, json!(PASSWORD), OTHER_PASSWORD).await.expect(204);
    assert_eq!(answer.text, "");
    app.drain().await;
    browser.get("/api/users/@me").await.expect(200);
    elsewhere.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    trusted.get("/api/users/@me").await.expect_problem(401, "unauthenticated");
    let proof = json!({ "login_id": waiting_login["login_id"], "code": waiting_code });
    waiting.post("/api/login/email_mfa", proof).await.expect_problem(400, "login_expired");
    login(&app.browser(), EMAIL, PASSWORD).await.expect_problem(401, "invalid_credentials");
    let again = login(&trusted, EMAIL, OTHER_PASSWORD).await.expect(200).json();
    assert_eq!(again["status"], "email_mfa_required", "the device is trusted no longer");
    let notice = app.mails().await.into_iter().find(|mail| mail.subject == "Your password was changed").unwrap();
    assert_eq!(notice.to, EMAIL);
    assert!(notice.text.contains("UTC") && notice.text.contains("Firefox on Linux"), "{}", notice.text);
    assert!(notice.text.contains("IP address: 2001:"), "{}", notice.text);
    app.drain().await;
    browser.get("/api/users/@me").await.expect(200);
}

/// B11, T-LOGIN-11: passwords of any length, script and spacing work; composed equals decomposed; nothing is trimmed,
/// folded or cut.
#[tokio::test(flavor = "multi_thread")]
async fn passwords_of_any_form_work_and_nothing_is_cut() {
    let app = TestApp::new().await;
    let of_length = |length: u32| -> String {
        (0..length).filter_map(|index| char::from_digit((index * index + 7 * index + length) % 36, 36)).collect()
    };
    let composed = "cr\u{e8}me br\u{fb}l\u{e9}e \u{1e9b}\u{323} fjord";
    let decomposed = "cre\u{300}me bru\u{302}le\u{301}e \u{17f}\u{323}\u{307} fjord";
    let forms = [
        (of_length(64), of_length(64)),
        (of_length(128), of_length(128)),
        (of_length(256), of_length(256)),
        (
            "\u{1f9ca}\u{1f33f}\u{1f6f6}\u{1f52d}\u{1f9f6} lantern".to_owned(),
            "\u{1f9ca}\u{1f33f}\u{1f6f6}\u{1f52d}\u{1f9f6} lantern".to_owned(),
        ),
        ("  fjord lantern glacier\t ".to_owned(), "  fjord lantern glacier\t ".to_owned()),
        (composed.to_owned(), decomposed.to_owned()),
        (decomposed.replace("fjord", "delta"), composed.replace("fjord", "delta")),
    ];
    for (number, (set, typed)) in forms.iter().enumerate() {
        let email = format!("u{number}@example.com");
        sign_up(&app.browser(), &email, set).await.expect(202);
        for same in [set, typed] {
            let answer = login(&app.browser(), &email, same).await.expect(200).json();
            assert_eq!(answer["status"], "email_verification_required", "{same:?}");
        }
        let mut cut = typed.clone();
        let last = cut.pop().unwrap();
        let changed = format!("{cut}{}", if last == 'x' { 'y' } else { 'x' });
        let folded = typed.to_uppercase();
        for other in [cut.as_str(), changed.as_str(), &format!("{typed} "), &format!(" {typed}"), folded.as_str()] {
            login(&app.browser(), &email, other).await.expect_problem(401, "invalid_credentials");
        }
        if typed.trim() != typed {
            login(&app.browser(), &email, typed.trim()).await.expect_problem(401, "invalid_credentials");
        }
        app.drain().await;
    }
}

/// B11: a change and its check of the current password take both forms too.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_takes_composed_for_decomposed() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, EMAIL).await;
    change(&browser, json!(PASSWORD), "cr\u{e8}me br\u{fb}l\u{e9}e fjord").await.expect(204);
    change(&browser, json!("cre\u{300}me bru\u{302}le\u{301}e fjord"), OTHER_PASSWORD).await.expect(204);
    app.drain().await;
    login(&app.browser(), EMAIL, OTHER_PASSWORD).await.expect(200);
    app.drain().await;
}

/// T-LOGIN-15: the database holds no password, and its hashes are worth nothing without the pepper.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_holds_no_password_and_no_pepper() {
    let app = TestApp::new().await;
    let browser = signed_in(&app, EMAIL).await;
    let dump = app.dump().await;
    assert!(dump.contains(EMAIL) && dump.contains("$argon2id$v=19$"), "the dump has no values: {dump}");
    let session_token = browser.cookie("gatepost_session").unwrap();
    let digest = hex(&shared::secret::digest(&session_token));
    assert!(dump.to_lowercase().contains(&digest), "the dump has no bytes: {dump}");
    let keys = app.kernel.config.secrets.keys.expose().clone();
    let (key_id, material) = keys[0].split_once(':').unwrap();
    for secret in [PASSWORD, material, session_token.as_str()] {
        for form in forms_of(secret) {
            assert!(!dump.contains(&form), "{form}");
        }
    }
    let user = users::find_by_email(app.kernel.db.reader(), &Email::parse(EMAIL).unwrap()).await.unwrap().unwrap();
    let stored = password::find(app.kernel.db.reader(), user.id).await.unwrap().unwrap();
    assert_eq!(stored.key_id, key_id);
    let is_right = async |keys: &str| {
        let keys = Keyring::parse(&[keys]).unwrap();
        let pool = HashPool::start(&app.kernel.config.password, &keys).unwrap();
        pool.reserve().unwrap().verify(Some(stored.clone()), PASSWORD).await.unwrap().is_right
    };
    assert!(is_right(&keys[0]).await);
    assert!(!is_right(&format!("{key_id}:another-material-of-the-same-key-id-0000")).await);
    assert!(!is_right("other:insecure-key-for-development-only-0000").await);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|half| char::from_digit(half.into(), 16)).collect()
}

/// A secret as it would look in a log, a text column, a column of bytes, or a list of bytes.
fn forms_of(secret: &str) -> [String; 5] {
    use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
    let hex = hex(secret.as_bytes());
    let list = format!("{:?}", secret.as_bytes());
    let whole = secret.len() / 3 * 3;
    let encoded = STANDARD_NO_PAD.encode(secret.as_bytes().get(..whole).unwrap_or_default());
    [secret.to_owned(), hex.to_uppercase(), hex, list.trim_matches(['[', ']']).to_owned(), encoded]
}

/// All places that refuse a password: mistyped, misplaced, malformed, in JSON, in forms and in addresses.
async fn be_refused_everywhere(app: &TestApp, browser: &Caller<'_>, password: &str) {
    login(&app.browser(), EMAIL, password).await.expect(401);
    login(&app.browser(), "nobody@example.com", password).await.expect(401);
    sign_up(&app.browser(), EMAIL, password).await.expect(202);
    sign_up(&app.browser(), "no address", password).await.expect(422);
    change(browser, json!(password), password).await.expect(422);
    let unfit = json!({ "email": [password], "password": { "inner": password }, (password): password });
    app.browser().post("/api/login", unfit).await.expect(422);
    for body in [
        format!("{{\"password\": {password}}}"),
        format!("\"{password}"),
        format!("{{\"{password}\":1,\"{password}\":2}}"),
    ] {
        app.browser().send(poem::http::Method::POST, "/api/signup", Some(("application/json", body))).await.expect(400);
    }
    app.browser().post_form("/reset", &format!("token=x&password={password}")).await.expect(400);
    app.browser().get(&format!("/reset?password={password}")).await.expect(200);
    app.browser().get(&format!("/api/nowhere?password={password}")).await.expect(404);
}

/// Everything a password passes through: set, used, refused, changed and reset.
async fn use_everywhere(app: &TestApp, canaries: &[&str; 3]) {
    let [first, second, third] = canaries;
    let browser = app.browser();
    sign_up(&browser, EMAIL, first).await.expect(202);
    app.drain().await;
    let code = harness::code_in(&app.mail_to(EMAIL).await.text);
    browser.post("/api/email_verification/confirm", json!({ "email": EMAIL, "code": code })).await.expect(200);
    browser.log_in(EMAIL, first).await;
    for password in [second, third] {
        be_refused_everywhere(app, &browser, password).await;
    }
    change(&browser, json!(first), second).await.expect(204);
    browser.post("/api/reset", json!({ "email": EMAIL })).await.expect(204);
    app.drain().await;
    let newest = app.mails().await.into_iter().find(|mail| mail.text.contains("token=")).map(|mail| mail.text);
    let link = token_in(&newest.unwrap_or_default());
    app.browser().post("/api/reset/complete", json!({ "token": link, "password": third })).await.expect(200);
    app.drain().await;
    let login = login(&app.browser(), EMAIL, third).await.expect(200).json();
    assert_eq!(login.get("status"), Some(&json!("email_mfa_required")));
    app.drain().await;
}

/// Asserts that no form of these secrets is in any of the sinks.
fn assert_absent(secrets: &[&str], sinks: &[(&str, &str)]) {
    for form in secrets.iter().flat_map(|secret| forms_of(secret)) {
        for (sink, text) in sinks {
            let found = text.lines().find(|line| line.contains(&form));
            assert!(found.is_none(), "{sink} has {form}: {found:?}");
        }
    }
}

/// B12, W28, T-LOG-01: a password is in no log line, database row, job, audit row, mail or metric, in no form.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_found_nowhere() {
    let metrics = shared::telemetry::metrics().expect("the recorder of metrics");
    let app = TestApp::new().await;
    let capture = Capture::start();
    let canaries = ["canary1-kumquat-Zeppelin", "canary2-walrus-Xylophone", "canary3-gherkin-Quicksand"];
    use_everywhere(&app, &canaries).await;
    tracing::trace!("the finest line of this thread");
    tokio::task::spawn_blocking(|| tracing::trace!("the finest line of another thread")).await.unwrap();
    let marker = app.browser().get("/api/users/@me").await.header("x-request-id").unwrap().to_owned();
    let log = capture.text();
    let dump = app.dump().await;
    let mails = format!("{:?}", app.mails().await);
    let metrics = metrics.render();

    // Each of them is what it should be, so that finding nothing in it means something.
    let lines: Vec<_> = log.lines().filter(|line| line.contains(&marker)).collect();
    assert!(lines.iter().any(|line| line.contains("duration_ms")), "no line of the last request");
    assert!(log.contains("/api/users/@me/password") && log.contains("/api/reset/complete"));
    for line in ["the finest line of this thread", "the finest line of another thread"] {
        assert!(log.contains(line), "{line} is not captured");
    }
    for part in ["passwords: ", "audit_events: ", "jobs: ", "password.notify_changed", "password.change", "$argon2id$"]
    {
        assert!(dump.contains(part), "the dump has no {part}");
    }
    assert!(mails.contains("Your password was changed") && mails.contains(EMAIL));
    assert!(metrics.contains("gatepost_http_requests_total"), "{metrics}");
    assert_absent(&canaries, &[("log", &log), ("database", &dump), ("mails", &mails), ("metrics", &metrics)]);
}
