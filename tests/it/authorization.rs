//! Who may call what: every operation of the API document against the reviewed table `tests/authorization.txt`.
//!
//! Each case has a world of its own: an organization whose owner, admin and member call, and ids of everything that a path
//! can name, all of which belong to that organization or to its owner. A new operation needs a line in the table, a new
//! kind of credential a column there and a name in `Cast::credential`.

#![expect(clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "test code")]

use std::{collections::BTreeMap, fs};

use gateway::security::enforcement::SETUP_OPERATIONS;
use harness::{Answer, Caller, Settings, TestApp, UNLIMITED, client, generate::tree};
use poem::http::Method;
use sea_orm::{ConnectionTrait, Statement};
use serde_json::{Map, Value, json};
use shared::{
    devices, domains,
    enforcement::Evidence,
    ids,
    invites::{self, Wish},
    jobs::operate,
    orgs::{self, Actor, By, Credential, Role},
    projects,
    secret::Redacted,
    users::User,
};
use uuid::Uuid;

/// Path parameters of which any value is somebody's, or that are looked up by instance administrators only.
const UNOWNED: [&str; 2] = ["job_id", "provider"];

/// An operation of the API document.
pub struct Operation {
    pub id: String,
    pub method: Method,
    pub template: String,
    body: Option<Value>,
    pub is_public: bool,
}

impl Operation {
    pub fn parameters(&self) -> Vec<&str> {
        let names = self.template.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        names.collect()
    }

    pub async fn call(&self, document: &Value, caller: &Caller<'_>, world: &World) -> Answer {
        let body = self.body.as_ref().map(|schema| sample(document, schema, "", world));
        self.send(caller, world, body).await
    }

    /// Calls it with this body.
    pub async fn send(&self, caller: &Caller<'_>, world: &World, body: Option<Value>) -> Answer {
        let part = |part: &str| match part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => world.id(name),
            None => part.to_owned(),
        };
        let mut path = self.template.split('/').map(part).collect::<Vec<_>>().join("/");
        if self.id == "exportAuditEvents" {
            path.push_str("?format=csv");
        }
        let body = body.map(|body| ("application/json", body.to_string()));
        caller.send(self.method.clone(), &path, body).await
    }
}

pub fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in methods.as_object().into_iter().flatten() {
            let Some(id) = operation["operationId"].as_str() else { continue };
            operations.push(Operation {
                id: id.to_owned(),
                method: method.to_uppercase().parse().expect("a method"),
                template: path.clone(),
                body: operation.pointer("/requestBody/content/application~1json/schema").cloned(),
                is_public: operation["security"].as_array().is_some_and(Vec::is_empty),
            });
        }
    }
    operations.sort_by(|left, right| left.id.cmp(&right.id));
    operations
}

/// A body that the operation reads: what is required, with plausible values.
pub fn sample(document: &Value, schema: &Value, name: &str, world: &World) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).expect("a component");
        return sample(document, target, name, world);
    }
    if let Some(first) = schema["enum"].as_array().and_then(|choices| choices.first()) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let mut members = Map::new();
            for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                members.insert(required.to_owned(), sample(document, &schema["properties"][required], required, world));
            }
            members.into()
        }
        Some("array") => json!([]),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
        Some("boolean") => json!(true),
        _ if schema["format"] == "uuid" => json!(world.id(name)),
        _ if name == "domain" => json!(format!("{}.example", ids::next().simple())),
        _ if name == "email" => json!(format!("{}@example.test", ids::next().simple())),
        _ => json!("Something to say"),
    }
}

/// The table: columns, and a line an operation.
struct Table {
    columns: Vec<String>,
    rows: BTreeMap<String, Vec<String>>,
}

fn table() -> Table {
    let text = fs::read_to_string(tree::root().join("tests/authorization.txt")).expect("the table");
    let mut lines = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut columns = words(lines.next().expect("a head"));
    assert_eq!(columns.remove(0), "operation");
    let names: Vec<String> = lines.clone().map(|line| words(line).remove(0)).collect();
    assert!(names.is_sorted(), "the lines of tests/authorization.txt are not sorted");
    let rows = lines.map(|line| {
        let mut row = words(line);
        let name = row.remove(0);
        assert!(row == ["public"] || row.len() == columns.len(), "{name}: not a cell for each column");
        (name, row)
    });
    Table { rows: rows.collect(), columns }
}

/// The users of all cases.
pub struct Cast {
    pub owner: User,
    admin: User,
    member: User,
    pub target: User,
    stranger: User,
    pub operator: User,
    /// Has no second factor; see [`demand_two_factor`].
    pub newcomer: User,
}

impl Cast {
    pub async fn of(app: &TestApp) -> Self {
        Self {
            owner: app.add_user("owner@example.test").await,
            admin: app.add_user("admin@example.test").await,
            member: app.add_user("member@example.test").await,
            target: app.add_user("target@example.test").await,
            stranger: app.add_user("stranger@example.test").await,
            operator: app.add_instance_admin("operator@example.test").await,
            newcomer: app.add_user("newcomer@example.test").await,
        }
    }

    /// What a column of the table presents in this world: a fresh bearer token, or nothing.
    pub async fn credential(&self, app: &TestApp, column: &str, world: &World) -> Option<String> {
        let user = match column {
            "none" => return None,
            // Keys of the owner: for everything, for events only, and for everything of another organization.
            "key" => return Some(self.key(app, json!({ "scopes": ["*"] })).await),
            "key_for_events" => return Some(self.key(app, json!({ "scopes": ["event:write"] })).await),
            "key_elsewhere" => {
                let elsewhere = World::create(app, &self.owner, &[], &self.target).await.id("organization_id");
                return Some(self.key(app, json!({ "scopes": ["*"], "scoped_organizations": [elsewhere] })).await);
            }
            "secret_key" => return Some(self.secret_key(app, world).await),
            "stranger" => &self.stranger,
            "member" => &self.member,
            "admin" => &self.admin,
            "owner" => &self.owner,
            "instance_admin" => &self.operator,
            "setup_only" => &self.newcomer,
            other => panic!("tests/authorization.txt has a column {other:?} that this test cannot play"),
        };
        Some(app.open_session(&app.user(&user.email).await).await)
    }

    async fn key(&self, app: &TestApp, mut wish: Value) -> String {
        wish["label"] = json!("Key");
        self.created(app, "/api/users/@me/api_keys", wish).await
    }

    async fn secret_key(&self, app: &TestApp, world: &World) -> String {
        let path = format!("/api/projects/{}/secret_keys", world.id("project_id"));
        self.created(app, &path, json!({ "label": "Key", "scopes": shared::secret_keys::SCOPES })).await
    }

    /// The value of a key that the owner creates.
    async fn created(&self, app: &TestApp, path: &str, wish: Value) -> String {
        let owner = app.browser().bearer(&app.open_session(&app.user(&self.owner.email).await).await);
        let created = owner.post(path, wish).await.expect(201).json();
        created["value"].as_str().expect("a value").to_owned()
    }
}

/// An organization and what belongs to it and to its owner, by the names of path parameters.
pub struct World {
    ids: BTreeMap<&'static str, String>,
}

impl World {
    pub async fn create(app: &TestApp, owner: &User, others: &[(&User, Role)], target: &User) -> Self {
        let (kernel, now) = (&app.kernel, app.now());
        let owner = &app.user(&owner.email).await;
        let tx = kernel.db.write_tx().await.expect("a transaction");
        let org_id = orgs::create(&tx, "Acme", owner.id, now).await.expect("an organization");
        for (user, role) in others.iter().copied().chain([(target, Role::Member)]) {
            orgs::join(&tx, org_id, (user.id, role), now).await.expect("a member");
        }
        let project_id = projects::create(&tx, org_id, "Site", now).await.expect("a project");
        devices::trust(kernel, &tx, &client(), (owner, "email_mfa"), None).await.expect("a device");
        tx.commit().await.expect("a commit");
        let device = devices::list(kernel, owner, (1, None)).await.expect("devices").remove(0);
        let credential = Credential::Session { session_id: ids::next(), evidence: Evidence::default() };
        let actor = Actor { user_id: Some(owner.id), is_instance_admin: false, credential };
        let by = By { actor: &actor, client: &client() };
        let wish = Wish { email: "invited@example.test".to_owned(), role: Role::Member };
        let invite = invites::create(kernel, by, org_id, wish).await.expect("an invite");
        let domain = format!("{}.example", ids::next().simple());
        let domain = domains::create(kernel, by, org_id, &domain).await.expect("a domain");
        let jobs = operate::list(kernel.db.reader(), &operate::Filter::default(), 1).await.expect("jobs");
        let path = format!("/api/projects/{project_id}/secret_keys");
        let ids = [
            ("organization_id", org_id.to_string()),
            ("project_id", project_id.to_string()),
            ("user_id", target.id.to_string()),
            ("invite_id", invite.id.to_string()),
            ("domain_id", domain.id.to_string()),
            ("job_id", jobs[0].id.to_string()),
            ("device_id", device.id.to_string()),
            ("session_id", other_session(app, owner).await),
            ("person_id", person(app, project_id.0).await),
            ("provider", "github".to_owned()),
            ("api_key_id", made(app, owner, "/api/users/@me/api_keys", json!({ "scopes": ["*"] })).await),
            ("secret_key_id", made(app, owner, &path, json!({ "scopes": ["project:read"] })).await),
        ];
        Self { ids: ids.into_iter().collect() }
    }

    /// The id of this kind; one that nothing has where there is none.
    pub fn id(&self, name: &str) -> String {
        self.ids.get(name).cloned().unwrap_or_else(|| ids::next().to_string())
    }

    /// The same with another world's id, or with one that nothing has.
    pub fn with(&self, name: &str, other: Option<&Self>) -> Self {
        let mut ids = self.ids.clone();
        ids.retain(|known, _| *known != name);
        if let Some((known, id)) = other.and_then(|other| other.ids.get_key_value(name)) {
            ids.insert(known, id.clone());
        }
        Self { ids }
    }
}

/// The id of a key that a user makes.
async fn made(app: &TestApp, owner: &User, path: &str, mut wish: Value) -> String {
    wish["label"] = json!("Of the world");
    let browser = app.browser().bearer(&app.open_session(owner).await);
    browser.post(path, wish).await.expect(201).json()["id"].as_str().expect("an id").to_owned()
}

/// The id of a person of a project.
async fn person(app: &TestApp, project_id: Uuid) -> String {
    let (id, engine) = (ids::next(), app.kernel.db.engine());
    let sql = "INSERT INTO persons
                 (id, project_id, created_at, properties, is_identified, version, id_count, last_at, last_uuid)
               VALUES ($1, $2, 1, '{}', FALSE, 1, 1, 1, $1)";
    let named = "INSERT INTO person_distinct_ids (distinct_id, project_id, person_id, is_personless)
                 VALUES ('somebody', $2, $1, FALSE)";
    for sql in [sql, named] {
        let statement = Statement::from_sql_and_values(engine, sql, [id.into(), project_id.into()]);
        app.kernel.db.writer().execute_raw(statement).await.expect("a person");
    }
    id.to_string()
}

/// A session of the owner beside the one that asks.
async fn other_session(app: &TestApp, owner: &User) -> String {
    app.open_session(owner).await;
    let browser = app.browser().bearer(&app.open_session(owner).await);
    let page = browser.get("/api/users/@me/sessions?limit=2").await.expect(200).json();
    page["items"][1]["id"].as_str().expect("an id").to_owned()
}

/// Lets the organization of this world demand a second factor that mailed codes are none of, or no longer.
pub async fn demand_two_factor(app: &TestApp, world: &World, is_demanded: bool) {
    let sql = "UPDATE organizations SET enforces_two_factor = $2, allows_email_mfa = FALSE WHERE id = $1";
    let id: Uuid = world.id("organization_id").parse().expect("an id");
    let statement = Statement::from_sql_and_values(app.kernel.db.engine(), sql, [id.into(), is_demanded.into()]);
    let changed = app.kernel.db.writer().execute_raw(statement).await.expect("an organization");
    assert_eq!(changed.rows_affected(), 1);
}

pub async fn app() -> TestApp {
    let app = TestApp::with(Settings::with(|config| {
        config.invites.per_address = UNLIMITED;
        config.invites.per_user = UNLIMITED;
        config.orgs.max_owned_per_user = 1_000_000;
        config.api_keys.max_per_user = 1_000_000;
        config.sessions.reauthenticate_per_user = UNLIMITED;
        config.social.starts_per_network = UNLIMITED;
        "client".clone_into(&mut config.social.github.client_id);
        config.social.github.client_secret = Redacted::new("secret".to_owned());
    }))
    .await;
    app.forget_jobs();
    app
}

/// What an answer says about the permission to call.
fn verdict(operation: &Operation, answer: &Answer) -> &'static str {
    assert!(answer.status < 500 || answer.status == 503, "{}: {}", operation.id, answer.text);
    match answer.status {
        401 if answer.json()["code"] == "unauthenticated" => "401",
        403 => "403",
        404 => "404",
        _ => "yes",
    }
}

/// T-KEY-04: every operation answers every kind of caller as the table says
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_every_kind_of_caller_as_the_table_says() {
    let app = app().await;
    let cast = Cast::of(&app).await;
    let document = gateway::spec::document().expect("the document");
    let (table, operations) = (table(), operations(&document));
    let mut wrong = Vec::new();
    for operation in &operations {
        let Some(row) = table.rows.get(&operation.id) else {
            wrong.push(format!("{}: tests/authorization.txt has no line for it", operation.id));
            continue;
        };
        if operation.is_public || row == &["public"] {
            assert!(operation.is_public && row == &["public"], "{}: document and table disagree", operation.id);
            continue;
        }
        let mut seen = Vec::new();
        for column in &table.columns {
            let mut others = vec![(&cast.admin, Role::Admin), (&cast.member, Role::Member)];
            let is_limited = column == "setup_only";
            if is_limited {
                others.push((&cast.newcomer, Role::Member));
            }
            let world = World::create(&app, &cast.owner, &others, &cast.target).await;
            if is_limited {
                demand_two_factor(&app, &world, true).await;
            }
            let token = cast.credential(&app, column, &world).await;
            let caller = token.map_or_else(|| app.browser(), |token| app.browser().bearer(&token));
            let answer = operation.call(&document, &caller, &world).await;
            if is_limited {
                let is_listed = SETUP_OPERATIONS.contains(&(operation.method.as_str(), operation.template.as_str()));
                let is_told = answer.status == 403 && answer.json()["code"] == "two_factor_setup_required";
                assert_eq!(is_told, !is_listed, "{}: {}", operation.id, answer.text);
                demand_two_factor(&app, &world, false).await;
            }
            seen.push(verdict(operation, &answer));
        }
        if seen != *row {
            wrong.push(format!("{} is {} and not {}", operation.id, seen.join(" "), row.join(" ")));
        }
    }
    let stale = table.rows.keys().filter(|name| !operations.iter().any(|operation| operation.id == **name));
    wrong.extend(stale.map(|name| format!("{name}: no such operation")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// T-API-06: an id of another organization or user is like one that nothing has, in every path
#[tokio::test(flavor = "multi_thread")]
async fn foreign_ids_are_not_found_in_any_path() {
    let app = app().await;
    let cast = Cast::of(&app).await;
    let document = gateway::spec::document().expect("the document");
    let (table, mut checked) = (table(), 0);
    let owner_column = table.columns.iter().position(|column| column == "owner").expect("a column");
    let foreign_member = app.add_user("foreign@example.test").await;
    for operation in operations(&document).iter().filter(|operation| !operation.is_public) {
        for name in operation.parameters().into_iter().filter(|name| !UNOWNED.contains(name)) {
            let own = World::create(&app, &cast.owner, &[], &cast.target).await;
            let foreign = World::create(&app, &cast.stranger, &[], &foreign_member).await;
            for other in [Some(&foreign), None] {
                let caller = app.browser().bearer(&cast.credential(&app, "owner", &own).await.expect("a token"));
                let answer = operation.call(&document, &caller, &own.with(name, other)).await;
                // An invite is not the organization's but whoever's it was sent to; see R07.
                let expected = match (operation.id.as_str(), other) {
                    ("acceptInvite", Some(_)) => 403,
                    ("acceptInvite", None) => 400,
                    _ => 404,
                };
                assert_eq!(answer.status, expected, "{} with another {name}: {}", operation.id, answer.text);
                checked += 1;
            }
            // It is the id that makes the difference: with the own one the owner is let in.
            let may = table.rows.get(&operation.id).is_none_or(|row| row[owner_column] == "yes");
            assert!(
                may || ["acceptInvite", "deletePasskey", "unlinkAccount", "updatePasskey"]
                    .contains(&operation.id.as_str()),
                "{}: the owner is not let in with ids of their own",
                operation.id
            );
        }
    }
    assert!(checked > 30, "the operations with ids were not found: {checked}");
}
