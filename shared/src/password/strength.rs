//! Strength: length and the zxcvbn estimate, told what the attacker would try first about this user and this service.
//!
//! There are no composition rules (NIST SP 800-63B, section 3.1.1.2). Every rule that fails is reported.

use std::cmp::Reverse;

use unicode_normalization::UnicodeNormalization;
use zxcvbn::{
    Entropy, Match,
    matching::patterns::{DictionaryPattern, MatchPattern, RepeatPattern},
};

use super::PasswordConfig;
use crate::{config::Config, fault::FieldError};

/// zxcvbn looks at this much; what follows cannot make a password weaker.
const ESTIMATED: usize = 100;

/// What a new password is judged by, beside itself.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// What others know of the user and of the service, see [`known_about`] and [`known_of_service`].
    pub known: Vec<String>,
    /// Whether a sign-in asks for nothing else (NIST SP 800-63B-4, section 3.1.1.2).
    pub is_only_factor: bool,
}

/// Checks a new password against length and guessability.
///
/// # Errors
/// Every rule that fails, each pointing at `pointer`.
pub fn check(
    config: &PasswordConfig,
    password: &str,
    circumstances: &Circumstances,
    pointer: &'static str,
) -> Result<(), Vec<FieldError>> {
    let field = |code, detail: String| FieldError { pointer, code, detail };
    if password.len() > config.max_bytes {
        return Err(vec![field("password_too_long", format!("at most {} bytes", config.max_bytes))]);
    }
    let mut errors = Vec::new();
    if let Some(shortest) = too_short(config, password, circumstances.is_only_factor) {
        errors.push(field("password_too_short", shortest));
    }
    let normal: String = password.nfc().take(ESTIMATED).collect();
    if let Some(advice) = too_weak(config, &normal, &circumstances.known) {
        errors.push(field("password_too_weak", advice));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// How long the password would have to be, if it is shorter than that. A character is a Unicode code point.
fn too_short(config: &PasswordConfig, password: &str, is_only_factor: bool) -> Option<String> {
    let length = config.min_length_single_factor;
    if is_only_factor && password.nfc().count() < length {
        return Some(format!("at least {length} characters"));
    }
    (password.len() < config.min_bytes).then(|| format!("at least {} bytes", config.min_bytes))
}

/// Why a password is easy to guess and what to do about it, if it is.
fn too_weak(config: &PasswordConfig, password: &str, known: &[String]) -> Option<String> {
    let inputs: Vec<&str> = known.iter().map(String::as_str).collect();
    let is_weak = |estimate: &Entropy| u8::from(estimate.score()) < config.min_score;
    let estimate = zxcvbn::zxcvbn(password, &inputs);
    let rest = without_known(password, known);
    // The estimate counts each part as a guess of its own; several that are known are hardly more than one.
    if !is_weak(&estimate) && !rest.as_ref().is_some_and(|rest| is_weak(&zxcvbn::zxcvbn(rest, &inputs))) {
        return None;
    }
    let mut said = Vec::new();
    if rest.is_some() || has_known(estimate.sequence(), known) {
        said.push("It contains your name, your address or the name of this service.".to_owned());
    }
    if let Some(feedback) = estimate.feedback() {
        said.extend(feedback.warning().map(|warning| warning.to_string()));
        said.extend(feedback.suggestions().iter().map(ToString::to_string));
    }
    Some(if said.is_empty() { "This password is too easy to guess.".to_owned() } else { said.join(" ") })
}

/// What is left of a password without what is known, when that makes up half of it or more.
fn without_known(password: &str, known: &[String]) -> Option<String> {
    let whole = folded(password);
    let mut parts: Vec<&str> = known.iter().map(String::as_str).collect();
    parts.sort_unstable_by_key(|part| Reverse(part.len()));
    let rest = parts.into_iter().fold(whole.clone(), |rest, part| rest.replace(part, ""));
    (rest != whole && rest.chars().count() * 2 <= whole.chars().count()).then_some(rest)
}

/// Whether one of the parts that the estimate found is known.
fn has_known(parts: &[Match], known: &[String]) -> bool {
    parts.iter().any(|part| {
        if let MatchPattern::Dictionary(DictionaryPattern { matched_word, .. }) = &part.pattern {
            known.contains(matched_word)
        } else if let MatchPattern::Repeat(RepeatPattern { base_matches, .. }) = &part.pattern {
            has_known(base_matches, known)
        } else {
            false
        }
    })
}

/// What others know of a user, split as zxcvbn wants it.
#[must_use]
pub fn known_about(email: Option<&crate::users::Email>, names: &[Option<&str>]) -> Vec<String> {
    let mut known = Vec::new();
    if let Some(email) = email {
        known.extend([email.normalised(), email.local_part(), email.domain()].map(folded));
        known.extend(email.local_part().split(['.', '-', '_', '+']).map(folded));
        known.extend(email.domain().split('.').map(folded));
    }
    for name in names.iter().flatten() {
        known.push(folded(name));
        known.extend(name.split_whitespace().map(folded));
    }
    known.retain(|part| part.chars().count() > 2);
    known
}

/// What others know of the service: the product, what authenticator apps call it, and where it is reached.
#[must_use]
pub fn known_of_service(config: &Config) -> Vec<String> {
    let host = config.http.public_url.host_str().unwrap_or_default();
    let issuer = config.totp.issuer.as_str();
    let mut known: Vec<String> = ["gatepost", issuer, host].map(folded).into();
    known.extend(issuer.split_whitespace().chain(host.split('.')).map(folded));
    known.retain(|part| part.chars().count() > 2);
    known
}

/// In the form in which parts of a password are compared with it.
fn folded(text: &str) -> String {
    text.nfc().collect::<String>().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::users::Email;

    fn errors(password: &str, circumstances: &Circumstances) -> Vec<FieldError> {
        let config = Config::defaults().unwrap().password;
        check(&config, password, circumstances, "/password").err().unwrap_or_default()
    }

    fn codes(password: &str, known: &[String]) -> Vec<&'static str> {
        let circumstances = Circumstances { known: known.to_vec(), is_only_factor: false };
        errors(password, &circumstances).iter().map(|error| error.code).collect()
    }

    /// B01: the estimator's twenty reference passwords fall on the documented side of the line.
    #[test]
    fn the_reference_passwords_are_judged_as_documented() {
        let refused = [
            "password",
            "Password1!",
            "12345678",
            "qwerty123",
            "letmein1",
            "abcabcabc",
            "2024-01-15",
            "Tr0ub4dour&3",
            "aB3!xZ",
            "iloveyou123",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "zaq12wsxcde3",
        ];
        let accepted = [
            "posthog2024",
            "jane.doe@acme.test",
            "correct horse battery staple",
            "mK9#vL2$qP",
            "VYL9xqk3tz",
            "purple-lantern-47-fjord",
            "hedgehogs-are-cool",
        ];
        for password in refused {
            assert!(codes(password, &[]).contains(&"password_too_weak"), "{password}");
        }
        for password in accepted {
            assert_eq!(codes(password, &[]), Vec::<&str>::new(), "{password}");
        }
    }

    /// B01: the refusal carries the estimator's warning and its suggestions.
    #[test]
    fn a_refusal_says_what_to_do() {
        let errors = errors("password", &Circumstances::default());
        assert_eq!(errors[0].pointer, "/password");
        assert!(errors[0].detail.contains("This is a top-10 common password."), "{errors:?}");
        assert!(errors[0].detail.contains("Add another word or two."), "{errors:?}");
    }

    /// B02: a short and weak password is told both.
    #[test]
    fn every_rule_that_fails_is_listed() {
        assert_eq!(codes("abc", &[]), ["password_too_short", "password_too_weak"]);
    }

    /// B03: there are no composition rules.
    #[test]
    fn a_lower_case_passphrase_is_accepted() {
        assert_eq!(codes("correct horse battery staple", &[]), Vec::<&str>::new());
    }

    /// B04: too long is refused before anything is estimated, and the longest is judged.
    #[test]
    fn length_is_bounded_in_bytes() {
        assert_eq!(codes(&"x".repeat(1025), &[]), ["password_too_long"]);
        let longest: String =
            (0..1024_u32).map(|index| char::from(b'a' + u8::try_from(index * 7 % 26).unwrap())).collect();
        assert_eq!(codes(&longest, &[]), Vec::<&str>::new());
    }

    /// B05: what everyone knows of the user is no password.
    #[test]
    fn the_users_own_address_and_names_are_refused() {
        let email = Email::parse("jane.doe@acme.test").unwrap();
        let known = known_about(Some(&email), &[Some("Wilhelmina"), Some("Featherstonehaugh")]);
        assert_eq!(codes("jane.doe@acme.test", &known), ["password_too_weak"]);
        assert_eq!(codes("wilhelmina", &known), ["password_too_weak"]);
        assert_eq!(codes("Featherstonehaugh", &known), ["password_too_weak"]);
    }
    /// T-LOGIN-16: parts that are known are found in every disguise, and named as the reason.
    #[test]
    fn what_is_known_is_the_reason_that_is_given() {
        let email = Email::parse("jane.doe@acme.test").unwrap();
        let mut known = known_about(Some(&email), &[Some("Zoe\u{308} Featherstonehaugh")]);
        known.extend(known_of_service(&Config::defaults().unwrap()));
        let circumstances = Circumstances { known, is_only_factor: false };
        for password in [
            "jane.doe",
            "Jane.Doe2024",
            "janedoe-janedoe",
            "doe.jane+acme_gatepost!",
            "gatepost",
            "Gatepost123!",
            "g4tep0st!",
            "tsopetag",
            "gatepostgatepostgatepost",
            "gatepost.localhost",
            "Zo\u{eb}Featherstonehaugh1",
        ] {
            let errors = errors(password, &circumstances);
            let reason = errors.iter().find(|error| error.code == "password_too_weak").map(|error| &error.detail);
            assert!(
                reason.is_some_and(|reason| reason.starts_with("It contains your name, ")),
                "{password}: {errors:?}"
            );
        }
        // What is strong without it may contain it, even for the most part.
        for password in ["jane.doe purple-lantern-47-fjord", "featherstonehaugh mK9#vL2$qP"] {
            assert!(errors(password, &circumstances).is_empty(), "{password}");
        }
        assert!(errors("gatepost", &Circumstances::default()).iter().all(|error| !error.detail.contains("your name")));
    }

    /// T-LOGIN-16: fifteen characters where nothing else is asked for, however many bytes they are.
    #[test]
    fn a_password_that_stands_alone_is_longer() {
        let alone = Circumstances { is_only_factor: true, ..Circumstances::default() };
        for accepted in ["mK9#vL2$qP-fjor", "\u{f8}K9#vL2$qP-fj\u{f8}r", "purple-lantern-47-fjord"] {
            assert!(errors(accepted, &alone).is_empty(), "{accepted}");
        }
        for refused in ["mK9#vL2$qP-fjo", "\u{f8}K9#vL2$qP-fj\u{f8}", "\u{f8}K9#vL2$qP-fjo\u{308}", "VYL9xqk3tz"] {
            let errors = errors(refused, &alone);
            assert_eq!(errors.len(), 1, "{refused}: {errors:?}");
            assert_eq!((errors[0].code, errors[0].detail.as_str()), ("password_too_short", "at least 15 characters"));
            assert!(self::errors(refused, &Circumstances::default()).is_empty(), "{refused}");
        }
    }
}
