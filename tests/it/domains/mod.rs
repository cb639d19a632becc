//! Domains of organizations: claimed by many, proven by one, and what holds for their addresses then.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "test code")]

mod break_glass;
mod claiming;
mod enforcing;
mod joining;
mod precheck;
mod rechecking;
mod verifying;

use harness::{
    Answer, Caller, NameServer, Provider, Settings, TestApp,
    provider::{CLIENT, Person},
};
use serde_json::{Value, json};
use shared::{config::Config, secret::Redacted};
use url::Url;

const ME: &str = "/api/users/@me";
const SESSION: &str = "gatepost_session";
const CORP: &str = "corp.example";
const RECORD: &str = "_gatepost-challenge.corp.example";

/// An installation whose name server and providers are the test's: `google`, trusted with addresses, and `other`, not.
struct World {
    names: NameServer,
    provider: Provider,
    app: TestApp,
}

impl World {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        let (names, provider) = (NameServer::start().await, Provider::start().await);
        let (resolver, issuer) = (names.address, provider.issuer.clone());
        let app = TestApp::with(Settings::with(move |config| {
            config.domains.resolver = Some(resolver);
            config.domains.lookup_seconds = 10;
            let social = &mut config.social;
            social.allowed_networks = vec!["127.0.0.1/32".parse().expect("a network")];
            CLIENT.0.clone_into(&mut social.google.client_id);
            social.google.client_secret = Redacted::new(CLIENT.1.to_owned());
            social.google.issuer.clone_from(&issuer);
            let other = json!([{
                "name": "other", "issuer": issuer, "client_id": CLIENT.0, "client_secret": CLIENT.1,
            }]);
            social.oidc = serde_json::from_value(other).expect("providers");
            change(config);
        }))
        .await;
        Self { names, provider, app }
    }

    /// An organization of a user who is new.
    async fn house(&self, owner: &str) -> House<'_> {
        let owner = self.app.member(owner).await;
        let made = owner.post("/api/organizations", json!({ "name": "Acme" })).await.expect(200).json();
        House { world: self, id: text(&made["id"]), owner }
    }

    /// Signs somebody in with a provider, in a browser of their own. Where the browser ends up.
    async fn sign_in(&self, name: &str, person: &Person) -> (Caller<'_>, Answer) {
        let browser = self.app.browser();
        let begun = browser.get(&format!("/api/login/sso/{name}")).await.expect(303);
        let url = Url::parse(begun.header("location").expect("a redirect")).expect("an address");
        let answer = browser.get(&self.provider.approve(&url, person, self.app.now())).await.expect(303);
        self.app.drain().await;
        (browser, answer)
    }

    /// As [`Self::sign_in`], which has to be refused with this code.
    async fn refused(&self, name: &str, person: &Person, code: &str) {
        let (browser, answer) = self.sign_in(name, person).await;
        let location = answer.header("location").expect("a redirect");
        assert!(format!("{location}&").contains(&format!("error_code={code}&")), "{location}");
        assert!(answer.set_cookie(SESSION).is_none());
        let page = browser.get(location).await.expect(200);
        assert!(page.text.contains("role=\"alert\""), "{}", page.text);
    }

    /// As [`Self::sign_in`], which has to succeed. The organizations that they are in then, by role and name.
    async fn joined(&self, name: &str, person: &Person) -> Vec<(String, String)> {
        let (browser, answer) = self.sign_in(name, person).await;
        assert_eq!(answer.header("location"), Some("/account"));
        let page = browser.get("/api/organizations").await.expect(200).json();
        let items = page["items"].as_array().expect("items");
        items.iter().map(|item| (text(&item["role"]), text(&item["name"]))).collect()
    }

    async fn audited(&self, action: &str) -> Vec<(String, Value)> {
        let rows = shared::audit::list(self.app.kernel.db.reader(), action, 1000).await.expect("audit");
        rows.into_iter().map(|row| (row.outcome, serde_json::from_str(&row.detail).expect("JSON"))).collect()
    }
}

/// An organization and its owner.
struct House<'a> {
    world: &'a World,
    id: String,
    owner: Caller<'a>,
}

impl House<'_> {
    fn path(&self, rest: &str) -> String {
        format!("/api/organizations/{}/domains{rest}", self.id)
    }

    async fn claim(&self, domain: &str) -> Value {
        self.owner.post(&self.path(""), json!({ "domain": domain })).await.expect(200).json()
    }

    async fn verify(&self, domain: &Value) -> Answer {
        self.owner.post(&self.path(&format!("/{}/verify", text(&domain["id"]))), json!({})).await
    }

    async fn update(&self, domain: &Value, change: Value) -> Answer {
        self.owner.patch(&self.path(&format!("/{}", text(&domain["id"]))), change).await
    }

    async fn get(&self, domain: &Value) -> Value {
        self.owner.get(&self.path(&format!("/{}", text(&domain["id"])))).await.expect(200).json()
    }

    /// Publishes the record of a domain.
    fn publish(&self, domain: &Value) {
        self.world.names.set_txt(&text(&domain["challenge_record"]), &text(&domain["challenge_value"]));
    }

    /// A domain that is claimed and proven, with these settings.
    async fn prove(&self, domain: &str, settings: Value) -> Value {
        let domain = self.claim(domain).await;
        self.publish(&domain);
        self.verify(&domain).await.expect(200);
        self.update(&domain, settings).await.expect(200).json()
    }
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
