//! Reading the generator's JSON without losing operations.
//!
//! poem-openapi writes one `paths` member per API struct and path. Two structs that serve different methods of one path
//! therefore produce the same JSON key twice, and an ordinary JSON parser keeps only the last: half of the operations
//! would vanish silently. [`parse_raw`] joins such members.
//!
//! Invariant: no member of the text is dropped. Failure: a key that is repeated with overlapping content (the same
//! method of a path twice) is an error, because no join of the two would be right.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Parses the text of `OpenApiService::spec()` and joins repeated object keys.
///
/// # Errors
/// When the text is not JSON, or when a repeated key has members that overlap (one operation described twice).
pub fn parse_raw(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str::<Joined>(text).map(|joined| joined.0)
}

/// A JSON value whose objects were joined on repeated keys.
struct Joined(Value);

impl<'de> Deserialize<'de> for Joined {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JoinedVisitor).map(Joined)
    }
}

struct JoinedVisitor;

impl<'de> Visitor<'de> for JoinedVisitor {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Joined(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((key, Joined(value))) = access.next_entry::<String, Joined>()? {
            let joined = match members.remove(&key) {
                None => value,
                Some(earlier) => join(&key, earlier, value).map_err(A::Error::custom)?,
            };
            members.insert(key, joined);
        }
        Ok(Value::Object(members))
    }
}

/// Joins two disjoint objects that stood under the same key.
fn join(key: &str, earlier: Value, later: Value) -> Result<Value, String> {
    let (Value::Object(mut earlier), Value::Object(later)) = (earlier, later) else {
        return Err(format!("`{key}` is described twice"));
    };
    for (name, value) in later {
        if earlier.insert(name.clone(), value).is_some() {
            return Err(format!("`{key}`.`{name}` is described twice"));
        }
    }
    Ok(Value::Object(earlier))
}
