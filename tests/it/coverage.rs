//! What holds for everything of a kind: operations, jobs, problems, settings, metrics. A new one is covered unasked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use harness::{
    Answer, Caller, TestApp,
    generate::{
        self,
        jobs::PAYLOADS,
        tree::{self, Source},
    },
};
use poem::http::Method;
use serde_json::Value;
use shared::CATALOG;

/// Where the frozen payloads are.
const FIXTURES: &str = "tests/fixtures/jobs";

/// Cookies, whose names look like those of metrics.
const COOKIES: [&str; 6] =
    ["gatepost_device", "gatepost_known", "gatepost_login", "gatepost_passkey", "gatepost_session", "gatepost_social"];

/// An operation of the API document.
struct Operation {
    id: String,
    method: Method,
    /// The path with a value for each parameter.
    path: String,
    takes_body: bool,
    is_public: bool,
}

impl Operation {
    async fn call(&self, caller: &Caller<'_>, body: &str) -> Answer {
        let body = self.takes_body.then(|| ("application/json", body.to_owned()));
        caller.send(self.method.clone(), &self.path, body).await
    }
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let Ok(method) = method.to_uppercase().parse() else { continue };
            let Some(id) = operation["operationId"].as_str() else { continue };
            operations.push(Operation {
                id: id.to_owned(),
                method,
                path: with_values(path),
                takes_body: operation.get("requestBody").is_some(),
                is_public: operation["security"].as_array().is_some_and(Vec::is_empty),
            });
        }
    }
    assert!(operations.len() > 10, "the document has lost its operations");
    operations
}

/// Puts an id that nothing has in place of each parameter.
fn with_values(template: &str) -> String {
    let value = |part: &str| {
        if part.starts_with('{') { "019aa5c2-7b10-7c3e-9d41-2f6a8b0c1dff".to_owned() } else { part.to_owned() }
    };
    template.split('/').map(value).collect::<Vec<_>>().join("/")
}

fn public_operations() -> Vec<String> {
    listed("tests/public-operations.txt")
}

/// The operations on a list of the repository.
fn listed(file: &str) -> Vec<String> {
    let list = fs::read_to_string(tree::root().join(file)).unwrap_or_default();
    list.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

/// The codes that `openapi/problems.md` has an entry for, in its order.
fn documented_codes() -> Vec<String> {
    let page = fs::read_to_string(tree::root().join("openapi/problems.md")).unwrap_or_default();
    page.lines().filter_map(|line| line.strip_prefix("## ")).map(str::to_owned).collect()
}

fn is_snake_case(code: &str) -> bool {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    };
    code.starts_with(|first: char| first.is_ascii_lowercase()) && code.split('_').all(is_word)
}

/// Code that ships: no tests, no test harness.
fn shipped_code() -> std::io::Result<Vec<Source>> {
    let mut sources = tree::load(&tree::root())?;
    sources.retain(|source| {
        source.is_rust()
            && !source.path.starts_with("tests/")
            && !source.path.contains("/tests")
            && !source.path.ends_with("testing.rs")
    });
    for source in &mut sources {
        if let Some(tests) = source.text.find("#[cfg(test)]\nmod tests {") {
            source.text.truncate(tests);
        }
    }
    Ok(sources)
}

/// A20: for every operation
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_strangers_unless_it_is_listed_as_public() {
    let app = TestApp::new().await;
    let public = public_operations();
    assert!(public.is_sorted(), "the list of public operations is not sorted");
    let operations = operations(&gateway::spec::document().unwrap());
    for operation in &operations {
        let is_listed = public.contains(&operation.id);
        assert_eq!(operation.is_public, is_listed, "{}: document and list disagree whether it is public", operation.id);
        for caller in [app.browser(), app.browser().bearer("gpst_wrong"), app.browser().bearer("")] {
            let answer = operation.call(&caller, "{}").await;
            assert_eq!(matches!(answer.status, 401 | 403), !is_listed, "{}: {}", operation.id, answer.text);
            if !is_listed {
                answer.expect_problem(401, "unauthenticated");
                assert!(answer.header("www-authenticate").is_some(), "{}", operation.id);
            }
        }
    }
    let known: BTreeSet<_> = operations.iter().map(|operation| &operation.id).collect();
    let stale: Vec<_> = public.iter().filter(|id| !known.contains(id)).collect();
    assert!(stale.is_empty(), "public operations that do not exist: {stale:?}");
}

/// D13, T-KEY-04: every operation has a scope or is on the reviewed list of those that refuse keys; those refuse a key with
/// all scopes, and the others a key that has all scopes but theirs.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_has_a_scope_or_refuses_keys() {
    let app = TestApp::new().await;
    let ada = app.browser();
    ada.sign_up_verified("ada@example.com").await;
    ada.log_in("ada@example.com", harness::PASSWORD).await;
    let key = async |scopes: Value| {
        let body = serde_json::json!({ "label": "x", "scopes": scopes });
        let created = ada.post("/api/users/@me/api_keys", body).await.expect(201).json();
        app.drain().await;
        created["value"].as_str().unwrap_or_default().to_owned()
    };
    let everything = app.browser().plain().bearer(&key(serde_json::json!(["*"])).await);
    let public = public_operations();
    let keyless = listed("tests/keyless-operations.txt");
    assert!(keyless.is_sorted(), "the list of operations that refuse keys is not sorted");
    let document = gateway::spec::document().unwrap();
    let operations = operations(&document);
    for operation in &operations {
        let need = gateway::security::scopes::of(&operation.id);
        assert_ne!(need.is_some(), keyless.contains(&operation.id), "{}: a scope, or on the list", operation.id);
        let scope = match need {
            None if public.contains(&operation.id) => continue,
            None => {
                let answer = operation.call(&everything, "{}").await;
                answer.expect_problem(403, "api_key_not_accepted");
                continue;
            }
            Some(gateway::security::scopes::Need::AnyKey) => continue,
            Some(gateway::security::scopes::Need::Scope(scope)) => scope,
        };
        let others: Vec<_> = shared::orgs::OBJECTS
            .iter()
            .flat_map(|object| [format!("{object}:read"), format!("{object}:write")])
            .filter(|other| {
                other != scope
                    && Some(other.as_str())
                        != scope.strip_suffix(":read").map(|object| format!("{object}:write")).as_deref()
            })
            .collect();
        let path = keys_path(&ada).await;
        ada.patch(&path, serde_json::json!({ "scopes": others })).await.expect(200);
        let answer = operation.call(&everything, "{}").await;
        let problem = answer.expect_problem(403, "missing_scope");
        assert!(problem["detail"].as_str().unwrap_or_default().contains(scope), "{}: {problem}", operation.id);
        ada.patch(&path, serde_json::json!({ "scopes": [scope] })).await.expect(200);
        let answer = operation.call(&everything, "{}").await;
        assert_ne!(answer.json()["code"], "missing_scope", "{}", operation.id);
        ada.patch(&path, serde_json::json!({ "scopes": ["*"] })).await.expect(200);
    }
    let known: BTreeSet<_> = operations.iter().map(|operation| operation.id.as_str()).collect();
    let scoped = gateway::security::scopes::SCOPES.iter().map(|(id, _)| *id);
    let stale: Vec<_> = keyless.iter().map(String::as_str).chain(scoped).filter(|id| !known.contains(id)).collect();
    assert!(stale.is_empty(), "operations that do not exist: {stale:?}");
}

/// Where the one key of this user is managed.
async fn keys_path(browser: &Caller<'_>) -> String {
    let keys = browser.get("/api/users/@me/api_keys").await.expect(200).json();
    format!("/api/users/@me/api_keys/{}", keys.pointer("/items/0/id").and_then(Value::as_str).unwrap_or_default())
}

/// A21: for every operation, called by strangers and by the administrator with what it cannot accept
#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_a_problem_with_a_documented_code() {
    let app = TestApp::new().await;
    let document = gateway::spec::document().unwrap();
    let schema = &document["components"]["schemas"]["Problem"];
    let codes = documented_codes();
    let admin = app.browser();
    admin.sign_up_verified("ada@example.com").await;
    admin.log_in("ada@example.com", harness::PASSWORD).await;
    let mut seen = BTreeSet::new();
    let mut operations = operations(&document);
    // Logging out ends what the others need.
    operations.sort_by_key(|operation| operation.id == "logout");
    for operation in &operations {
        let stranger = app.browser();
        let mut answers = vec![
            stranger.send(Method::TRACE, &operation.path, None).await,
            stranger.send(Method::DELETE, &operation.path, None).await,
            stranger.get(&format!("{}/nowhere", operation.path)).await,
        ];
        for caller in [&stranger, &admin] {
            if operation.takes_body {
                answers.push(
                    caller.send(operation.method.clone(), &operation.path, Some(("text/plain", "{}".into()))).await,
                );
            }
            for body in ["{", "[]", "{}", r#"{"a":1,"a":2}"#, r#"{"email":7,"password":null,"code":{},"token":[]}"#] {
                answers.push(operation.call(caller, body).await);
            }
        }
        for answer in answers.iter().filter(|answer| answer.status >= 400) {
            seen.insert(assert_is_problem(answer, schema, &codes));
        }
    }
    assert!(seen.len() >= 6, "too few kinds of errors were provoked: {seen:?}");
}

/// Holds an error against the schema of problems; returns its code.
fn assert_is_problem(answer: &Answer, schema: &Value, codes: &[String]) -> String {
    let code = answer.json().get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
    let problem = answer.expect_problem(answer.status, &code);
    assert!(codes.contains(&code), "`{code}` is not documented");
    for member in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        assert!(problem.get(member).is_some(), "no `{member}` in {problem}");
    }
    for (member, value) in problem.as_object().into_iter().flatten() {
        let property = schema["properties"].get(member);
        let fits = match property.and_then(|property| property["type"].as_str()) {
            Some("string") => value.is_string(),
            Some("integer") => value.is_i64(),
            Some("array") => value.as_array().is_some_and(|fields| !fields.is_empty()),
            _ => false,
        };
        assert!(fits, "`{member}` is not what the schema says: {problem}");
    }
    for field in problem.get("errors").and_then(Value::as_array).into_iter().flatten() {
        let text = |member: &str| field.get(member).and_then(Value::as_str).unwrap_or_default();
        assert!(is_snake_case(text("code")) && !text("detail").is_empty(), "{problem}");
        assert!(text("pointer").is_empty() || text("pointer").starts_with('/'), "{problem}");
    }
    code
}

#[test]
fn every_problem_is_documented_once() {
    let documented = documented_codes();
    let kinds = gateway::problem_kinds::all();
    let codes: BTreeSet<_> = kinds.iter().map(|kind| kind.code.to_owned()).collect();
    assert_eq!(codes.len(), kinds.len(), "a code stands for two kinds");
    assert_eq!(
        codes.iter().cloned().collect::<Vec<_>>(),
        documented,
        "openapi/problems.md is out of date: run `make gen`"
    );
    for kind in kinds {
        assert!(is_snake_case(kind.code), "{}", kind.code);
        assert!((400..600).contains(&kind.status), "{}: {}", kind.code, kind.status);
        assert!(!kind.title.is_empty(), "{}", kind.code);
        assert!(kind.help.ends_with('.'), "{}: {}", kind.code, kind.help);
    }
    // A kind that was declared and not put into the list of its slice would be answered without being documented.
    let mut declared = Vec::new();
    for source in shipped_code().unwrap() {
        for declaration in source.text.split("ProblemKind = ProblemKind {").skip(1) {
            let code = declaration.split("code: \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            declared.push(code.to_owned());
        }
    }
    declared.sort();
    assert_eq!(declared, documented, "declared and listed kinds differ");
}

#[test]
fn every_job_has_one_handler() {
    let key = |entry: &shared::jobs::CatalogEntry| (entry.name, entry.version);
    let handled = workers::registry().unwrap().catalog();
    let mut known = CATALOG.to_vec();
    known.sort_by_key(key);
    assert_eq!(handled.iter().map(key).collect::<Vec<_>>(), known.iter().map(key).collect::<Vec<_>>());
    assert_eq!(handled, known);
}

#[test]
fn every_payload_that_was_ever_sent_still_decodes() {
    let folder = tree::root().join(FIXTURES);
    let mut files: BTreeSet<String> =
        fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    for entry in CATALOG {
        let is_in_table = PAYLOADS.iter().any(|payload| payload.entry == *entry);
        assert!(is_in_table, "{} version {} is not in the table of payloads", entry.name, entry.version);
    }
    for payload in PAYLOADS {
        let name = format!("{}.json", payload.id());
        assert!(files.remove(&name), "{FIXTURES}/{name} is missing");
        let text = fs::read_to_string(folder.join(&name)).unwrap();
        let frozen: BTreeMap<String, Value> = serde_json::from_str(&text).unwrap();
        let today: BTreeMap<String, Value> = serde_json::from_value(payload.recode(&text).unwrap()).unwrap();
        assert_eq!(today, frozen, "{name}: it no longer means the same");
        let members: BTreeSet<_> = payload.fields.iter().map(|field| field.name).collect();
        assert_eq!(
            frozen.keys().map(String::as_str).collect::<BTreeSet<_>>(),
            members,
            "{name} and the published schema"
        );
        for field in payload.fields {
            assert!(field.shape.admits(&frozen[field.name]), "{name}: `{}` is not {:?}", field.name, field.shape);
        }
    }
    assert!(files.is_empty(), "payloads that no code reads: {files:?}");
}

#[test]
fn payloads_hold_ids_and_no_secrets() {
    // `to` is the operator's own address, given on the command line.
    let allowed = |name: &str| {
        ["_id", "_ids", "_at"].iter().any(|end| name.ends_with(end))
            || name.starts_with("is_")
            || ["window", "step", "send", "side", "to"].contains(&name)
    };
    for payload in PAYLOADS {
        for field in payload.fields {
            assert!(allowed(field.name), "{}: is `{}` a secret?", payload.id(), field.name);
        }
    }
}

#[test]
fn the_api_document_keeps_its_rules() {
    let violations = openapi::lint_with(&gateway::spec::document().unwrap(), &gateway::spec::EXCEPTIONS);
    assert!(violations.is_empty(), "{violations:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_files_are_current() {
    let root = tree::root();
    for file in generate::offline(&root).await.unwrap() {
        // The acceptance page has a test of its own.
        if file.path != generate::acceptance::PATH {
            let committed = fs::read_to_string(root.join(file.path)).unwrap_or_default();
            assert!(committed == file.text, "{} is out of date: run `make gen`", file.path);
        }
    }
}

/// The keys of the configuration as `section.key`, each with whether a comment stands right above it.
fn settings() -> Vec<(String, bool)> {
    let (mut section, mut is_described, mut keys) = ("", false, Vec::new());
    for line in shared::config::DEFAULTS.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            keys.push((format!("{section}.{key}").trim_start_matches('.').to_owned(), is_described));
        }
        is_described = line.starts_with("# ");
    }
    keys
}

#[test]
fn every_setting_is_described() {
    let settings = settings();
    assert!(settings.len() > 50, "the settings were not found");
    let bare: Vec<_> = settings.iter().filter(|(_, is_described)| !is_described).map(|(key, _)| key).collect();
    assert!(bare.is_empty(), "settings without a comment of their own in shared/config.default.toml: {bare:?}");
}

#[test]
fn documents_name_settings_that_exist() {
    let settings: BTreeSet<_> = settings().into_iter().map(|(key, _)| key).collect();
    let sections: BTreeSet<_> =
        settings.iter().filter_map(|key| key.split_once('.')).map(|(section, _)| section).collect();
    let mut unknown = Vec::new();
    for source in tree::load(&tree::root()).unwrap().iter().filter(|source| source.is_page()) {
        for name in source.text.split('`').skip(1).step_by(2) {
            let is_setting = name.split_once('.').is_some_and(|(section, key)| {
                sections.contains(section) && is_snake_case(key) && !["rs", "md", "toml", "sql", "db"].contains(&key)
            });
            let is_other = CATALOG.iter().any(|job| job.name == name) || shared::chaos::POINTS.contains(&name);
            if is_setting && !settings.contains(name) && !is_other {
                unknown.push(format!("{}: {name}", source.path));
            }
        }
    }
    assert!(unknown.is_empty(), "{unknown:#?}");
}

/// Everything in a text that looks like the name of a metric.
fn metric_names(text: &str) -> BTreeSet<String> {
    let ends = |letter: char| !(letter.is_ascii_lowercase() || letter == '_');
    let mut names: BTreeSet<_> = text
        .match_indices("gatepost_")
        .filter_map(|(at, _)| text.get(at..).and_then(|rest| rest.split(ends).next()).map(str::to_owned))
        .collect();
    names.retain(|name| !COOKIES.contains(&name.as_str()));
    names
}

#[test]
fn every_metric_is_documented() {
    let shipped = shipped_code().unwrap();
    let measured: BTreeSet<_> = shipped.iter().flat_map(|source| metric_names(&source.text)).collect();
    assert!(measured.len() > 5, "the metrics were not found: {measured:?}");
    let page = fs::read_to_string(tree::root().join("docs/operations/README.md")).unwrap();
    assert_eq!(metric_names(&page), measured, "docs/operations/README.md and the code");
}
