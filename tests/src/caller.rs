//! One browser or program that calls the application.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use poem::{
    Endpoint, Request, Response,
    endpoint::BoxEndpoint,
    http::{Method, Uri},
};
use serde_json::{Value, json};

use crate::{Answer, PASSWORD, TestApp, mail, totp::Authenticator};

/// One browser or program: an address, cookies that it keeps, and perhaps a bearer token.
pub struct Caller<'a> {
    app: &'a TestApp,
    ip: String,
    user_agent: String,
    bearer: Option<String>,
    cookies: Mutex<BTreeMap<String, String>>,
    extra: Vec<(String, String)>,
    is_plain: bool,
    gateway: &'a BoxEndpoint<'static, Response>,
}

impl<'a> Caller<'a> {
    /// A browser at this address.
    #[must_use]
    pub fn new(app: &'a TestApp, ip: &str) -> Self {
        Self {
            app,
            ip: ip.to_owned(),
            user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0".to_owned(),
            bearer: None,
            cookies: Mutex::default(),
            extra: Vec::new(),
            is_plain: false,
            gateway: app.endpoint(),
        }
    }

    /// The same with another program.
    #[must_use]
    pub fn user_agent(mut self, user_agent: &str) -> Self {
        user_agent.clone_into(&mut self.user_agent);
        self
    }

    /// The same at another gateway.
    #[must_use]
    pub fn through(mut self, gateway: &'a BoxEndpoint<'static, Response>) -> Self {
        self.gateway = gateway;
        self
    }

    /// The same with a bearer token.
    #[must_use]
    pub fn bearer(mut self, token: &str) -> Self {
        self.bearer = Some(token.to_owned());
        self
    }

    /// The same with a further header on every request.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.extra.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same as a program that sends no origin and no fetch metadata.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.is_plain = true;
        self
    }

    /// A cookie that it keeps.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Gives it a cookie.
    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), value.to_owned());
    }

    /// Drops all cookies.
    pub fn clear_cookies(&self) {
        self.cookies.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    /// POST with a JSON body.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, Some(("application/json", body.to_string()))).await
    }

    /// PATCH with a JSON body.
    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send(Method::PATCH, path, Some(("application/json", body.to_string()))).await
    }

    /// DELETE.
    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, None).await
    }

    /// POST with the body of a form.
    pub async fn post_form(&self, path: &str, body: &str) -> Answer {
        self.send(Method::POST, path, Some(("application/x-www-form-urlencoded", body.to_owned()))).await
    }

    /// Any request, as a browser makes it: with its cookies, and with the origin of the application on writes.
    pub async fn send(&self, method: Method, path: &str, body: Option<(&str, String)>) -> Answer {
        self.send_bytes(method, path, body.map(|(content_type, text)| (content_type, text.into_bytes()))).await
    }

    /// Like [`Caller::send`], with a body that need not be text.
    pub async fn send_bytes(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>) -> Answer {
        let uri: Uri = path.parse().unwrap_or_else(|err| panic!("{path}: {err}"));
        let mut request = Request::builder()
            .method(method.clone())
            .uri(uri)
            .header("x-forwarded-for", &self.ip)
            .header("user-agent", &self.user_agent);
        let has_fetch_metadata = self.extra.iter().any(|(name, _)| name == "sec-fetch-site" || name == "origin");
        if method != Method::GET && self.bearer.is_none() && !has_fetch_metadata && !self.is_plain {
            request = request.header("sec-fetch-site", "same-origin").header("origin", self.app.origin());
        }
        if let Some(bearer) = &self.bearer {
            request = request.header("authorization", format!("Bearer {bearer}"));
        }
        let cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !cookies.is_empty() {
            let line: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", line.join("; "));
        }
        for (name, value) in &self.extra {
            request = request.header(name.as_str(), value.as_str());
        }
        let request = match body {
            Some((content_type, bytes)) => request.content_type(content_type).body(bytes),
            None => request.finish(),
        };
        let answer = read(self.gateway.get_response(request).await).await;
        self.keep_cookies(&answer);
        answer
    }

    fn keep_cookies(&self, answer: &Answer) {
        let mut cookies = self.cookies.lock().unwrap_or_else(PoisonError::into_inner);
        for line in answer.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok()) {
            let (name, rest) = line.split_once('=').unwrap_or((line, ""));
            let value = rest.split(';').next().unwrap_or_default();
            if line.contains("Max-Age=0;") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Signs up; processes the jobs.
    pub async fn sign_up(&self, email: &str) {
        self.post("/api/signup", json!({ "email": email, "password": PASSWORD })).await.expect(202);
        self.app.drain().await;
    }

    /// Signs up and proves the address with the mailed code.
    pub async fn sign_up_verified(&self, email: &str) {
        self.sign_up(email).await;
        let code = mail::code_in(&self.app.mail_to(email).await.text);
        self.post("/api/email_verification/confirm", json!({ "email": email, "code": code })).await.expect(200);
    }

    /// Proves the password and leaves the e-mail step open; processes the jobs. Returns the answer's `email_mfa`.
    pub async fn begin_login(&self, email: &str, password: &str) -> Value {
        let login = self.post("/api/login", json!({ "email": email, "password": password })).await.expect(200).json();
        assert_eq!(login["status"], "email_mfa_required", "{login}");
        self.app.drain().await;
        login["email_mfa"].clone()
    }

    /// Signs in with password and mailed code, in this browser; processes the jobs.
    pub async fn log_in(&self, email: &str, password: &str) -> Value {
        let pending = self.begin_login(email, password).await;
        let code = mail::code_in(&self.app.mail_to(email).await.text);
        let body = json!({ "login_id": pending["login_id"], "code": code });
        let login = self.post("/api/login/email_mfa", body).await.expect(200).json();
        assert_eq!(login["status"], "signed_in", "{login}");
        // The notice of a new device goes out now, or it would be the newest mail at the next login.
        self.app.drain().await;
        login
    }

    /// Enables an authenticator app in this signed-in browser; processes the jobs. Returns the app and the backup codes.
    /// The clock moves on, so that the app shows a code that was not used.
    ///
    /// # Panics
    /// When the answer has no secret or no codes.
    pub async fn enable_totp(&self) -> (Authenticator, Vec<String>) {
        let setup = self.post("/api/users/@me/two_factor/totp/start", json!({})).await.expect(200).json();
        let app = Authenticator::of(setup["secret"].as_str().expect("a secret"));
        let body = json!({ "code": app.code(self.app.now()) });
        let enabled = self.post("/api/users/@me/two_factor/totp/confirm", body).await.expect(200).json();
        self.app.drain().await;
        self.app.advance(Duration::from_secs(60));
        (app, serde_json::from_value(enabled["backup_codes"].clone()).expect("codes"))
    }

    /// Proves the password and leaves the two-factor step open. Returns the answer's `two_factor`.
    pub async fn begin_two_factor(&self, email: &str) -> Value {
        let login = self.post("/api/login", json!({ "email": email, "password": PASSWORD })).await.expect(200).json();
        assert_eq!(login["status"], "two_factor_required", "{login}");
        login["two_factor"].clone()
    }
}

async fn read(response: Response) -> Answer {
    let (parts, body) = response.into_parts();
    let text = body.into_string().await.unwrap_or_else(|err| panic!("unreadable body: {err}"));
    Answer { status: parts.status.as_u16(), headers: parts.headers, text }
}
