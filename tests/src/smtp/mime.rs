//! Enough of MIME to read a mail back: headers, nested multiparts, transfer encodings, encoded words.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// How deep multiparts may nest before the rest is left unread.
const MAX_DEPTH: usize = 8;

/// Base64 with or without its padding.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Headers and body of a message or of one of its parts.
pub(super) struct Entity<'a> {
    pub(super) headers: Vec<(String, String)>,
    body: &'a str,
}

impl<'a> Entity<'a> {
    pub(super) fn parse(raw: &'a str) -> Self {
        let (head, body) = match raw.strip_prefix("\r\n") {
            Some(body) => ("", body),
            None => raw.split_once("\r\n\r\n").unwrap_or((raw, "")),
        };
        Self { headers: unfold(head), body }
    }

    /// The first part of this media type that is not an attachment, decoded.
    pub(super) fn find(&self, media_type: &str) -> Option<String> {
        self.find_within(media_type, MAX_DEPTH)
    }

    fn find_within(&self, wanted: &str, depth: usize) -> Option<String> {
        let content_type = field(&self.headers, "Content-Type").unwrap_or("text/plain");
        let media_type = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if media_type.starts_with("multipart/") {
            let boundary = param(content_type, "boundary")?;
            let depth = depth.checked_sub(1)?;
            return parts(self.body, &boundary)
                .into_iter()
                .find_map(|part| Entity::parse(part).find_within(wanted, depth));
        }
        let disposition = field(&self.headers, "Content-Disposition").unwrap_or_default().trim_start();
        let attached = disposition.to_ascii_lowercase().starts_with("attachment");
        (media_type == wanted && !attached).then(|| self.decoded(content_type))
    }

    fn decoded(&self, content_type: &str) -> String {
        let encoding = field(&self.headers, "Content-Transfer-Encoding").unwrap_or_default();
        let bytes = match encoding.trim().to_ascii_lowercase().as_str() {
            "quoted-printable" => quoted_printable(self.body),
            "base64" => base64_lines(self.body),
            _ => self.body.as_bytes().to_vec(),
        };
        let charset = param(content_type, "charset").unwrap_or_default();
        in_charset(&bytes, &charset).replace("\r\n", "\n")
    }
}

/// First value under a name, ignoring its case.
pub(super) fn field<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

fn unfold(head: &str) -> Vec<(String, String)> {
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in head.split("\r\n") {
        if line.starts_with([' ', '\t']) {
            if let Some((_, value)) = headers.last_mut() {
                value.push_str(line);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            headers.push((name.trim_end().to_owned(), value.to_owned()));
        }
    }
    for (_, value) in &mut headers {
        *value = value.trim().to_owned();
    }
    headers
}

/// A parameter of a structured header such as `text/plain; charset="utf-8"`.
fn param(value: &str, name: &str) -> Option<String> {
    let mut quoted = false;
    let outside_quotes = |symbol: char| {
        quoted ^= symbol == '"';
        symbol == ';' && !quoted
    };
    value.split(outside_quotes).skip(1).find_map(|piece| {
        let (have, value) = piece.split_once('=')?;
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value);
        have.trim().eq_ignore_ascii_case(name).then(|| value.to_owned())
    })
}

/// Parts of a multipart body; the line break before a delimiter belongs to the delimiter.
fn parts<'b>(body: &'b str, boundary: &str) -> Vec<&'b str> {
    let delimiter = format!("--{boundary}");
    let mut parts = Vec::new();
    let mut part_start = None;
    let mut at = 0;
    for line in body.split_inclusive("\r\n") {
        let line_start = at;
        at += line.len();
        let Some(tail) = line.strip_prefix(delimiter.as_str()).map(str::trim_end) else { continue };
        if !tail.is_empty() && tail != "--" {
            continue;
        }
        if let Some(part) = part_start.and_then(|start| body.get(start..line_start)) {
            parts.push(part.strip_suffix("\r\n").unwrap_or(part));
        }
        part_start = tail.is_empty().then_some(at);
    }
    parts
}

fn quoted_printable(body: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for line in body.split_inclusive("\r\n") {
        let (content, ending) = line.strip_suffix("\r\n").map_or((line, ""), |content| (content, "\r\n"));
        let content = content.trim_end_matches([' ', '\t']);
        let soft = content.strip_suffix('=');
        out.extend(hex_escapes(soft.unwrap_or(content), b'='));
        if soft.is_none() {
            out.extend_from_slice(ending.as_bytes());
        }
    }
    out
}

/// Replaces `=C3` by its byte; an escape that is none stays as it is.
fn hex_escapes(text: &str, marker: u8) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escape = tail.split_at_checked(2).filter(|_| first == marker);
        let byte = escape
            .and_then(|(digits, _)| std::str::from_utf8(digits).ok())
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(byte.unwrap_or(first));
        rest = match (byte, escape) {
            (Some(_), Some((_, after))) => after,
            _ => tail,
        };
    }
    out
}

fn base64_lines(body: &str) -> Vec<u8> {
    let compact: String = body.chars().filter(|symbol| !symbol.is_ascii_whitespace()).collect();
    BASE64.decode(compact).unwrap_or_else(|_| body.as_bytes().to_vec())
}

fn in_charset(bytes: &[u8], charset: &str) -> String {
    if charset.eq_ignore_ascii_case("iso-8859-1") {
        return bytes.iter().map(|byte| char::from(*byte)).collect();
    }
    String::from_utf8_lossy(bytes).into_owned()
}

/// Decodes encoded words such as `=?utf-8?b?w6k=?=`; white space between two of them is dropped.
pub(super) fn decode_words(value: &str) -> String {
    let mut out = String::new();
    let mut rest = value;
    let mut after_word = false;
    while let Some((before, from)) = rest.find("=?").and_then(|at| rest.split_at_checked(at)) {
        let Some((word, after)) = encoded_word(from) else {
            let (marker, after) = from.split_at_checked(2).unwrap_or((from, ""));
            out.push_str(before);
            out.push_str(marker);
            after_word = false;
            rest = after;
            continue;
        };
        if !(after_word && before.trim().is_empty()) {
            out.push_str(before);
        }
        out.push_str(&word);
        after_word = true;
        rest = after;
    }
    out.push_str(rest);
    out
}

fn encoded_word(from: &str) -> Option<(String, &str)> {
    let mut fields = from.strip_prefix("=?")?.splitn(3, '?');
    let (charset, encoding, tail) = (fields.next()?, fields.next()?, fields.next()?);
    let (content, after) = tail.split_once("?=")?;
    let bytes = match encoding {
        "b" | "B" => BASE64.decode(content).ok()?,
        "q" | "Q" => hex_escapes(&content.replace('_', " "), b'='),
        _ => return None,
    };
    Some((in_charset(&bytes, charset), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "Subject: =?utf-8?b?UsOpaQ==?=\r\n =?utf-8?Q?nitialisez_=C3=A7a?= now\r\n\
        X-Long: one\r\n\ttwo\r\nContent-Type: multipart/mixed;\r\n boundary=\"out;er\"\r\n\r\npreamble\r\n\
        --out;er\r\nContent-Type: multipart/alternative; boundary=inner\r\n\r\n\
        --inner\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n\
        caf=C3=A9 a=\r\n=3Db\r\nend\r\n\r\n--inner \r\nContent-Type: text/html; charset=\"utf-8\"\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nPGI+w6k8\r\nL2I+\r\n--inner--\r\n\
        --out;er\r\nContent-Type: text/plain\r\nContent-Disposition: attachment\r\n\r\nno\r\n--out;er--\r\n";

    #[test]
    fn nested_multipart_is_decoded() {
        let mail = Entity::parse(MAIL);
        assert_eq!(mail.find("text/plain").as_deref(), Some("café a=b\nend\n"));
        assert_eq!(mail.find("text/html").as_deref(), Some("<b>é</b>"));
        assert_eq!(mail.find("text/calendar"), None);
    }

    #[test]
    fn headers_are_unfolded_and_decoded() {
        let mail = Entity::parse(MAIL);
        assert_eq!(field(&mail.headers, "x-long"), Some("one\ttwo"));
        let subject = field(&mail.headers, "Subject").unwrap();
        assert_eq!(decode_words(subject), "Réinitialisez ça now");
        assert_eq!(decode_words("a =? b =?x?y?z"), "a =? b =?x?y?z");
        assert_eq!(decode_words("=?iso-8859-1?Q?=E9?= =?utf-8?q?x?= y"), "éx y");
    }

    #[test]
    fn plain_message_without_content_type_is_text() {
        let mail = Entity::parse("Subject: x\r\n\r\nhello =3D\r\n");
        assert_eq!(mail.find("text/plain").as_deref(), Some("hello =3D\n"));
        assert_eq!(mail.find("text/html"), None);
    }
}
