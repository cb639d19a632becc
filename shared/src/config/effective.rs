//! The effective configuration for people, secrets masked.

use std::path::Path;

use figment::value::{Dict, Num, Value};

use super::load::{ConfigError, figment};

/// The effective configuration as TOML, every value that can hold a secret masked.
///
/// # Errors
/// As [`super::load()`].
pub fn effective(file: Option<&Path>) -> Result<String, ConfigError> {
    let standard = Path::new("gatepost.toml");
    let file = file.or_else(|| standard.exists().then_some(standard));
    let mut merged: Dict =
        figment(file, std::env::vars())?.extract().map_err(|err| ConfigError::Invalid(err.to_string()))?;
    for key in ["database.url", "broker.url", "mail.url"] {
        mask(&mut merged, key, mask_url);
    }
    mask(&mut merged, "secrets.keys", |_| "[redacted]".to_owned());
    merged.values_mut().for_each(hide_client_secrets);
    let mut lines = Vec::new();
    for (section, value) in &merged {
        if let Value::Dict(_, entries) = value {
            lines.push(format!("\n[{section}]"));
            lines.extend(entries.iter().map(|(key, value)| format!("{key} = {}", literal(value))));
        } else {
            lines.insert(0, format!("{section} = {}", literal(value)));
        }
    }
    Ok(lines.join("\n"))
}

fn mask(merged: &mut Dict, key: &str, hide: fn(&str) -> String) {
    let Some((section, name)) = key.split_once('.') else { return };
    if let Some(Value::Dict(_, entries)) = merged.get_mut(section)
        && let Some(value) = entries.get_mut(name)
    {
        *value = Value::from(hide(value.as_str().unwrap_or_default()));
    }
}

/// Hides the secrets of clients at providers, however deep they are.
fn hide_client_secrets(value: &mut Value) {
    match value {
        Value::Dict(_, entries) => {
            for (name, value) in entries {
                if name == "client_secret" && value.as_str().is_some_and(|text| !text.is_empty()) {
                    *value = Value::from("[redacted]");
                } else {
                    hide_client_secrets(value);
                }
            }
        }
        Value::Array(_, items) => items.iter_mut().for_each(hide_client_secrets),
        Value::String(..) | Value::Char(..) | Value::Bool(..) | Value::Num(..) | Value::Empty(..) => {}
    }
}

/// Hides the password of a URL.
fn mask_url(text: &str) -> String {
    match text.rsplit_once('@').and_then(|(head, tail)| head.rsplit_once(':').map(|(user, _)| (user, tail))) {
        Some((user, tail)) if user.contains("//") => format!("{user}:[redacted]@{tail}"),
        _ => text.to_owned(),
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(_, text) => format!("{text:?}"),
        Value::Array(_, items) => format!("[{}]", items.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Dict(_, entries) => {
            let inner: Vec<_> = entries.iter().map(|(key, value)| format!("{key} = {}", literal(value))).collect();
            format!("{{ {} }}", inner.join(", "))
        }
        Value::Bool(_, value) => value.to_string(),
        Value::Num(_, number) => number_text(number),
        Value::Char(..) | Value::Empty(..) => "\"\"".to_owned(),
    }
}

fn number_text(number: &Num) -> String {
    match (number.to_i128(), number.to_u128(), number.to_f64()) {
        (Some(number), _, _) => number.to_string(),
        (None, Some(number), _) => number.to_string(),
        (None, None, number) => number.unwrap_or_default().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_secrets_are_masked_wherever_they_are() {
        let provider = Dict::from([("client_secret".to_owned(), Value::from("s3cret"))]);
        let mut social = Value::from(Dict::from([
            ("google".to_owned(), Value::from(provider.clone())),
            ("oidc".to_owned(), Value::from(vec![Value::from(provider)])),
        ]));
        hide_client_secrets(&mut social);
        let text = literal(&social);
        assert!(!text.contains("s3cret") && text.matches("[redacted]").count() == 2, "{text}");
    }

    #[test]
    fn passwords_and_keys_are_masked() {
        assert_eq!(mask_url("postgres://app:s3cret@db:5432/x"), "postgres://app:[redacted]@db:5432/x");
        assert_eq!(mask_url("sqlite://gatepost.db"), "sqlite://gatepost.db");
        let text = effective(None).unwrap();
        assert!(text.contains("keys = \"[redacted]\"") && !text.contains("insecure-key"), "{text}");
        assert!(text.contains("body_limit_bytes = 65536"), "{text}");
    }
}
