//! What operators write: the file and the environment.

use shared::config::load_from;

use super::Damage;

const SECTIONS: [&str; 8] = ["HTTP", "DATABASE", "BROKER", "MAIL", "JOBS", "SECRETS", "LOGIN", ""];
const KEYS: [&str; 8] =
    ["LISTEN", "URL", "KEYS", "PUBLIC_URL", "TRUSTED_PROXIES", "PER_NETWORK__COUNT", "CONCURRENCY", ""];
const VALUES: [&str; 6] = ["127.0.0.1:8080", "sqlite://a.db", "[\"a:b\"]", "10.0.0.0/8", "-1", "true"];
const FILES: [&str; 2] = [
    "[http]\nlisten = \"127.0.0.1:8080\"\ntrusted_proxies = [\"10.0.0.0/8\"]\n",
    "[login.per_network]\ncount = 5\nper_seconds = 60\n[jobs]\nconcurrency = 4\n",
];

/// Fuzzing: any environment is a configuration or a refusal in words.
#[test]
fn any_environment_is_a_configuration_or_a_refusal() {
    bolero::check!().with_type::<(Damage, Damage, Damage)>().for_each(|(section, key, value)| {
        let name = format!("GATEPOST__{}__{}", section.text_of(&SECTIONS), key.text_of(&KEYS));
        if let Err(error) = load_from(None, std::iter::once((name, value.text_of(&VALUES)))) {
            assert!(!error.to_string().is_empty());
        }
    });
}

/// Fuzzing: any file is a configuration or a refusal in words.
#[test]
fn any_file_is_a_configuration_or_a_refusal() {
    let load = |text: &[u8], path: &std::path::Path| {
        std::fs::write(path, text).unwrap();
        load_from(Some(path), std::iter::empty())
    };
    let path = std::env::temp_dir().join(format!("gatepost-fuzz-{}", shared::ids::next()));
    for good in FILES {
        load(good.as_bytes(), &path).unwrap();
    }
    bolero::check!().with_type::<Damage>().for_each(|damage| {
        if let Err(error) = load(&damage.of(&FILES), &path) {
            assert!(!error.to_string().is_empty());
        }
    });
    std::fs::remove_file(&path).unwrap();
}
