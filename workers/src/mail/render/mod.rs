//! Rendering: `templates/<feature>/<mail>/{subject.txt,body.txt,body.html}`, embedded in the executable.
//!
//! HTML escapes by itself; a variable that is missing is an error, not an empty string. Every template may use
//! `public_url`, and the filter `neutral` for names that people chose themselves:
//!
//! ```text
//! "https://evil.example/now\r\nBcc: x"  |neutral  ─►  "evil dot example now Bcc: x"
//! ```
//!
//! Mail programs turn anything that looks like an address into a link, so a display name could carry an advertisement or
//! a phishing link in a mail of ours. `neutral` removes schemes, slashes, control and direction characters, writes a dot
//! between two letters or digits as ` dot ` and `@` as ` at `, and cuts at 64 characters. `J. R. Smith` stays as it is.

use std::borrow::Cow;

use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value, escape_formatter};
use rust_embed::RustEmbed;
use url::Url;

/// Longest display name in a mail.
const NAME_LIMIT: usize = 64;

#[derive(RustEmbed)]
#[folder = "templates/"]
struct Templates;

/// A rendered mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// HTML.
    pub html: String,
}

/// Renders mails from the embedded templates.
pub struct Renderer {
    environment: Environment<'static>,
}

impl Renderer {
    /// Reads all templates.
    ///
    /// # Errors
    /// Never for a released executable: a test renders them all.
    pub fn new(public_url: &Url) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|name| {
            let is_html = name.rsplit_once('.').is_some_and(|(_, extension)| extension == "html");
            if is_html { AutoEscape::Html } else { AutoEscape::None }
        });
        environment.set_formatter(format);
        environment.add_filter("neutral", neutral);
        environment.add_global("public_url", public_url.as_str().trim_end_matches('/'));
        for name in Templates::iter() {
            let Some(file) = Templates::get(&name) else { continue };
            let source = String::from_utf8(file.data.into_owned())
                .map_err(|_| Error::new(ErrorKind::SyntaxError, format!("{name} is not UTF-8")))?;
            environment.add_template_owned(name, source)?;
        }
        Ok(Self { environment })
    }

    /// Renders the mail in the folder `template`.
    ///
    /// # Errors
    /// When there is no such template or the context lacks what it uses.
    pub fn render(&self, template: &str, context: &Value) -> Result<Rendered, Error> {
        let part = |file: &str| self.environment.get_template(&format!("{template}/{file}"))?.render(context);
        Ok(Rendered { subject: one_line(&part("subject.txt")?), text: part("body.txt")?, html: part("body.html")? })
    }
}

/// Escapes as minijinja does, except that a slash stays: links are to be found in the HTML as they are.
fn format(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match value.as_str() {
        Some(text) if *state.auto_escape() == AutoEscape::Html && !value.is_safe() => {
            out.write_str(&escape(text)).map_err(Error::from)
        }
        _ => escape_formatter(out, state, value),
    }
}

fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['<', '>', '&', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#x27;");
    Cow::Owned(escaped)
}

fn one_line(text: &str) -> String {
    text.split(|character: char| character.is_control() || character.is_whitespace())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Makes a name that somebody chose harmless; see the module.
fn neutral(name: &str) -> String {
    let visible: String = name.chars().map(|character| if is_invisible(character) { ' ' } else { character }).collect();
    let without_schemes: Vec<&str> = visible.split_whitespace().map(without_scheme).collect();
    let characters: Vec<char> = without_schemes.join(" ").chars().collect();
    let mut spoken = String::new();
    for (index, character) in characters.iter().enumerate() {
        let next_to = |other: Option<&char>| other.is_some_and(|other| other.is_alphanumeric());
        let before = index.checked_sub(1).and_then(|index| characters.get(index));
        match character {
            '.' | '\u{2024}' | '\u{3002}' | '\u{ff0e}' | '\u{ff61}'
                if next_to(before) && next_to(characters.get(index + 1)) =>
            {
                spoken.push_str(" dot ");
            }
            '@' | '\u{ff20}' | '\u{fe6b}' => spoken.push_str(" at "),
            '/' | '\\' => spoken.push(' '),
            other => spoken.push(*other),
        }
    }
    let short: String = one_line(&spoken).chars().take(NAME_LIMIT).collect();
    short.trim_end().to_owned()
}

fn without_scheme(word: &str) -> &str {
    word.rsplit_once("://").map_or(word, |(_, rest)| rest)
}

/// Control characters, and those that have no width or turn the direction of what follows.
fn is_invisible(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests;
