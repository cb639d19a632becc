//! Keys of programs, tokens of mailed links, cookies, and the keys that the installation signs with.

use poem::http::{HeaderMap, HeaderValue, header};
use shared::{
    key_format,
    secret::{self, Keyring, SignedId},
};

use super::Damage;

/// A key that another installation minted.
const KEY: &str = "gpx_3kTMd2nAc1pRB6rVfJgzAH0vLwY7sQeX9uZiKo5NbtPy43LLbu";
/// 48 bytes in the alphabet of links.
const TOKEN: &str = "AZO4xQ0AcACAAAAAAAAAAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g";

/// Fuzzing: a key is of one kind at most, and what is kept or shown of it is not it.
#[test]
fn a_key_is_of_one_kind_and_its_traces_do_not_reveal_it() {
    assert!(key_format::is_sound("gpx_", KEY));
    bolero::check!().with_type::<Damage>().for_each(|damage| {
        let text = damage.text_of(&[KEY, "gps_", "phx_testkey0000000000000000000000000000000000000"]);
        let kinds = ["gpx_", "gps_", "gpc_"].into_iter().filter(|prefix| key_format::is_sound(prefix, &text));
        assert!(kinds.count() <= 1);
        assert_eq!(key_format::hash(&text).len(), "sha256$".len() + 64);
        let mask = key_format::mask(&text);
        assert!(mask.chars().count() <= 11);
        assert!(text.chars().count() <= 8 || !mask.contains(&text));
    });
}

/// Fuzzing: a key with one letter changed is none, whichever letter it is.
#[test]
fn a_key_with_another_letter_is_none() {
    bolero::check!().with_type::<(u8, u8)>().for_each(|(at, letter)| {
        let key = key_format::mint("gpx_").expose().clone();
        let at = usize::from(*at) % key.len();
        let mut letters: Vec<char> = key.chars().collect();
        letters[at] = char::from(*letter);
        let changed: String = letters.into_iter().collect();
        assert_eq!(key_format::is_sound("gpx_", &changed), changed == key);
    });
}

/// Fuzzing: the token of a link has one spelling, and what is no token is none.
#[test]
fn a_token_has_one_spelling() {
    assert!(SignedId::parse(TOKEN).is_some());
    bolero::check!().with_type::<Damage>().for_each(|damage| {
        let text = damage.text_of(&[TOKEN]);
        if let Some(token) = SignedId::parse(&text) {
            assert_eq!(token.to_text(), text);
            assert!(!token.is_signed_with(None));
        }
        if let Some(bytes) = secret::decode(&text) {
            assert_eq!(secret::encode(&bytes), text);
        }
    });
}

/// Fuzzing: the value of a cookie never has the next cookie in it, and of two of one name neither counts.
#[test]
fn a_cookie_ends_where_the_next_one_begins() {
    const LINES: [&str; 2] = ["a=1; session=gpst_abc; b=2", "session=a; session=b"];
    bolero::check!().with_type::<(Damage, Damage)>().for_each(|(first, second)| {
        let mut headers = HeaderMap::new();
        let lines = [first.of(&LINES), second.of(&LINES)];
        for value in lines.iter().filter_map(|line| HeaderValue::from_bytes(line).ok()) {
            headers.append(header::COOKIE, value);
        }
        let Some(value) = gateway::security::cookies::read(&headers, "session") else { return };
        assert!(!value.contains(';'));
        let named = headers.values().filter_map(|line| line.to_str().ok());
        let pairs = named.flat_map(|line| line.split(';')).filter(|pair| pair.trim().starts_with("session="));
        assert_eq!(pairs.count(), 1);
    });
}

/// Fuzzing: a keyring is refused or opens what it sealed.
#[test]
fn a_keyring_opens_what_it_sealed() {
    const ENTRIES: [&str; 2] = ["a:0123456789abcdef0123456789abcdef", "b:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"];
    assert!(Keyring::parse(&ENTRIES).is_ok());
    bolero::check!().with_type::<Vec<Damage>>().for_each(|entries| {
        let entries: Vec<String> = entries.iter().map(|damage| damage.text_of(&ENTRIES)).collect();
        let Ok(keyring) = Keyring::parse(&entries) else { return };
        let sealed = keyring.seal("fuzz", &[b"part"], b"plain").unwrap();
        assert_eq!(keyring.open("fuzz", &[b"part"], &sealed).unwrap().as_slice(), b"plain");
        assert!(keyring.open("fuzz", &[b"other"], &sealed).is_none());
    });
}
