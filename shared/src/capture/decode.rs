//! From the bytes of a delivery to JSON, by what the bytes look like.
//!
//! ```text
//! body ─ gzip? unpack ─┬─ a form, or a query, with `data` ─► its value ─┐
//!                      └──────────────────────────────────► as it is ───┴─ base64? ─ gzip? ─► JSON
//! ```
//!
//! Clients name the encoding in a parameter, in a header, or not at all, and some name the wrong one. Two layers of gzip
//! are the most that any of them sends; each is read up to the limit and not a byte further.

use std::{borrow::Cow, io::Read as _};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use flate2::read::MultiGzDecoder;
use serde_json::Value;
use url::form_urlencoded;

use super::CaptureError;
use crate::clock::Timestamp;

/// How gzip begins (RFC 1952): its magic number and the one method there is.
const GZIP: [u8; 3] = [0x1f, 0x8b, 0x08];

/// Values that one delivery may hold, roughly. A value takes some 32 bytes in memory and as few as two on the wire.
const MAX_VALUES: usize = 4_000_000;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What a client sent, and when it came.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The body as it came.
    pub body: &'a [u8],
    /// The query without its question mark.
    pub query: &'a str,
    /// `Content-Type`, or nothing.
    pub content_type: &'a str,
    /// When it came.
    pub received_at: Timestamp,
    /// Whether an event without a name is one that only sets properties, as at `/engage`.
    pub may_lack_names: bool,
    /// How large it may be once it is unpacked, in bytes.
    pub unpacked_limit: usize,
}

impl Delivery<'_> {
    /// The value of a parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }
}

/// The JSON of a delivery, and how many bytes it has.
pub(super) fn json(delivery: &Delivery<'_>) -> Result<(Value, usize), CaptureError> {
    if delivery.parameter("compression").as_deref() == Some("lz64") {
        return Err(CaptureError::Malformed("the compression lz64 is not read; use gzip"));
    }
    let body = unpacked(Cow::Borrowed(delivery.body), delivery.unpacked_limit)?;
    let text = match data_of(delivery, &body) {
        Some(data) => plain(Cow::Owned(data), delivery.unpacked_limit)?,
        None => plain(body, delivery.unpacked_limit)?,
    };
    let text = std::str::from_utf8(&text).map_err(|_| CaptureError::Malformed("the body is not UTF-8"))?;
    if text.trim().is_empty() {
        return Err(CaptureError::Malformed("the body is empty"));
    }
    let values = text.bytes().filter(|byte| matches!(byte, b',' | b':' | b'[' | b'{')).count();
    if values > MAX_VALUES {
        return Err(CaptureError::TooLarge);
    }
    Ok((parse(text)?, text.len()))
}

/// The field `data` of a query or of a form.
fn data_of(delivery: &Delivery<'_>, body: &[u8]) -> Option<Vec<u8>> {
    if let Some(data) = delivery.parameter("data") {
        return Some(data.into_bytes());
    }
    let is_form =
        delivery.content_type.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded");
    // Programs that send JSON without saying so, such as curl, call it a form.
    if is_json(body) || !(is_form || body.starts_with(b"data=")) {
        return None;
    }
    form_urlencoded::parse(body).find(|(key, _)| key == "data").map(|(_, value)| value.into_owned().into_bytes())
}

fn is_json(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first().is_some_and(|first| matches!(first, b'{' | b'['))
}

/// Undoes base64 and gzip where they are.
fn plain(bytes: Cow<'_, [u8]>, limit: usize) -> Result<Cow<'_, [u8]>, CaptureError> {
    if bytes.len() > limit {
        return Err(CaptureError::TooLarge);
    }
    if is_json(&bytes) || bytes.trim_ascii().is_empty() {
        return Ok(bytes);
    }
    if bytes.starts_with(&GZIP) {
        return unpacked(bytes, limit);
    }
    match from_base64(&bytes) {
        Some(decoded) => unpacked(Cow::Owned(decoded), limit),
        None => Ok(bytes),
    }
}

/// A form turns the `+` of base64 into a space, and some clients percent-encode it once too often or not at all.
fn from_base64(bytes: &[u8]) -> Option<Vec<u8>> {
    let restored: Vec<u8> = bytes.trim_ascii().iter().map(|byte| if *byte == b' ' { b'+' } else { *byte }).collect();
    BASE64.decode(restored).ok()
}

/// Unpacks gzip, and leaves anything else as it is.
fn unpacked(bytes: Cow<'_, [u8]>, limit: usize) -> Result<Cow<'_, [u8]>, CaptureError> {
    if !bytes.starts_with(&GZIP) {
        return Ok(bytes);
    }
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let mut text = Vec::new();
    let read = MultiGzDecoder::new(&*bytes).take(most).read_to_end(&mut text);
    if text.len() > limit {
        return Err(CaptureError::TooLarge);
    }
    read.map_err(|_| CaptureError::Malformed("the gzip in the body is broken"))?;
    Ok(Cow::Owned(text))
}

/// Reads JSON as browsers write it: with half of an emoji where a text was cut, and with U+0000, which PostgreSQL does
/// not store. Both become U+FFFD.
fn parse(text: &str) -> Result<Value, CaptureError> {
    let broken = |_| CaptureError::Malformed("the body is not JSON");
    let mut value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => serde_json::from_str(&without_halves(text).ok_or(error).map_err(broken)?).map_err(broken)?,
    };
    if text.contains("\\u0000") {
        replace_null(&mut value);
    }
    Ok(value)
}

/// The text with every unpaired surrogate replaced; `None` when there is none.
fn without_halves(text: &str) -> Option<String> {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut repaired = String::with_capacity(text.len());
    let (mut at, mut found) = (0, false);
    while let Some(offset) = text.get(at..).and_then(|rest| rest.find('\\')) {
        let escape = at + offset;
        repaired.push_str(text.get(at..escape)?);
        let length = match unit(escape) {
            Some(0xd800..=0xdbff) if unit(escape + 6).is_some_and(|low| (0xdc00..=0xdfff).contains(&low)) => 12,
            Some(0xd800..=0xdfff) => {
                found = true;
                repaired.push_str("\\ufffd");
                at = escape + 6;
                continue;
            }
            // An escaped backslash is no beginning of the next escape.
            _ => 1 + text.get(escape + 1..)?.chars().next()?.len_utf8(),
        };
        repaired.push_str(text.get(escape..escape + length)?);
        at = escape + length;
    }
    repaired.push_str(text.get(at..)?);
    found.then_some(repaired)
}

fn replace_null(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        Value::Array(items) => items.iter_mut().for_each(replace_null),
        Value::Object(members) => {
            if members.keys().any(|key| key.contains('\0')) {
                let all = std::mem::take(members);
                members.extend(all.into_iter().map(|(key, member)| (key.replace('\0', "\u{fffd}"), member)));
            }
            members.values_mut().for_each(replace_null);
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
