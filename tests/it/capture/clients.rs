//! The unmodified clients, with only the host changed, against a real process.
//!
//! Only with `GATEPOST_TEST_FULL=1`: they need Node, Python, Chromium and what `scripts/setup.sh full` puts into
//! `tests/clients`.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use gateway::server;
use harness::{Browser, Installation, PASSWORD, Process, free_port, generate::tree, http_client, works::until};
use poem::{Request, Response, endpoint::make, http::StatusCode};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement};
use serde_json::{Value, json};
use shared::{config::Config, lifecycle::Lifecycle};
use tokio::process::Command;

fn is_full() -> bool {
    std::env::var_os("GATEPOST_TEST_FULL").is_some()
}

fn clients() -> PathBuf {
    tree::root().join("tests/clients")
}

/// A running installation with one project.
struct Site {
    installation: Installation,
    _process: Process,
    host: String,
    token: String,
    db: DatabaseConnection,
}

impl Site {
    async fn start(settings: &[(&str, &str)]) -> Self {
        let port = free_port();
        let host = format!("http://127.0.0.1:{port}");
        let mut installation = Installation::new()
            .set("HTTP__LISTEN", &format!("127.0.0.1:{port}"))
            .set("HTTP__PUBLIC_URL", &format!("http://localhost:{port}"))
            .set("TELEMETRY__LOG_FORMAT", "json");
        for (key, value) in settings {
            installation = installation.set(key, value);
        }
        let process = installation.start("serve", &["serve"]);
        installation.wait_for(&format!("{host}/health/ready"), Duration::from_secs(20)).await;
        let body = json!({ "email": "ada@example.com", "password": PASSWORD });
        let answer = http_client().post(format!("{host}/api/signup")).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 202);
        let path = installation.folder.join("gatepost.db");
        let db = Database::connect(format!("sqlite://{}", path.display())).await.unwrap();
        let mut site = Self { installation, _process: process, host, token: String::new(), db };
        site.token = site.texts("SELECT project_token AS text FROM projects").await.remove(0);
        site
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let rows = self.db.query_all_raw(Statement::from_string(DbBackend::Sqlite, sql)).await.unwrap();
        rows.iter().map(|row| row.try_get("", "text").unwrap()).collect()
    }

    async fn execute(&self, sql: &str) {
        self.db.execute_unprepared(sql).await.unwrap_or_else(|err| panic!("{sql}: {err}"));
    }

    /// Every stored event as `name by distinct id`, sorted.
    async fn events(&self) -> Vec<String> {
        self.texts("SELECT event || ' by ' || distinct_id AS text FROM events ORDER BY 1").await
    }

    async fn merges(&self) -> Vec<String> {
        let sql =
            "SELECT distinct_id || ' absorbs ' || other AS text FROM person_facts WHERE kind = 'merge' ORDER BY 1";
        self.texts(sql).await
    }

    /// The requests that were answered on a path, as statuses in their order.
    fn statuses(&self, path: &str) -> Vec<u64> {
        let log = std::fs::read_to_string(self.installation.folder.join("serve.log")).unwrap_or_default();
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let fields = lines.map(|line| if line["fields"].is_object() { line["fields"].clone() } else { line });
        fields
            .filter(|fields| fields["path"] == path && fields["method"] != "OPTIONS")
            .filter_map(|fields| fields["status"].as_u64())
            .collect()
    }

    /// All statuses of all routes of clients.
    fn all_statuses(&self) -> Vec<u64> {
        let config = format!("/array/{}/config", self.token);
        let script = format!("{config}.js");
        let paths = ["/e", "/i/v0/e", "/batch", "/flags", "/decide", &config, &script];
        paths.into_iter().flat_map(|path| self.statuses(path)).collect()
    }

    async fn wait_for_event(&self, event: &str) {
        until(&format!("{event} is stored"), async || self.events().await.iter().any(|found| found == event)).await;
    }
}

/// Pages at an origin of their own, with the clients as they are on npm.
struct Pages {
    base: String,
    _lifecycle: Lifecycle,
}

impl Pages {
    async fn start() -> Self {
        let bound = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let base = format!("http://localhost:{}", bound.address().port());
        Self { base, _lifecycle: serve(bound, make(|request: Request| async move { answer_page(&request) })) }
    }

    fn address(&self, version: &str, site: &Site) -> String {
        format!("{}/page?version={version}&host={}&token={}", self.base, site.host, site.token)
    }
}

fn serve(bound: server::Bound, endpoint: impl poem::Endpoint<Output = Response> + 'static) -> Lifecycle {
    let mut lifecycle = Lifecycle::new();
    let stopping = lifecycle.stopping();
    lifecycle.spawn("pages", async move {
        bound.serve(endpoint, &Config::defaults().unwrap().http, stopping).await.unwrap();
    });
    lifecycle
}

fn answer_page(request: &Request) -> poem::Result<Response> {
    let path = request.uri().path();
    if let Some(file) = path.strip_prefix("/client/") {
        let script = std::fs::read(clients().join("node_modules").join(file))
            .map_err(|_| poem::Error::from_status(StatusCode::NOT_FOUND))?;
        return Ok(Response::builder().content_type("text/javascript").body(script));
    }
    if path != "/page" {
        return Ok(Response::builder()
            .content_type("text/html")
            .body("<!doctype html><title>next</title><main>next</main>"));
    }
    let query = url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
    let asked: std::collections::HashMap<_, _> = query.into_owned().collect();
    let page = format!(
        "<!doctype html><title>shop</title><main>shop</main>
<script src=\"/client/posthog-js-{}/dist/array.js\"></script>
<script>posthog.init({}, {{ api_host: {} }})</script>",
        asked["version"],
        json!(asked["token"]),
        json!(asked["host"])
    );
    Ok(Response::builder().content_type("text/html; charset=utf-8").body(page))
}

/// Runs one of the programs in `tests/clients` and returns what it prints.
async fn run_story(program: &str, arguments: &[&str]) -> Value {
    let output = Command::new(program).current_dir(clients()).args(arguments).kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(60), output).await.expect("the program ends");
    let output = output.unwrap_or_else(|err| panic!("{program}: {err}; run scripts/setup.sh full"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program}: {out}{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"))
}

async fn node(host: &str, token: &str) -> Value {
    run_story("node", &["node_story.mjs", host, token]).await
}

async fn python(host: &str, token: &str, how: &str) -> Value {
    run_story(".venv/bin/python", &["python_story.py", host, token, how]).await
}

/// What a visitor does, in one page.
const STORY: &str = "
    const version = VERSION, anonymous = posthog.get_distinct_id();
    posthog.identify('user_' + version, { email: 'ann@example.com' }, { first: 'visit' });
    posthog.capture('clicked', { euros: 7 });
    posthog.setPersonProperties({ plan: 'paid' });
    posthog.alias('alias_' + version);
    posthog.reset();
    const next = posthog.get_distinct_id();
    posthog.capture('anonymous again');
    return [anonymous, next];";

async fn visit(site: &Site, pages: &Pages, browser: &Browser, version: &str) {
    browser.go(&pages.address(version, site)).await;
    until(&format!("posthog-js {version} is there"), async || {
        browser.run("return !!window.posthog?.__loaded").await == true
    })
    .await;
    // The first view of the page is sent by itself, a moment after the client has begun.
    until(&format!("the view of {version}"), async || {
        let anonymous = browser.run("return posthog.get_distinct_id()").await;
        site.events().await.contains(&format!("$pageview by {}", anonymous.as_str().unwrap_or_default()))
    })
    .await;
    let ids = browser.run(&STORY.replace("VERSION", &format!("'{version}'"))).await;
    let [anonymous, next] = [&ids[0], &ids[1]].map(|id| id.as_str().unwrap().to_owned());
    assert_ne!(anonymous, next);
    let user = format!("user_{version}");
    // It is sent at once, but some versions pack it first, and a page that is left meanwhile loses it.
    site.wait_for_event(&format!("$identify by {user}")).await;
    // Leaving flushes what waits, as a beacon.
    browser.go(&format!("{}/next", pages.base)).await;
    for (event, id) in [
        ("$pageview", &anonymous),
        ("$identify", &user),
        ("clicked", &user),
        ("$set", &user),
        ("$create_alias", &user),
        ("anonymous again", &next),
        ("$pageleave", &next),
    ] {
        site.wait_for_event(&format!("{event} by {id}")).await;
    }
    let merges = site.merges().await;
    for absorbed in [anonymous.clone(), format!("alias_{version}")] {
        assert!(merges.contains(&format!("{user} absorbs {absorbed}")), "{version}: {absorbed} in {merges:#?}");
    }
    assert!(!merges.iter().any(|merge| merge.contains(&next)), "what came after the reset is nobody's: {merges:#?}");
}

/// ID-44, ID-32, ID-37, ID-46: posthog-js of four ages, in a browser, from a page of another origin
#[tokio::test(flavor = "multi_thread")]
async fn full_browser_clients_of_all_ages_work() {
    if !is_full() {
        return;
    }
    let (site, pages, browser) = (Site::start(&[]).await, Pages::start().await, Browser::open().await);
    for version in ["1.100", "1.200", "1.418", "1.449"] {
        visit(&site, &pages, &browser, version).await;
        if version == "1.200" {
            assert!(!site.statuses("/decide").is_empty(), "old clients ask for a decision");
        }
    }
    let statuses = site.all_statuses();
    assert!(statuses.len() > 12 && statuses.iter().all(|status| *status == 200), "{statuses:?}");
    let duplicates = site.texts("SELECT event || distinct_id AS text FROM events GROUP BY 1 HAVING COUNT(*) > 1").await;
    assert!(duplicates.iter().all(|event| event.starts_with("$set")), "sent twice: {duplicates:?}");
    // The configuration says that there are no flags: they are not asked for again and again.
    let flags = site.statuses("/flags").len();
    assert!(flags <= 4, "{flags} requests for flags");
    browser.close().await;
}

/// ID-45, ID-12, ID-14, ID-37, ID-46: posthog-node and posthog for Python, packed and not
#[tokio::test(flavor = "multi_thread")]
async fn full_server_clients_work() {
    if !is_full() {
        return;
    }
    let site = Site::start(&[]).await;
    let none = json!({ "errors": [], "flags": {} });
    assert_eq!(node(&site.host, &site.token).await, none);
    assert_eq!(python(&site.host, &site.token, "plain").await, none);
    let events = site.events().await;
    for event in [
        "$create_alias by node_user",
        "$create_alias by python_anon",
        "$identify by node_user",
        "$set by python_user",
        "$set_once by python_user",
        "node bought by node_user",
        "node visited by node_anon",
        "python bought by python_user",
        "python visited by python_anon",
    ] {
        assert!(events.iter().any(|found| found == event), "{event} in {events:#?}");
    }
    assert_eq!(events.len(), 11, "{events:#?}");
    assert_eq!(site.merges().await, ["node_user absorbs node_anon", "python_anon absorbs python_user"]);
    let changes = "SELECT changes AS text FROM person_facts WHERE distinct_id = 'python_user' AND changes IS NOT NULL";
    let changes = site.texts(changes).await.concat();
    assert!(changes.contains(r#""plan":"paid""#) && changes.contains(r#""first":"python""#), "{changes}");
    let personless = site.texts("SELECT event AS text FROM events WHERE is_personless ORDER BY 1").await;
    assert_eq!(personless, ["node nobody", "python nobody"]);
    assert_eq!(python(&site.host, &site.token, "gzip").await, none);
    assert_eq!(site.events().await.len(), 17);
    assert!(site.all_statuses().iter().all(|status| *status == 200));
    let refused = python(&site.host, "gpc_unknown", "plain").await;
    assert!(refused["errors"].to_string().contains("There is no project with this token."), "{refused}");
}

/// Passes everything on and tells the client for a while that it failed.
struct Liar {
    host: String,
    lies: Arc<AtomicUsize>,
    _lifecycle: Lifecycle,
}

impl Liar {
    async fn start(site: &Site) -> Self {
        let bound = server::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let host = format!("http://{}", bound.address());
        let lies = Arc::new(AtomicUsize::new(0));
        let (target, left) = (site.host.clone(), Arc::clone(&lies));
        let endpoint = make(move |request| pass_on(request, target.clone(), Arc::clone(&left)));
        Self { host, lies, _lifecycle: serve(bound, endpoint) }
    }
}

async fn pass_on(mut request: Request, target: String, lies: Arc<AtomicUsize>) -> poem::Result<Response> {
    let url = format!("{target}{}", request.uri());
    let body = request.take_body().into_vec().await?;
    let mut sent = http_client().request(request.method().as_str().parse().unwrap(), url).body(body);
    for (name, value) in request.headers() {
        if name != "host" && name != "content-length" {
            sent = sent.header(name.as_str(), value.as_bytes());
        }
    }
    let answer = sent.send().await.map_err(|_| poem::Error::from_status(StatusCode::BAD_GATEWAY))?;
    let is_lie = request.uri().path().starts_with("/batch")
        && lies.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
    let status = if is_lie { StatusCode::BAD_GATEWAY } else { StatusCode::from_u16(answer.status().as_u16()).unwrap() };
    let body = answer.bytes().await.unwrap_or_default();
    Ok(Response::builder().status(status).content_type("application/json").body(body))
}

/// ID-21: server clients that lose the answer send the whole batch again, and it is stored once
#[tokio::test(flavor = "multi_thread")]
async fn full_a_lost_answer_stores_nothing_twice() {
    if !is_full() {
        return;
    }
    let site = Site::start(&[]).await;
    let liar = Liar::start(&site).await;
    let none = json!({ "errors": [], "flags": {} });
    liar.lies.store(2, Ordering::SeqCst);
    assert_eq!(python(&liar.host, &site.token, "plain").await, none);
    liar.lies.store(1, Ordering::SeqCst);
    assert_eq!(node(&liar.host, &site.token).await, none);
    assert_eq!(site.statuses("/batch").len(), 5, "all of them arrived");
    assert_eq!(site.events().await.len(), 11, "{:#?}", site.events().await);
}

/// ID-38: while nothing can be stored clients are told 503, and they deliver all of it later
#[tokio::test(flavor = "multi_thread")]
async fn full_clients_deliver_when_storing_works_again() {
    if !is_full() {
        return;
    }
    let (site, pages, browser) = (Site::start(&[]).await, Pages::start().await, Browser::open().await);
    site.execute("ALTER TABLE events RENAME TO events_away").await;
    browser.go(&pages.address("1.449", &site)).await;
    let (host, token) = (site.host.clone(), site.token.clone());
    let stories = async { tokio::join!(node(&host, &token), python(&host, &token, "plain")) };
    let repair = async {
        until("all three were refused", async || {
            site.statuses("/e").contains(&503) && site.statuses("/batch").len() >= 2
        })
        .await;
        site.execute("ALTER TABLE events_away RENAME TO events").await;
    };
    let ((from_node, from_python), ()) = tokio::join!(stories, repair);
    assert_eq!((&from_node["errors"], &from_python["errors"]), (&json!([]), &json!([])));
    let anonymous = browser.run("return posthog.get_distinct_id()").await;
    site.wait_for_event(&format!("$pageview by {}", anonymous.as_str().unwrap())).await;
    assert_eq!(site.events().await.len(), 12, "{:#?}", site.events().await);
    let statuses = site.all_statuses();
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
    browser.close().await;
}

/// ID-39: a browser client whose project has used up its quota pauses
#[tokio::test(flavor = "multi_thread")]
async fn full_a_browser_pauses_when_the_quota_is_used_up() {
    if !is_full() {
        return;
    }
    let site = Site::start(&[("CAPTURE__QUOTA__COUNT", "1")]).await;
    let (pages, browser) = (Pages::start().await, Browser::open().await);
    browser.go(&pages.address("1.449", &site)).await;
    until("the view is stored", async || site.events().await.len() == 1).await;
    browser.run("posthog.capture('too much', {}, { send_instantly: true })").await;
    until("the quota is told", async || site.statuses("/e").len() == 2).await;
    // What is captured now would be sent within three seconds.
    for number in 0..4 {
        browser.run(&format!("posthog.capture('paused {number}', {{}}, {{ send_instantly: true }})")).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(site.statuses("/e"), [200, 200], "nothing is sent while the client pauses");
    assert_eq!(site.events().await.len(), 1);
    browser.close().await;
}
