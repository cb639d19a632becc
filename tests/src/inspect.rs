//! Looking into the database of an application, and changing it behind its back.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Map, Value};
use shared::{
    client::Client,
    ids,
    jobs::operate,
    sessions::{self, Proof},
    users::{self, Email, Profile, User},
};
use uuid::Uuid;

use crate::TestApp;

/// The other end of a request that no browser made.
#[must_use]
pub fn client() -> Client {
    Client {
        ip: std::net::IpAddr::from([203, 0, 113, 9]),
        user_agent: Some("Tests".to_owned()),
        request_id: ids::next(),
        traceparent: None,
    }
}

/// Bytes as [`TestApp::dump`] shows them.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        text.push_str(&format!("{byte:02x}"));
        text
    })
}

/// Whether a payload has nothing but ids, numbers, flags and the words that say which side of a change a mail is about.
fn is_terse(payload: &str) -> bool {
    fn is_terse_value(value: &Value) -> bool {
        match value {
            Value::String(text) => text.parse::<Uuid>().is_ok() || matches!(text.as_str(), "old" | "new"),
            Value::Array(values) => values.iter().all(is_terse_value),
            Value::Number(_) | Value::Bool(_) => true,
            Value::Null | Value::Object(_) => false,
        }
    }
    let members: Option<Map<String, Value>> = serde_json::from_str(payload).ok();
    members.is_some_and(|members| members.values().all(is_terse_value))
}

impl TestApp {
    /// Runs a statement of the test's own.
    pub async fn execute(&self, sql: &str) {
        self.kernel.db.writer().execute_unprepared(sql).await.unwrap_or_else(|err| panic!("{sql}: {err}"));
    }

    /// The number that a query of the test's own gives in its column `number`.
    ///
    /// # Panics
    /// When it gives none.
    pub async fn number(&self, sql: &str) -> i64 {
        // PostgreSQL sums into NUMERIC.
        let as_bigint = format!("SELECT CAST(number AS BIGINT) AS number FROM ({sql}) AS asked");
        let statement = Statement::from_string(self.kernel.db.engine(), as_bigint);
        let row = self.kernel.db.reader().query_one_raw(statement).await.unwrap_or_else(|err| panic!("{sql}: {err}"));
        row.and_then(|row| row.try_get("", "number").ok()).unwrap_or_else(|| panic!("{sql}: no number"))
    }

    /// How many rows each table has.
    pub async fn row_counts(&self) -> BTreeMap<String, i64> {
        let mut counts = BTreeMap::new();
        for table in self.tables().await {
            let count = self.number(&format!("SELECT COUNT(*) AS number FROM {table}")).await;
            counts.insert(table, count);
        }
        counts
    }

    /// The user with this address.
    ///
    /// # Panics
    /// When there is none.
    pub async fn user(&self, email: &str) -> User {
        let address = Email::parse(email).expect("an address");
        let user = users::find_by_email(self.kernel.db.reader(), &address).await.expect("users");
        user.unwrap_or_else(|| panic!("nobody has {email}"))
    }

    /// Makes a user a member of the organizations with this name.
    pub async fn join(&self, organization: &str, email: &str, role: &str) {
        self.execute(&format!(
            "INSERT INTO organization_members (organization_id, user_id, role, created_at)
             SELECT organizations.id, users.id, '{role}', 0 FROM organizations CROSS JOIN users
             WHERE organizations.name = '{organization}' AND users.email = '{email}'"
        ))
        .await;
    }

    /// Changes the policy of the organizations with this name, such as `enforces_two_factor = TRUE`.
    pub async fn set_policy(&self, organization: &str, columns: &str) {
        self.execute(&format!("UPDATE organizations SET {columns} WHERE name = '{organization}'")).await;
    }

    /// Adds a user with a proven address and without a password, past the sign-up.
    ///
    /// # Panics
    /// When the address is taken.
    pub async fn add_user(&self, email: &str) -> User {
        self.add(email, false).await
    }

    /// Adds a user who operates the installation, past the sign-up.
    ///
    /// # Panics
    /// When the address is taken.
    pub async fn add_instance_admin(&self, email: &str) -> User {
        self.add(email, true).await
    }

    async fn add(&self, email: &str, is_instance_admin: bool) -> User {
        let address = Email::parse(email).expect("an address");
        let tx = self.kernel.db.write_tx().await.expect("a transaction");
        let created = users::create(&*tx, &address, Profile::default(), is_instance_admin, self.now()).await;
        users::mark_verified(&*tx, created.expect("a user"), self.now()).await.expect("a proof");
        tx.commit().await.expect("a commit");
        self.user(email).await
    }

    /// Opens a session past the login; what to present as bearer token.
    ///
    /// # Panics
    /// When the database fails.
    pub async fn open_session(&self, user: &User) -> String {
        let tx = self.kernel.db.write_tx().await.expect("a transaction");
        let proof = Proof { amr: vec!["pwd", "email"], remembered_method: None };
        let opened = sessions::open(&self.kernel, &tx, &client(), user, proof).await.expect("a session");
        tx.commit().await.expect("a commit");
        opened.session_token.expose().clone()
    }

    /// A program that is signed in as a fresh user with this address, past sign-up and login.
    pub async fn member(&self, email: &str) -> crate::Caller<'_> {
        let user = self.add_user(email).await;
        self.browser().bearer(&self.open_session(&user).await)
    }

    /// What payloads hold that is no id, no number and no flag, but for a few words: Q10, for every job of every test.
    pub(crate) async fn wordy_payloads(&self) -> Vec<String> {
        // The test mail of an operator names its recipient. What a client calls its anonymous user is an id of the client's,
        // and goes along with a sign-in.
        let exceptions = ["mail.send_test_mail", "identify.record_sign_in"];
        let is_product = |name: &str| !name.starts_with("testing.") && !exceptions.contains(&name);
        let jobs = operate::list(self.kernel.db.reader(), &operate::Filter::default(), 1000).await.expect("jobs");
        let wordy = jobs.into_iter().filter(|job| is_product(&job.name) && !is_terse(&job.payload));
        wordy.map(|job| format!("{}: {}", job.name, job.payload)).collect()
    }

    /// Everything that is in the database, as text, for searching it. Bytes are in hexadecimal.
    ///
    /// # Panics
    /// When a row cannot be read.
    pub async fn dump(&self) -> String {
        let mut dump = String::new();
        for table in self.tables().await {
            let statement = Statement::from_string(self.kernel.db.engine(), self.rows_as_text(&table).await);
            for row in self.kernel.db.reader().query_all_raw(statement).await.expect("rows") {
                let row: String = row.try_get("", "line").expect("a row as text");
                dump.push_str(&format!("{table}: {row}\n"));
            }
        }
        dump
    }

    /// A query for the rows of a table, each as one text: a row of the driver does not print its values.
    async fn rows_as_text(&self, table: &str) -> String {
        if self.kernel.db.is_postgres() {
            return format!("SELECT CAST(entry AS TEXT) AS line FROM {table} AS entry");
        }
        let statement = format!("SELECT name FROM pragma_table_info('{table}')");
        let statement = Statement::from_string(self.kernel.db.engine(), statement);
        let rows = self.kernel.db.reader().query_all_raw(statement).await.expect("columns");
        let columns = rows.iter().map(|row| row.try_get::<String>("", "name").expect("a name"));
        let quoted: Vec<String> = columns.map(|column| format!("quote(\"{column}\")")).collect();
        format!("SELECT {} AS line FROM {table}", quoted.join(" || ',' || "))
    }

    async fn tables(&self) -> Vec<String> {
        let sql = if self.kernel.db.is_postgres() {
            "SELECT tablename AS name FROM pg_tables WHERE schemaname = current_schema()"
        } else {
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        };
        let statement = Statement::from_string(self.kernel.db.engine(), sql);
        let rows = self.kernel.db.reader().query_all_raw(statement).await.expect("tables");
        rows.iter().map(|row| row.try_get("", "name").expect("a name")).collect()
    }
}
