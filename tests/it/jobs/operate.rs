//! What operators do: `/api/jobs` and `gatepost jobs`.

use harness::{
    Installation, PASSWORD, Settings, free_port, http_client,
    smtp::{Fault, SmtpServer, Stage},
    works::{PATIENCE, enqueue_one, job, run_due, until},
};
use serde_json::{Value, json};
use shared::jobs::{JobId, JobState};

use super::{Chore, Failing, THRICE, app, change, effects, signed_in};

fn path(id: JobId, action: &str) -> String {
    format!("/api/jobs/{id}{action}")
}

/// Jobs: only instance administrators, of whom the first user is one, see or change jobs.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_for_instance_administrators_only() {
    let app = app(Settings::default()).await;
    let admin = signed_in(&app, "first@example.com").await;
    let other = signed_in(&app, "second@example.com").await;
    let id = enqueue_one(&app, &Chore { number: 1 }).await;
    for (get, target) in [
        (true, "/api/jobs".to_owned()),
        (true, path(id, "")),
        (false, path(id, "/retry")),
        (false, path(id, "/cancel")),
    ] {
        let stranger = app.browser();
        let (refused, unknown) = if get {
            (other.get(&target).await, stranger.get(&target).await)
        } else {
            (other.post(&target, json!({})).await, stranger.post(&target, json!({})).await)
        };
        assert_eq!((refused.status, unknown.status), (403, 401), "{target}: {}", refused.text);
    }
    assert_eq!(job(&app, id).await.0, JobState::Queued);
    let listed = admin.get("/api/jobs?state=queued").await.expect(200).json();
    assert_eq!(listed["items"][0]["id"], id.to_string());
    run_due(&app).await;
}

/// Jobs: the list is filtered by state, name and queue, goes on page by page, and shows no payload.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_filtered_and_shown() {
    let app = app(Settings::default()).await;
    let admin = signed_in(&app, "admin@example.com").await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(enqueue_one(&app, &Chore { number }).await.to_string());
    }
    run_due(&app).await;
    ids.reverse();
    let mut seen: Vec<Value> = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = admin.get(&format!("/api/jobs?name=testing.chore&limit=2{cursor}")).await.expect(200);
        assert!(!page.text.contains("number"), "{}", page.text);
        let page = page.json();
        seen.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let listed: Vec<_> = seen.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, ids, "the newest first, each once");
    let count = async |query: &str| {
        let answer = admin.get(&format!("/api/jobs?limit=200&{query}")).await.expect(200).json();
        answer["items"].as_array().unwrap().len()
    };
    assert_eq!(
        (count("state=done&queue=identify").await, count("state=dead").await, count("queue=sweep").await),
        (5, 0, 0)
    );
    let shown = admin.get(&format!("/api/jobs/{}", ids[0])).await.expect(200).json();
    assert_eq!((shown["state"].as_str(), shown["attempt"].as_i64()), (Some("done"), Some(1)));
    admin.get(&path(JobId::next(), "")).await.expect_problem(404, "job_not_found");
    admin.get("/api/jobs?state=lost").await.expect_problem(422, "validation_failed");
}

/// Jobs: dead and cancelled jobs can be retried, waiting ones cancelled; nothing else, and nothing whose purpose is over.
/// Each change is in the audit trail with its author.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_retried_and_cancelled_where_that_makes_sense() {
    let app = app(Settings::default()).await;
    let admin = signed_in(&app, "admin@example.com").await;
    let id = enqueue_one(&app, &Chore { number: 1 }).await;
    admin.post(&path(id, "/retry"), json!({})).await.expect_problem(409, "job_state_conflict");
    let cancelled = admin.post(&path(id, "/cancel"), json!({})).await.expect(200).json();
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(run_due(&app).await, 0, "called off");
    admin.post(&path(id, "/cancel"), json!({})).await.expect_problem(409, "job_state_conflict");
    admin.post(&path(id, "/retry"), json!({})).await.expect(200);
    run_due(&app).await;
    assert_eq!(effects(&app).await, 1);
    for action in ["/retry", "/cancel"] {
        admin.post(&path(id, action), json!({})).await.expect_problem(409, "job_state_conflict");
        admin.post(&path(JobId::next(), action), json!({})).await.expect_problem(404, "job_not_found");
    }
    let running = enqueue_one(&app, &Chore { number: 2 }).await;
    change(&app, "UPDATE jobs SET state = 'running' WHERE id = $1", running).await;
    for action in ["/retry", "/cancel"] {
        admin.post(&path(running, action), json!({})).await.expect_problem(409, "job_state_conflict");
    }
    change(&app, "UPDATE jobs SET state = 'queued' WHERE id = $1", running).await;
    let late = enqueue_one(&app, &Failing { number: 3 }).await;
    for _ in 0..THRICE.attempts {
        run_due(&app).await;
        app.advance(THRICE.cap);
    }
    let shown = admin.get(&path(late, "")).await.expect(200).json();
    assert_eq!((shown["state"].as_str(), shown["last_error"].as_str()), (Some("dead"), Some("it does not work")));
    app.advance(std::time::Duration::from_secs(901));
    admin.post(&path(late, "/retry"), json!({})).await.expect_problem(409, "job_state_conflict");
    let user_id = app.user("admin@example.com").await.id.0.to_string();
    let trail = app.dump().await.to_lowercase();
    let lines: Vec<&str> = trail
        .lines()
        .filter(|line| line.starts_with("audit_events") && line.contains("'jobs.") || line.contains(",jobs."))
        .collect();
    let lines: Vec<&str> = lines.into_iter().filter(|line| line.contains("success")).collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    let compact = user_id.replace('-', "");
    for line in lines {
        assert!(line.contains(&user_id) || line.contains(&compact), "{line}");
        assert!(line.contains(&id.to_string()), "{line}");
    }
}

async fn run(installation: &Installation, arguments: &[&str]) -> (bool, String) {
    let output = installation.command(arguments).output().await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

/// The id of the first listed job.
fn first_id(list: &str) -> String {
    list.split_whitespace().next().unwrap_or_default().to_owned()
}

/// Q09: the same on the command line, beside a running process: a refused mail is listed as dead with the reason, and
/// sent by a retry; a waiting one is called off.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_operated_from_the_command_line() {
    let server = SmtpServer::start().await.unwrap();
    server.script(vec![Fault::reply(Stage::RcptTo, 550, "5.1.1 no such user")]);
    let port = free_port();
    let installation = Installation::new()
        .set("HTTP__LISTEN", &format!("127.0.0.1:{port}"))
        .set("JOBS__POLL_MILLISECONDS", "50")
        .set("MAIL__URL", &format!("smtp+insecure://{}", server.addr()));
    let _process = installation.start("serve", &["serve"]);
    installation.wait_for(&format!("http://127.0.0.1:{port}/health/ready"), PATIENCE).await;
    let client = http_client();
    let sign_up = async |email: &str| {
        let body = json!({ "email": email, "password": PASSWORD }).to_string();
        let url = format!("http://127.0.0.1:{port}/api/signup");
        let answer = client.post(url).header("content-type", "application/json").body(body).send().await.unwrap();
        assert_eq!(answer.status(), 202);
    };
    sign_up("refused@example.com").await;
    let dead = ["jobs", "list", "--state", "dead", "--queue", "mail"];
    until("the refused mail is dead", async || !run(&installation, &dead).await.1.is_empty()).await;
    let (_, list) = run(&installation, &dead).await;
    assert!(list.contains("email_verification.send_verification") && list.contains("550 5.1.1 no such user"), "{list}");
    assert!(!list.contains("refused@example.com"), "{list}");
    let id = first_id(&list);
    let (is_well, shown) = run(&installation, &["jobs", "show", &id]).await;
    assert!(is_well && shown.contains("state: Dead") && shown.contains(&id), "{shown}");
    assert!(!run(&installation, &["jobs", "cancel", &id]).await.0);
    assert!(run(&installation, &["jobs", "retry", &id]).await.0);
    server.wait_to("refused@example.com", 1, PATIENCE).await.unwrap();
    let done = ["jobs", "list", "--state", "done", "--name", "email_verification.send_verification"];
    until("the retried mail is done", async || run(&installation, &done).await.1.contains(&id)).await;
    assert!(!run(&installation, &["jobs", "retry", &id]).await.0);
    server.stop().await;
    sign_up("waiting@example.com").await;
    let retrying = ["jobs", "list", "--state", "retrying"];
    let mut is_cancelled = false;
    until("the waiting mail is called off", async || {
        let id = first_id(&run(&installation, &retrying).await.1);
        is_cancelled |= !id.is_empty() && run(&installation, &["jobs", "cancel", &id]).await.0;
        is_cancelled
    })
    .await;
    assert!(run(&installation, &["jobs", "list", "--state", "cancelled"]).await.1.contains("send_verification"));
    assert!(!run(&installation, &["jobs", "show", &JobId::next().to_string()]).await.0);
    assert!(!run(&installation, &["jobs", "list", "--state", "lost"]).await.0);
}
