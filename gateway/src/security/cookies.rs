//! The cookies: reading them, and writing them with the strictest attributes that work.
//!
//! | cookie | holds | `SameSite` |
//! |---|---|---|
//! | session | the session token | Lax |
//! | login | what binds a pending login to this browser | Lax: the mailed link is opened from a mail program |
//! | passkey | what binds a passkey challenge to this browser | Strict |
//! | social | what binds a sign-in at a provider to this browser | Lax: the provider sends the browser back |
//! | device | the trust in this browser | Strict |
//! | known | what this browser is known by to users who signed in with it | Lax |
//!
//! All are host-only, `HttpOnly`, and on https `Secure` with the prefix `__Host-` (RFC 6265bis, section 4.1.3).

use poem::http::{HeaderMap, header};
use shared::{
    config::{Config, HttpConfig},
    login::SignedIn,
    sessions::Transport,
};

/// Name of the session cookie.
#[must_use]
pub fn session_name(config: &HttpConfig) -> &'static str {
    if config.is_https() { "__Host-gatepost_session" } else { "gatepost_session" }
}

/// Name of the cookie that binds a pending login.
#[must_use]
pub fn login_name(config: &HttpConfig) -> &'static str {
    if config.is_https() { "__Host-gatepost_login" } else { "gatepost_login" }
}

/// Name of the cookie that binds a passkey challenge.
#[must_use]
pub fn passkey_name(config: &HttpConfig) -> &'static str {
    if config.is_https() { "__Host-gatepost_passkey" } else { "gatepost_passkey" }
}

/// Name of the cookie that binds a sign-in at a provider.
#[must_use]
pub fn social_name(config: &HttpConfig) -> &'static str {
    if config.is_https() { "__Host-gatepost_social" } else { "gatepost_social" }
}

/// Name of the cookie of a trusted device.
#[must_use]
pub fn device_name(config: &HttpConfig) -> &'static str {
    if config.is_https() { "__Host-gatepost_device" } else { "gatepost_device" }
}

/// Name of the cookie of a known device.
#[must_use]
pub fn known_name(config: &HttpConfig) -> &'static str {
    if config.is_https() { "__Host-gatepost_known" } else { "gatepost_known" }
}

/// The value of a cookie. A request that sends it twice has none: it is not for us to guess which one is ours.
#[must_use]
pub fn read(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(key, _)| *key == name)
        .map(|(_, value)| value.trim_matches('"').to_owned());
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// How a cookie travels with requests that other sites cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// With navigations only.
    Lax,
    /// Never.
    Strict,
}

/// A `Set-Cookie` value for this host, not readable by scripts. `max_age_seconds` 0 removes the cookie.
#[must_use]
pub fn write(config: &HttpConfig, name: &str, value: &str, max_age_seconds: u64, same_site: SameSite) -> String {
    let secure = if config.is_https() { "; Secure" } else { "" };
    let same_site = match same_site {
        SameSite::Lax => "Lax",
        SameSite::Strict => "Strict",
    };
    format!("{name}={value}; Path=/; Max-Age={max_age_seconds}; HttpOnly; SameSite={same_site}{secure}")
}

/// A `Set-Cookie` value that binds a pending login.
#[must_use]
pub fn pending_login(config: &HttpConfig, login_token: &str, validity_seconds: u64) -> String {
    write(config, login_name(config), login_token, validity_seconds, SameSite::Lax)
}

/// A `Set-Cookie` value that removes the session cookie.
#[must_use]
pub fn end_session(config: &HttpConfig) -> String {
    write(config, session_name(config), "", 0, SameSite::Lax)
}

/// The cookies of a finished login: the session and the end of the pending login, unless the client keeps a token, and
/// the trust in this browser if it was asked for; and what the browser is known by.
#[must_use]
pub fn signed_in(config: &Config, signed_in: &SignedIn) -> Vec<String> {
    let (http, session) = (&config.http, &signed_in.session);
    let mut lines = Vec::new();
    if signed_in.transport == Transport::Cookie {
        let age = session.expires_at.since(session.created_at).as_secs();
        let value = session.session_token.expose();
        lines.push(write(http, session_name(http), value, age, SameSite::Lax));
        lines.push(write(http, login_name(http), "", 0, SameSite::Lax));
    }
    if let Some(device) = &signed_in.device {
        let (value, age) = (device.device_token.expose(), device.span.as_secs());
        lines.push(write(http, device_name(http), value, age, SameSite::Strict));
    }
    if let Some(known) = &signed_in.known_token {
        let age = config.devices.known_seconds;
        lines.push(write(http, known_name(http), known.expose(), age, SameSite::Lax));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, line.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_cookie_is_found_among_others() {
        assert_eq!(read(&headers(&["a=1; gatepost_session=x; b=2"]), "gatepost_session").as_deref(), Some("x"));
        assert_eq!(read(&headers(&["a=1", "s=\"q\""]), "s").as_deref(), Some("q"));
        assert_eq!(read(&headers(&["a=1;;; =; s"]), "s"), None);
    }

    #[test]
    fn a_cookie_that_is_sent_twice_is_none() {
        assert_eq!(read(&headers(&["s=1; s=2"]), "s"), None);
    }
}
