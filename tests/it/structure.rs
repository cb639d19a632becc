//! The rules of `docs/architecture.md`, read from the sources. Each test lists every place that breaks its rule.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
};

use harness::generate::tree::{self, Source};

/// Modules of `shared` without product rules.
const KERNEL: [&str; 22] = [
    "audit",
    "broker",
    "chaos",
    "client",
    "clock",
    "config",
    "db",
    "eddsa",
    "fault",
    "http_client",
    "ids",
    "jobs",
    "kernel",
    "key_format",
    "lib",
    "lifecycle",
    "mail",
    "oidc",
    "rate_limit",
    "secret",
    "telemetry",
    "testing",
];

/// A feature of `shared`.
struct Slice {
    name: &'static str,
    /// It uses slices of its own layer and of lower ones.
    layer: u8,
    /// Files beside those of the vocabulary.
    extras: &'static [&'static str],
}

const fn slice(layer: u8, name: &'static str, extras: &'static [&'static str]) -> Slice {
    Slice { name, layer, extras }
}

const SLICES: &[Slice] = &[
    // who
    slice(0, "break_glass", &[]),
    slice(0, "domains", &["resolver"]),
    slice(0, "enforcement", &["policy"]),
    slice(0, "idempotency", &[]),
    slice(0, "invites", &[]),
    slice(0, "orgs", &["actor", "role", "scope"]),
    slice(0, "projects", &[]),
    slice(0, "users", &["email"]),
    // authenticators
    slice(1, "backup_codes", &[]),
    slice(1, "blocklist", &["list"]),
    slice(1, "email_mfa", &["bypass", "proof"]),
    slice(1, "identify", &["accept", "event", "fact", "merge"]),
    slice(1, "lockout", &[]),
    slice(1, "passkey", &["ceremony"]),
    slice(1, "password", &["phc", "pool", "strength"]),
    slice(1, "secret_keys", &["leak"]),
    slice(1, "social", &["provider"]),
    slice(1, "totp", &[]),
    // what a login yields
    slice(2, "devices", &["known"]),
    slice(2, "sessions", &["cache"]),
    // journeys
    slice(3, "api_keys", &["expiry", "verify"]),
    slice(3, "capture", &["batch", "batcher", "decode", "event"]),
    slice(3, "deletion", &[]),
    slice(3, "email_verification", &[]),
    slice(3, "login", &["step"]),
    slice(3, "password_change", &[]),
    slice(3, "persons", &[]),
    slice(3, "precheck", &["decoy"]),
    slice(3, "recovery", &[]),
    slice(3, "signup", &[]),
    slice(3, "step_up", &[]),
    slice(3, "two_factor", &["status"]),
    slice(3, "two_factor_reset", &[]),
];

/// The files that a slice may have.
const VOCABULARY: [&str; 7] = ["mod", "entity", "store", "flow", "jobs", "error", "config"];

/// How many files one may have to open to read one feature.
const FEATURE_FILES: usize = 12;

/// Top-level folders that paths in the documentation begin with.
const FOLDERS: [&str; 9] = ["cli", "docs", "gateway", "migrations", "openapi", "scripts", "shared", "tests", "workers"];

/// Where code outside of tests may start tasks of its own; the rest belongs to `shared::lifecycle`.
const SPAWNS: [&str; 2] = ["shared/src/broker/rabbitmq/task.rs", "shared/src/db/to_the_end.rs"];

/// What a log line never has.
const UNLOGGABLE: [&str; 14] = [
    "body",
    "client_ip",
    "code_hash",
    "cookie",
    "email",
    "ip",
    "password",
    "payload",
    "recipient",
    "remote_addr",
    "reset_token",
    "secret",
    "session_token",
    "user_agent",
];

fn sources() -> io::Result<Vec<Source>> {
    tree::load(&tree::root())
}

fn rust_sources() -> io::Result<Vec<Source>> {
    let mut sources = sources()?;
    sources.retain(Source::is_rust);
    assert!(sources.len() > 100, "the sources were not found");
    Ok(sources)
}

fn find_slice(name: &str) -> Option<&'static Slice> {
    SLICES.iter().find(|slice| slice.name == name)
}

/// The module of `shared` that a file belongs to.
fn module_of(source: &Source) -> Option<&str> {
    let module = source.path.strip_prefix("shared/src/")?.split('/').next()?;
    Some(module.trim_end_matches(".rs"))
}

fn stem(path: &str) -> &str {
    Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
}

fn is_test_code(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || ["tests", "testing"].contains(&stem(path))
}

/// Code without comments, and without the test module at its end.
fn shipped(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn assert_none(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

#[test]
fn files_keep_their_budget() {
    let mut broken = Vec::new();
    for source in rust_sources().unwrap() {
        let budget = if is_test_code(&source.path) && !source.path.starts_with("tests/src/") { 600 } else { 400 };
        let lines = source.text.lines().count();
        if lines > budget {
            broken.push(format!("{}: {lines} lines, {budget} are allowed", source.path));
        }
    }
    assert_none(&broken, "files that are too long");
}

#[test]
fn features_keep_their_budget() {
    let mut features: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for source in rust_sources().unwrap() {
        // A file belongs to the feature that it is named after, or else to that of its folder. The tests of a feature
        // count as one file, however many they are split into.
        let path = source.path.trim_end_matches(".rs");
        if let Some(slice) = path.rsplit('/').find_map(find_slice) {
            let tests = format!("tests/it/{}", slice.name);
            let file = if path.starts_with(&tests) { tests } else { source.path.clone() };
            features.entry(slice.name).or_default().insert(file);
        }
    }
    assert_eq!(features.len(), SLICES.len(), "a slice has no files");
    let mut broken = Vec::new();
    for (name, files) in features {
        let folders: BTreeSet<_> = files.iter().filter_map(|file| Path::new(file).parent()).collect();
        if files.len() > FEATURE_FILES || folders.len() > 6 {
            broken.push(format!(
                "{name}: {} files, {FEATURE_FILES} are allowed, in {} folders\n{files:#?}",
                files.len(),
                folders.len()
            ));
        }
    }
    assert_none(&broken, "features that are spread too far");
}

#[test]
fn request_handlers_keep_their_budget() {
    let mut broken = Vec::new();
    for source in rust_sources().unwrap().iter().filter(|source| source.path.starts_with("gateway/src/api/")) {
        for operation in source.text.split("#[oai(path").skip(1) {
            let lines: Vec<_> = operation.lines().skip_while(|line| !line.contains("fn ")).collect();
            let start = lines.iter().position(|line| line.ends_with('{')).unwrap_or_default();
            let end = lines.iter().position(|line| *line == "    }").unwrap_or(lines.len());
            let length = end.saturating_sub(start + 1);
            if length == 0 || length > 25 {
                broken.push(format!("{}: {} has {length} lines", source.path, lines[0].trim()));
            }
        }
    }
    assert_none(&broken, "request handlers that are too long (25 lines)");
}

/// Every path below `crate::`, such as `["users", "UserId"]`.
fn crate_paths(code: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        take_tree(code.get(at + found.len()..).unwrap_or_default(), &mut Vec::new(), &mut paths);
    }
    paths
}

/// Reads one tree of paths from the start of a text; returns what follows it.
fn take_tree<'a>(text: &'a str, prefix: &mut Vec<String>, paths: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut list) = text.strip_prefix('{').map(str::trim_start) {
        while !list.is_empty() && !list.starts_with('}') {
            // What stands between a path and the comma is `as name`.
            let rest = take_tree(list, prefix, paths).trim_start_matches(|letter| letter != ',' && letter != '}');
            list = rest.trim_start_matches(',').trim_start();
        }
        return list.strip_prefix('}').unwrap_or_default();
    }
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if !name.is_empty() {
        prefix.push(name.to_owned());
    }
    let rest = match rest.strip_prefix("::") {
        Some(deeper) if !name.is_empty() => take_tree(deeper, prefix, paths),
        _ => {
            paths.push(prefix.clone());
            rest
        }
    };
    if !name.is_empty() {
        prefix.pop();
    }
    rest
}

#[test]
fn paths_are_read_from_nested_lists() {
    let code = "use crate::{\n    a::{B, c::{D as E, *}},\n    f,\n};\nfn g(_: crate::h::I) -> crate::j<K> {}";
    let paths: Vec<_> = crate_paths(code).iter().map(|path| path.join("::")).collect();
    assert_eq!(paths, ["a::B", "a::c::D", "a::c", "f", "h::I", "j"]);
}

#[test]
fn every_module_of_the_domain_has_its_place() {
    for source in rust_sources().unwrap() {
        let Some(module) = module_of(&source) else { continue };
        let is_kernel = KERNEL.contains(&module);
        let is_slice = find_slice(module).is_some();
        assert!(is_kernel != is_slice, "{}: say in this test which layer `{module}` belongs to", source.path);
    }
}

#[test]
fn slices_use_only_what_is_below_them() {
    let mut broken = Vec::new();
    for source in rust_sources().unwrap() {
        let Some(module) = module_of(&source).filter(|module| *module != "lib") else { continue };
        for path in crate_paths(&shipped(&source.text)) {
            let Some(used) = path.first().and_then(|name| find_slice(name)) else { continue };
            let is_section = module == "config" && path.get(1).is_some_and(|name| name.ends_with("Config"));
            let is_below = find_slice(module).is_some_and(|slice| used.layer <= slice.layer);
            if !is_section && !is_below {
                broken.push(format!("{}: uses {}", source.path, path.join("::")));
            }
        }
    }
    assert_none(&broken, "imports against the direction kernel ← who ← authenticators ← sessions ← journeys");
}

#[test]
fn crates_do_not_know_those_above_them() {
    let forbidden = [
        ("gateway", &["workers", "harness"][..]),
        ("workers", &["gateway", "openapi", "harness"]),
        ("shared", &["gateway", "workers", "openapi", "harness"]),
        ("openapi", &["gateway", "workers", "shared", "migrations", "harness"]),
        ("migrations", &["gateway", "workers", "shared", "openapi", "harness"]),
    ];
    let mut broken = Vec::new();
    for (name, above) in forbidden {
        let manifest = fs::read_to_string(tree::root().join(name).join("Cargo.toml")).unwrap();
        for line in manifest.lines() {
            let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default();
            if above.contains(&dependency) {
                broken.push(format!("{name}: {line}"));
            }
        }
    }
    assert_none(&broken, "dependencies between crates that should not know each other");
}

/// What `make run` says, `cargo run -- serve`, has to name no executable, though the crate has several.
#[test]
fn the_executable_to_run_is_named() {
    let manifest = fs::read_to_string(tree::root().join("cli/Cargo.toml")).unwrap();
    assert!(manifest.lines().any(|line| line == "default-run = \"gatepost\""), "{manifest}");
}

#[test]
fn slices_have_the_files_of_the_vocabulary() {
    let mut broken = Vec::new();
    for source in rust_sources().unwrap() {
        let Some(slice) = module_of(&source).and_then(find_slice) else { continue };
        let inner = source.path.trim_start_matches("shared/src/").split('/').nth(1).unwrap_or_default();
        let inner = inner.trim_end_matches(".rs");
        if !VOCABULARY.contains(&inner) && !slice.extras.contains(&inner) && inner != "tests" {
            broken.push(source.path);
        }
    }
    assert_none(&broken, "files outside of the vocabulary of a slice");
}

#[test]
fn tables_are_private_to_their_slice() {
    let mut broken = Vec::new();
    for source in rust_sources().unwrap().iter().filter(|source| module_of(source).is_some()) {
        for line in source.text.lines().map(str::trim) {
            let is_public_module =
                line.starts_with("pub") && (line.ends_with("mod entity;") || line.ends_with("mod store;"));
            let is_public_table = line.starts_with("pub use entity::")
                && line
                    .split(|letter: char| !letter.is_alphanumeric())
                    .any(|word| ["Entity", "ActiveModel", "Column"].contains(&word));
            if is_public_module
                || is_public_table
                || line.starts_with("pub use entity::*")
                || line.starts_with("pub use store::*")
            {
                broken.push(format!("{}: {line}", source.path));
            }
        }
    }
    assert_none(&broken, "tables that other slices could reach");
}

/// What stands in backticks outside of code blocks, and where links lead to.
fn references(text: &str) -> Vec<String> {
    let (mut found, mut is_block) = (Vec::new(), false);
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_block = !is_block;
        } else if !is_block {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// The path that a reference names, if it is one: below a top-level folder, and no pattern.
fn named_path(reference: &str) -> Option<&str> {
    let path = reference.split("::").next()?;
    let (folder, rest) = path.split_once('/')?;
    let is_literal = !path.contains("://") && !path.contains(['*', '{', '<', '…', ' ', '$', '(']);
    (FOLDERS.contains(&folder) && is_literal && !rest.starts_with('/')).then_some(path)
}

#[test]
fn paths_in_the_documentation_exist() {
    let root = tree::root();
    let mut broken = Vec::new();
    for source in sources().unwrap() {
        let text = if source.is_rust() {
            let docs = source.text.lines().filter_map(|line| line.trim_start().strip_prefix("//!"));
            docs.collect::<Vec<_>>().join("\n")
        } else if source.is_page() {
            source.text
        } else {
            continue;
        };
        for reference in references(&text) {
            if let Some(path) = named_path(&reference)
                && !root.join(path).exists()
            {
                broken.push(format!("{}: {path}", source.path));
            }
        }
    }
    assert_none(&broken, "paths in the documentation that do not exist");
}

#[test]
fn links_in_the_documentation_lead_somewhere() {
    let root = tree::root();
    let mut broken = Vec::new();
    for source in sources().unwrap().iter().filter(|source| source.is_page()) {
        let folder = root.join(&source.path);
        for link in source.text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next()) {
            let is_file = !link.is_empty() && !link.contains("://") && !link.starts_with('/');
            if is_file && !folder.parent().is_some_and(|folder| folder.join(link).exists()) {
                broken.push(format!("{}: {link}", source.path));
            }
        }
    }
    assert_none(&broken, "links in the documentation that lead nowhere");
}

#[test]
fn what_is_left_to_do_is_an_issue() {
    // Not written out, or this line would be one of them.
    let markers = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let mut broken = Vec::new();
    for source in sources().unwrap().iter().filter(|source| source.path != "openapi/acceptance-rows.txt") {
        for (number, line) in source.text.lines().enumerate() {
            let has_marker = line.split(|letter: char| !letter.is_alphanumeric()).any(|word| markers.contains(&word));
            let has_issue = line.split('#').skip(1).any(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()));
            if has_marker && !has_issue {
                broken.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    assert_none(&broken, "things left to do without the number of an issue");
}

#[test]
fn names_of_files_say_something() {
    let banned = ["util", "utils", "helper", "helpers", "common", "manager", "misc", "v2"];
    let mut broken = Vec::new();
    for source in sources().unwrap() {
        for part in source.path.split('/') {
            let is_banned = part.split(['_', '-', '.']).any(|word| banned.contains(&word));
            if is_banned || part.starts_with("new_") {
                broken.push(source.path.clone());
            }
        }
    }
    assert_none(&broken, "names that say nothing");
}

#[test]
fn lints_are_never_switched_off_without_notice() {
    // `expect` complains when it is no longer needed, and `clippy.toml` demands a reason.
    let markers = [concat!("#[", "allow("), concat!("#![", "allow(")];
    let mut broken = Vec::new();
    for source in rust_sources().unwrap() {
        if markers.iter().any(|marker| source.text.contains(marker)) {
            broken.push(source.path);
        }
    }
    assert_none(&broken, "lints that are allowed where `expect` with a reason was due");
}

#[test]
fn tasks_belong_to_the_lifecycle() {
    let mut broken = Vec::new();
    for source in rust_sources().unwrap().iter().filter(|source| !is_test_code(&source.path)) {
        let code = shipped(&source.text);
        let spawns = code.contains("tokio::spawn(") || code.contains("task::spawn(");
        if spawns != SPAWNS.contains(&source.path.as_str()) {
            broken.push(source.path.clone());
        }
    }
    assert_none(&broken, "tasks that nobody waits for at the end, or a place that no longer starts one");
}

/// The arguments of all logging macros in a file.
fn log_calls(code: &str) -> Vec<&str> {
    let mut calls = Vec::new();
    for level in ["trace", "debug", "info", "warn", "error", "event", "span"] {
        for (at, found) in code.match_indices(&format!("{level}!(")) {
            let arguments = code.get(at + found.len()..).unwrap_or_default();
            let (mut depth, mut is_text, mut is_escaped) = (1_usize, false, false);
            let end = arguments.find(|letter| {
                match letter {
                    _ if is_escaped => is_escaped = false,
                    '\\' => is_escaped = true,
                    '"' => is_text = !is_text,
                    '(' if !is_text => depth += 1,
                    ')' if !is_text => depth -= 1,
                    _ => {}
                }
                depth == 0
            });
            calls.push(arguments.get(..end.unwrap_or(arguments.len())).unwrap_or_default());
        }
    }
    calls
}

/// The names in a logging call: fields, values, and what its text interpolates.
fn logged_names(call: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    for (index, part) in call.split('"').enumerate() {
        let pieces: Vec<_> = if index % 2 == 0 { vec![part] } else { part.split('{').skip(1).collect() };
        for piece in pieces {
            let piece = if index % 2 == 0 { piece } else { piece.split(['}', ':']).next().unwrap_or_default() };
            names.extend(piece.split(|letter: char| !letter.is_alphanumeric() && letter != '_'));
        }
    }
    names
}

#[test]
fn names_are_read_from_logging_calls() {
    let code = "tracing::info!(%user.email, ip = 1, \"to {address:?} (ok)\"); tracing::warn!(\"no ip\");";
    let calls = log_calls(code);
    assert_eq!(calls, ["%user.email, ip = 1, \"to {address:?} (ok)\"", "\"no ip\""]);
    assert!(["email", "ip", "address"].iter().all(|name| logged_names(calls[0]).contains(name)));
    assert!(!logged_names(calls[1]).contains("ip"));
}

#[test]
fn logs_tell_nothing_about_people() {
    let (mut broken, mut calls) = (Vec::new(), 0);
    for source in rust_sources().unwrap().iter().filter(|source| !is_test_code(&source.path)) {
        let code = shipped(&source.text);
        assert!(!code.contains("instrument(") || code.contains(".instrument("), "{}: logs all arguments", source.path);
        for call in log_calls(&code) {
            calls += 1;
            let told: Vec<_> = logged_names(call).into_iter().filter(|name| UNLOGGABLE.contains(name)).collect();
            if !told.is_empty() {
                broken.push(format!("{}: {told:?} in {}", source.path, call.trim()));
            }
        }
    }
    assert!(calls > 30, "the logging calls were not found");
    assert_none(&broken, "log lines with addresses, secrets or bodies");
}
