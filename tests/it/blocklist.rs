//! Passwords that are refused for what they are: what others know of the user and of the service, what is in the list of
//! breached ones, and what is too short to stand alone.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use harness::{Installation, OTHER_PASSWORD, PASSWORD, Settings, TestApp, log::Capture, token_in};
use serde_json::{Value, json};
use shared::{email_mfa, secret::Redacted};

use crate::password::{at, change, login, refusals, sign_up, signed_in};

const EMAIL: &str = "ann@example.com";
/// A strong password, and the line that a list of breached ones has for it.
const LEAKED: &str = "walrus-gherkin-82-zeppelin";
const LEAKED_LINE: &str = "794476C9EF97EF9A889C53B3E348CD7EB81DFBBB:3";

/// A list with these lines beside others, in a folder that is removed with it.
struct List(PathBuf);

impl List {
    fn new(lines: &[&str]) -> io::Result<Self> {
        let folder = std::env::temp_dir().join(format!("gatepost-list-{}", shared::ids::next()));
        fs::create_dir_all(&folder)?;
        let list = Self(folder);
        list.replace(lines)?;
        Ok(list)
    }

    fn path(&self) -> PathBuf {
        self.0.join("breached.txt")
    }

    /// Moves another list over the present one, as an operator does.
    fn replace(&self, lines: &[&str]) -> io::Result<()> {
        let filler = (1..1000_u32).map(|number| format!("{:040X}:{number}", u128::from(number) << 116));
        let mut lines: Vec<String> = filler.chain(lines.iter().map(|line| (*line).to_owned())).collect();
        lines.sort_unstable();
        let draft = self.0.join("draft.txt");
        fs::write(&draft, lines.join("\r\n"))?;
        fs::rename(draft, self.path())
    }
}

impl Drop for List {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

async fn app_with(list: &Path) -> TestApp {
    let path = list.to_owned();
    TestApp::with(Settings::with(|config| config.password.breached_file = Some(path))).await
}

/// T-LOGIN-16: what is common, the product's name and the user's own address and names are refused, and the reason is given.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_common_or_known_is_refused_with_a_reason() {
    let app = TestApp::with(Settings::with(|config| config.totp.issuer = "Brackenridge Portal".to_owned())).await;
    let email = "wilhelmina.featherstonehaugh@example.com";
    let reason = async |password: &str| {
        let wish = json!({ "email": email, "password": password, "first_name": "Bartholomew" });
        let refused = app.browser().post("/api/signup", wish).await;
        assert_eq!(refusals(&refused), [at("/password", "password_too_weak")], "{password}");
        refused.json()["errors"][0]["detail"].as_str().unwrap_or_default().to_owned()
    };
    let common = reason("password123456789").await;
    // Both halves are as long, and either may be the one that is told.
    let reasons = ["This is similar to a commonly used password.", "Sequences like abc or 6543 are easy to guess."];
    assert!(reasons.iter().any(|reason| common.starts_with(reason)), "{common}");
    for password in [
        "gatepost",
        "Gatepost2024",
        "G4tep0st!!",
        "gatepost-gatepost",
        "wilhelmina@gatepost",
        "brackenridge portal",
        "Brackenridge1",
        "wilhelmina.featherstonehaugh",
        "Wilhelmina.Featherstonehaugh1",
        "featherstonehaugh99",
        "hguahenotsrehtaef",
        "Bartholomew1!",
    ] {
        let said = reason(password).await;
        assert!(
            said.starts_with("It contains your name, your address or the name of this service."),
            "{password}: {said}"
        );
    }
    assert_eq!(app.hasher.computed(), 0);
    // Another user may have what only this one must not.
    sign_up(&app.browser(), EMAIL, "wilhelmina.featherstonehaugh").await.expect(202);
    app.drain().await;
}

/// T-LOGIN-16: a breached password is refused with its reason wherever one is set, beside the other rules that it breaks.
#[tokio::test(flavor = "multi_thread")]
async fn a_breached_password_is_refused_wherever_one_is_set() {
    let list = List::new(&["5BAA61E4C9B93F3F0682250B6CF8331B7EE68FD8:9545824", LEAKED_LINE]).unwrap();
    let app = app_with(&list.path()).await;
    let browser = signed_in(&app, EMAIL).await;
    let breached = |pointer| [at(pointer, "password_breached")];
    let refused = sign_up(&app.browser(), "bob@example.com", LEAKED).await;
    assert_eq!(refusals(&refused), breached("/password"));
    let detail = refused.json()["errors"][0]["detail"].clone();
    assert_eq!(detail, "It is in a list of passwords that leaked elsewhere, and that attackers try first.");
    assert_eq!(refusals(&change(&browser, json!(PASSWORD), LEAKED).await), breached("/new_password"));
    let all = [at("/password", "password_too_weak"), at("/password", "password_breached")];
    assert_eq!(refusals(&sign_up(&app.browser(), "bob@example.com", "password").await), all);

    browser.post("/api/reset", json!({ "email": EMAIL })).await.expect(204);
    app.drain().await;
    let link = token_in(&app.mail_to(EMAIL).await.text);
    let reset = async |password: &str| {
        app.browser().post("/api/reset/complete", json!({ "token": link, "password": password })).await
    };
    assert_eq!(refusals(&reset(LEAKED).await), breached("/password"));
    let page = app.browser().post_form("/reset", &format!("token={link}&password={LEAKED}")).await;
    assert!(page.status == 422 && page.text.contains("passwords that leaked elsewhere"), "{}", page.text);
    reset(OTHER_PASSWORD).await.expect(200);
    sign_up(&app.browser(), "bob@example.com", &LEAKED.to_uppercase()).await.expect(202);
    app.drain().await;
}

/// T-LOGIN-16: whose password leaks later still signs in; a newer list is used without a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_leaks_later_still_signs_in() {
    let list = List::new(&[]).unwrap();
    let app = app_with(&list.path()).await;
    sign_up(&app.browser(), EMAIL, LEAKED).await.expect(202);
    list.replace(&[LEAKED_LINE]).unwrap();
    let refused = sign_up(&app.browser(), "bob@example.com", LEAKED).await;
    assert_eq!(refusals(&refused), [at("/password", "password_breached")]);
    login(&app.browser(), EMAIL, LEAKED).await.expect(200);
    app.drain().await;
}

/// T-LOGIN-16: while the list cannot be searched the other rules hold, passwords can be set, and the log says so.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_list_the_other_rules_hold() {
    let list = List::new(&[LEAKED_LINE]).unwrap();
    let app = app_with(&list.path()).await;
    fs::remove_file(list.path()).unwrap();
    let capture = Capture::start();
    let refused = sign_up(&app.browser(), EMAIL, "password").await;
    assert_eq!(refusals(&refused), [at("/password", "password_too_weak")]);
    sign_up(&app.browser(), EMAIL, LEAKED).await.expect(202);
    let log = capture.text();
    assert!(log.lines().any(|line| line.contains("ERROR") && line.contains("password.breached_file")), "{log}");
    app.drain().await;
}

/// T-LOGIN-16: a list that cannot be searched keeps the process from starting, and is named.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_none_keeps_the_process_from_starting() {
    let list = List::new(&[LEAKED_LINE]).unwrap();
    let text = fs::read_to_string(list.path()).unwrap();
    let reversed: Vec<&str> = text.lines().rev().collect();
    fs::write(list.path(), reversed.join("\n")).unwrap();
    let missing = list.0.join("missing.txt");
    for (path, why) in [(list.path(), "not ordered by hash"), (missing, "No such file")] {
        let path = path.display().to_string();
        let installation = Installation::new().set("PASSWORD__BREACHED_FILE", &path);
        let output = installation.command(&["serve"]).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "it starts: {said}");
        assert!(said.contains(&format!("password.breached_file {path}: ")) && said.contains(why), "{said}");
    }
}

/// T-LOGIN-16: where no mail is sent the password is the only factor: fifteen characters are accepted and fourteen are not.
#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_stands_alone_has_fifteen_characters() {
    let (fifteen, fourteen) = ("mK9#vL2$qP-fjor", "mK9#vL2$qP-fjo");
    let alone = TestApp::with(Settings::with(|config| config.mail.url = Redacted::new("none://".to_owned()))).await;
    let assert_short = |answer: &harness::Answer, pointer: &str| {
        assert_eq!(refusals(answer), [at(pointer, "password_too_short")]);
        assert_eq!(answer.json()["errors"][0]["detail"], "at least 15 characters");
    };
    let browser = alone.browser();
    assert_short(&sign_up(&browser, EMAIL, fourteen).await, "/password");
    let both = [at("/password", "password_too_short"), at("/password", "password_too_weak")];
    assert_eq!(refusals(&sign_up(&browser, EMAIL, "gatepost").await), both);
    sign_up(&browser, EMAIL, fifteen).await.expect(202);

    let user = alone.user(EMAIL).await;
    email_mfa::grant_bypass(&alone.kernel, user.id, std::time::Duration::from_secs(600), "no mail here").await.unwrap();
    let status = login(&browser, EMAIL, fifteen).await.expect(200).json()["status"].clone();
    assert_eq!(status, Value::from("signed_in"));
    assert_short(&change(&browser, json!(fifteen), fourteen).await, "/new_password");
    change(&browser, json!(fifteen), "purple-lantern7").await.expect(204);
    alone.drain().await;

    // With a second step by mail the shorter one is enough, and the length is configuration.
    let two_steps = TestApp::new().await;
    sign_up(&two_steps.browser(), EMAIL, fourteen).await.expect(202);
    two_steps.drain().await;
    let longer = TestApp::with(Settings::with(|config| {
        config.mail.url = Redacted::new("none://".to_owned());
        config.password.min_length_single_factor = 20;
    }));
    let refused = sign_up(&longer.await.browser(), EMAIL, fifteen).await;
    assert_eq!(refused.json()["errors"][0]["detail"], "at least 20 characters");
}
