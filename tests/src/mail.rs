//! Mails as tests read them.

/// One captured mail.
#[derive(Clone, Debug)]
pub struct TestMail {
    /// Recipient.
    pub to: String,
    /// Subject.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML.
    pub html: String,
    /// Headers.
    pub headers: Vec<(String, String)>,
}

/// The line that is six digits and nothing else: there may be six in a row within the token of a link, too.
#[must_use]
#[track_caller]
pub fn code_in(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .find(|line| line.len() == 6 && line.bytes().all(|byte| byte.is_ascii_digit()))
        .unwrap_or_else(|| panic!("no code in: {text}"))
        .to_owned()
}

/// What follows `token=` in the first link.
#[must_use]
#[track_caller]
pub fn token_in(text: &str) -> String {
    let (_, rest) = text.split_once("token=").unwrap_or_else(|| panic!("no link in: {text}"));
    rest.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-' && letter != '_')
        .next()
        .unwrap_or_default()
        .to_owned()
}
