//! An OpenID Connect provider, and GitHub's API, on a port of its own: honest, or hostile in the way that a test wants.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use poem::{
    Request, Response, Server,
    endpoint::make,
    http::StatusCode,
    listener::{Acceptor, Listener, TcpListener},
};
use ring::{
    digest, hmac, rand,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use serde_json::{Map, Value, json};
use shared::{clock::Timestamp, ids, secret::encode};
use tokio_util::task::AbortOnDropHandle;
use url::{Url, form_urlencoded};

/// The client that the provider knows.
pub const CLIENT: (&str, &str) = ("the-client", "the-client-secret-which-is-long-enough");

/// Somebody who has an account at the provider.
#[derive(Clone, Debug)]
pub struct Person {
    /// What the provider knows them by; a number, as GitHub's ids are.
    pub subject: String,
    /// Their address.
    pub email: Option<String>,
    /// Whether the provider verified it, if it says.
    pub is_verified: Option<bool>,
    /// Their name.
    pub name: Option<String>,
}

impl Person {
    /// Somebody with a verified address.
    #[must_use]
    pub fn of(subject: &str, email: &str) -> Self {
        let name = Some("Ada Lovelace".to_owned());
        Self { subject: subject.to_owned(), email: Some(email.to_owned()), is_verified: Some(true), name }
    }
}

/// How an ID token is signed.
#[derive(Clone, Debug)]
pub enum Signature {
    /// With the key of this number.
    Key(usize),
    /// Not at all.
    None,
    /// With this as the key of a MAC.
    Mac(Vec<u8>),
    /// With nonsense.
    Wrong,
}

/// What happens to a path instead of an answer.
#[derive(Clone, Debug)]
pub enum Outage {
    /// A status without more.
    Status(u16),
    /// A redirect to this address.
    Redirect(String),
    /// Nothing, for a minute.
    Silence,
    /// So many bytes.
    Bytes(usize),
}

/// How the provider behaves.
pub struct Behaviour {
    /// What the discovery document says besides, or instead.
    pub metadata: Value,
    /// What the header of ID tokens says besides, or instead.
    pub header: Value,
    /// What ID tokens claim besides, or instead; `null` takes a claim away.
    pub claims: Value,
    /// How they are signed.
    pub signature: Signature,
    /// The numbers of the keys that are published.
    pub published: Vec<usize>,
    /// Paths that are out of order.
    pub outages: BTreeMap<String, Outage>,
    /// What GitHub says of addresses; that of the person, if it is not set.
    pub github_emails: Option<Value>,
    /// What userinfo says besides, or instead.
    pub userinfo: Value,
}

/// What a code was given for.
struct Grant {
    person: Person,
    asked: HashMap<String, String>,
    now: Timestamp,
    access_token: String,
}

struct State {
    issuer: String,
    keys: Vec<EcdsaKeyPair>,
    behaviour: Mutex<Behaviour>,
    grants: Mutex<HashMap<String, Grant>>,
    people: Mutex<HashMap<String, Person>>,
    requests: Mutex<Vec<String>>,
}

/// A running provider; it ends when dropped.
pub struct Provider {
    /// Its issuer, and the base of GitHub's addresses.
    pub issuer: String,
    state: Arc<State>,
    _task: AbortOnDropHandle<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Provider {
    /// Starts one.
    ///
    /// # Panics
    /// When no port is free.
    pub async fn start() -> Self {
        let acceptor = TcpListener::bind("127.0.0.1:0").into_acceptor().await.expect("a free port");
        let address = acceptor.local_addr()[0].as_socket_addr().copied().expect("an address");
        let key = || {
            let random = rand::SystemRandom::new();
            let bytes = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
            EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, bytes.as_ref(), &random).expect("a key")
        };
        let behaviour = Behaviour {
            metadata: json!({}),
            header: json!({}),
            claims: json!({}),
            signature: Signature::Key(0),
            published: vec![0],
            outages: BTreeMap::new(),
            github_emails: None,
            userinfo: json!({}),
        };
        let state = Arc::new(State {
            issuer: format!("http://{address}"),
            keys: (0..3).map(|_| key()).collect(),
            behaviour: Mutex::new(behaviour),
            grants: Mutex::default(),
            people: Mutex::default(),
            requests: Mutex::default(),
        });
        let serving = Arc::clone(&state);
        let endpoint = make(move |request| {
            let state = Arc::clone(&serving);
            async move { Ok::<_, poem::Error>(answer(&state, request).await) }
        });
        let running = async move { drop(Server::new_with_acceptor(acceptor).run(endpoint).await) };
        #[expect(clippy::disallowed_methods, reason = "the one task of this provider; its handle aborts it on drop")]
        let task = AbortOnDropHandle::new(tokio::spawn(running));
        Self { issuer: state.issuer.clone(), state, _task: task }
    }

    /// Changes how it behaves from now on.
    pub fn set(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut locked(&self.state.behaviour));
    }

    /// Lets a person in who came with this address, at this time. Returns where their browser goes: path and query.
    ///
    /// # Panics
    /// When the address is not that of a proper request.
    #[must_use]
    pub fn approve(&self, url: &Url, person: &Person, now: Timestamp) -> String {
        let asked: HashMap<String, String> = url.query_pairs().into_owned().collect();
        assert_eq!((asked["response_type"].as_str(), asked["client_id"].as_str()), ("code", CLIENT.0), "{url}");
        let code = ids::next().simple().to_string();
        let back = Url::parse(&asked["redirect_uri"]).expect("a redirect URI");
        let state = asked["state"].clone();
        let access_token = format!("provider-token-{}", ids::next().simple());
        let grant = Grant { person: person.clone(), asked, now, access_token };
        locked(&self.state.grants).insert(code.clone(), grant);
        // GitHub's issuer has a path.
        let iss =
            format!("{}{}", self.issuer, if url.path().starts_with("/login/oauth/") { "/login/oauth" } else { "" });
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("code", code.as_str()), ("state", state.as_str()), ("iss", iss.as_str())])
            .finish();
        format!("{}?{query}", back.path())
    }

    /// How many requests there were for a path.
    #[must_use]
    pub fn count(&self, path: &str) -> usize {
        locked(&self.state.requests).iter().filter(|request| request.split(' ').next() == Some(path)).count()
    }

    /// The public part of a key, as bytes that an attacker has.
    #[must_use]
    pub fn public_key(&self, number: usize) -> Vec<u8> {
        self.state.keys[number].public_key().as_ref().to_vec()
    }
}

fn jwk(state: &State, number: usize) -> Value {
    let (x, y) = state.keys[number].public_key().as_ref()[1..].split_at(32);
    json!({ "kty": "EC", "crv": "P-256", "use": "sig", "kid": format!("key-{number}"), "x": encode(x), "y": encode(y) })
}

/// Adds members to an object; `null` takes one away.
fn patch(object: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().into_iter().flatten() {
        if value.is_null() {
            object.as_object_mut().map(|members| members.remove(name));
        } else {
            object[name] = value.clone();
        }
    }
}

async fn answer(state: &State, request: Request) -> Response {
    let (request, mut body) = request.split();
    let path = request.uri().path().to_owned();
    let body = body.take().expect("a body").into_string().await.unwrap_or_default();
    locked(&state.requests).push(format!("{path} {body}"));
    let outage = locked(&state.behaviour).outages.get(&path).cloned();
    match outage {
        Some(Outage::Status(status)) => return status_only(status),
        Some(Outage::Redirect(address)) => {
            return Response::builder().status(StatusCode::FOUND).header("location", address).finish();
        }
        Some(Outage::Silence) => tokio::time::sleep(Duration::from_secs(60)).await,
        Some(Outage::Bytes(count)) => return Response::builder().body(vec![b' '; count]),
        None => {}
    }
    let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let person = locked(&state.people).get(bearer).cloned();
    match (path.as_str(), person) {
        ("/.well-known/openid-configuration", _) => json_answer(200, &discovery(state)),
        ("/jwks", _) => {
            let published = locked(&state.behaviour).published.clone();
            json_answer(200, &json!({ "keys": published.iter().map(|key| jwk(state, *key)).collect::<Vec<_>>() }))
        }
        ("/token" | "/login/oauth/access_token", _) => token(state, &request, &body),
        ("/userinfo", Some(person)) => {
            let mut claims = claims_of(&person);
            patch(&mut claims, &locked(&state.behaviour).userinfo);
            json_answer(200, &claims)
        }
        ("/user", Some(person)) => {
            let id: u64 = person.subject.parse().expect("a numeric subject");
            json_answer(200, &json!({ "id": id, "login": "ada-l", "name": person.name, "email": null }))
        }
        ("/user/emails", Some(person)) => {
            let own = json!([{ "email": person.email, "primary": true, "verified": person.is_verified == Some(true) }]);
            json_answer(200, &locked(&state.behaviour).github_emails.clone().unwrap_or(own))
        }
        ("/userinfo" | "/user" | "/user/emails", None) => status_only(401),
        _ => status_only(404),
    }
}

fn status_only(status: u16) -> Response {
    Response::builder().status(StatusCode::from_u16(status).expect("a status")).finish()
}

fn json_answer(status: u16, value: &Value) -> Response {
    let status = StatusCode::from_u16(status).expect("a status");
    Response::builder().status(status).content_type("application/json").body(value.to_string())
}

fn discovery(state: &State) -> Value {
    let issuer = &state.issuer;
    let mut metadata = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256", "HS256", "none"],
    });
    patch(&mut metadata, &locked(&state.behaviour).metadata);
    metadata
}

/// Whether the request is of the client that the provider knows, by header or by body.
fn is_client(request: &Request, form: &HashMap<String, String>) -> bool {
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", CLIENT.0, CLIENT.1)));
    let in_body = || Some((form.get("client_id")?.as_str(), form.get("client_secret")?.as_str()));
    request.header("authorization") == Some(basic.as_str()) || in_body() == Some(CLIENT)
}

fn token(state: &State, request: &Request, body: &str) -> Response {
    let form: HashMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    if !is_client(request, &form) {
        return json_answer(401, &json!({ "error": "invalid_client" }));
    }
    let said = |name: &str| form.get(name).cloned().unwrap_or_default();
    // A code is taken by its first use.
    let grant = locked(&state.grants).remove(&said("code"));
    let challenge = encode(digest::digest(&digest::SHA256, said("code_verifier").as_bytes()).as_ref());
    let good = |grant: &Grant| {
        grant.asked["code_challenge_method"] == "S256"
            && grant.asked["code_challenge"] == challenge
            && grant.asked["redirect_uri"] == said("redirect_uri")
    };
    let Some(grant) = grant.filter(good) else { return json_answer(400, &json!({ "error": "invalid_grant" })) };
    locked(&state.people).insert(grant.access_token.clone(), grant.person.clone());
    let id_token = id_token(state, &grant);
    let access_token = grant.access_token;
    json_answer(200, &json!({ "access_token": access_token, "token_type": "Bearer", "id_token": id_token }))
}

fn claims_of(person: &Person) -> Value {
    let mut claims = json!({ "sub": person.subject });
    let said = json!({ "email": person.email, "email_verified": person.is_verified, "name": person.name });
    patch(&mut claims, &said);
    claims
}

fn id_token(state: &State, grant: &Grant) -> String {
    let behaviour = locked(&state.behaviour);
    let now = grant.now.unix_seconds();
    let hash = digest::digest(&digest::SHA256, grant.access_token.as_bytes());
    let mut claims = claims_of(&grant.person);
    let standard = json!({
        "iss": state.issuer, "aud": CLIENT.0, "exp": now + 300, "iat": now, "nonce": grant.asked.get("nonce"),
        "at_hash": encode(&hash.as_ref()[..16]),
    });
    patch(&mut claims, &standard);
    patch(&mut claims, &behaviour.claims);
    let (algorithm, kid) = match &behaviour.signature {
        Signature::Key(number) => ("ES256", format!("key-{number}")),
        Signature::Wrong => ("ES256", "key-0".to_owned()),
        Signature::None => ("none", "key-0".to_owned()),
        Signature::Mac(_) => ("HS256", "key-0".to_owned()),
    };
    let mut header = Value::Object(Map::new());
    patch(&mut header, &json!({ "alg": algorithm, "kid": kid, "typ": "JWT" }));
    patch(&mut header, &behaviour.header);
    let text = format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = match &behaviour.signature {
        Signature::Key(number) => {
            let random = rand::SystemRandom::new();
            state.keys[*number].sign(&random, text.as_bytes()).expect("a signature").as_ref().to_vec()
        }
        Signature::None => Vec::new(),
        Signature::Mac(key) => hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec(),
        Signature::Wrong => vec![7; 64],
    };
    format!("{text}.{}", encode(&signature))
}
