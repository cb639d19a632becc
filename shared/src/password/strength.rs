//! Strength: length in bytes and the zxcvbn estimate, told what the attacker would try first about this user.
//!
//! There are no composition rules (NIST SP 800-63B, section 3.1.1.2). Every rule that fails is reported.

use unicode_normalization::UnicodeNormalization;

use super::PasswordConfig;
use crate::fault::FieldError;

/// zxcvbn looks at this much; what follows cannot make a password weaker.
const ESTIMATED: usize = 100;

/// Checks a new password against length and guessability. `known` is what others know of the user: address, names.
///
/// # Errors
/// Every rule that fails, each pointing at `pointer`.
pub fn check(
    config: &PasswordConfig,
    password: &str,
    known: &[String],
    pointer: &'static str,
) -> Result<(), Vec<FieldError>> {
    let field = |code, detail: String| FieldError { pointer, code, detail };
    if password.len() > config.max_bytes {
        return Err(vec![field("password_too_long", format!("at most {} bytes", config.max_bytes))]);
    }
    let mut errors = Vec::new();
    if password.len() < config.min_bytes {
        errors.push(field("password_too_short", format!("at least {} bytes", config.min_bytes)));
    }
    let normal: String = password.nfc().take(ESTIMATED).collect();
    let inputs: Vec<&str> = known.iter().map(String::as_str).chain(["gatepost"]).collect();
    let estimate = zxcvbn::zxcvbn(&normal, &inputs);
    if u8::from(estimate.score()) < config.min_score {
        let advice = estimate.feedback().map(|feedback| {
            let warning = feedback.warning().map(|warning| warning.to_string());
            warning.into_iter().chain(feedback.suggestions().iter().map(ToString::to_string)).collect::<Vec<_>>()
        });
        let advice = advice.filter(|advice| !advice.is_empty()).map(|advice| advice.join(" "));
        errors.push(field(
            "password_too_weak",
            advice.unwrap_or_else(|| "This password is too easy to guess.".to_owned()),
        ));
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// What others know of a user, split as zxcvbn wants it.
#[must_use]
pub fn known_about(email: Option<&crate::users::Email>, names: &[Option<&str>]) -> Vec<String> {
    let mut known = Vec::new();
    if let Some(email) = email {
        known.extend([email.normalised().to_owned(), email.local_part().to_lowercase(), email.domain().to_owned()]);
        known.extend(email.local_part().split(['.', '-', '_', '+']).map(str::to_lowercase));
        known.extend(email.domain().split('.').map(str::to_owned));
    }
    for name in names.iter().flatten() {
        known.push(name.to_lowercase());
        known.extend(name.split_whitespace().map(str::to_lowercase));
    }
    known.retain(|part| part.chars().count() > 2);
    known
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::Config, users::Email};

    fn codes(password: &str, known: &[String]) -> Vec<&'static str> {
        let config = Config::defaults().unwrap().password;
        check(&config, password, known, "/password").err().unwrap_or_default().iter().map(|error| error.code).collect()
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
        let config = Config::defaults().unwrap().password;
        let errors = check(&config, "password", &[], "/password").unwrap_err();
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
}
