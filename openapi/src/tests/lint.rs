//! Each rule holds on a good document and is reported on a broken one.

use serde_json::{Value, json};

use super::sample;
use crate::{LintOptions, Violation, lint, lint_with};

const KEYS: &str = "/paths/~1api~1users~1@me~1api_keys";
const KEY: &str = "/paths/~1api~1users~1@me~1api_keys~1{api_key_id}";
const FIELDS: &str = "/components/schemas/ApiKey/properties";

/// The good document with `value` at `pointer` (a missing last member is added, `null` removes it).
fn broken(pointer: &str, value: Value) -> Value {
    let mut doc = sample::good();
    let (holder, member) = pointer.rsplit_once('/').unwrap();
    let holder = doc.pointer_mut(holder).unwrap_or_else(|| panic!("no {holder}")).as_object_mut().unwrap();
    let member = member.replace("~1", "/");
    if value.is_null() {
        holder.remove(&member);
    } else {
        holder.insert(member, value);
    }
    doc
}

fn rules(doc: &Value) -> Vec<&'static str> {
    let mut rules: Vec<_> = lint(doc).into_iter().map(|violation| violation.rule).collect();
    rules.sort_unstable();
    rules.dedup();
    rules
}

#[track_caller]
fn breaks(rule: &'static str, pointer: &str, value: Value) {
    assert_eq!(rules(&broken(pointer, value)), [rule], "{pointer}");
}

#[test]
fn a_good_document_has_no_violation() {
    assert_eq!(lint(&sample::good()), []);
}

#[test]
fn a_violation_reads_as_one_line() {
    let violation = Violation { place: "GET /api/a".to_owned(), rule: "2-tag", message: "needs one".to_owned() };
    assert_eq!(violation.to_string(), "GET /api/a [2-tag]: needs one");
}

#[test]
fn rule_1_the_version() {
    breaks("1-version", "/openapi", json!("3.0.0"));
}

#[test]
fn rule_2_operation_ids() {
    for id in ["", "ListKeys", "list_keys", "keysList", "list", "listAPIKeys", "zap Keys"] {
        assert!(rules(&broken(&format!("{KEY}/patch/operationId"), json!(id))).contains(&"2-operation-id"), "{id}");
    }
    breaks("2-operation-id", &format!("{KEY}/patch/operationId"), json!("deleteApiKey"));
}

#[test]
fn rule_2_every_id_of_the_contract_is_accepted() {
    let ids = "signUp confirmEmail resendEmailVerification precheckLogin login completeTwoFactor startTwoFactorPasskey \
        completeEmailMfa resendEmailMfa startPasskeyLogin finishPasskeyLogin getSamlMetadata logout requestPasswordReset \
        validatePasswordReset completePasswordReset getMe updateMe changePassword reauthenticate listSessions revokeSession \
        revokeOtherSessions listTrustedDevices revokeTrustedDevice getTwoFactor startTotp confirmTotp disableTotp \
        createBackupCodes listPasskeys startPasskey createPasskey updatePasskey deletePasskey updateTwoFactor \
        listLinkedAccounts unlinkAccount linkAccount listApiKeys createApiKey getApiKey updateApiKey deleteApiKey rollApiKey \
        getCurrentApiKey resetUserTwoFactor completeTwoFactorReset listMembers updateMember removeMember listInvites \
        createInvite deleteInvite previewInvite acceptInvite listAuditEvents verifyDomain replaceSamlConfig testSamlConfig \
        rollProjectToken splitPerson listIngestionWarnings retryJob cancelJob";
    for id in ids.split_whitespace() {
        let found = lint(&broken(&format!("{KEY}/delete/operationId"), json!(id)));
        assert!(!found.iter().any(|one| one.message.contains("is not camelCase")), "{id}");
    }
}

#[test]
fn rule_2_one_declared_plural_tag() {
    breaks("2-tag", &format!("{KEY}/patch/tags"), json!([]));
    breaks("2-tag", &format!("{KEY}/patch/tags"), json!(["api_keys", "api_keys"]));
    breaks("2-tag", &format!("{KEY}/patch/tags"), json!(["ApiKeys"]));
    breaks("2-tag", "/tags", json!([]));
    for tag in ["key", "access", "Api keys"] {
        breaks("2-tag", &format!("{KEY}/patch/tags"), json!([tag]));
    }
}

#[test]
fn rule_2_words_and_security() {
    breaks("2-words", &format!("{KEY}/patch/summary"), json!(" "));
    breaks("2-words", &format!("{KEY}/patch/description"), Value::Null);
    breaks("2-security", &format!("{KEY}/patch/security"), Value::Null);
    breaks("2-security", &format!("{KEY}/patch/security"), json!([{ "magic": [] }]));
    breaks("2-security", "/components/securitySchemes/api_key/description", Value::Null);
}

#[test]
fn rule_3_paths() {
    let moved = |path: &str| {
        let mut doc = sample::good();
        let paths = doc["paths"].as_object_mut().unwrap();
        let item = paths.remove("/api/users/@me/api_keys").unwrap();
        paths.insert(path.to_owned(), item);
        doc
    };
    for path in ["/users", "/apis", "/api/Users", "/api/api-keys", "/api/users/"] {
        assert_eq!(rules(&moved(path)), ["3-path"], "{path}");
    }
    let doc = moved("/e");
    assert_eq!(lint_with(&doc, &LintOptions { outside_api: &["/e"], ..LintOptions::default() }), []);
    let mut based = moved("/users");
    based["servers"] = json!([{ "url": "https://gatepost.test/api" }]);
    assert_eq!(rules(&based), [] as [&str; 0]);
}

#[test]
fn rule_3_path_parameters() {
    let mut doc = sample::good();
    let item = doc["paths"]["/api/users/@me/api_keys/{api_key_id}"].clone();
    doc["paths"]["/api/users/@me/api_keys/{other_id}"] = item;
    assert!(lint(&doc).iter().any(|one| one.message.contains("the same path as")), "{:?}", lint(&doc));
    assert!(lint(&doc).iter().any(|one| one.message.contains("does not declare `{other_id}`")));
    assert!(lint(&doc).iter().any(|one| one.message.contains("declares `api_key_id`, which its path does not have")));
    let mut twice = sample::good();
    twice["paths"]["/api/a/{x}/{x}"] = json!({});
    assert_eq!(rules(&twice), ["3-path-parameters"]);
    let parameter = sample::good()["paths"]["/api/users/@me/api_keys/{api_key_id}"]["patch"]["parameters"][0].clone();
    breaks("3-path-parameters", &format!("{KEY}/patch/parameters"), json!([parameter, parameter]));
}

#[test]
fn rule_3_names() {
    breaks("3-names", &format!("{FIELDS}/createdBy"), json!({ "type": "string" }));
    breaks("3-reserved", &format!("{FIELDS}/from"), json!({ "type": "string" }));
    breaks("3-reserved", &format!("{FIELDS}/type"), json!({ "type": "string" }));
    breaks("3-names", "/components/schemas/ApiKey/required", json!(["ghost"]));
    let query = |name: &str| json!([sample::good()["paths"]["/api/users/@me/api_keys/{api_key_id}"]["patch"]["parameters"][0], { "in": "query", "name": name, "schema": { "type": "string" } }]);
    breaks("3-names", &format!("{KEY}/patch/parameters"), query("sortBy"));
    breaks("3-reserved", &format!("{KEY}/patch/parameters"), query("from"));
    let doc = broken(&format!("{FIELDS}/rawId"), json!({ "type": "string" }));
    assert_eq!(lint_with(&doc, &LintOptions { foreign_schemas: &["ApiKey"], ..LintOptions::default() }), []);
}

#[test]
fn rule_4_named_components() {
    let inline = json!({ "application/json": { "schema": { "type": "string" } } });
    breaks("4-bodies", &format!("{KEYS}/post/responses/201/content"), inline.clone());
    let form = json!({ "application/x-www-form-urlencoded": { "schema": { "type": "string" } } });
    breaks("4-bodies", &format!("{KEYS}/post/requestBody/content"), form);
    breaks("4-bodies", &format!("{KEY}/patch/responses/200/content"), inline);
    let charset = json!({ "application/json; charset=utf-8": { "schema": { "$ref": "#/components/schemas/ApiKey" } } });
    breaks("4-bodies", &format!("{KEY}/patch/responses/200/content"), charset);
    breaks("4-components", &format!("{FIELDS}/owner"), json!({ "type": "object", "properties": {} }));
    breaks(
        "4-components",
        &format!("{FIELDS}/owners"),
        json!({ "type": "array", "items": { "type": "object", "properties": {} } }),
    );
    breaks("4-components", "/components/schemas/Page_x", json!({ "type": "string" }));
    breaks("4-components", "/components/schemas/Keys", json!({ "type": "array", "items": { "type": "string" } }));
    breaks("4-references", &format!("{FIELDS}/owner"), json!({ "$ref": "#/components/schemas/Ghost" }));
    let xml = json!({ "application/xml": { "schema": { "type": "string" } } });
    assert_eq!(rules(&broken(&format!("{KEY}/patch/responses/200/content"), xml)), [] as [&str; 0]);
}

#[test]
fn rule_4_one_success() {
    breaks("4-success", &format!("{KEY}/delete/responses/202"), json!({ "description": "d" }));
    breaks("4-success", &format!("{KEY}/delete/responses/204"), Value::Null);
    let body = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/ApiKey" } } });
    breaks("4-success", &format!("{KEY}/delete/responses/204/content"), body.clone());
    let mut two = body;
    two["text/csv"] = json!({ "schema": { "type": "string" } });
    breaks("4-success", &format!("{KEY}/patch/responses/200/content"), two);
}

#[test]
fn rule_5_errors() {
    breaks("5-errors", &format!("{KEY}/delete/responses/5XX"), Value::Null);
    breaks("5-errors", &format!("{KEY}/delete/responses/404"), json!({ "description": "d" }));
    breaks("5-errors", &format!("{KEY}/delete/responses/default"), json!({ "description": "d" }));
    breaks("5-errors", &format!("{KEY}/delete/responses/4XX/content/application~1json"), Value::Null);
    breaks(
        "5-errors",
        &format!("{KEY}/delete/responses/4XX/content/text~1plain"),
        json!({ "schema": { "$ref": "#/components/schemas/Problem" } }),
    );
    breaks(
        "5-errors",
        &format!("{KEY}/delete/responses/4XX/content/application~1json"),
        json!({ "schema": { "$ref": "#/components/schemas/ApiKey" } }),
    );
    assert!(rules(&broken("/components/schemas/Problem", Value::Null)).contains(&"5-errors"));
}

#[test]
fn rule_6_no_unions() {
    for keyword in ["oneOf", "anyOf", "allOf"] {
        breaks(
            "6-unions",
            &format!("{FIELDS}/owner"),
            json!({ keyword: [{ "type": "string" }, { "type": "boolean" }] }),
        );
    }
}

#[test]
fn rule_7_enums_only_where_requests_use_them() {
    breaks("7-enums", &format!("{FIELDS}/state"), json!({ "type": "string", "enum": ["a"] }));
    let doc = broken(&format!("{FIELDS}/state"), json!({ "type": "string", "enum": ["a"] }));
    assert_eq!(lint_with(&doc, &LintOptions { closed_enums: &["ApiKey"], ..LintOptions::default() }), []);
}

#[test]
fn rule_8_null_only_in_patch() {
    breaks("8-null", &format!("{FIELDS}/name"), json!({ "type": "string", "nullable": true }));
    breaks("8-null", "/components/schemas/NewApiKey/properties/name", json!({ "type": "string", "nullable": true }));
    let answered = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/ApiKeyChange" } } });
    breaks("8-null", &format!("{KEY}/patch/responses/200/content"), answered);
}

#[test]
fn rule_9_formats() {
    let text = || json!({ "type": "string" });
    for (name, value) in [
        ("id", text()),
        ("user_id", text()),
        ("user_id", json!({ "type": "integer", "format": "int64" })),
        ("user_ids", json!({ "type": "array", "items": { "type": "string" } })),
        ("used_at", text()),
        ("timestamp", json!({ "type": "integer" })),
        ("age_seconds", text()),
        ("age_days", json!({ "type": "integer" })),
        ("count", json!({ "type": "integer", "format": "uint16" })),
    ] {
        breaks("9-formats", &format!("{FIELDS}/{name}"), value);
    }
    for name in ["distinct_id", "distinct_ids", "client_id"] {
        let doc = broken(&format!("{FIELDS}/{name}"), text());
        assert_eq!(rules(&doc), [] as [&str; 0], "{name}");
    }
    let doc = broken(&format!("{FIELDS}/ticket_id"), text());
    assert_eq!(lint_with(&doc, &LintOptions { foreign_ids: &["ticket_id"], ..LintOptions::default() }), []);
}

#[test]
fn rule_10_pages() {
    let page = "/components/schemas/ApiKeyPage";
    breaks("10-pages", &format!("{page}/properties/total"), json!({ "type": "integer" }));
    breaks("10-pages", &format!("{page}/properties/next_cursor"), Value::Null);
    breaks("10-pages", &format!("{page}/required"), json!([]));
    breaks("10-pages", &format!("{page}/required"), json!(["items", "next_cursor"]));
    let limit = |least: i64, most: i64| {
        json!([{ "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": least, "maximum": most } },
               { "name": "cursor", "in": "query", "schema": { "type": "string" } }])
    };
    assert_eq!(rules(&broken(&format!("{KEYS}/get/parameters"), limit(1, 200))), [] as [&str; 0]);
    breaks("10-pages", &format!("{KEYS}/get/parameters"), limit(0, 200));
    breaks("10-pages", &format!("{KEYS}/get/parameters"), limit(1, 1000));
    breaks("10-pages", &format!("{KEYS}/get/parameters"), json!([]));
    let mut required = limit(1, 200);
    required[1]["required"] = json!(true);
    breaks("10-pages", &format!("{KEYS}/get/parameters"), required);
    let search = broken(&format!("{KEYS}/get/operationId"), json!("searchApiKeys"));
    assert_eq!(rules(&search), [] as [&str; 0], "a page is a page under any verb");
}

#[test]
fn rule_10_free_form() {
    breaks("10-free-form", &format!("{FIELDS}/extra"), json!({}));
    breaks("10-free-form", "/components/schemas/Extra", json!({ "type": "object" }));
    let named = json!({ "type": "object", "additionalProperties": true });
    assert_eq!(rules(&broken("/components/schemas/Extra", named.clone())), [] as [&str; 0]);
    breaks("4-components", &format!("{FIELDS}/extra"), named);
}

#[test]
fn rule_11_idempotency() {
    breaks("11-idempotency", &format!("{KEYS}/post/parameters"), json!([]));
    let required =
        json!([{ "name": "Idempotency-Key", "in": "header", "required": true, "schema": { "type": "string" } }]);
    breaks("11-idempotency", &format!("{KEYS}/post/parameters"), required);
}

#[test]
fn the_sample_of_the_generator_shows_what_attributes_must_still_do() {
    let found: Vec<String> = lint(&sample::normalised()).iter().map(ToString::to_string).collect();
    let has = |words: &str| found.iter().any(|line| line.contains(words));
    assert!(has("components.schemas.UpdateApiKey.policy [6-unions]"), "{found:#?}");
    assert!(has("components.schemas.ApiKey.any [10-free-form]"), "{found:#?}");
    assert!(has("PATCH /api/users/@me/api_keys/{api_key_id} [2-words]: has no summary"), "{found:#?}");
    assert!(!has("[5-errors]") && !has("[4-bodies]") && !has("[9-formats]"), "{found:#?}");
}
