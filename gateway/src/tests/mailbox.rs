//! The developer's mailbox.

use serde_json::json;

use super::TestApp;

fn put(app: &TestApp, name: &str, to: &str, received_at: &str) {
    let mail = json!({
        "to": to, "subject": "<b>Hi</b>", "text": "Open http://localhost:8080/reset?token=abc now",
        "html": "<p class=\"x\">Hello</p><script>alert(1)</script>", "headers": [["X-Test", "1"]],
        "job_id": name, "received_at": received_at,
    });
    std::fs::write(app.folder.join("mail").join(format!("{name}.json")), mail.to_string()).unwrap();
}

#[tokio::test]
async fn mails_are_listed_newest_first_and_by_recipient() {
    let app = TestApp::new().await;
    assert_eq!(app.get("/api/dev/mailbox").await.json(), json!([]));
    put(&app, "a", "ann@example.com", "2026-01-01T00:00:00Z");
    put(&app, "b", "bob@example.com", "2026-01-01T00:00:00.5Z");
    let all = app.get("/api/dev/mailbox").await.json();
    assert_eq!((&all[0]["to"], &all[1]["to"]), (&json!("bob@example.com"), &json!("ann@example.com")));
    assert_eq!(all[1]["headers"][0][1], "1");
    let some = app.get("/api/dev/mailbox?to=ANN@example.com").await.json();
    assert_eq!((some.as_array().unwrap().len(), &some[0]["job_id"]), (1, &json!("a")));
}

#[tokio::test]
async fn the_page_shows_mails_as_data() {
    let app = TestApp::new().await;
    put(&app, "a", "ann@example.com", "2026-01-01T00:00:00Z");
    let page = app.get("/dev/mailbox").await;
    assert_eq!(page.status(), 200);
    assert!(page.text.contains("&lt;b&gt;Hi&lt;"), "{}", page.text);
    assert!(!page.text.contains("<script>"), "{}", page.text);
    assert!(page.text.contains("sandbox=\"allow-popups allow-popups-to-escape-sandbox\""));
    assert!(page.text.contains("href=\"http:&#x2f;&#x2f;localhost:8080&#x2f;reset?token=abc\""), "{}", page.text);
}

#[tokio::test]
async fn elsewhere_there_is_no_mailbox() {
    let app = TestApp::with(&[("GATEPOST__MODE", "production")], crate::app).await;
    for path in ["/dev/mailbox", "/api/dev/mailbox"] {
        assert_eq!(app.get(path).await.code(), "not_found");
    }
}
