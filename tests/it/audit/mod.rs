//! The audit trail: that every operation writes it, and what the admins of an organization see, filter and take home.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "test code")]

mod coverage;
mod done;
mod refused;

use std::time::Duration;

use harness::{Caller, PASSWORD, TestApp};
use serde_json::{Value, json};
use shared::{
    audit::{self, AuditEvent, Outcome},
    orgs::{self, Role},
};

async fn organization(owner: &Caller<'_>) -> String {
    let made = owner.post("/api/organizations", json!({ "name": "Acme" })).await.expect(200).json();
    made["id"].as_str().expect("an id").to_owned()
}

async fn events(caller: &Caller<'_>, id: &str, query: &str) -> Vec<Value> {
    let page = caller.get(&format!("/api/organizations/{id}/audit_events{query}")).await.expect(200).json();
    page["items"].as_array().expect("items").clone()
}

fn actions(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["action"].as_str()).collect()
}

/// Q14: filtered by user, action and time, page by page; only what happened in this organization
#[tokio::test(flavor = "multi_thread")]
async fn admins_see_what_happened_in_their_organization_and_nothing_else() {
    let app = TestApp::new().await;
    let owner = app.browser();
    owner.sign_up_verified("owner@example.com").await;
    owner.log_in("owner@example.com", PASSWORD).await;
    let (admin, other) = (app.member("admin@example.com").await, app.member("other@example.com").await);
    let (id, foreign) = (organization(&owner).await, organization(&other).await);
    let admin_id = app.user("admin@example.com").await.id;
    let tx = app.kernel.db.write_tx().await.expect("a transaction");
    orgs::join(&tx, id.parse().expect("an id"), (admin_id, Role::Admin), app.now()).await.expect("a member");
    tx.commit().await.expect("a commit");
    app.advance(Duration::from_secs(60));
    let noon = app.now();
    admin.patch(&format!("/api/organizations/{id}"), json!({ "name": "Renamed" })).await.expect(200);
    admin.delete(&format!("/api/organizations/{id}")).await.expect_problem(403, "forbidden");
    other.patch(&format!("/api/organizations/{foreign}"), json!({ "name": "Foreign" })).await.expect(200);

    let all = events(&admin, &id, "").await;
    assert_eq!(actions(&all), ["orgs.delete", "orgs.update", "orgs.create"]);
    let (refused, renamed) = (&all[0], &all[1]);
    assert_eq!((&refused["outcome"], &refused["detail"]), (&json!("failure"), &json!({ "reason": "forbidden" })));
    assert_eq!((&renamed["outcome"], &renamed["detail"]), (&json!("success"), &json!({ "name": "Renamed" })));
    assert_eq!(renamed["user_id"], json!(admin_id));
    assert!(renamed["ip"].is_string() && renamed["user_agent"].is_string() && renamed["request_id"].is_string());

    let owner_id = app.user("owner@example.com").await.id;
    assert_eq!(actions(&events(&owner, &id, &format!("?user_id={owner_id}")).await), ["orgs.create"]);
    assert_eq!(actions(&events(&owner, &id, "?action=orgs.update").await), ["orgs.update"]);
    assert_eq!(events(&owner, &id, "?action=sessions.log_out").await.len(), 0);
    let at = noon.to_string();
    assert_eq!(events(&owner, &id, &format!("?since={at}")).await.len(), 2);
    assert_eq!(actions(&events(&owner, &id, &format!("?until={at}")).await), ["orgs.create"]);
    let first = owner.get(&format!("/api/organizations/{id}/audit_events?limit=2")).await.expect(200).json();
    let cursor = first["next_cursor"].as_str().expect("a cursor");
    let rest = events(&owner, &id, &format!("?limit=2&cursor={cursor}")).await;
    assert_eq!(actions(&rest), ["orgs.create"]);
    other.get(&format!("/api/organizations/{id}/audit_events")).await.expect_problem(404, "organization_not_found");
}

/// Q14: an export has all of it, in either form, also when it is long; what a client called itself is no formula
#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_complete_in_either_form() {
    const COUNT: usize = 1203;
    let app = TestApp::new().await;
    let token = app.open_session(&app.add_user("owner@example.com").await).await;
    let owner = app.browser().bearer(&token).user_agent("=HYPERLINK(\"https://evil.example\"),x");
    let id = organization(&owner).await;
    let tx = app.kernel.db.write_tx().await.expect("a transaction");
    let org_id: orgs::OrgId = id.parse().expect("an id");
    for number in 0..COUNT {
        let detail = json!({ "number": number });
        let event =
            AuditEvent { action: "orgs.update", outcome: Outcome::Success, user_id: None, client: None, detail };
        audit::record_in(&*tx, app.kernel.clock.as_ref(), org_id.0, event).await.expect("a row");
    }
    tx.commit().await.expect("a commit");
    let path = format!("/api/organizations/{id}/audit_events/export");

    let answer = owner.get(&format!("{path}?format=jsonl")).await.expect(200);
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"audit_events.jsonl\""));
    let lines: Vec<Value> = answer.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), COUNT + 1);
    assert_eq!(lines[0]["detail"]["number"], COUNT - 1);
    assert_eq!(lines[COUNT]["action"], "orgs.create");
    assert!(lines.windows(2).all(|pair| pair[0]["id"].as_str() > pair[1]["id"].as_str()));

    let answer = owner.get(&format!("{path}?format=csv")).await.expect(200);
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"audit_events.csv\""));
    let lines: Vec<&str> = answer.text.split("\r\n").collect();
    assert_eq!(lines.len(), COUNT + 3, "a head, the events, and nothing after the last line");
    assert_eq!(lines[0], "id,at,action,outcome,user_id,ip,user_agent,request_id,detail");
    assert!(
        lines[1].ends_with(&format!(",orgs.update,success,,,,,\"{{\"\"number\"\":{}}}\"", COUNT - 1)),
        "{}",
        lines[1]
    );
    let created = lines[COUNT + 1];
    assert!(created.contains(",\"'=HYPERLINK(\"\"https://evil.example\"\"),x\","), "{created}");

    let filtered = owner.get(&format!("{path}?format=jsonl&action=orgs.create")).await.expect(200);
    assert_eq!(filtered.text.lines().count(), 1);
    owner.get(&format!("{path}?format=xml")).await.expect_problem(422, "validation_failed");
}
