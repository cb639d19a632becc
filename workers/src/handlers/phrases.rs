//! How facts read in a mail: links, times, devices, names.

use shared::{clock::Timestamp, kernel::Kernel, users::User};
use time::macros::format_description;

/// A link into this installation. The address is the configured one and never a request's.
pub fn link(kernel: &Kernel, path: &str, token: Option<&str>) -> String {
    let mut url = kernel.config.http.public_url.clone();
    url.set_path(path);
    url.set_query(token.map(|token| format!("token={token}")).as_deref());
    url.to_string()
}

/// An instant for people, such as `2026-11-21 10:15 UTC`.
pub fn time_utc(at: Timestamp) -> String {
    at.to_utc().format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC")).unwrap_or_default()
}

/// Browser and operating system, as far as the client tells.
pub fn device(user_agent: Option<&str>) -> String {
    let parsed = user_agent.and_then(|text| woothee::parser::Parser::new().parse(text));
    match parsed {
        Some(found) if found.name != "UNKNOWN" && found.os != "UNKNOWN" => format!("{} on {}", found.name, found.os),
        Some(found) if found.name != "UNKNOWN" => found.name.to_owned(),
        Some(_) | None => "an unknown program".to_owned(),
    }
}

/// What to call the user; empty when they gave no name.
pub fn name(user: &User) -> &str {
    user.first_name.as_deref().unwrap_or_default()
}

/// How a user proved who they are, from RFC 8176 values.
pub fn method(amr: &[String]) -> String {
    let words: Vec<&str> = amr
        .iter()
        .filter_map(|value| match value.as_str() {
            "pwd" => Some("password"),
            "email" => Some("code by mail"),
            "otp" => Some("one-time code"),
            "hwk" | "swk" => Some("passkey"),
            "fed" => Some("single sign-on"),
            _ => None,
        })
        .collect();
    if words.is_empty() { "an unknown method".to_owned() } else { words.join(" and ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_or_not_guessed() {
        let firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";
        assert_eq!(device(Some(firefox)), "Firefox on Linux");
        assert_eq!(device(Some("<script>alert(1)</script>")), "an unknown program");
        assert_eq!(device(None), "an unknown program");
    }

    #[test]
    fn methods_are_named() {
        let named = |amr: &[&str]| method(&amr.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>());
        assert_eq!(named(&["pwd", "otp", "mfa"]), "password and one-time code");
        assert_eq!(named(&["hwk", "user"]), "passkey");
        assert_eq!(named(&[]), "an unknown method");
    }

    #[test]
    fn times_are_in_utc() {
        assert_eq!(time_utc(Timestamp(1_700_000_000_123_456)), "2023-11-14 22:13 UTC");
    }
}
