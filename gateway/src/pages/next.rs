//! Where a browser goes once it is signed in: a path of this installation, and nothing else.
//!
//! The path travels in the query and in the forms, so it is looked at each time it comes back. What is not clearly a path
//! of ours leads to the account's page: a browser reads `//host`, `/\host` and control characters in its own way (WHATWG
//! URL, section 4.4).

use poem::Request;
use url::form_urlencoded;

/// Where one goes who came from nowhere.
pub const ACCOUNT: &str = "/account";

/// The longest path that is kept.
const MAX_BYTES: usize = 1024;

/// A path of this installation, perhaps with a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next(String);

impl Next {
    /// The path that a request asks for, if it is one of ours.
    pub fn read(asked: &str) -> Self {
        Self(if is_ours(asked) { asked } else { ACCOUNT }.to_owned())
    }

    /// Back to where this request went.
    pub fn here(request: &Request) -> Self {
        Self::read(request.uri().path_and_query().map_or(ACCOUNT, |target| target.as_str()))
    }

    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address of a page that leads there in the end.
    pub fn through(&self, page: &str, further: &[(&str, &str)]) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(further).append_pair("next", &self.0);
        format!("{page}?{}", query.finish())
    }
}

fn is_ours(asked: &str) -> bool {
    let path = asked.split(['?', '#']).next().unwrap_or_default();
    asked.len() <= MAX_BYTES
        && path.starts_with('/')
        && !path.contains("//")
        && asked.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[test]
    fn paths_of_ours_are_kept() {
        for path in
            ["/", "/account", "/invite?invite_id=1&a=%2F%2Fx", "/a/b#c", "/login/email?token=https://x.example/"]
        {
            assert_eq!(Next::read(path).as_str(), path);
        }
    }

    #[test]
    fn anything_else_leads_to_the_account() {
        let home = Url::parse("https://auth.example.com/login").unwrap();
        let long = format!("/{}", "a".repeat(MAX_BYTES));
        for foreign in [
            "",
            "account",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/a\\..//evil.example",
            "/.//evil.example",
            "/\t/evil.example",
            "\t//evil.example",
            "/\n/evil.example",
            "/a\r\nSet-Cookie: x=y",
            " //evil.example",
            "https://evil.example",
            "https:evil.example",
            "javascript:alert(1)",
            "@evil.example",
            ".evil.example",
            "?next=/a",
            "/caf\u{e9}",
            "/\u{2215}evil.example",
            long.as_str(),
        ] {
            assert_eq!(Next::read(foreign).as_str(), ACCOUNT, "{foreign:?}");
        }
        // What is kept stays here when a browser reads it.
        for odd in
            ["/@evil.example", "/:80", "/%2F/evil.example", "/..", "/%5cevil.example", "/;//x", "/?//evil.example"]
        {
            assert_eq!(home.join(Next::read(odd).as_str()).unwrap().origin(), home.origin(), "{odd}");
        }
    }

    #[test]
    fn a_path_is_one_value_of_a_query() {
        let next = Next::read("/invite?a=1&b=2");
        assert_eq!(next.through("/login", &[("reason", "x&y")]), "/login?reason=x%26y&next=%2Finvite%3Fa%3D1%26b%3D2");
    }
}
