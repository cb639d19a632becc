//! Every operation that changes something, against the reviewed table `tests/audit.txt`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use gateway::{middleware::audit_failures::ACTIONS, spec};
use harness::{Answer, PASSWORD, TestApp, generate::tree};
use poem::http::Method;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::json;
use uuid::Uuid;

use crate::authorization::{Operation, operations};

/// What a line of the table says.
pub struct Line {
    success: Option<String>,
    failure: Option<String>,
}

/// The table, by operation.
pub fn table() -> BTreeMap<String, Line> {
    let text = fs::read_to_string(tree::root().join("tests/audit.txt")).expect("the table");
    let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    assert!(lines.next().is_some_and(|head| head.starts_with("operation ")), "no head");
    let lines: Vec<Vec<&str>> = lines.map(|line| line.split_whitespace().collect()).collect();
    assert!(lines.is_sorted(), "the lines of tests/audit.txt are not sorted");
    let cell = |word: &str| (word != "-").then(|| word.to_owned());
    let read = |words: &Vec<&str>| {
        let line = Line { success: cell(words[1]), failure: cell(words[2]) };
        let has_gap = line.success.is_none() || line.failure.is_none();
        assert_eq!(
            has_gap,
            words.len() > 3,
            "{}: a reason is needed where nothing is audited, and only there",
            words[0]
        );
        (words[0].to_owned(), line)
    };
    lines.iter().map(read).collect()
}

/// The operations of the API document that change something. What clients capture is no change of the installation.
pub fn changing() -> Vec<Operation> {
    let document = spec::document().expect("the document");
    let all = operations(&document);
    all.into_iter().filter(|one| one.method != Method::GET && one.template.starts_with("/api/")).collect()
}

/// Holds what requests left in the trail against one column of the table.
pub struct Trail<'a> {
    app: &'a TestApp,
    lines: BTreeMap<String, Line>,
    outcome: &'static str,
    seen: BTreeSet<String>,
}

impl<'a> Trail<'a> {
    /// The column `success` or `failure`.
    pub fn of(app: &'a TestApp, outcome: &'static str) -> Self {
        Self { app, lines: table(), outcome, seen: BTreeSet::new() }
    }

    fn action(&self, operation: &str) -> Option<&str> {
        let line = self.lines.get(operation).expect("a line of the operation in tests/audit.txt");
        if self.outcome == "success" { line.success.as_deref() } else { line.failure.as_deref() }
    }

    /// The answered request left the row that the table names, and no row of the contrary.
    pub async fn expect(&mut self, operation: &str, answer: &Answer) {
        let action = self.action(operation).expect("an action of the operation in tests/audit.txt").to_owned();
        let rows = rows(self.app, answer).await;
        let has = |outcome: &str| rows.iter().any(|row| row.0 == action && row.1 == outcome);
        let context = format!("{operation}: {action} {}; {} {}; {rows:?}", self.outcome, answer.status, answer.text);
        assert!(has(self.outcome), "{context}");
        assert!(!has(if self.outcome == "success" { "failure" } else { "success" }), "{context}");
        if self.outcome == "success" {
            assert!(answer.status < 300, "{context}");
        }
        self.seen.insert(operation.to_owned());
    }

    /// Every operation with an action in this column was seen.
    pub fn expect_all(&self) {
        let unseen = self.lines.keys().filter(|name| self.action(name).is_some() && !self.seen.contains(*name));
        assert_eq!(unseen.collect::<Vec<_>>(), Vec::<&String>::new(), "not called by this test");
    }
}

/// Action, outcome and further facts of what a request left in the trail.
pub async fn rows(app: &TestApp, answer: &Answer) -> Vec<(String, String, String)> {
    let id: Uuid = answer.header("x-request-id").expect("an id").parse().expect("an id");
    let sql = "SELECT action, outcome, detail FROM audit_events WHERE request_id = $1";
    let statement = Statement::from_sql_and_values(app.kernel.db.engine(), sql, [id.into()]);
    let found = app.kernel.db.writer().query_all_raw(statement).await.expect("rows");
    let text = |row: &sea_orm::QueryResult, column: &str| row.try_get::<String>("", column).expect("a text");
    found.iter().map(|row| (text(row, "action"), text(row, "outcome"), text(row, "detail"))).collect()
}

/// No row of the trail has a secret that the test knows, or an address.
pub async fn expect_masked(app: &TestApp, secrets: &[String]) {
    let texts = async |sql: &str| {
        let statement = Statement::from_string(app.kernel.db.engine(), sql);
        let rows = app.kernel.db.writer().query_all_raw(statement).await.expect("rows");
        rows.iter().map(|row| row.try_get::<String>("", "value").expect("a text")).collect::<Vec<_>>()
    };
    let details = texts("SELECT detail AS value FROM audit_events").await;
    let mut unwanted = texts("SELECT email AS value FROM users").await;
    unwanted.extend(secrets.iter().cloned());
    unwanted.push(PASSWORD.to_owned());
    assert!(details.len() > 20 && unwanted.len() > 3, "{} rows, {} secrets", details.len(), unwanted.len());
    for detail in details {
        let found = unwanted.iter().find(|secret| detail.contains(secret.as_str()));
        assert!(found.is_none(), "{detail} has {found:?}");
    }
}

/// Every operation that changes something has a line, whose failure is what the gateway audits for it.
#[test]
fn every_operation_that_changes_something_has_a_line() {
    let (table, operations) = (table(), changing());
    let known: Vec<&str> = operations.iter().map(|operation| operation.id.as_str()).collect();
    assert_eq!(known, table.keys().collect::<Vec<_>>());
    let protected: Vec<&str> =
        operations.iter().filter(|operation| !operation.is_public).map(|operation| operation.id.as_str()).collect();
    assert_eq!(protected, ACTIONS.iter().map(|(operation, _)| *operation).collect::<Vec<_>>());
    for (operation, action) in ACTIONS {
        let failure = table[*operation].failure.as_deref();
        assert!(failure.is_none_or(|failure| failure == *action), "{operation}: {failure:?} is not {action}");
    }
}

/// A transaction that fails leaves no row: neither of the success that it did not come to, nor of a refusal.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_rolled_back_leaves_no_row() {
    let app = TestApp::new().await;
    let member = app.member("ada@lovelace.test").await;
    let wish = json!({ "label": "deploy", "scopes": ["*"] });
    let made = member.post("/api/users/@me/api_keys", wish.clone()).await.expect(201);
    assert_eq!(rows(&app, &made).await.len(), 1);
    app.drain().await;
    // The mail is the last thing that the transaction writes.
    app.execute("ALTER TABLE jobs RENAME TO elsewhere").await;
    let failed = member.post("/api/users/@me/api_keys", wish).await;
    app.execute("ALTER TABLE elsewhere RENAME TO jobs").await;
    assert_eq!(failed.status, 500, "{}", failed.text);
    assert_eq!(rows(&app, &failed).await, []);
    assert_eq!(app.number("SELECT COUNT(*) AS number FROM api_keys").await, 1);
}
