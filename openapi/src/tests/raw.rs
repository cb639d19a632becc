//! Reading raw documents.

use serde_json::json;

use super::sample;
use crate::parse_raw;

#[test]
fn operations_of_two_structs_on_one_path_are_both_kept() {
    let doc = sample::raw();
    let keys = &doc["paths"]["/api/users/@me/api_keys"];
    assert_eq!(keys["get"]["operationId"], "listApiKeys");
    assert_eq!(keys["post"]["operationId"], "createApiKey");
    let plain: serde_json::Value = serde_json::from_str(sample::RAW).unwrap();
    assert!(
        plain["paths"]["/api/users/@me/api_keys"].get("get").is_none(),
        "a plain parser loses it; if not, drop parse_raw"
    );
}

#[test]
fn one_operation_described_twice_is_an_error() {
    let error = parse_raw(r#"{"paths":{"/a":{"get":{}},"/a":{"get":{}}}}"#).unwrap_err().to_string();
    assert!(error.contains("`/a`.`get` is described twice"), "{error}");
    assert!(parse_raw(r#"{"a":1,"a":2}"#).is_err());
    assert!(parse_raw(r#"{"a":{},"a":2}"#).is_err());
}

#[test]
fn every_kind_of_value_survives() {
    let text = r#"{"a":[null,true,-1,18446744073709551615,1.5,"s\"é"],"b":{"c":{}}}"#;
    assert_eq!(parse_raw(text).unwrap(), json!({"a":[null,true,-1,u64::MAX,1.5,"s\"é"],"b":{"c":{}}}));
    assert!(parse_raw("{").is_err());
    assert!(parse_raw("{} x").is_err());
}
