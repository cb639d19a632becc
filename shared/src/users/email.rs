//! E-mail addresses: read once, after Unicode normalisation, into the form that is compared and the form that is used.
//!
//! Accepted is the dot-string form of RFC 5321, section 4.1.2, with an ASCII local part and any IDNA domain. Quoted local
//! parts, address literals and look-alikes of `@` are refused. Case and surrounding blanks do not matter, and a domain
//! equals its punycode form.

use std::fmt;

use unicode_normalization::UnicodeNormalization;

use crate::secret::Keyring;

/// A valid address.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    address: String,
    normalised: String,
}

/// The text is not an address that Gatepost accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid e-mail address")]
pub struct InvalidEmail;

impl Email {
    /// Reads an address.
    ///
    /// # Errors
    /// When it is malformed or longer than 254 bytes.
    pub fn parse(text: &str) -> Result<Self, InvalidEmail> {
        let text = text.trim();
        if text.len() > 320 || text.matches('@').count() != 1 {
            return Err(InvalidEmail);
        }
        let normal: String = text.nfkc().collect();
        let (local, domain) = normal.split_once('@').ok_or(InvalidEmail)?;
        if domain.contains('@') || !is_dot_string(local) || local.len() > 64 {
            return Err(InvalidEmail);
        }
        let domain = idna::domain_to_ascii_strict(domain.trim_end_matches('.')).map_err(|_| InvalidEmail)?;
        let is_named = domain == "localhost" || domain.contains('.');
        let is_number = domain.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
        let address = format!("{local}@{domain}");
        if !is_named || is_number || address.len() > 254 {
            return Err(InvalidEmail);
        }
        let normalised = format!("{}@{domain}", local.to_ascii_lowercase());
        Ok(Self { address, normalised })
    }

    /// The address as mails are sent to it: the local part as it was written, the domain in ASCII.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The form that is unique and compared.
    #[must_use]
    pub fn normalised(&self) -> &str {
        &self.normalised
    }

    /// The part after the `@`, in ASCII and lower case.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.normalised.split_once('@').map_or("", |(_, domain)| domain)
    }

    /// The part before the `@`.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.address.split_once('@').map_or("", |(local, _)| local)
    }

    /// A form for people that does not give the address away, such as `j***@a***.test`.
    #[must_use]
    pub fn masked(&self) -> String {
        let initial = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
        let domain = self.domain();
        let tail = domain.rsplit_once('.').map(|(_, tail)| format!(".{tail}")).unwrap_or_default();
        format!("{}***@{}***{tail}", initial(self.local_part()), initial(domain))
    }
}

/// Stands for an address where the address has no place.
pub type Mark = [u8; 12];

/// The mark of a normalised address, which only the holder of the installation's keys can find.
#[must_use]
pub fn mark(keys: &Keyring, normalised: &str) -> Mark {
    let digest = keys.blind("users.mark", &[normalised.as_bytes()]);
    digest.first_chunk().copied().unwrap_or_default()
}

impl fmt::Debug for Email {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.masked())
    }
}

fn is_dot_string(local: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
    };
    local.split('.').all(is_atom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalised(text: &str) -> String {
        Email::parse(text).unwrap().normalised().to_owned()
    }

    #[test]
    fn case_blanks_and_idna_do_not_matter() {
        assert_eq!(normalised(" Jane@Example.TEST \n"), "jane@example.test");
        assert_eq!(normalised("a@bücher.test"), normalised("a@xn--bcher-kva.test"));
        assert_eq!(normalised("a@example.test."), "a@example.test");
    }

    #[test]
    fn hostile_forms_are_refused() {
        let long = format!("{}@x.test", "a".repeat(65));
        let endless = format!("a@{}.test", "b".repeat(320));
        for text in [
            "",
            "a",
            "@x.test",
            "a@",
            "a@@x.test",
            "a@b@x.test",
            "a\r\nBcc: b@x.test",
            "a@x.test\r\n.\r\n",
            "\"a b\"@x.test",
            "a＠x.test",
            "a@x.test＠y.test",
            "A <a@x.test>",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a..b@x.test",
            ".a@x.test",
            "a@-x.test",
            "a@x",
            "a b@x.test",
            "ä@x.test",
            "a\0@x.test",
            &long,
            &endless,
        ] {
            assert_eq!(Email::parse(text), Err(InvalidEmail), "{text:?}");
        }
    }

    #[test]
    fn a_masked_address_keeps_first_letters_only() {
        assert_eq!(Email::parse("jane.doe@acme.test").unwrap().masked(), "j***@a***.test");
    }
}
