//! What a key may be used for: `*`, `object:read`, `object:write`. Writing includes reading.

use std::fmt;

/// What there is to read and write with keys.
pub const OBJECTS: [&str; 7] = ["audit", "event", "member", "organization", "person", "project", "user"];

/// Everything that keys may be used for at all.
const ALL: &str = "*";

/// What a key was given, sorted, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<String>);

/// A list of scopes that is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidScopes {
    /// A key needs at least one.
    #[error("no scope at all")]
    Empty,
    /// A text that is no scope.
    #[error("not a scope: {0}")]
    Unknown(String),
}

impl Scopes {
    /// Reads what a client asks for.
    ///
    /// # Errors
    /// When there is none, or one is not known.
    pub fn parse(wanted: &[String]) -> Result<Self, InvalidScopes> {
        if wanted.is_empty() {
            return Err(InvalidScopes::Empty);
        }
        if let Some(unknown) = wanted.iter().find(|scope| !is_scope(scope)) {
            return Err(InvalidScopes::Unknown(unknown.chars().take(64).collect()));
        }
        let mut scopes = wanted.to_vec();
        scopes.sort_unstable();
        scopes.dedup();
        Ok(Self(scopes))
    }

    /// As they were stored.
    #[must_use]
    pub fn stored(text: &str) -> Self {
        Self(one_by_one(text).map(str::to_owned).collect())
    }

    /// Whether scopes, as they were stored, include `needed`, such as `project:read`. Asked for every request with a key.
    #[must_use]
    pub fn satisfy(stored: &str, needed: &str) -> bool {
        let read = needed.strip_suffix(":read");
        let includes = |scope: &str| read.is_some() && scope.strip_suffix(":write") == read;
        one_by_one(stored).any(|scope| scope == ALL || scope == needed || includes(scope))
    }

    /// One by one.
    #[must_use]
    pub fn list(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.join(" "))
    }
}

fn one_by_one(stored: &str) -> impl Iterator<Item = &str> {
    stored.split_ascii_whitespace()
}

/// Whether a text is a scope.
#[must_use]
pub fn is_scope(text: &str) -> bool {
    let is_on_object =
        |(object, access): (&str, &str)| OBJECTS.contains(&object) && ["read", "write"].contains(&access);
    text == ALL || text.split_once(':').is_some_and(is_on_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(list: &[&str]) -> Result<Scopes, InvalidScopes> {
        Scopes::parse(&list.iter().map(|scope| (*scope).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_grammar_is_closed() {
        assert_eq!(scopes(&[]), Err(InvalidScopes::Empty));
        for unknown in ["", "**", "project", "project:", "project:admin", "projects:read", " project:read", "*:read"] {
            assert_eq!(scopes(&["user:read", unknown]), Err(InvalidScopes::Unknown(unknown.to_owned())));
        }
        assert_eq!(scopes(&["user:read", "*", "user:read"]).unwrap().to_string(), "* user:read");
    }

    #[test]
    fn writing_includes_reading_and_nothing_else() {
        let given = scopes(&["project:write", "person:read"]).unwrap();
        let stored = given.to_string();
        for (needed, expected) in [
            ("project:read", true),
            ("project:write", true),
            ("person:read", true),
            ("person:write", false),
            ("user:read", false),
        ] {
            assert_eq!(Scopes::satisfy(&stored, needed), expected, "{needed}");
        }
        assert!(Scopes::satisfy("*", "audit:read") && !Scopes::satisfy("", "audit:read"));
        assert_eq!(Scopes::stored(&stored), given);
    }
}
