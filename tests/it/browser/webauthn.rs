//! Passkeys in real Chromium, with its virtual authenticators, through a minimal page of these tests.
//!
//! The page is served beside the API on one origin, as a reverse proxy does it. Only with `GATEPOST_TEST_FULL=1`.

use std::{sync::Arc, time::Duration};

use harness::{Browser, Installation, PASSWORD, code_in, free_port};
use poem::{IntoResponse, Request, Response, Route, Server, endpoint::make, get, listener::TcpListener, web::Html};
use reqwest::Client;
use serde_json::{Value, json};

const EMAIL: &str = "passkeys@example.test";
const PAGE: &str = include_str!("webauthn.html");

/// An installation behind a page of these tests.
struct Site {
    installation: Installation,
    base: String,
}

/// Sends a request on to the gateway, with the address of the browser.
async fn forward(request: Request, client: Client, gateway: Arc<str>) -> poem::Result<Response> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let (parts, body) = request.into_parts();
    let bytes = body.into_bytes().await?;
    let mut onward = client.request(parts.method, format!("{gateway}{path}")).body(bytes.to_vec());
    for (name, value) in parts.headers.iter().filter(|(name, _)| *name != "host") {
        onward = onward.header(name, value);
    }
    let answer = onward.send().await.map_err(poem::error::BadGateway)?;
    let mut reply = Response::builder().status(answer.status());
    for (name, value) in answer.headers().iter().filter(|(name, _)| *name != "transfer-encoding") {
        reply = reply.header(name, value);
    }
    Ok(reply.body(answer.bytes().await.map_err(poem::error::BadGateway)?))
}

async fn open_site() -> (Site, harness::Process, tokio::task::JoinHandle<()>) {
    let (front, back) = (free_port(), free_port());
    let (base, gateway) = (format!("http://localhost:{front}"), format!("http://127.0.0.1:{back}"));
    let installation =
        Installation::new().set("HTTP__LISTEN", &format!("127.0.0.1:{back}")).set("HTTP__PUBLIC_URL", &base);
    let process = installation.start("serve", &["serve"]);
    installation.wait_for(&format!("{gateway}/health/ready"), Duration::from_secs(20)).await;
    let (client, gateway): (_, Arc<str>) = (harness::http_client(), gateway.into());
    let api = make(move |request| forward(request, client.clone(), Arc::clone(&gateway)));
    let page = get(make(|_| async { Ok::<_, poem::Error>(Html(PAGE).into_response()) }));
    let site = Route::new().at("/", page).nest_no_strip("/api", api);
    let server = Server::new(TcpListener::bind(format!("127.0.0.1:{front}")));
    #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
    let task = tokio::spawn(async move { server.run(site).await.expect("a server") });
    (Site { installation, base }, process, task)
}

impl Site {
    /// The code in mail number `count`, once it is there.
    async fn code(&self, count: usize) -> String {
        for _ in 0..400 {
            let folder = self.installation.folder.join("gatepost-mailbox");
            let mails = workers::mail::list(&folder, 100).unwrap_or_default();
            if mails.len() >= count {
                return code_in(&mails[0].text);
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("mail number {count} did not arrive\n{}", self.installation.logs())
    }
}

#[track_caller]
fn assert_ok(answer: &Value, status: &str) {
    assert_eq!(answer["status"], status, "{answer}");
}

/// Signs the user up and in, in this browser.
async fn become_user(site: &Site, browser: &Browser) {
    let body = json!({ "email": EMAIL, "password": PASSWORD });
    browser.call("post", json!(["/api/signup", body])).await;
    let proof = json!({ "email": EMAIL, "code": site.code(1).await });
    browser.call("post", json!(["/api/email_verification/confirm", proof])).await;
    let login = browser.call("post", json!(["/api/login", body])).await;
    assert_ok(&login, "email_mfa_required");
    let proof = json!({ "login_id": login["email_mfa"]["login_id"], "code": site.code(2).await });
    assert_ok(&browser.call("post", json!(["/api/login/email_mfa", proof])).await, "signed_in");
}

/// T-WA-01, T-WA-02, T-WA-08: a passkey in the machine and one on a key are added and sign in without an address; what is
/// said of backups is stored; keys that cannot keep the credential or do not verify their user are refused, by the server
/// too when the page asks for less; and so is a copy of a key.
#[tokio::test(flavor = "multi_thread")]
async fn full_passkeys_work_in_a_browser() {
    if std::env::var_os("GATEPOST_TEST_FULL").is_none() {
        return;
    }
    let (site, _process, task) = open_site().await;
    let browser = Browser::open().await;
    browser.go(&site.base).await;
    become_user(&site, &browser).await;
    for (transport, is_synchronised) in [("internal", true), ("usb", false)] {
        let authenticator = browser.plug(transport, (true, true)).await;
        let added = browser.call("addPasskey", json!([{}])).await;
        assert_ok(&added, "created");
        let passkey = &added["passkey"];
        let flags = (&passkey["is_backup_eligible"], &passkey["is_backed_up"]);
        assert_eq!(flags, (&json!(is_synchronised), &json!(is_synchronised)), "{transport}: {added}");
        assert_eq!(passkey["transports"], json!([transport]), "{added}");
        let login = browser.call("signIn", json!([{}])).await;
        assert_ok(&login, "signed_in");
        let amr = if is_synchronised { "swk" } else { "hwk" };
        assert_eq!(login["session"]["amr"], json!([amr, "user", "mfa"]), "{login}");
        assert_eq!(browser.call("me", json!([])).await["email"], EMAIL);
        let credential = browser.credential(&authenticator).await;
        browser.unplug(&authenticator).await;
        if transport == "usb" {
            refuses_copies(&browser, &credential).await;
        }
    }
    // A key without room for the credential is not asked: the options demand that it is discoverable.
    let authenticator = browser.plug("usb", (false, true)).await;
    let refused = browser.call("addPasskey", json!([{}])).await;
    assert!(refused["failure"].as_str().is_some_and(|reason| reason.contains("NotAllowedError")), "{refused}");
    browser.unplug(&authenticator).await;
    // Where the page asks for less than the server, Chromium refuses already: the options demand protection of the credential.
    let authenticator = browser.plug("internal", (true, false)).await;
    let refused = browser.call("addPasskey", json!([{ "userVerification": "discouraged" }])).await;
    assert!(refused["failure"].as_str().is_some_and(|reason| reason.contains("NotSupportedError")), "{refused}");
    browser.unplug(&authenticator).await;
    browser.close().await;
    task.abort();
}

/// The key in an authenticator that does not verify its user, on a page that does not ask for it, signs nobody in; neither
/// does a copy whose counter is behind.
async fn refuses_copies(browser: &Browser, credential: &Value) {
    let count = credential["signCount"].as_i64().expect("a counter");
    let careless = browser.plug_copy(credential, ("usb", false), count).await;
    // Chromium asks a key that verifies nobody only for a credential that the page names.
    let named = json!([{ "type": "public-key", "id": credential["credentialId"], "transports": ["usb"] }]);
    let asked = json!([{ "userVerification": "discouraged", "allowCredentials": named }]);
    let refused = browser.call("signIn", asked).await;
    assert_eq!(refused["code"], "invalid_passkey", "{refused}");
    browser.unplug(&careless).await;
    let behind = browser.plug_copy(credential, ("usb", true), 0).await;
    let refused = browser.call("signIn", json!([{}])).await;
    assert_eq!(refused["code"], "invalid_passkey", "{refused}");
    browser.unplug(&behind).await;
    let ahead = browser.plug_copy(credential, ("usb", true), count + 10).await;
    assert_ok(&browser.call("signIn", json!([{}])).await, "signed_in");
    browser.unplug(&ahead).await;
}
