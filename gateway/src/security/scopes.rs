//! What keys may be used for: the one table. An operation that is not in it refuses keys.

use serde_json::{Value, json};

/// What a key needs for an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Any key will do: the operation is about the key itself.
    AnyKey,
    /// This scope.
    Scope(&'static str),
}

/// Operations that accept keys, by id, sorted.
pub const SCOPES: &[(&str, Need)] = &[
    ("createProject", Need::Scope("project:write")),
    ("deletePerson", Need::Scope("person:write")),
    ("exportAuditEvents", Need::Scope("audit:read")),
    ("getCurrentApiKey", Need::AnyKey),
    ("getDomain", Need::Scope("organization:read")),
    ("getIdentifyVerification", Need::Scope("project:read")),
    ("getMe", Need::Scope("user:read")),
    ("getOrganization", Need::Scope("organization:read")),
    ("getPerson", Need::Scope("person:read")),
    ("getProject", Need::Scope("project:read")),
    ("listAuditEvents", Need::Scope("audit:read")),
    ("listDomains", Need::Scope("organization:read")),
    ("listEvents", Need::Scope("event:read")),
    ("listIngestionWarnings", Need::Scope("event:read")),
    ("listInvites", Need::Scope("member:read")),
    ("listMembers", Need::Scope("member:read")),
    ("listOrganizations", Need::Scope("organization:read")),
    ("listPersons", Need::Scope("person:read")),
    ("listProjects", Need::Scope("project:read")),
    ("rollProjectToken", Need::Scope("project:write")),
    ("splitPerson", Need::Scope("person:write")),
    ("updateProject", Need::Scope("project:write")),
];

/// What a key needs for an operation; `None` when it refuses keys.
#[must_use]
pub fn of(operation_id: &str) -> Option<Need> {
    SCOPES.binary_search_by_key(&operation_id, |(id, _)| *id).ok().and_then(|at| SCOPES.get(at)).map(|(_, need)| *need)
}

/// Whether secret keys of projects can have what an operation needs.
#[must_use]
pub fn is_for_projects(need: Need) -> bool {
    matches!(need, Need::Scope(scope) if shared::secret_keys::SCOPES.contains(&scope))
}

/// Says in the API document which operations accept which keys: their security, and the scope as `x-scope`.
pub fn describe(document: &mut Value) {
    for (_, methods) in document.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten() {
        for (_, operation) in methods.as_object_mut().into_iter().flatten() {
            let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
            let Some(need) = of(id) else { continue };
            let Some(operation) = operation.as_object_mut() else { continue };
            let scope = match need {
                Need::AnyKey => "any",
                Need::Scope(scope) => scope,
            };
            operation.insert("x-scope".to_owned(), json!(scope));
            if let Some(security) = operation.get_mut("security").and_then(Value::as_array_mut) {
                security.push(json!({ "api_key": [] }));
                if is_for_projects(need) {
                    security.push(json!({ "project_secret_key": [] }));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_scopes_that_exist() {
        assert!(SCOPES.is_sorted_by(|left, right| left.0 < right.0));
        for (id, need) in SCOPES {
            assert!(
                *need == Need::AnyKey || matches!(need, Need::Scope(scope) if shared::orgs::is_scope(scope)),
                "{id}"
            );
            assert_eq!(of(id), Some(*need));
        }
        assert_eq!(of("nowhere"), None);
    }

    /// D13: clients see which scope an operation needs.
    #[test]
    fn the_document_names_scopes_and_keys() {
        let mut document = json!({ "paths": { "/a": {
            "get": { "operationId": "getMe", "security": [{ "session_cookie": [] }] },
            "post": { "operationId": "changePassword", "security": [{ "session_cookie": [] }] },
        } } });
        describe(&mut document);
        assert_eq!(document["paths"]["/a"]["get"]["x-scope"], "user:read");
        assert_eq!(document["paths"]["/a"]["get"]["security"], json!([{ "session_cookie": [] }, { "api_key": [] }]));
        assert_eq!(document["paths"]["/a"]["post"].get("x-scope"), None);
    }
}
