//! Reading `mail.url`: which relay, how it is secured, and as whom.

use std::net::IpAddr;

use lettre::transport::smtp::{
    authentication::Credentials,
    client::{Certificate, TlsParameters},
    extension::ClientId,
};
use shared::mail::MailConfig;
use url::Url;

use super::MailSetupError;

/// How the connection is secured.
pub(super) enum Security {
    /// TLS from the start.
    Implicit(TlsParameters),
    /// STARTTLS, or nothing is sent.
    Starttls(TlsParameters),
    /// Never encrypted.
    Insecure,
}

/// The relay.
pub(super) struct Relay {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) credentials: Option<Credentials>,
    pub(super) hello: ClientId,
}

impl Relay {
    pub(super) fn parse(config: &MailConfig, public_url: &Url) -> Result<Self, MailSetupError> {
        // The URL holds a password: no message may repeat it.
        let url: Url = config.url.expose().parse().map_err(|_| MailSetupError::Url("it is no URL".to_owned()))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(MailSetupError::Url("it names no host".to_owned()));
        }
        let (security, port) = match url.scheme() {
            "smtps" => (Security::Implicit(tls(config, &host)?), 465),
            "smtp" => (Security::Starttls(tls(config, &host)?), 587),
            "smtp+insecure" => (Security::Insecure, 25),
            _ => {
                let schemes = "it must begin with mailbox://, none://, smtp://, smtps:// or smtp+insecure://";
                return Err(MailSetupError::Url(schemes.to_owned()));
            }
        };
        let credentials = match (decode(url.username()), url.password().and_then(decode)) {
            (Some(user), _) if user.is_empty() => None,
            (Some(user), password) => Some(Credentials::new(user, password.unwrap_or_default())),
            (None, _) => return Err(MailSetupError::Url("user or password are not percent-encoded UTF-8".to_owned())),
        };
        Ok(Self { port: url.port().unwrap_or(port), host, security, credentials, hello: hello(public_url) })
    }
}

fn tls(config: &MailConfig, host: &str) -> Result<TlsParameters, MailSetupError> {
    let mut builder = TlsParameters::builder(host.to_owned());
    if let Some(path) = &config.ca_file {
        let place = path.display();
        let pem = std::fs::read(path).map_err(|error| MailSetupError::CaFile(format!("{place}: {error}")))?;
        let certificate = Certificate::from_pem(&pem)
            .map_err(|_| MailSetupError::CaFile(format!("{place} holds no PEM certificate")))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|error| MailSetupError::CaFile(error.to_string()))
}

/// What we introduce ourselves as (RFC 5321, section 4.1.1.1): the host name of the public URL, or its address.
fn hello(public_url: &Url) -> ClientId {
    let host = public_url.host_str().unwrap_or("localhost").trim_matches(['[', ']']);
    match host.parse() {
        Ok(IpAddr::V4(address)) => ClientId::Ipv4(address),
        Ok(IpAddr::V6(address)) => ClientId::Ipv6(address),
        Err(_) => ClientId::Domain(host.to_owned()),
    }
}

/// Undoes percent-encoding (RFC 3986, section 2.1).
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        if *first == b'%' {
            let (digits, after) = tail.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use shared::{config::Config, secret::Redacted};

    use super::*;

    fn parse(url: &str) -> Result<Relay, MailSetupError> {
        let config = Config::defaults().unwrap();
        let mail = MailConfig { url: Redacted::new(url.to_owned()), ..config.mail };
        Relay::parse(&mail, &Url::parse("https://auth.example.com/").unwrap())
    }

    #[test]
    fn schemes_say_how_the_connection_is_secured() {
        let relay = parse("smtp://relay.example.com").unwrap();
        assert!(matches!(relay.security, Security::Starttls(_)) && relay.port == 587 && relay.credentials.is_none());
        let relay = parse("smtps://u%40example.com:p%3Aw@relay.example.com").unwrap();
        assert!(matches!(relay.security, Security::Implicit(_)) && relay.port == 465);
        assert_eq!(relay.credentials, Some(Credentials::new("u@example.com".into(), "p:w".into())));
        let relay = parse("smtp+insecure://[::1]:2525").unwrap();
        assert!(matches!(relay.security, Security::Insecure) && relay.port == 2525 && relay.host == "::1");
        assert_eq!(relay.hello, ClientId::Domain("auth.example.com".into()));
    }

    #[test]
    fn other_urls_are_refused_without_repeating_them() {
        for url in ["imap://secret@x", "smtp://", "smtp://%ff:secret@relay.example.com", "secret"] {
            let message = parse(url).err().unwrap().to_string();
            assert!(!message.contains("secret"), "{message}");
        }
    }

    #[test]
    fn a_missing_authority_is_named() {
        let config = Config::defaults().unwrap();
        let mail = MailConfig {
            url: Redacted::new("smtps://relay.example.com".to_owned()),
            ca_file: Some("/nowhere/ca.pem".into()),
            ..config.mail
        };
        let refused = Relay::parse(&mail, &Url::parse("http://localhost").unwrap()).err().unwrap();
        assert!(refused.to_string().starts_with("mail.ca_file: /nowhere/ca.pem: "), "{refused}");
    }
}
