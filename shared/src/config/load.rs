//! Reading and merging the three layers.

use std::path::Path;

use figment::{
    Figment, Profile,
    providers::{Format, Serialized, Toml},
    value::{Dict, Value},
};

use super::Config;

/// The embedded defaults.
pub const DEFAULTS: &str = include_str!("../../config.default.toml");

const PREFIX: &str = "GATEPOST__";

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A key that does not exist.
    #[error("{place}: unknown key `{key}`{}", nearest.as_ref().map(|key| format!("; did you mean `{key}`?")).unwrap_or_default())]
    UnknownKey {
        /// Where it was found: a file, or the name of an environment variable.
        place: String,
        /// The key, dotted.
        key: String,
        /// The nearest existing key.
        nearest: Option<String>,
    },
    /// A file that cannot be read, or that is no TOML.
    #[error("{place}: {reason}")]
    Unreadable {
        /// The file or variable.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value of the wrong type or out of range.
    #[error("{0}")]
    Invalid(String),
    /// Settings that production refuses.
    #[error("mode is production, but:\n  - {}", .0.join("\n  - "))]
    Unsafe(Vec<String>),
}

/// Loads the configuration of this process: `file`, or `gatepost.toml` where it exists, and the environment.
///
/// # Errors
/// When a layer cannot be read, has an unknown key or a wrong value, or is not safe in production.
pub fn load(file: Option<&Path>) -> Result<Config, ConfigError> {
    let standard = Path::new("gatepost.toml");
    let file = file.or_else(|| standard.exists().then_some(standard));
    let config = load_from(file, std::env::vars())?;
    let refused = config.unsafe_settings();
    if refused.is_empty() { Ok(config) } else { Err(ConfigError::Unsafe(refused)) }
}

/// Merges the embedded defaults, a file and environment variables.
///
/// # Errors
/// When a layer cannot be read, has an unknown key or a wrong value.
pub fn load_from(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let config: Config = figment(file, environment)?.extract().map_err(|err| ConfigError::Invalid(err.to_string()))?;
    crate::secret::Keyring::parse(config.secrets.keys.expose()).map_err(|err| ConfigError::Invalid(err.to_string()))?;
    if let Some(mistake) = config.social.mistakes().into_iter().next() {
        return Err(ConfigError::Invalid(mistake));
    }
    Ok(config)
}

pub(super) fn figment(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Figment, ConfigError> {
    let known = known_keys();
    let mut figment = Figment::from(Toml::string(DEFAULTS));
    if let Some(path) = file {
        let place = path.display().to_string();
        let unreadable = |reason: String| ConfigError::Unreadable { place: place.clone(), reason };
        let text = std::fs::read_to_string(path).map_err(|err| unreadable(err.to_string()))?;
        let layer: Dict = Figment::from(Toml::string(&text)).extract().map_err(|err| unreadable(err.to_string()))?;
        for key in leaves(&layer, "") {
            ensure_known(&known, &place, &key)?;
        }
        figment = figment.merge(Toml::string(&text));
    }
    for (name, value) in environment {
        if let Some((key, value)) = variable(&known, &name, value)? {
            figment = figment.merge(Serialized::from(nested(&key, value), Profile::Default));
        }
    }
    Ok(figment)
}

/// Reads one variable of the environment; `None` for those that are not Gatepost's.
fn variable(known: &[String], name: &str, value: String) -> Result<Option<(String, Value)>, ConfigError> {
    let Some(rest) = name.strip_prefix(PREFIX) else { return Ok(None) };
    let key = rest.to_lowercase().replace("__", ".");
    let (key, text) = match key.strip_suffix("_file") {
        Some(key) if !known.contains(&format!("{key}_file")) => {
            let text = std::fs::read_to_string(&value)
                .map_err(|err| ConfigError::Unreadable { place: name.to_owned(), reason: format!("{value}: {err}") })?;
            (key.to_owned(), text.trim_end_matches(['\n', '\r']).to_owned())
        }
        _ => (key, value),
    };
    ensure_known(known, name, &key)?;
    Ok(Some((key.clone(), parse(&key, &text))))
}

/// Text of a variable as a value: lists are comma-separated, everything else reads as TOML would.
fn parse(key: &str, text: &str) -> Value {
    let default = Figment::from(Toml::string(DEFAULTS)).find_value(key).ok();
    match default {
        Some(Value::Array(..)) => {
            Value::from(text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect::<Vec<_>>())
        }
        Some(Value::String(..)) => Value::from(text),
        _ => text.parse().unwrap_or_else(|_| Value::from(text)),
    }
}

fn nested(key: &str, value: Value) -> Dict {
    match key.split_once('.') {
        Some((head, rest)) => Dict::from([(head.to_owned(), Value::from(nested(rest, value)))]),
        None => Dict::from([(key.to_owned(), value)]),
    }
}

fn ensure_known(known: &[String], place: &str, key: &str) -> Result<(), ConfigError> {
    if known.iter().any(|candidate| candidate == key) {
        return Ok(());
    }
    let nearest = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(candidate, key), candidate))
        .min()
        .filter(|(distance, _)| *distance <= 6)
        .map(|(_, candidate)| candidate.clone());
    Err(ConfigError::UnknownKey { place: place.to_owned(), key: key.to_owned(), nearest })
}

fn known_keys() -> Vec<String> {
    Figment::from(Toml::string(DEFAULTS)).extract::<Dict>().map(|dict| leaves(&dict, "")).unwrap_or_default()
}

/// Dotted names of all values, tables excluded, except that a table with inline entries counts by its entries.
fn leaves(dict: &Dict, prefix: &str) -> Vec<String> {
    dict.iter()
        .flat_map(|(key, value)| {
            let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match value {
                Value::Dict(_, inner) => leaves(inner, &path),
                Value::String(..)
                | Value::Char(..)
                | Value::Bool(..)
                | Value::Num(..)
                | Value::Empty(..)
                | Value::Array(..) => {
                    vec![path]
                }
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        load_from(None, variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn the_defaults_load() {
        let config = Config::defaults().unwrap();
        assert_eq!(config.http.listen.port(), 8080);
        assert_eq!(config.recovery.link_seconds, 86_400);
    }

    #[test]
    fn the_environment_wins_and_lists_are_comma_separated() {
        let config = with(&[
            ("GATEPOST__HTTP__LISTEN", "127.0.0.1:9"),
            ("GATEPOST__HTTP__TRUSTED_PROXIES", "10.0.0.0/8, 127.0.0.0/8"),
            ("GATEPOST__PASSWORD__MEMORY_KIB", "8192"),
            ("GATEPOST__RECOVERY__PER_ADDRESS__COUNT", "7"),
            ("PATH", "/bin"),
        ])
        .unwrap();
        assert_eq!(config.http.listen.port(), 9);
        assert_eq!(config.http.trusted_proxies.len(), 2);
        assert_eq!(config.password.memory_kib, 8192);
        assert_eq!((config.recovery.per_address.count, config.recovery.per_address.per_seconds), (7, 3600));
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_one() {
        let message = with(&[("GATEPOST__HTTP__LISTN", "x")]).unwrap_err().to_string();
        assert_eq!(message, "GATEPOST__HTTP__LISTN: unknown key `http.listn`; did you mean `http.listen`?");
    }

    #[test]
    fn a_secret_can_come_from_a_file() {
        let path = std::env::temp_dir().join(format!("gatepost-config-{}", crate::ids::next()));
        std::fs::write(&path, "postgres://from-a-file\n").unwrap();
        let config = with(&[("GATEPOST__DATABASE__URL_FILE", path.to_str().unwrap())]).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(config.database.url.expose(), "postgres://from-a-file");
    }

    #[test]
    fn production_names_every_unsafe_setting() {
        let config =
            with(&[("GATEPOST__MODE", "production"), ("GATEPOST__BROKER__URL", "amqp://guest:guest@127.0.0.1/x")])
                .unwrap();
        let refused = config.unsafe_settings().join("\n");
        for name in ["secrets.keys", "http.public_url", "broker.url", "mail.url"] {
            assert!(refused.contains(name), "{name} is missing from {refused}");
        }
    }

    #[test]
    fn a_short_key_is_refused() {
        assert!(matches!(with(&[("GATEPOST__SECRETS__KEYS", "a:short")]), Err(ConfigError::Invalid(_))));
    }
}
