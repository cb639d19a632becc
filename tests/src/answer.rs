//! The answer to a request.

use poem::http::HeaderMap;
use serde_json::Value;

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub text: String,
}

impl Answer {
    /// The answer, if it has this status.
    #[expect(clippy::return_self_not_must_use, clippy::must_use_candidate, reason = "it is an assertion by itself")]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "body: {}", self.text);
        self
    }

    /// The problem with this status and code, and nothing that such a document must not have.
    #[expect(clippy::must_use_candidate, reason = "often only the assertion matters")]
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "body: {}", self.text);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "body: {}", self.text);
        let problem = self.json();
        assert_eq!(problem["code"], code, "body: {}", self.text);
        assert_eq!(problem["status"], status, "body: {}", self.text);
        assert_eq!(problem["type"], format!("https://gatepost.dev/problems#{code}"));
        problem
    }

    /// The body as JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|err| panic!("{err}: {}", self.text))
    }

    /// One header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The `Set-Cookie` line of a cookie.
    #[must_use]
    pub fn set_cookie(&self, name: &str) -> Option<String> {
        let mut lines = self.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
        lines.rfind(|line| line.split('=').next() == Some(name)).map(str::to_owned)
    }

    /// Status, body and headers without what must differ between any two answers: ids, dates and lengths of ids.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut headers: Vec<String> = self
            .headers
            .iter()
            .filter(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date" | "set-cookie"))
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap_or("?")))
            .collect();
        headers.sort();
        let instance = self.header("x-request-id").unwrap_or("no id").to_owned();
        format!("{}\n{}\n{}", self.status, headers.join("\n"), self.text.replace(&instance, "ID"))
    }
}
