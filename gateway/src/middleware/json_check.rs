//! Strict JSON: what two parsers could read differently, and what a database cannot store, is refused at the edge.
//!
//! Refused: a member named twice in one object (also when one name is written with escapes), nesting deeper than
//! [`MAX_DEPTH`], U+0000 in any string, unpaired surrogates, and everything that is not UTF-8 or not JSON.

use std::{collections::HashSet, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

/// Deepest nesting of arrays and objects.
pub const MAX_DEPTH: usize = 32;

/// Why a body was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JsonFlaw {
    /// It is not JSON. Where it stops being JSON.
    Syntax(String),
    /// It is JSON that this server does not accept. Why.
    Unacceptable(String),
}

/// Checks a body that claims to be JSON.
///
/// # Errors
/// When it is not JSON, or JSON that this server does not accept.
pub fn check(body: &[u8]) -> Result<(), JsonFlaw> {
    if body.contains(&0) {
        return Err(JsonFlaw::Unacceptable("the body contains U+0000".to_owned()));
    }
    let mut parser = serde_json::Deserializer::from_slice(body);
    let outcome = Strict { depth: 0 }.deserialize(&mut parser).and_then(|()| parser.end());
    outcome.map_err(|flaw| match flaw.classify() {
        serde_json::error::Category::Data => JsonFlaw::Unacceptable(flaw.to_string()),
        serde_json::error::Category::Io | serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
            JsonFlaw::Syntax(flaw.to_string())
        }
    })
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format!("nesting is deeper than {MAX_DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') { Err(E::custom("a string contains U+0000")) } else { Ok(()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let item = self.deeper()?;
        while items.next_element_seed(item)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let value = self.deeper()?;
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            self.visit_str(&name)?;
            if !names.insert(name) {
                return Err(A::Error::custom("an object names a member twice"));
            }
            members.next_value_seed(value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_unacceptable(body: &[u8]) -> bool {
        matches!(check(body), Err(JsonFlaw::Unacceptable(_)))
    }

    fn is_no_json(body: &[u8]) -> bool {
        matches!(check(body), Err(JsonFlaw::Syntax(_)))
    }

    #[test]
    fn ordinary_json_passes() {
        for body in ["{}", "[]", "null", "-1.5e3", r#""\u00e9\ud83d\ude00""#, r#"{"a":{"b":[1,true]},"b":{"b":null}}"#]
        {
            assert_eq!(check(body.as_bytes()), Ok(()), "{body}");
        }
    }

    #[test]
    fn a_member_named_twice_is_refused_however_it_is_written() {
        assert!(is_unacceptable(br#"{"a":1,"a":2}"#));
        assert!(is_unacceptable(br#"{"a":1,"\u0061":2}"#));
        assert!(is_unacceptable(br#"[{"x":{"a":1,"b":2,"a":1}}]"#));
    }

    #[test]
    fn the_null_character_is_refused_raw_and_escaped() {
        assert!(is_unacceptable(b"{\"a\":\"\0\"}"));
        assert!(is_unacceptable(br#"{"a":"x\u0000y"}"#));
        assert!(is_unacceptable(br#"{"\u0000":1}"#));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(check(nested(MAX_DEPTH).as_bytes()), Ok(()));
        assert!(is_unacceptable(nested(MAX_DEPTH + 1).as_bytes()));
        assert!(check(nested(50_000).as_bytes()).is_err());
        assert!(check("{\"a\":".repeat(50_000).as_bytes()).is_err());
    }

    #[test]
    fn what_is_no_unicode_is_no_json() {
        assert!(is_no_json(br#"{"a":"\ud800"}"#));
        assert!(is_no_json(br#"{"a":"\udc00\ud800"}"#));
        assert!(is_no_json(b"{\"a\":\"\xc0\x80\"}"));
        assert!(is_no_json(b"{\"a\":\"\xff\"}"));
        assert!(is_no_json(b"{\"\xff\":1}"));
    }

    #[test]
    fn syntax_errors_are_told_apart() {
        for body in ["{", "{}{}", "{'a':1}", "nul", "[1,]", "\u{feff}{}", "NaN"] {
            assert!(is_no_json(body.as_bytes()), "{body}");
        }
    }
}
