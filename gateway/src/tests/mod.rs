//! The whole application, in process, over a database of its own.

mod edge;
mod flows;
mod log;
mod mailbox;
mod pages;
mod wire;

use std::{path::PathBuf, sync::Arc, time::Duration};

use poem::{Endpoint, EndpointExt, Request, Response, endpoint::BoxEndpoint, http::Method};
use serde_json::Value;
use shared::{
    capture::Capture,
    clock::SystemClock,
    config::Config,
    db::Db,
    kernel::Kernel,
    lifecycle::{CancellationToken, Readiness},
    password::HashPool,
    secret::Keyring,
    sessions::SessionCache,
    social::Providers,
};

use crate::{AppParts, AppState, state::Keys};

/// An application that removes its files when it is dropped.
struct TestApp {
    endpoint: BoxEndpoint<'static, Response>,
    state: AppState,
    folder: PathBuf,
}

impl Drop for TestApp {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn state(folder: &std::path::Path, variables: &[(&str, &str)]) -> AppState {
    let mut all = vec![
        ("GATEPOST__DATABASE__URL".to_owned(), format!("sqlite://{}/db", folder.display())),
        ("GATEPOST__MAIL__URL".to_owned(), format!("mailbox://{}/mail", folder.display())),
        ("GATEPOST__PASSWORD__MEMORY_KIB".to_owned(), "1024".to_owned()),
    ];
    all.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let config: Config = shared::config::load_from(None, all.into_iter()).unwrap();
    let keys = Keyring::parse(config.secrets.keys.expose()).unwrap();
    let db = Db::connect(&config.database).await.unwrap();
    migrations::run(db.writer()).await.unwrap();
    let hasher = Arc::new(HashPool::start(&config.password, &keys).unwrap());
    let capture = Capture::new(&config.capture);
    let kernel = Kernel { db, clock: Arc::new(SystemClock), keys, config: Arc::new(config) };
    AppState::from(AppParts {
        kernel: Arc::new(kernel),
        hasher,
        sessions: SessionCache::default(),
        keys: Keys::default(),
        providers: Providers::default(),
        capture: Arc::new(capture),
        readiness: Readiness::default(),
        draining: CancellationToken::new(),
    })
}

impl TestApp {
    async fn new() -> Self {
        Self::with(&[], crate::app).await
    }

    async fn with<E: Endpoint<Output = Response> + 'static>(
        variables: &[(&str, &str)],
        assemble: impl FnOnce(AppState) -> E,
    ) -> Self {
        let folder = std::env::temp_dir().join(format!("gatepost-gateway-{}", shared::ids::next()));
        std::fs::create_dir_all(folder.join("mail")).unwrap();
        let state = state(&folder, variables).await;
        Self { endpoint: assemble(state.clone()).boxed(), state, folder }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    async fn json(&self, path: &str, body: &str) -> Answer {
        self.send(Method::POST, path, &[("content-type", "application/json")], body).await
    }

    async fn form(&self, path: &str, body: &str) -> Answer {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("sec-fetch-site", "same-origin"),
            ("accept", "text/html"),
        ];
        self.send(Method::POST, path, &headers, body).await
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder().method(method).uri_str(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answering = self.endpoint.get_response(request.body(body.to_owned()));
        let mut response = tokio::time::timeout(Duration::from_secs(30), answering).await.unwrap();
        let text = response.take_body().into_string().await.unwrap();
        Answer { response, text }
    }
}

/// A response whose body was read.
struct Answer {
    response: Response,
    text: String,
}

impl Answer {
    fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    fn header(&self, name: &str) -> &str {
        self.response.header(name).unwrap_or_default()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The code of a problem; its status is checked along the way.
    fn code(&self) -> String {
        let body = self.json();
        assert_eq!(body["status"], self.status());
        assert_eq!(self.header("content-type"), "application/problem+json");
        body["code"].as_str().unwrap().to_owned()
    }
}
