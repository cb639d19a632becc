//! What production refuses: settings that are only safe on a developer's machine.

use super::{Config, load::DEFAULTS};

impl Config {
    /// Names every setting that is not safe in production. Empty in development.
    #[must_use]
    pub fn unsafe_settings(&self) -> Vec<String> {
        if self.is_development() {
            return Vec::new();
        }
        let broker = self.broker.url.expose();
        let mail = self.mail.url.expose();
        let embedded_key = self.secrets.keys.expose().iter().any(|key| DEFAULTS.contains(key.as_str()));
        let checks = [
            (embedded_key, "secrets.keys contains the development key; generate one with `openssl rand -hex 32`"),
            (!self.http.is_https(), "http.public_url is not https"),
            (broker.contains("://guest:guest@"), "broker.url uses guest:guest; create a user for Gatepost"),
            (mail.starts_with("mailbox:"), "mail.url is the local mailbox; name an SMTP relay"),
            (mail.starts_with("smtp+insecure:"), "mail.url sends without TLS"),
        ];
        let plain = self.social.plain_addresses().into_iter().map(|url| format!("social: {url} is not https"));
        let failed = checks.into_iter().filter(|(is_unsafe, _)| *is_unsafe).map(|(_, message)| message.to_owned());
        failed.chain(plain).collect()
    }
}
